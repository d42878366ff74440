//! The record of a version: its role and what people said about it. Since when its quorum stands, and how long its holds still
//! last, is observed anew.

use std::collections::BTreeMap;

use cutover_core::id::{Epoch, GateName, HoldName, VersionLabel};
use cutover_core::time::{Millis, Timestamp};
use cutover_core::version::{Drained, DrainedBy, Gate, Hold, Previewed, Role, Version};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionRecord {
    seen: u64,
    seen_at_ms: u64,
    role: String,
    rejected: Option<String>,
    is_kept: bool,
    epoch: Option<u64>,
    #[serde(default)]
    was_canary: bool,
    demoted_at_ms: Option<u64>,
    drained: Option<DrainedRecord>,
    gates: BTreeMap<String, GateRecord>,
    holds: BTreeMap<String, HoldRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previewed: Option<PreviewedRecord>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DrainedRecord {
    at_ms: u64,
    by: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GateRecord {
    is_open: bool,
    note: String,
    by: String,
    at_ms: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldRecord {
    ttl_ms: u64,
    by: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PreviewedRecord {
    made: u64,
    until_ms: u64,
    by: String,
    ttl_ms: u64,
}

impl VersionRecord {
    pub(super) fn of(version: &Version) -> Self {
        let gate = |gate: &Gate| GateRecord {
            is_open: gate.is_open,
            note: gate.note.clone(),
            by: gate.by.clone(),
            at_ms: gate.at.0,
        };
        let hold = |hold: &Hold| HoldRecord { ttl_ms: hold.ttl.0, by: hold.by.clone() };
        Self {
            seen: version.seen,
            seen_at_ms: version.seen_at.0,
            role: version.role.as_str().to_owned(),
            rejected: version.rejected.clone(),
            is_kept: version.is_kept,
            epoch: version.epoch.map(|epoch| epoch.0),
            was_canary: version.was_canary,
            demoted_at_ms: version.demoted_at.map(|at| at.0),
            drained: version
                .drained
                .map(|drained| DrainedRecord { at_ms: drained.at.0, by: drained.by.as_str().to_owned() }),
            gates: version.gates.iter().map(|(name, set)| (name.to_string(), gate(set))).collect(),
            holds: version.holds.iter().map(|(name, taken)| (name.to_string(), hold(taken))).collect(),
            previewed: version.previewed.as_ref().map(PreviewedRecord::of),
        }
    }

    /// The version; its holds have one full term.
    pub(super) fn version(self, label: VersionLabel, now: Timestamp) -> Result<Version, String> {
        let role = Role::parse(&self.role).ok_or_else(|| format!("there is no role {:?}", self.role))?;
        let gates = self.gates.into_iter().map(|(name, gate)| {
            let name = GateName::parse(&name).map_err(|error| format!("gate {name:?} {error}"))?;
            let GateRecord { is_open, note, by, at_ms } = gate;
            Ok((name, Gate { is_open, note, by, at: Timestamp(at_ms) }))
        });
        let holds = self.holds.into_iter().map(|(name, hold)| {
            let name = HoldName::parse(&name).map_err(|error| format!("hold {name:?} {error}"))?;
            let ttl = Millis(hold.ttl_ms);
            Ok((name, Hold { ttl, expires_at: now + ttl, by: hold.by }))
        });
        Ok(Version {
            role,
            rejected: self.rejected,
            is_kept: self.is_kept,
            epoch: self.epoch.map(Epoch),
            was_canary: self.was_canary,
            demoted_at: self.demoted_at_ms.map(Timestamp),
            drained: self.drained.map(DrainedRecord::drained).transpose()?,
            gates: gates.collect::<Result<_, String>>()?,
            holds: holds.collect::<Result<_, String>>()?,
            previewed: self.previewed.map(PreviewedRecord::previewed),
            ..Version::new(label, self.seen, Timestamp(self.seen_at_ms))
        })
    }
}

impl PreviewedRecord {
    fn of(previewed: &Previewed) -> Self {
        let Previewed { made, until, by, ttl } = previewed;
        Self { made: *made, until_ms: until.0, by: by.clone(), ttl_ms: ttl.0 }
    }

    fn previewed(self) -> Previewed {
        let Self { made, until_ms, by, ttl_ms } = self;
        Previewed { made, until: Timestamp(until_ms), by, ttl: Millis(ttl_ms) }
    }
}

impl DrainedRecord {
    fn drained(self) -> Result<Drained, String> {
        let all = [DrainedBy::Proof, DrainedBy::Deadline];
        let by = all.into_iter().find(|by| by.as_str() == self.by);
        let by = by.ok_or_else(|| format!("nothing is drained by {:?}", self.by))?;
        Ok(Drained { at: Timestamp(self.at_ms), by })
    }
}
