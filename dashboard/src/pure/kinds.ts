// How much a kind of event matters to somebody who looks over a timeline.

const TONES: Readonly<Record<string, string>> = {
  activated: "active", promoted: "active", canary_begun: "canary", canary_changed: "canary", bake_began: "active",
  judged_bad: "bad", backend_ejected: "warn", hook_failed: "bad", gate_closed: "warn",
  judged_good: "good", baked: "good", gate_opened: "good", drained: "good",
  frozen: "cool", unfrozen: "cool", maintenance_begun: "bad", maintenance_ended: "good", contracted: "active",
};

/** A tone for the eye; `mute` for what comes and goes. */
export function tone(kind: string): string {
  return TONES[kind] ?? "mute";
}
