// What can be done to a version, by its part.
import { CanaryDialog } from "../actions/canary";
import { open } from "../actions/dialog";
import { FlipDialog } from "../actions/flip";
import { ClearDialog, EvictDialog, RejectDialog } from "../actions/verdict";
import type { Role, Service, Version } from "../api/types";

const FLIPPABLE: readonly Role[] = ["staged", "canary", "draining", "drained"];

export function VersionActions({ service, version: { version, role } }: { service: Service; version: Version }) {
  const at = { service: service.name, version };
  const mayBeCanary = service.canary === null ? role === "staged" : service.canary.version === version;
  return (
    <div class="actions" role="group" aria-label={`Actions on ${version}`}>
      {FLIPPABLE.includes(role) && (
        <button type="button" class={role === "staged" || role === "canary" ? "primary" : ""} onClick={() => open(<FlipDialog service={service.name} to={version} />)}>Flip…</button>
      )}
      {mayBeCanary && <button type="button" onClick={() => open(<CanaryDialog service={service.name} to={version} />)}>Canary…</button>}
      {role === "draining" && <button type="button" onClick={() => open(<EvictDialog {...at} />)}>End drain…</button>}
      {FLIPPABLE.includes(role) && <button type="button" class="quiet" onClick={() => open(<RejectDialog {...at} />)}>Reject…</button>}
      {(role === "rejected" || role === "superseded") && (
        <button type="button" onClick={() => open(<ClearDialog {...at} />)}>Clear…</button>
      )}
    </div>
  );
}
