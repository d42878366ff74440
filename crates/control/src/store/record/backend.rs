//! The record of a backend: how it was registered and what an operator wants of it. Whether it answers, and what, is observed anew.

use std::collections::BTreeMap;

use cutover_core::backend::{
    Admin, AdminState, Backend, Ejection, Identity, Lease, Operational, Origin, Weight,
};
use cutover_core::id::{BackendId, VersionLabel};
use cutover_core::schema::{Schema, SchemaRange};
use cutover_core::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackendRecord {
    address: String,
    registered_weight: u16,
    patched_weight: Option<u16>,
    label: Option<String>,
    version: Option<String>,
    admin: AdminRecord,
    origin: OriginRecord,
    boot_id: Option<String>,
    zone: Option<String>,
    #[serde(default)]
    schema_min: Option<u64>,
    #[serde(default)]
    schema_max: Option<u64>,
    metadata: BTreeMap<String, String>,
    registered_at_ms: u64,
    leaving_ms: Option<u64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AdminRecord {
    state: String,
    by: String,
    #[serde(default)]
    since_ms: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum OriginRecord {
    Config,
    Registered { ttl_ms: Option<u64> },
}

impl BackendRecord {
    pub(super) fn of(backend: &Backend) -> Self {
        Self {
            address: backend.address.to_string(),
            registered_weight: backend.registered_weight.value(),
            patched_weight: backend.patched_weight.map(Weight::value),
            label: backend.label.as_ref().map(ToString::to_string),
            version: backend.version.as_ref().map(ToString::to_string),
            admin: AdminRecord {
                state: backend.admin.state.as_str().to_owned(),
                by: backend.admin.by.clone(),
                since_ms: backend.admin.since.0,
            },
            origin: match backend.origin {
                Origin::Config => OriginRecord::Config,
                Origin::Registered(lease) => {
                    OriginRecord::Registered { ttl_ms: lease.map(|lease| lease.ttl.0) }
                }
            },
            boot_id: backend.boot_id.clone(),
            zone: backend.zone.clone(),
            schema_min: backend.schema.min.map(Schema::value),
            schema_max: backend.schema.max.map(Schema::value),
            metadata: backend.metadata.clone(),
            registered_at_ms: backend.registered_at.0,
            leaving_ms: backend.leaving.map(|at| at.0),
        }
    }

    /// The backend, of which nothing is known; its lease has one full term.
    pub(super) fn backend(self, id: BackendId, now: Timestamp) -> Result<Backend, String> {
        let weight = |value: u16| {
            Weight::new(u64::from(value)).ok_or_else(|| format!("weight {value} is not from 1 to 1000"))
        };
        let schema = |number| Schema::new(number).ok_or_else(|| format!("{number} is no schema"));
        let version = |field, label: Option<String>| {
            label
                .map(|label| VersionLabel::parse(&label))
                .transpose()
                .map_err(|error| format!("{field} {error}"))
        };
        let states = [AdminState::Ready, AdminState::Drain, AdminState::Maint];
        let state = states.into_iter().find(|state| state.as_str() == self.admin.state);
        let state = state.ok_or_else(|| format!("there is no admin state {:?}", self.admin.state))?;
        Ok(Backend {
            id,
            address: self.address.parse().map_err(|error| format!("{error}"))?,
            registered_weight: weight(self.registered_weight)?,
            patched_weight: self.patched_weight.map(weight).transpose()?,
            label: version("label", self.label)?,
            version: version("version", self.version)?,
            admin: Admin { state, by: self.admin.by, since: Timestamp(self.admin.since_ms) },
            operational: Operational::Starting,
            identity: Identity::Unknown,
            is_sighted: false,
            generation: 1,
            origin: match self.origin {
                OriginRecord::Config => Origin::Config,
                OriginRecord::Registered { ttl_ms } => {
                    Origin::Registered(ttl_ms.map(Millis).map(|ttl| Lease { ttl, expires_at: now + ttl }))
                }
            },
            boot_id: self.boot_id,
            zone: self.zone,
            schema: SchemaRange {
                min: self.schema_min.map(schema).transpose()?,
                max: self.schema_max.map(schema).transpose()?,
            },
            metadata: self.metadata,
            registered_at: Timestamp(self.registered_at_ms),
            leaving: self.leaving_ms.map(Timestamp),
            ejection: Ejection::default(),
        })
    }
}
