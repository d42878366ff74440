//! The switch: when it is allowed, and what it changes.

use crate::command::Flip;
use crate::contract;
use crate::hook;
use crate::id::VersionLabel;
use crate::quorum::Quorum;
use crate::rejected::{Code, Reason, Rejected};
use crate::schema;
use crate::service::Service;
use crate::time::Timestamp;
use crate::version::Role;

/// Makes `request.to` active, if nothing stands in the way.
pub(crate) fn flip(service: &mut Service, request: &Flip, now: Timestamp) -> Result<(), Rejected> {
    let mut reasons = obstacles(service, request, now);
    if reasons.is_empty() && !request.force && hook::must_ask(service, &request.to, now) {
        reasons.push(hook::unasked(&request.to));
    }
    Rejected::if_any(reasons)?;
    activate(service, &request.to, now);
    Ok(())
}

/// Everything that stands in the way of a flip; empty when it is allowed, given the leave of the `pre_flip` hooks.
#[must_use]
pub fn obstacles(service: &Service, request: &Flip, now: Timestamp) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if let Some(epoch) = request.if_epoch.filter(|&epoch| epoch != service.epoch) {
        let detail = format!("the epoch is {}, not {epoch}", service.epoch);
        reasons.push(Reason::new(Code::EpochMismatch, detail));
    }
    let to = &request.to;
    let Some(version) = service.versions.get(to) else {
        reasons.push(Reason::new(
            Code::UnknownVersion,
            format!("no backend of {} ever reported version {to}", service.name),
        ));
        return reasons;
    };
    reasons.extend(wrong_role(service, to, version.role, version.rejected.as_deref()));
    reasons.extend(contract::below_floor(service, version));
    reasons.extend(schema::out_of_range(service, to));

    let capacity = service.capacity(to);
    if capacity.usable == 0 {
        let detail = format!("version {to} has {} backends, none of them usable", capacity.registered);
        reasons.push(Reason::new(Code::NothingUsable, detail));
    }
    if request.force {
        return reasons;
    }
    if capacity.usable > 0 {
        let quorum = Quorum::of(&service.policy.flip, capacity, service.expected_weight());
        reasons.extend(quorum.missing(&service.policy.flip, version.quorum_since, now));
    }
    for gate in &service.policy.flip.gates {
        if !version.gates.get(gate).is_some_and(|gate| gate.is_open) {
            reasons.push(Reason::new(Code::GateClosed, format!("gate {gate} is not open for version {to}")));
        }
    }
    if let Some(freeze) = &service.freeze {
        reasons.push(Reason::new(
            Code::Frozen,
            format!("{} is frozen by {}: {}", service.name, freeze.by, freeze.reason),
        ));
    }
    reasons
}

fn wrong_role(service: &Service, to: &VersionLabel, role: Role, rejected: Option<&str>) -> Option<Reason> {
    let reason = match role {
        Role::Active => Reason::new(Code::AlreadyActive, format!("version {to} is active already")),
        _ if rejected.is_some() => {
            let why = rejected.unwrap_or_default();
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

/// Makes `to` active in the next epoch. What was active drains.
pub(crate) fn activate(service: &mut Service, to: &VersionLabel, now: Timestamp) {
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
