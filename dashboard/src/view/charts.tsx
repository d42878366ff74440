// How the versions answer, beside each other: requests, errors and latency over the last minutes.
import { signal } from "@preact/signals";
import type { Version } from "../api/types";
import { millis, percent, rate } from "../pure/format";
import type { Point } from "../pure/series";
import { entries, history, looks } from "../state/live";
import { Chart, type Line } from "./chart";
import { swatch } from "./swatch";

/** Where the pointer is, in all charts; `null` = the latest. */
const pointed = signal<number | null>(null);

const CHARTS: { title: string; of: (point: Point) => number | null; text: (value: number | null) => string; least: number }[] = [
  { title: "Requests per second", of: (point) => point.rate, text: rate, least: 1 },
  { title: "Errors", of: (point) => point.errors, text: percent, least: 0.01 },
  { title: "Latency p99", of: (point) => point.p99Ms, text: millis, least: 1 },
];

export function Charts({ versions }: { versions: readonly Version[] }) {
  // The history is no signal: it has grown by a point with every look.
  void looks.value;
  const known = history();
  const shown = versions.map(({ version }) => version).filter((version) => known.of(version).some((point) => point !== null)).slice(0, 6);
  const marks = entries.value.filter(({ kind }) => kind === "activated").map(({ at }) => Date.parse(at));
  if (shown.length === 0 || known.times.length < 3) return null;
  return (
    <section class="charts" aria-label="Charts">
      {CHARTS.map(({ title, of, text, least }) => {
        const lines: Line[] = shown.map((version) => ({
          label: version,
          colour: `--series-${swatch(version)}`,
          values: known.of(version).map((point) => (point === null ? null : of(point))),
        }));
        const at = pointed.value ?? known.times.length - 1;
        return (
          <figure key={title}>
            <figcaption>
              <span>{title}</span>
              {shown.map((version, number) => (
                <span key={version} class="value">
                  <i class="swatch" data-colour={swatch(version)} aria-hidden="true" /> <span>{version}</span> <b>{text(lines[number]?.values[at] ?? null)}</b>
                </span>
              ))}
            </figcaption>
            <Chart times={known.times} lines={lines} marks={marks} least={least} text={text} onPoint={(index) => (pointed.value = index)} />
          </figure>
        );
      })}
    </section>
  );
}
