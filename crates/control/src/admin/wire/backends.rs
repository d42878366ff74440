//! Backends as the API shows and takes them.

use std::collections::BTreeMap;

use cutover_core::backend::{Backend, Identity, Lease, Operational, Origin};
use cutover_core::schema::Schema;
use cutover_core::service::Service;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time;

/// All backends of a service.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackendList {
    /// By id.
    pub backends: Vec<BackendView>,
}

/// One backend with its three axes: what the operator wants, whether it answers, which version it runs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Backend")]
pub struct BackendView {
    /// Its name.
    #[schema(example = "a")]
    pub id: String,
    /// Where it listens.
    #[schema(example = "10.0.0.1:3000")]
    pub address: String,
    /// The version that it was last known to run.
    #[schema(example = "v1")]
    pub version: Option<String>,
    /// The version that it was registered with.
    pub label: Option<String>,
    /// Its share of its version's traffic, 1 to 1000.
    pub weight: u16,
    /// What the operator wants: `ready`, `drain` or `maint`.
    #[schema(example = "ready")]
    pub admin: &'static str,
    /// Who set that; empty while nobody did.
    pub admin_by: String,
    /// Whether it answers: `starting`, `up` or `down`.
    #[schema(example = "up")]
    pub operational: &'static str,
    /// Since when, unless it is `starting`.
    #[schema(format = DateTime)]
    pub operational_since: Option<String>,
    /// Which version it runs, and whether that is known.
    pub identity: IdentityView,
    /// Whether user traffic may be sent to it.
    pub usable: bool,
    /// Until when live traffic ejected it.
    #[schema(format = DateTime)]
    pub ejected_until: Option<String>,
    /// By when it is gone, while it leaves.
    #[schema(format = DateTime)]
    pub leaving_until: Option<String>,
    /// Requests that it is answering.
    pub in_flight: u32,
    /// Connections to it, over all workers.
    pub connections: u32,
    /// Moving average of its latency in microseconds.
    pub latency_us: u64,
    /// Where it comes from: `config` or `api`.
    #[schema(example = "api")]
    pub source: &'static str,
    /// When it is removed unless it renews its lease; `null` without a lease.
    #[schema(format = DateTime)]
    pub lease_expires_at: Option<String>,
    /// When it was registered.
    #[schema(format = DateTime)]
    pub registered_at: String,
    /// What it said about its process.
    pub boot_id: Option<String>,
    /// Where it runs, as it says.
    pub zone: Option<String>,
    /// The first schema of the database with which it can work, as it says.
    pub schema_min: Option<u64>,
    /// The last one.
    pub schema_max: Option<u64>,
    /// What its owner wants to remember.
    pub metadata: BTreeMap<String, String>,
    /// The last probe; `null` before the first.
    pub last_probe: Option<ProbeView>,
}

/// The identity axis.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Identity")]
pub struct IdentityView {
    /// `known`, `unknown` (may have restarted since it was asked) or `mismatch` (answered with another version).
    #[schema(example = "known")]
    pub state: &'static str,
    /// The version, while it is known.
    #[schema(example = "v1")]
    pub version: Option<String>,
}

/// What a probe found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Probe")]
pub struct ProbeView {
    /// When it ended.
    #[schema(format = DateTime)]
    pub at: String,
    /// Whether the answer was good.
    pub ok: bool,
    /// How long it took.
    #[schema(example = "3ms")]
    pub took: String,
    /// What was answered, or what went wrong.
    #[schema(example = "status 200")]
    pub detail: String,
}

/// What the data plane does with a backend right now.
#[derive(Debug, Clone, Copy, Default)]
pub struct BackendLoad {
    /// Requests that it is answering.
    pub in_flight: u32,
    /// Connections to it.
    pub connections: u32,
    /// Moving average of its latency in microseconds.
    pub latency_us: u64,
}

/// A backend registers itself.
#[derive(Debug, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterBody {
    /// Where it listens: `host:port`, `[ipv6]:port` or `unix:/path`.
    #[schema(example = "10.0.0.1:3000")]
    pub address: String,
    /// The version it runs.
    #[schema(example = "v1")]
    pub version: Option<String>,
    /// Its share of its version's traffic, 1 to 1000; 1 when it is not given.
    pub weight: Option<u64>,
    /// How long the registration lasts unless it is renewed, `"1s"` to `"1d"`; `"30s"` when it is not given, `"0"` = until it is removed.
    #[schema(example = "30s")]
    pub ttl: Option<String>,
    /// Anything that is another after a restart.
    pub boot_id: Option<String>,
    /// Where it runs.
    pub zone: Option<String>,
    /// The first schema of the database with which it can work.
    #[schema(example = 4)]
    pub schema_min: Option<u64>,
    /// The last one.
    #[schema(example = 5)]
    pub schema_max: Option<u64>,
    /// What is to be remembered with it: at most 64 values, 16 KiB in all.
    pub metadata: Option<BTreeMap<String, String>>,
}

/// A backend keeps its lease.
#[derive(Debug, Default, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatBody {
    /// The version it runs.
    pub version: Option<String>,
    /// Anything that is another after a restart.
    pub boot_id: Option<String>,
}

/// An operator changes a backend.
#[derive(Debug, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchBody {
    /// What is wanted of it.
    pub admin: Option<AdminBody>,
    /// Its share of its version's traffic, 1 to 1000; wins over the registered one.
    pub weight: Option<u64>,
    /// Whether to do it even if less than `min_capacity` stays usable.
    pub force: Option<bool>,
    /// Why; kept in the timeline.
    pub reason: Option<String>,
}

/// What an operator wants of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdminBody {
    /// It takes traffic.
    Ready,
    /// It finishes what it has; only sessions tied to this very backend still reach it.
    Drain,
    /// It takes nothing.
    Maint,
}

/// What a backend learns when it registers or sends a heartbeat.
#[derive(Debug, Serialize, ToSchema)]
pub struct Registered {
    /// Its name.
    #[schema(example = "a")]
    pub id: String,
    /// Its lease; `null` when it stays until it is removed.
    pub lease: Option<LeaseView>,
    /// The version it is believed to run.
    pub version: Option<String>,
    /// The role of that version; `null` while no version is known.
    #[schema(example = "staged")]
    pub role: Option<&'static str>,
    /// The service's epoch.
    pub epoch: u64,
    /// What the operator wants: `ready`, `drain` or `maint`.
    #[schema(example = "ready")]
    pub admin: &'static str,
    /// Whether user traffic may be sent to it.
    pub usable: bool,
    /// Whether it is deregistering.
    pub leaving: bool,
}

/// A lease.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Lease")]
pub struct LeaseView {
    /// Length of a renewal.
    #[schema(example = "30s")]
    pub ttl: String,
    /// When the backend is removed unless it renews before.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

impl BackendView {
    /// The backend with its load and its last probe.
    #[must_use]
    pub fn new(backend: &Backend, load: BackendLoad, last_probe: Option<ProbeView>) -> Self {
        let known = backend.version.as_ref().filter(|_| backend.identity == Identity::Known);
        Self {
            id: backend.id.to_string(),
            address: backend.address.to_string(),
            version: backend.version.as_ref().map(ToString::to_string),
            label: backend.label.as_ref().map(ToString::to_string),
            weight: backend.weight().value(),
            admin: backend.admin.state.as_str(),
            admin_by: backend.admin.by.clone(),
            operational: backend.operational.as_str(),
            operational_since: match backend.operational {
                Operational::Starting => None,
                Operational::Up(since) | Operational::Down(since) => Some(time::write(since)),
            },
            identity: IdentityView {
                state: backend.identity.as_str(),
                version: known.map(ToString::to_string),
            },
            usable: backend.is_usable(),
            ejected_until: backend.ejection.until.map(time::write),
            leaving_until: backend.leaving.map(time::write),
            in_flight: load.in_flight,
            connections: load.connections,
            latency_us: load.latency_us,
            source: match backend.origin {
                Origin::Config => "config",
                Origin::Registered(_) => "api",
            },
            lease_expires_at: lease(backend).map(|lease| time::write(lease.expires_at)),
            registered_at: time::write(backend.registered_at),
            boot_id: backend.boot_id.clone(),
            zone: backend.zone.clone(),
            schema_min: backend.schema.min.map(Schema::value),
            schema_max: backend.schema.max.map(Schema::value),
            metadata: backend.metadata.clone(),
            last_probe,
        }
    }
}

impl Registered {
    /// What the backend should know.
    #[must_use]
    pub fn new(service: &Service, backend: &Backend) -> Self {
        let version = backend.version.as_ref().and_then(|label| service.versions.get(label));
        Self {
            id: backend.id.to_string(),
            lease: lease(backend).map(|lease| LeaseView {
                ttl: lease.ttl.to_string(),
                expires_at: time::write(lease.expires_at),
            }),
            version: backend.version.as_ref().map(ToString::to_string),
            role: version.map(|version| version.role.as_str()),
            epoch: service.epoch.0,
            admin: backend.admin.state.as_str(),
            usable: backend.is_usable(),
            leaving: backend.leaving.is_some(),
        }
    }
}

fn lease(backend: &Backend) -> Option<Lease> {
    match backend.origin {
        Origin::Config => None,
        Origin::Registered(lease) => lease,
    }
}
