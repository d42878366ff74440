// What happened, the latest first: who did what, when and why.
import type { Entry } from "../api/types";
import { ago } from "../pure/format";
import { tone } from "../pure/kinds";
import { entries, hasOlder, now, older } from "../state/live";

export function TimelinePanel() {
  const all = entries.value;
  return (
    <section aria-labelledby="timeline-title" class="timeline">
      <h3 id="timeline-title" class="section">Timeline</h3>
      <ol>{all.map((entry, number) => <Line key={entry.id} entry={entry} above={all[number - 1]} />)}</ol>
      {hasOlder.value && <button type="button" onClick={() => void older().catch(() => undefined)}>Show older</button>}
    </section>
  );
}

/** One entry. What is said of the entry above it, which is another part of the same change, is not said again. */
function Line({ entry, above }: { entry: Entry; above: Entry | undefined }) {
  const { at, kind, text, actor, remote, reason, forced } = entry;
  const isPart = above !== undefined && above.revision === entry.revision && above.actor === actor && above.reason === reason;
  return (
    <li data-tone={tone(kind)}>
      <time dateTime={at} title={`${new Date(at).toLocaleString()} (${kind})`}>{ago(at, now.value)}</time>
      <p>
        {text}
        {forced && <b class="forced"> by force</b>}
        {!isPart && actor !== "cutover" && <small title={remote ?? ""}> {actor}</small>}
        {!isPart && reason !== null && reason !== "" && <q>{reason}</q>}
      </p>
    </li>
  );
}
