// Light or dark: as the system has it, unless somebody chose.
import { effect, signal } from "@preact/signals";

const KEY = "cutover-theme";
const ALL = ["system", "light", "dark"] as const;
type Theme = (typeof ALL)[number];

export const theme = signal<Theme>(ALL.find((known) => known === localStorage.getItem(KEY)) ?? "system");
/** Changes whenever colours do. */
export const colours = signal(0);

effect(() => {
  const chosen = theme.value;
  localStorage.setItem(KEY, chosen);
  document.documentElement.dataset["theme"] = chosen;
  colours.value = colours.peek() + 1;
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (colours.value += 1));

/** The theme after this one. */
export function next(): Theme {
  return ALL[(ALL.indexOf(theme.value) + 1) % ALL.length] ?? "system";
}

/** The colour that a custom property stands for right now, as a canvas takes it. */
export function colour(property: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${property})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
