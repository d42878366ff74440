// Numbers and times as people read them.

/** `1.2k`, `34`, `5.6M`. */
export function count(value: number): string {
  if (value < 1000) return String(Math.round(value));
  const [scaled, unit] = value < 1e6 ? [value / 1e3, "k"] : value < 1e9 ? [value / 1e6, "M"] : [value / 1e9, "G"];
  return `${scaled < 10 ? scaled.toFixed(1) : Math.round(scaled)}${unit}`;
}

/** A rate per second: small ones with a digit. */
export function rate(value: number | null): string {
  if (value === null) return "–";
  return value > 0 && value < 10 ? value.toFixed(1) : count(value);
}

/** A share of 0 to 1 as per cent; what is not nothing does not look like nothing. */
export function percent(share: number | null): string {
  if (share === null) return "–";
  const value = share * 100;
  if (value === 0) return "0 %";
  if (value < 0.01) return "< 0.01 %";
  if (value >= 10) return `${Math.round(value)} %`;
  return `${Number(value.toFixed(value < 1 ? 2 : 1))} %`;
}

/** Milliseconds with as many digits as matter. */
export function millis(value: number | null): string {
  if (value === null) return "–";
  if (value === 0) return "0 ms";
  if (value >= 10_000) return `${(value / 1000).toFixed(0)} s`;
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 10) return `${Math.round(value)} ms`;
  return `${value.toFixed(value < 1 ? 2 : 1)} ms`;
}

/** A span in its two largest units: `2 h 5 min`. Below nothing is nothing. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const units: [string, number][] = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  const [big, small] = [units[first], units[first + 1]];
  if (big === undefined || small === undefined) return `${seconds} s`;
  const whole = Math.floor(seconds / big[1]);
  const rest = Math.floor((seconds % big[1]) / small[1]);
  return rest === 0 ? `${whole} ${big[0]}` : `${whole} ${big[0]} ${rest} ${small[0]}`;
}

/** A duration of the API, such as `1801s`, as a span. What is none is shown as it came. */
export function duration(text: string): string {
  const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  const parts = /^(\d+)(ms|s|m|h|d)$/.exec(text);
  const size = UNITS[parts?.[2] ?? ""];
  return size === undefined ? text : span(Number(parts?.[1]) * size);
}

/** How long `time` lies in the past at `now`. */
export function ago(time: string, now: number): string {
  const ms = now - Date.parse(time);
  return ms < 2000 ? "just now" : `${span(ms)} ago`;
}

/** How long it is until `time`. */
export function left(time: string, now: number): string {
  return span(Date.parse(time) - now);
}

/** `1 backend`, `2 backends`. */
export function plural(number: number, word: string): string {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}
