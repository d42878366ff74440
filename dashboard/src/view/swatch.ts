// Which colour a version has in cards, charts and tables: the same for as long as the page lives.

const COLOURS = 6;
const given = new Map<string, number>();

/** A number from 0 for the custom property `--series-N`. */
export function swatch(version: string): number {
  const known = given.get(version) ?? given.size % COLOURS;
  given.set(version, known);
  return known;
}
