//! The switch: when it is allowed, and what it changes.

use crate::bake;
use crate::canary;
use crate::command::Flip;
use crate::contract;
use crate::hook;
use crate::id::{Epoch, VersionLabel};
use crate::quorum::Quorum;
use crate::rejected::{Code, Reason, Rejected};
use crate::schema;
use crate::service::{Capacity, Service};
use crate::time::Timestamp;
use crate::version::{Role, Version};

/// Makes `request.to` active, if nothing stands in the way.
pub(crate) fn flip(service: &mut Service, request: &Flip, now: Timestamp) -> Result<(), Rejected> {
    let mut reasons = obstacles(service, request, now);
    if reasons.is_empty() && !request.force && hook::must_ask(service, &request.to, now) {
        reasons.push(hook::unasked(&request.to));
    }
    Rejected::if_any(reasons)?;
    replace(service, &request.to, now);
    Ok(())
}

/// Everything that stands in the way of a flip; empty when it is allowed, given the leave of the `pre_flip` hooks.
#[must_use]
pub fn obstacles(service: &Service, request: &Flip, now: Timestamp) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = wrong_epoch(service, request.if_epoch).into_iter().collect();
    let to = &request.to;
    let Some(version) = service.versions.get(to) else {
        reasons.push(unknown(service, to));
        return reasons;
    };
    reasons.extend(wrong_role(service, version));
    reasons.extend(unfit(service, version));
    let capacity = service.capacity(to);
    reasons.extend(nothing_usable(to, capacity));
    if request.force {
        return reasons;
    }
    if capacity.usable > 0 {
        let quorum = Quorum::of(&service.policy.flip, capacity, service.expected_weight());
        reasons.extend(quorum.missing(&service.policy.flip, version.quorum_since, now));
    }
    reasons.extend(closed(service, version));
    reasons
}

/// That the caller saw another epoch.
pub(crate) fn wrong_epoch(service: &Service, expected: Option<Epoch>) -> Option<Reason> {
    let epoch = expected.filter(|&epoch| epoch != service.epoch)?;
    Some(Reason::new(Code::EpochMismatch, format!("the epoch is {}, not {epoch}", service.epoch)))
}

/// That nobody knows the version.
pub(crate) fn unknown(service: &Service, to: &VersionLabel) -> Reason {
    let detail = format!("no backend of {} ever reported version {to}", service.name);
    Reason::new(Code::UnknownVersion, detail)
}

/// That the database is nothing for a version: a contract migration ran that it is too old for, or the schema is out of its range.
pub(crate) fn unfit(service: &Service, version: &Version) -> impl Iterator<Item = Reason> {
    contract::below_floor(service, version).into_iter().chain(schema::out_of_range(service, &version.label))
}

/// That nothing could serve its sessions.
pub(crate) fn nothing_usable(to: &VersionLabel, capacity: Capacity) -> Option<Reason> {
    let detail = format!("version {to} has {} backends, none of them usable", capacity.registered);
    (capacity.usable == 0).then(|| Reason::new(Code::NothingUsable, detail))
}

/// What people have to open before sessions go to a version: its gates, and the service.
pub(crate) fn closed(service: &Service, version: &Version) -> Vec<Reason> {
    let (mut reasons, to) = (Vec::new(), &version.label);
    for gate in &service.policy.flip.gates {
        if !version.gates.get(gate).is_some_and(|gate| gate.is_open) {
            reasons.push(Reason::new(Code::GateClosed, format!("gate {gate} is not open for version {to}")));
        }
    }
    if let Some(freeze) = &service.freeze {
        let until = freeze.until.map(|until| format!(" until {until}")).unwrap_or_default();
        let detail = format!("{} is frozen{until} by {}: {}", service.name, freeze.by, freeze.reason);
        reasons.push(Reason::new(Code::Frozen, detail));
    }
    reasons
}

/// That a version with its role can't become active.
pub(crate) fn wrong_role(service: &Service, version: &Version) -> Option<Reason> {
    let to = &version.label;
    let reason = match version.role {
        Role::Active => Reason::new(Code::AlreadyActive, format!("version {to} is active already")),
        _ if version.rejected.is_some() => {
            let why = version.rejected.as_deref().unwrap_or_default();
            Reason::new(Code::Rejected, format!("version {to} was rejected ({why}); clear it first"))
        }
        Role::Rejected => Reason::new(Code::Rejected, format!("version {to} was rejected; clear it first")),
        Role::Superseded => {
            let newer = service
                .versions
                .values()
                .filter(|version| version.rejected.is_none())
                .max_by_key(|version| version.seen);
            let newer = newer.map_or("a newer version", |version| version.label.as_str());
            let detail = format!("version {to} was superseded by {newer}; clear {to} to stage it again");
            Reason::new(Code::Superseded, detail)
        }
        Role::Retired => Reason::new(Code::Retired, format!("version {to} has no backend")),
        Role::Staged | Role::Canary | Role::Draining | Role::Drained => return None,
    };
    Some(reason)
}

/// Makes `to` active in place of the version that is, and watches it from now on.
pub(crate) fn replace(service: &mut Service, to: &VersionLabel, now: Timestamp) {
    let from = service.active.clone();
    activate(service, to, now);
    bake::begin(service, from, now);
}

/// Makes `to` active in the next epoch. What was active drains, and a canary ends.
pub(crate) fn activate(service: &mut Service, to: &VersionLabel, now: Timestamp) {
    canary::give_up(service);
    let epoch = service.epoch.next();
    if let Some(old) = service.active.clone().and_then(|old| service.version_mut(&old)) {
        old.role = Role::Draining;
        old.demoted_at = Some(now);
        old.drained = None;
        old.is_sealed = false;
    }
    if let Some(new) = service.version_mut(to) {
        new.role = Role::Active;
        new.epoch = Some(epoch);
        new.demoted_at = None;
        new.drained = None;
        new.is_kept = false;
    }
    service.active = Some(to.clone());
    service.epoch = epoch;
    service.hooks.asked = None;
}
