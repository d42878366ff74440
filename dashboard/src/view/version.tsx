// One version: its part, what it has against what it needs, what is left of it, and how it answers.
import type { Service, Version } from "../api/types";
import { left, millis, percent, plural, rate } from "../pure/format";
import type { Point } from "../pure/series";
import { now } from "../state/live";
import { mayOperate } from "../state/session";
import { Bar } from "./bar";
import { Gates } from "./gates";
import { swatch } from "./swatch";
import { VersionActions } from "./version_actions";

interface Props {
  service: Service;
  version: Version;
  point: Point;
}

export function VersionCard({ service, version, point }: Props) {
  const { version: label, role, epoch, quorum } = version;
  const most = Math.max(version.expected_weight, version.usable_weight, quorum.needed_weight, 1);
  return (
    <article class="version" data-role={role} aria-label={`Version ${label}, ${role}`}>
      <header>
        <span class="swatch" data-colour={swatch(label)} aria-hidden="true" />
        <h4 title={label}>{label}</h4>
        <span class="role" data-role={role}>{role === "canary" && service.canary !== null ? `canary ${percent(service.canary.share)}` : role}</span>
      </header>
      <p class="sub">
        <span>{plural(version.backends, "backend")}, {version.usable_backends} usable</span>
        {epoch !== null && <span>epoch {epoch}</span>}
      </p>
      <Bar
        label={`Usable weight ${version.usable_weight}, quorum ${quorum.needed_weight}`}
        value={version.usable_weight / most}
        needed={quorum.needed_weight / most}
        tone={quorum.met ? "good" : "warn"}
      />
      <dl class="numbers">
        <div><dt>req/s</dt><dd>{rate(point.rate)}</dd></div>
        <div data-tone={(point.errors ?? 0) > 0.01 ? "bad" : undefined}><dt>errors</dt><dd>{percent(point.errors)}</dd></div>
        <div><dt>p99</dt><dd>{millis(point.p99Ms)}</dd></div>
        <div><dt>in flight</dt><dd>{version.in_flight}</dd></div>
        <div><dt>tunnels</dt><dd>{version.tunnels}</dd></div>
        <div><dt>mismatches</dt><dd>{version.mismatches}</dd></div>
      </dl>
      <Remains version={version} />
      {role !== "active" && <Gates service={service.name} version={label} gates={version.gates} />}
      {mayOperate.value && <VersionActions service={service} version={version} />}
    </article>
  );
}

/** What still ties somebody to it, and how its drain goes. */
function Remains({ version }: { version: Version }) {
  const { latest_pin_expiry: pins, drain_deadline, drained, rejected, holds } = version;
  const names = Object.keys(holds);
  return (
    <ul class="remains">
      {pins !== null && <li>pins for up to {left(pins, now.value)}</li>}
      {pins === null && version.role === "draining" && <li>no pin is left</li>}
      {names.length > 0 && <li title={names.join(", ")}>held by {names.slice(0, 3).join(", ")}{names.length > 3 && ` and ${names.length - 3} more`}</li>}
      {drain_deadline !== null && <li>{Date.parse(drain_deadline) > now.value ? `eviction in ${left(drain_deadline, now.value)}` : "the rest is being evicted"}</li>}
      {drained !== null && <li>drained, {drained.by === "proof" ? "with proof that nothing is left" : "by its deadline"}</li>}
      {rejected !== null && <li class="bad">{rejected}</li>}
      {version.below_floor && <li class="bad">too old for the database: it never becomes active again</li>}
      {!version.quorum.met && version.role === "staged" && <li>waits for quorum: {version.quorum.usable} of {version.quorum.needed} backends</li>}
    </ul>
  );
}
