//! The contract migration, after which the database is nothing for old code any more: when it may run, and the floor that it sets.

use std::sync::Arc;

use crate::bake;
use crate::id::VersionLabel;
use crate::rejected::{Code, Reason, Rejected};
use crate::schema::{self, Schema};
use crate::service::Service;
use crate::time::Timestamp;
use crate::version::{Drained, DrainedBy, Role, Version};

/// A contract migration that ran. Versions older than its floor can't work with the database any more, and never become active again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// When it was recorded.
    pub at: Timestamp,
    /// Who did.
    pub by: String,
    /// What was said with it.
    pub note: String,
    /// The oldest version that can work with the database: the one that was active.
    pub floor: VersionLabel,
    /// That version's place in the order of first appearance.
    pub seen: u64,
}

/// Says that the contract migration ran, or is about to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordContract {
    /// What is to be remembered with it.
    pub note: String,
    /// The schema at which the database is after it, if that is counted.
    pub schema: Option<Schema>,
    /// Whether to record it although old code may still run.
    pub force: bool,
    /// Who asks.
    pub by: String,
}

/// Records a contract migration and sets the rollback floor at the active version. Once more for the same version is no other contract,
/// but may say another schema.
pub(crate) fn record(
    service: &mut Service,
    request: &RecordContract,
    now: Timestamp,
) -> Result<(), Rejected> {
    Rejected::if_any(obstacles(service, request))?;
    if let Some(schema) = request.schema {
        service.schema = Some(schema);
    }
    let Some(active) = service.active_version().filter(|active| !is_recorded(service, active)) else {
        return Ok(());
    };
    let (floor, seen) = (active.label.clone(), active.seen);
    let (by, note) = (request.by.clone(), request.note.clone());
    service.contract = Some(Contract { at: now, by, note, floor, seen });
    // What is gone could come back and serve the sessions that it had.
    let is_gone =
        |version: &Version| version.role == Role::Retired && version.was_active() && version.seen < seen;
    for version in service.versions.values_mut().filter(|version| is_gone(version)) {
        if version.drained.is_none() {
            Arc::make_mut(version).drained = Some(Drained { at: now, by: DrainedBy::Deadline });
        }
    }
    Ok(())
}

/// Everything that stands in the way of a contract migration; empty when it may run.
#[must_use]
pub fn obstacles(service: &Service, request: &RecordContract) -> Vec<Reason> {
    let Some(active) = service.active_version() else {
        let detail =
            format!("no version of {} is active, so that nothing tells which ones are old", service.name);
        return vec![Reason::new(Code::NothingActive, detail)];
    };
    if request.force {
        return Vec::new();
    }
    let mut reasons = Vec::new();
    if !is_recorded(service, active) {
        for version in service.versions.values().filter(|version| version.label != active.label) {
            reasons.extend(in_use(version, active.seen));
        }
        reasons.extend(unbaked(service));
    }
    reasons.extend(request.schema.into_iter().flat_map(|schema| schema::objections(service, schema)));
    reasons
}

/// That old code still answers requests of a version that neither drains nor is drained: its last backend left, or it was a canary until
/// a newer version took its place. `in_flight` is what the data plane counts of it, tunnels included.
#[must_use]
pub fn still_answers(service: &Service, version: &Version, in_flight: u64) -> Option<Reason> {
    let active = service.active_version()?;
    let Version { label, role, .. } = version;
    let is_old = version.seen < active.seen || version.was_active();
    let is_asked = match role {
        Role::Retired | Role::Superseded | Role::Staged => true,
        Role::Rejected => !version.was_active(),
        Role::Active | Role::Canary | Role::Draining | Role::Drained => false,
    };
    let is_busy = is_old && is_asked && in_flight > 0 && !is_recorded(service, active);
    let detail = format!("version {label} is {role} and still answers {in_flight} of its requests");
    is_busy.then(|| Reason::new(Code::NotDrained, detail))
}

/// Whether the contract migration of the active version is recorded already.
#[must_use]
pub fn is_recorded(service: &Service, active: &Version) -> bool {
    service.contract.as_ref().is_some_and(|contract| contract.seen == active.seen)
}

/// Why a version may not become active again, if a contract migration forbids it.
#[must_use]
pub fn below_floor(service: &Service, version: &Version) -> Option<Reason> {
    let contract = service.contract.as_ref().filter(|contract| version.seen < contract.seen)?;
    let Contract { at, by, note, floor, .. } = contract;
    let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
    let label = &version.label;
    let detail = format!(
        "version {label} is older than {floor}, for which {by} recorded the contract migration at {at}{note}: \
         the database is nothing for {label} any more"
    );
    Some(Reason::new(Code::BelowFloor, detail))
}

/// That the way back may still be needed, if it may.
fn unbaked(service: &Service) -> Option<Reason> {
    let bake = service.bake.as_ref().filter(|_| !bake::is_baked(service))?;
    let version = &bake.version;
    let detail = match bake.state {
        bake::State::Failed => format!("version {version} failed its bake"),
        _ => format!("version {version} is watched until {}", bake.ends_at),
    };
    Some(Reason::new(Code::NotBaked, detail))
}

/// Why code of a version may still run against the database, if it may.
fn in_use(version: &Version, active_seen: u64) -> Vec<Reason> {
    let Version { label, role, .. } = version;
    let mut reasons = Vec::new();
    let reason = |detail: String| Reason::new(Code::NotDrained, detail);
    match role {
        // A newer one is made for what comes, and holds its own range against the schema.
        Role::Canary if version.seen < active_seen => {
            reasons.push(reason(format!("version {label} is older than the active one and a canary")));
        }
        Role::Draining => reasons.push(reason(format!("version {label} is draining, not drained"))),
        Role::Rejected if version.was_active() && version.drained.is_none() => {
            reasons.push(reason(format!("version {label} is rejected and still answers what it had begun")));
        }
        _ => {}
    }
    // A drain may have ended at its deadline; that the worker behind the hold ended too, nobody said.
    for (name, hold) in version.holds.iter().filter(|_| version.seen < active_seen || version.was_active()) {
        reasons.push(reason(format!("version {label} is held by {name}, which {} took", hold.by)));
    }
    reasons
}
