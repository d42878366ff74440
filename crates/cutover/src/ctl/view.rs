//! What the client reads of the admin API's answers. Fields that it has no use for are left out, so newer servers are understood.

mod canary;
pub(crate) mod deploy;
mod hook;
mod judge;
mod roll;

use std::collections::BTreeMap;

use serde::Deserialize;

pub(crate) use self::canary::{Canary, CanaryChanged};
pub(crate) use self::hook::{Call, Hook, Hooks, Told};
pub(crate) use self::judge::{Bake, Verdict};
pub(crate) use self::roll::{Granted, NotYet, Permit, Policy, Roll, RolledService, Summary};

/// `GET /v1/services`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Services {
    pub(super) services: Vec<Service>,
}

/// One service.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) active: Option<String>,
    pub(super) epoch: u64,
    #[serde(default)]
    pub(super) source: String,
    #[serde(default)]
    pub(super) expected_weight: u64,
    #[serde(default)]
    pub(super) usable_weight: u64,
    #[serde(default)]
    pub(super) backends: u64,
    #[serde(default)]
    pub(super) roll: Summary,
    pub(super) canary: Option<Canary>,
    pub(super) bake: Option<Bake>,
    pub(super) verdict: Option<Verdict>,
    pub(super) freeze: Option<Suspension>,
    pub(super) maintenance: Option<Suspension>,
    pub(super) contract: Option<Contract>,
    pub(super) schema: Option<u64>,
    #[serde(default)]
    pub(super) hooks: Hooks,
    /// Only where one service is asked for.
    pub(super) policy: Option<Told>,
    pub(super) versions: Vec<VersionSummary>,
}

/// The last contract migration of a service.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Contract {
    pub(super) at: String,
    pub(super) by: String,
    #[serde(default)]
    pub(super) note: String,
    pub(super) floor: String,
}

/// A contract migration that is recorded.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Contracted {
    pub(super) floor: String,
    pub(super) at: String,
    pub(super) by: String,
    #[serde(default)]
    pub(super) already: bool,
}

/// What a contract migration would do.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ContractDryRun {
    pub(super) allowed: bool,
    #[serde(default)]
    pub(super) reasons: Vec<super::error::Reason>,
    pub(super) floor: Option<String>,
    #[serde(default)]
    pub(super) below: Vec<String>,
}

/// What is known of the schema of a database.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct SchemaAnswer {
    pub(super) schema: Option<u64>,
}

/// Why flips are refused, or clients turned away.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Suspension {
    #[serde(default)]
    pub(super) reason: String,
    #[serde(default)]
    pub(super) by: String,
    pub(super) until: Option<String>,
}

/// A preview as it is handed out.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Preview {
    pub(super) url: Option<String>,
    pub(super) header: String,
    pub(super) expires_at: String,
}

/// A version in a few numbers.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct VersionSummary {
    pub(super) version: String,
    pub(super) role: String,
}

/// `GET …/versions`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Versions {
    pub(super) versions: Vec<Version>,
}

/// One version.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Version {
    pub(super) version: String,
    pub(super) role: String,
    pub(super) epoch: Option<u64>,
    #[serde(default)]
    pub(super) backends: u64,
    #[serde(default)]
    pub(super) usable_backends: u64,
    #[serde(default)]
    pub(super) usable_weight: u64,
    #[serde(default)]
    pub(super) expected_weight: u64,
    #[serde(default)]
    pub(super) in_flight: u64,
    #[serde(default)]
    pub(super) tunnels: u64,
    pub(super) error_rate: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) latest_pin_expiry: Option<String>,
    #[serde(default)]
    pub(super) holds: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub(super) gates: BTreeMap<String, Gate>,
    pub(super) drained: Option<Drained>,
}

/// A gate of a version.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Gate {
    pub(super) open: bool,
}

/// How a drain ended.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Drained {
    pub(super) by: String,
}

/// `GET …/backends`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Backends {
    pub(crate) backends: Vec<Backend>,
}

/// One backend with its three axes.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Backend {
    pub(crate) id: String,
    pub(crate) address: String,
    pub(crate) version: Option<String>,
    pub(crate) weight: u64,
    pub(crate) admin: String,
    pub(crate) operational: String,
    pub(crate) identity: Identity,
    #[serde(default)]
    pub(crate) usable: bool,
    #[serde(default)]
    pub(crate) in_flight: u64,
    pub(crate) lease_expires_at: Option<String>,
    pub(crate) last_probe: Option<Probe>,
}

/// Which version a backend runs, and whether that is known.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Identity {
    pub(crate) state: String,
    pub(crate) version: Option<String>,
}

/// What a probe found.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Probe {
    #[serde(default)]
    pub(crate) detail: String,
}

/// What a backend learns when it registers or sends a heartbeat.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Registered {
    pub(super) version: Option<String>,
    pub(super) role: Option<String>,
    pub(super) epoch: u64,
    pub(super) admin: String,
}

/// What a flip or a rollback did.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Flipped {
    pub(super) epoch: u64,
    pub(super) from: Option<String>,
    pub(super) to: String,
}

/// What a flip would do.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct DryRun {
    pub(super) allowed: bool,
    #[serde(default)]
    pub(super) reasons: Vec<super::error::Reason>,
    pub(super) plan: Plan,
}

/// The plan of a flip.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Plan {
    pub(super) from: Option<String>,
    pub(super) to: String,
    pub(super) epoch: u64,
    pub(super) old: Old,
    pub(super) capacity: Capacity,
    pub(super) drain: Drain,
    /// The hooks that would be asked first.
    #[serde(default)]
    pub(super) pre_flip: Vec<String>,
}

/// What would be left of the old version.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Old {
    pub(super) latest_pin_expiry: Option<String>,
    #[serde(default)]
    pub(super) in_flight: u64,
    #[serde(default)]
    pub(super) tunnels: u64,
    #[serde(default)]
    pub(super) holds: u64,
}

/// What the new version would have.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Capacity {
    pub(super) usable_backends: u64,
    pub(super) usable_weight: u64,
    pub(super) expected_weight: u64,
}

/// How long the old version would drain.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Drain {
    pub(super) expected: String,
    pub(super) at_most: String,
}

/// `GET /v1/status`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Status {
    pub(super) node: String,
    pub(super) version: String,
    #[serde(default)]
    pub(super) pid: u32,
    pub(super) uptime: String,
    #[serde(default)]
    pub(super) ready: bool,
    pub(super) revision: u64,
    pub(super) store: Store,
}

/// Where the state is kept.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Store {
    pub(super) kind: String,
}

/// `GET …/timeline`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Timeline {
    pub(super) entries: Vec<Entry>,
    pub(super) next: Option<u64>,
}

/// Something that happened.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Entry {
    pub(super) at: String,
    #[serde(default)]
    pub(super) service: String,
    pub(super) kind: String,
    pub(super) text: String,
    #[serde(default)]
    pub(super) actor: String,
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) forced: bool,
}
