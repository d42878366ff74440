// What the API answers, as far as the dashboard shows it. The whole of it is at /openapi.json.

/** Whoever asks, and what they may do. */
export interface Caller {
  readonly name: string;
  readonly role: "read" | "register" | "operate" | "admin";
}

/** One node. */
export interface Status {
  readonly node: string;
  readonly version: string;
  readonly uptime: string;
  readonly started_at: string;
  readonly revision: number;
  readonly store: { readonly kind: string };
  readonly caller: Caller;
}

export type Role =
  | "staged"
  | "canary"
  | "active"
  | "draining"
  | "drained"
  | "rejected"
  | "superseded"
  | "retired";

/** A freeze or a maintenance. */
export interface Suspension {
  readonly reason: string;
  readonly until: string | null;
  readonly by: string;
  readonly at: string;
}

export interface Canary {
  readonly version: string;
  readonly share: number;
  readonly began_at: string;
  readonly since: string;
  readonly step: number | null;
  readonly steps: number;
  readonly next_at: string | null;
  readonly paused: boolean;
  readonly complete: boolean;
  readonly starved: boolean;
  readonly failed: boolean;
}

export interface Bake {
  readonly version: string;
  readonly from: string;
  readonly epoch: number;
  readonly began_at: string;
  readonly ends_at: string;
  readonly state: "running" | "passed" | "failed" | "rolled_back" | "superseded";
}

export interface Verdict {
  readonly kind: "canary" | "bake";
  readonly version: string;
  readonly against: string;
  readonly requests: number;
  readonly errors: number;
  readonly error_rate: number | null;
  readonly baseline_error_rate: number | null;
  readonly evidence: number;
  readonly p99_ms: number | null;
  readonly baseline_p99_ms: number | null;
  readonly state: "watching" | "good" | "bad";
  readonly reason: string;
}

export interface Permit {
  readonly backend: string;
  readonly state: "draining" | "granted";
  readonly asked_at: string;
  readonly granted_at: string | null;
  readonly deadline: string | null;
}

export interface Roll {
  readonly state: "idle" | "running" | "frozen" | "done";
  readonly reason: string | null;
  readonly batch: number;
  readonly batches: number;
  readonly size: number;
  readonly to: string | null;
  readonly permits: readonly Permit[];
  readonly done: readonly string[];
}

export interface VersionSummary {
  readonly version: string;
  readonly role: Role;
  readonly epoch: number | null;
  readonly backends: number;
  readonly usable_backends: number;
  readonly usable_weight: number;
}

export interface Service {
  readonly name: string;
  readonly active: string | null;
  readonly epoch: number;
  readonly expected_weight: number;
  readonly usable_weight: number;
  readonly backends: number;
  readonly canary: Canary | null;
  readonly roll: Roll;
  readonly bake: Bake | null;
  readonly verdict: Verdict | null;
  readonly freeze: Suspension | null;
  readonly maintenance: Suspension | null;
  readonly schema: number | null;
  readonly versions: readonly VersionSummary[];
}

export interface Gate {
  readonly open: boolean;
  readonly note: string;
  readonly required: boolean;
  readonly by: string;
  readonly at: string | null;
}

export interface Hold {
  readonly expires_at: string;
  readonly by: string;
}

/** Answers of about the same latency, since the process knows the version. */
export interface Latency {
  readonly within_us: number;
  readonly answers: number;
}

export interface Version extends VersionSummary {
  readonly seen_at: string;
  readonly rejected: string | null;
  readonly expected_weight: number;
  readonly quorum: {
    readonly met: boolean;
    readonly usable: number;
    readonly needed: number;
    readonly usable_weight: number;
    readonly needed_weight: number;
    readonly stable_since: string | null;
    readonly stable_for: string;
  };
  readonly in_flight: number;
  readonly tunnels: number;
  readonly requests: number;
  readonly failed: number;
  readonly resets: number;
  readonly mismatches: number;
  readonly asset_misses: number;
  readonly latencies?: readonly Latency[];
  readonly latest_pin_expiry: string | null;
  readonly holds: Readonly<Record<string, Hold>>;
  readonly gates: Readonly<Record<string, Gate>>;
  readonly below_floor: boolean;
  readonly drain_deadline: string | null;
  readonly drained: { readonly at: string; readonly by: "proof" | "deadline" } | null;
}

export interface Backend {
  readonly id: string;
  readonly address: string;
  readonly version: string | null;
  readonly weight: number;
  readonly admin: "ready" | "drain" | "maint";
  readonly admin_by: string;
  readonly operational: "starting" | "up" | "down";
  readonly identity: { readonly state: "known" | "unknown" | "mismatch"; readonly version: string | null };
  readonly usable: boolean;
  readonly ejected_until: string | null;
  readonly leaving_until: string | null;
  readonly in_flight: number;
  readonly connections: number;
  readonly latency_us: number;
  readonly lease_expires_at: string | null;
  readonly zone: string | null;
  readonly last_probe: { readonly at: string; readonly ok: boolean; readonly took: string; readonly detail: string } | null;
}

/** Something that happened. */
export interface Entry {
  readonly id: number;
  readonly at: string;
  readonly service: string;
  readonly kind: string;
  readonly text: string;
  readonly actor: string;
  readonly remote: string | null;
  readonly reason: string | null;
  readonly forced: boolean;
  readonly revision: number;
  readonly version: string | null;
  readonly backend: string | null;
  readonly epoch: number | null;
}

export interface Timeline {
  readonly entries: readonly Entry[];
  readonly next: number | null;
}

/** One thing that is wrong, or stands in the way. */
export interface Reason {
  readonly code: string;
  readonly detail: string;
  readonly field?: string;
}

/** Problem details (RFC 9457). */
export interface ProblemBody {
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly reasons: readonly Reason[];
}

/** What a flip would do. */
export interface DryRun {
  readonly allowed: boolean;
  readonly reasons: readonly Reason[];
  readonly plan: {
    readonly from: string | null;
    readonly to: string;
    readonly epoch: number;
    readonly old: {
      readonly latest_pin_expiry: string | null;
      readonly in_flight: number;
      readonly tunnels: number;
      readonly holds: number;
    };
    readonly capacity: {
      readonly usable_backends: number;
      readonly usable_weight: number;
      readonly expected_weight: number;
    };
    readonly drain: { readonly expected: string; readonly at_most: string };
    readonly pre_flip: readonly string[];
  };
}
