//! The record of a roll, as part of its service's.

use std::collections::{BTreeMap, BTreeSet};

use cutover_core::id::{BackendId, VersionLabel};
use cutover_core::roll::{Permit, Process, Roll, State};
use cutover_core::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RollRecord {
    state: String,
    reason: String,
    batch: u32,
    taken: u32,
    size: u32,
    to: Option<String>,
    permits: BTreeMap<String, PermitRecord>,
    done: BTreeSet<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PermitRecord {
    asked_at_ms: u64,
    granted_at_ms: Option<u64>,
    deadline_ms: Option<u64>,
    version: Option<String>,
    boot_id: Option<String>,
    registered_at_ms: u64,
    is_away: bool,
}

/// What a release that knew no rolls wrote.
impl Default for RollRecord {
    fn default() -> Self {
        Self::of(&Roll::default())
    }
}

impl RollRecord {
    pub(super) fn of(roll: &Roll) -> Self {
        Self {
            state: roll.state.as_str().to_owned(),
            reason: roll.reason.clone(),
            batch: roll.batch,
            taken: roll.taken,
            size: roll.size,
            to: roll.to.as_ref().map(ToString::to_string),
            permits: roll.permits.iter().map(|(id, permit)| (id.to_string(), permit.into())).collect(),
            done: roll.done.iter().map(ToString::to_string).collect(),
        }
    }

    pub(super) fn roll(self) -> Result<Roll, String> {
        let state = State::ALL.into_iter().find(|state| state.as_str() == self.state);
        let permits = self.permits.into_iter().map(|(id, record)| Ok((backend(&id)?, record.permit()?)));
        Ok(Roll {
            state: state.ok_or_else(|| format!("there is no state {:?} of a roll", self.state))?,
            reason: self.reason,
            batch: self.batch,
            taken: self.taken,
            size: self.size,
            to: version(self.to)?,
            permits: permits.collect::<Result<_, String>>()?,
            done: self.done.iter().map(|id| backend(id)).collect::<Result<_, String>>()?,
        })
    }
}

impl From<&Permit> for PermitRecord {
    fn from(permit: &Permit) -> Self {
        let Process { version, boot_id, registered_at } = &permit.process;
        Self {
            asked_at_ms: permit.asked_at.0,
            granted_at_ms: permit.granted_at.map(|at| at.0),
            deadline_ms: permit.deadline.map(|at| at.0),
            version: version.as_ref().map(ToString::to_string),
            boot_id: boot_id.clone(),
            registered_at_ms: registered_at.0,
            is_away: permit.is_away,
        }
    }
}

impl PermitRecord {
    fn permit(self) -> Result<Permit, String> {
        let registered_at = Timestamp(self.registered_at_ms);
        Ok(Permit {
            asked_at: Timestamp(self.asked_at_ms),
            granted_at: self.granted_at_ms.map(Timestamp),
            deadline: self.deadline_ms.map(Timestamp),
            process: Process { version: version(self.version)?, boot_id: self.boot_id, registered_at },
            is_away: self.is_away,
        })
    }
}

fn backend(id: &str) -> Result<BackendId, String> {
    BackendId::parse(id).map_err(|error| format!("the roll names a backend that {error}"))
}

fn version(label: Option<String>) -> Result<Option<VersionLabel>, String> {
    let label = label.map(|label| VersionLabel::parse(&label)).transpose();
    label.map_err(|error| format!("the roll names a version that {error}"))
}
