// One chart: lines over time, with a mark at each flip.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { colour, colours } from "../state/theme";

const HEIGHT = 132;
/** So much time is seen, whether or not there is something in it yet. */
const SPAN_S = 5 * 60;

/** A line. */
export interface Line {
  readonly label: string;
  /** A custom property. */
  readonly colour: string;
  readonly values: readonly (number | null)[];
}

interface Props {
  /** Milliseconds. */
  times: readonly number[];
  lines: readonly Line[];
  /** When versions became active, in milliseconds. */
  marks: readonly number[];
  /** What the axis shows at least. */
  least: number;
  text: (value: number) => string;
  onPoint: (index: number | null) => void;
}

export function Chart(props: Props) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  // Lines and colours make another chart; values only move it on.
  const form = props.lines.map((line) => line.label).join("\n") + colours.value;
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    plot.current = new uPlot(options(element.clientWidth, latest), data(latest.current), element);
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [form]);
  useEffect(() => plot.current?.setData(data(props)));
  return <div class="chart" ref={place} aria-hidden="true" />;
}

function data({ times, lines }: Props): uPlot.AlignedData {
  return [times.map((time) => time / 1000), ...lines.map((line) => [...line.values])];
}

function options(width: number, latest: { readonly current: Props }): uPlot.Options {
  const [ink, grid] = [colour("--ink-3"), colour("--line")];
  const axis = { stroke: ink, font: "11px system-ui, sans-serif", grid: { stroke: grid, width: 1 }, ticks: { show: false } };
  const { lines, least, text } = latest.current;
  return {
    width,
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 }, sync: { key: "cutover" } },
    scales: {
      x: { time: true, range: (_, first, last) => [Math.min(first, last - SPAN_S), last] },
      y: { range: (_, __, most) => [0, Math.max(most * 1.15, least)] },
    },
    axes: [
      { ...axis, size: 22, space: 90, values: (_, splits) => splits.map(clock) },
      { ...axis, size: 52, space: 34, values: (_, splits) => splits.map((value) => text(value)) },
    ],
    series: [{}, ...lines.map((line) => ({ label: line.label, stroke: colour(line.colour), width: 1.75, points: { show: false } }))],
    hooks: {
      setCursor: [(plot) => latest.current.onPoint(plot.cursor.idx ?? null)],
      draw: [(plot) => marks(plot, latest.current.marks, ink)],
    },
  };
}

function clock(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

/** A dashed line at each moment at which a version became active. */
function marks(plot: uPlot, times: readonly number[], ink: string): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = ink;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const time of times) {
    const x = plot.valToPos(time / 1000, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}
