// What is said aloud: by a screen reader, and for what was done here as a line at the foot of the page too.
import { signal } from "@preact/signals";

const SHOWN_MS = 6_000;

/** For screen readers. */
export const spoken = signal("");
/** For everybody. */
export const notice = signal("");

let hide: ReturnType<typeof setTimeout> | undefined;

/** Has it said. */
export function announce(text: string): void {
  spoken.value = text;
}

/** Has it said and shown for some seconds. */
export function tell(text: string): void {
  notice.value = text;
  clearTimeout(hide);
  hide = setTimeout(() => (notice.value = ""), SHOWN_MS);
}
