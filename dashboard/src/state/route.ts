// Which service is shown: the fragment of the address, so that it can be linked to.
import { signal } from "@preact/signals";

/** The chosen service; `null` = whichever comes first. */
export const selected = signal(read());

addEventListener("hashchange", () => (selected.value = read()));

/** The link to a service. */
export function linkTo(name: string): string {
  return `#/${encodeURIComponent(name)}`;
}

function read(): string | null {
  try {
    return decodeURIComponent(location.hash.replace(/^#\/?/, "")) || null;
  } catch {
    return null;
  }
}
