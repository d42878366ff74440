// Rates, errors and latencies over time, from counts that only grow.
import type { Version } from "../api/types";

/** Counts of one version at one moment. */
export interface Sample {
  readonly requests: number;
  readonly errors: number;
  /** Answers by the microseconds within which they began. */
  readonly latencies: ReadonlyMap<number, number>;
}

/** What happened in the window before one moment; `null` where nothing was asked. */
export interface Point {
  /** Answers in a second. */
  readonly rate: number | null;
  /** The share of them, 0 to 1, that were errors. */
  readonly errors: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

/** A point looks back so far: long enough to be calm, short enough to be now. */
const WINDOW_MS = 5_000;
/** Ten minutes of looks, one in 1.5 s. */
const POINTS_MAX = 400;
/** After a longer silence the line is broken, not drawn across. */
const GAP_MS = 8_000;

const NOTHING: Point = { rate: null, errors: null, p50Ms: null, p99Ms: null };

/** The counts of a version as the API tells them. */
export function sampleOf(version: Version): Sample {
  const latencies = new Map((version.latencies ?? []).map(({ within_us, answers }) => [within_us, answers]));
  return { requests: version.requests, errors: version.failed + version.resets, latencies };
}

/** What was counted from `before` to `after`, which lie `ms` apart. */
export function between(before: Sample, after: Sample, ms: number): Point {
  const answers = after.requests - before.requests;
  // Another process counts from nothing.
  if (answers < 0 || ms <= 0) return NOTHING;
  const rate = (answers * 1000) / ms;
  if (answers === 0) return { ...NOTHING, rate };
  const errors = Math.min(1, Math.max(0, after.errors - before.errors) / answers);
  const counted = [...after.latencies]
    .map(([within, total]): [number, number] => [within, total - (before.latencies.get(within) ?? 0)])
    .filter(([, number]) => number > 0)
    .sort(([a], [b]) => a - b);
  return { rate, errors, p50Ms: quantile(counted, 0.5), p99Ms: quantile(counted, 0.99) };
}

/** The latency that this share of the answers did not exceed. */
function quantile(counted: readonly (readonly [number, number])[], share: number): number | null {
  const all = counted.reduce((sum, [, number]) => sum + number, 0);
  let reached = 0;
  for (const [within, number] of counted) {
    reached += number;
    if (reached >= all * share) return within / 1000;
  }
  return null;
}

/** What the versions of one service did while somebody looked. */
export class History {
  /** The moments of all points, in milliseconds. */
  readonly times: number[] = [];
  readonly #samples: { at: number; of: ReadonlyMap<string, Sample> }[] = [];
  readonly #points = new Map<string, (Point | null)[]>();

  /** Notes what all versions have counted at `at`. */
  note(at: number, of: ReadonlyMap<string, Sample>): void {
    const last = this.times.at(-1);
    if (last !== undefined && at - last > GAP_MS) {
      this.#samples.length = 0;
      this.#append(at - 1, new Map());
    }
    // Versions that appear later have nothing before; those that are gone have nothing after.
    const before = this.#samples.find((sample) => sample.at >= at - WINDOW_MS);
    const points = new Map<string, Point>();
    for (const [version, sample] of of) {
      const earlier = before?.of.get(version);
      if (before !== undefined && earlier !== undefined) points.set(version, between(earlier, sample, at - before.at));
    }
    if ([...points.values()].some((point) => point.rate === null)) this.#samples.length = 0;
    this.#samples.push({ at, of });
    while ((this.#samples[0]?.at ?? at) < at - WINDOW_MS) this.#samples.shift();
    this.#append(at, points);
  }

  /** The points of a version, one for each of `times`. */
  of(version: string): readonly (Point | null)[] {
    return this.#points.get(version) ?? this.times.map(() => null);
  }

  /** The latest point of a version. */
  latest(version: string): Point {
    return this.#points.get(version)?.at(-1) ?? NOTHING;
  }

  #append(at: number, points: ReadonlyMap<string, Point>): void {
    for (const version of points.keys()) {
      if (!this.#points.has(version)) this.#points.set(version, this.times.map(() => null));
    }
    this.times.push(at);
    for (const [version, series] of this.#points) series.push(points.get(version) ?? null);
    if (this.times.length <= POINTS_MAX) return;
    this.times.shift();
    for (const [version, series] of this.#points) {
      series.shift();
      if (series.every((point) => point === null)) this.#points.delete(version);
    }
  }
}
