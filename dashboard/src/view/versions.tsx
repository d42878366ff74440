// The versions of a service as columns, the newest first; those of which nothing is left in one line.
import type { Service, Version } from "../api/types";
import { history, looks } from "../state/live";
import { swatch } from "./swatch";
import { VersionCard } from "./version";

export function Versions({ service, versions }: { service: Service; versions: readonly Version[] }) {
  // What is read from the history below changes with every look.
  void looks.value;
  const isOver = (version: Version): boolean =>
    version.role === "retired" || (version.backends === 0 && (version.role === "rejected" || version.role === "superseded"));
  const [over, live] = [versions.filter(isOver), versions.filter((version) => !isOver(version))];
  // Colours go by age, so that everybody sees the same ones.
  [...live].sort((a, b) => a.seen_at.localeCompare(b.seen_at)).forEach(({ version }) => swatch(version));
  return (
    <section aria-labelledby="versions-title">
      <h3 id="versions-title" class="section">Versions</h3>
      {live.length === 0 && <p class="blank">No backend has registered yet.</p>}
      <div class="versions">
        {live.map((version) => (
          <VersionCard key={version.version} service={service} version={version} point={history().latest(version.version)} />
        ))}
      </div>
      {over.length > 0 && (
        <p class="over">
          <span>Earlier:</span>
          {over.slice(0, 12).map(({ version, role }) => <span key={version}><b>{version}</b> {role}</span>)}
          {over.length > 12 && <span>and {over.length - 12} more</span>}
        </p>
      )}
    </section>
  );
}
