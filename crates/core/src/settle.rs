//! What follows by itself after every change: versions appear and retire, roles follow, quorums begin and end, the first
//! version becomes active, and in mode `auto` the newest one does.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::Origin;
use crate::canary;
use crate::flip;
use crate::hook;
use crate::id::VersionLabel;
use crate::policy::FlipMode;
use crate::quorum::Quorum;
use crate::roll;
use crate::schema;
use crate::service::{Capacity, Service, VERSIONS_MAX};
use crate::suspend;
use crate::time::Timestamp;
use crate::version::{Role, Version};

/// Brings a service into the state that follows from its backends and the time. Doing it twice changes nothing more.
pub(crate) fn settle(service: &mut Service, now: Timestamp) {
    roll::follow(service);
    appear(service, now);
    follow(service, now);
    canary::follow(service);
    if service.active.is_none() {
        if let Some(label) = first_to_activate(service) {
            // Everything else that is known by now counts as newer: it was not there to be replaced.
            if let Some(version) = service.version_mut(&label) {
                version.seen = 0;
            }
            flip::activate(service, &label, now);
            follow(service, now);
        }
    } else if let Some(turn) = by_itself(service, now) {
        match turn {
            Turn::Flip(label) if hook::must_ask(service, &label, now) => hook::ask(service, label, now),
            Turn::Flip(label) => flip::replace(service, &label, now),
            Turn::Canary(label) => canary::begin(service, &label, None, now),
        }
        follow(service, now);
    }
    roll::conclude(service);
    forget(service);
}

/// Whether time alone may change something about the service: spares the rest a copy at every tick.
pub(crate) fn is_due(service: &Service, now: Timestamp) -> bool {
    let is_backend_due = |backend: &crate::backend::Backend| {
        backend.leaving.is_some()
            || backend.ejection.until.is_some_and(|until| until <= now)
            || matches!(backend.origin, Origin::Registered(Some(lease)) if lease.expires_at <= now)
    };
    let is_version_due = |version: &Version| {
        version.role == Role::Draining
            || (version.role == Role::Rejected && version.was_active() && version.drained.is_none())
            || version.holds.values().any(|hold| hold.expires_at <= now)
    };
    suspend::is_due(service, now)
        || service.backends.values().any(|backend| is_backend_due(backend))
        || service.versions.values().any(|version| is_version_due(version))
        || service.roll.is_due(now)
        || canary::is_due(service, now)
        || by_itself(service, now).is_some()
}

/// Versions that backends report and nobody knew.
fn appear(service: &mut Service, now: Timestamp) {
    let unknown: Vec<VersionLabel> = service
        .backends
        .values()
        .filter_map(|backend| backend.version.as_ref())
        .filter(|&label| !service.versions.contains_key(label))
        .cloned()
        .collect();
    for label in unknown {
        if service.versions.contains_key(&label) {
            continue;
        }
        let mut version = Version::new(label.clone(), service.next_seen, now);
        version.pins_until = service.former_pins_until.unwrap_or(version.pins_until);
        service.next_seen += 1;
        service.versions.insert(label, Arc::new(version));
    }
}

/// Roles, quorums and the learned weight, as they follow from the backends.
fn follow(service: &mut Service, now: Timestamp) {
    let capacities: BTreeMap<VersionLabel, Capacity> =
        service.capacities().into_iter().map(|(label, capacity)| (label.clone(), capacity)).collect();
    let capacity = |label: &VersionLabel| capacities.get(label).copied().unwrap_or_default();
    let newest = service
        .versions
        .values()
        .filter(|version| version.rejected.is_none() && capacity(&version.label).registered > 0)
        .map(|version| version.seen)
        .max();

    let mut has_ended = false;
    for version in service.versions.values_mut() {
        let role = role(version, capacity(&version.label), newest);
        if role != version.role {
            has_ended |= role == Role::Retired;
            Arc::make_mut(version).role = role;
        }
    }
    learn(service, capacity, has_ended);

    let expected = service.expected_weight();
    for version in service.versions.values_mut() {
        let is_met = Quorum::of(&service.policy.flip, capacity(&version.label), expected).is_met();
        if is_met != version.quorum_since.is_some() {
            Arc::make_mut(version).quorum_since = is_met.then_some(now);
        }
    }
}

/// The role that a version has now, given its backends and the newest version's place.
fn role(version: &Version, capacity: Capacity, newest: Option<u64>) -> Role {
    let role = match version.role {
        Role::Active => return Role::Active,
        _ if capacity.registered == 0 => return Role::Retired,
        Role::Retired => returned(version),
        role => role,
    };
    let is_replaced = !version.is_kept && newest.is_some_and(|newest| newest > version.seen);
    match role {
        Role::Staged | Role::Superseded if is_replaced => Role::Superseded,
        Role::Superseded => Role::Staged,
        role => role,
    }
}

/// The role of a version whose backends come back after the last one had left.
fn returned(version: &Version) -> Role {
    match version {
        Version { rejected: Some(_), .. } => Role::Rejected,
        Version { drained: Some(_), .. } => Role::Drained,
        // Sessions may still be pinned to it: that it was gone for a while proves nothing.
        Version { epoch: Some(_), .. } => Role::Draining,
        _ => Role::Staged,
    }
}

/// The weight that the service is expected to have: it grows with the active version, and becomes what that version has
/// once the old one is gone.
pub(crate) fn learn(service: &mut Service, capacity: impl Fn(&VersionLabel) -> Capacity, has_ended: bool) {
    let Some(active) = &service.active else { return };
    let registered = capacity(active).registered_weight;
    // A fleet that is on its way to another version is as large as it was.
    let is_rolling = matches!(service.roll.state, roll::State::Running | roll::State::Frozen)
        && service.roll.to.as_ref().is_some_and(|to| to != active);
    let is_anything_left =
        is_rolling || service.versions.values().any(|version| version.role == Role::Draining);
    if registered > 0 && has_ended && !is_anything_left {
        service.learned_weight = registered;
    } else {
        service.learned_weight = service.learned_weight.max(registered);
    }
}

/// While nothing is active: the version with enough usable backends that can work with the database, the weightiest first, then the one seen first.
fn first_to_activate(service: &Service) -> Option<VersionLabel> {
    let capacities = service.capacities();
    service
        .versions
        .values()
        .filter(|version| version.rejected.is_none())
        .filter(|version| schema::out_of_range(service, &version.label).is_none())
        .filter_map(|version| Some((version, *capacities.get(&version.label)?)))
        .filter(|(_, capacity)| capacity.usable >= service.policy.flip.quorum_count.max(1))
        .max_by_key(|(version, capacity)| (capacity.usable_weight, std::cmp::Reverse(version.seen)))
        .map(|(version, _)| version.label.clone())
}

/// What happens to a version by itself, in mode `auto`.
enum Turn {
    /// It becomes active.
    Flip(VersionLabel),
    /// It becomes the canary, because there are steps to go by first.
    Canary(VersionLabel),
}

/// In mode `auto`: what is next for the canary whose steps are over, or for the newest staged version, if nothing stands in its way.
fn by_itself(service: &Service, now: Timestamp) -> Option<Turn> {
    if service.policy.flip.mode == FlipMode::Manual || service.active.is_none() {
        return None;
    }
    // A restart failed: that is for people to look at first.
    if service.roll.state == roll::State::Frozen {
        return None;
    }
    let flip = |label: &VersionLabel| {
        let request = crate::command::Flip { to: label.clone(), if_epoch: None, force: false };
        let is_free = !hook::is_held_up(service, label) && flip::obstacles(service, &request, now).is_empty();
        is_free.then(|| Turn::Flip(label.clone()))
    };
    // Nothing overtakes a canary, and one that somebody holds at a share is in their hands.
    if let Some(canary) = &service.canary {
        return flip(&canary.version).filter(|_| canary.is_complete());
    }
    let newest = newest_staged(service)?;
    if service.policy.canary.steps.is_empty() {
        return flip(newest);
    }
    canary::not_now(service, newest).is_empty().then(|| Turn::Canary(newest.clone()))
}

/// The newest staged version, unless people have to decide about it. Never one that was active before: an old server that rejoins can't
/// pull traffic back. Nor one that was a canary before: somebody ended that.
fn newest_staged(service: &Service) -> Option<&VersionLabel> {
    let newest = service
        .versions
        .values()
        .filter(|version| version.role == Role::Staged && !version.was_active())
        .max_by_key(|version| version.seen)?;
    // What a later version had replaced stays replaced, also when that one turned out to be bad: people decide then.
    let is_outrun =
        |other: &Version| other.seen > newest.seen && (other.was_active() || other.rejected.is_some());
    if newest.was_canary || service.versions.values().any(|other| is_outrun(other)) {
        return None;
    }
    Some(&newest.label)
}

/// Forgets the oldest retired versions beyond the limit.
fn forget(service: &mut Service) {
    while service.versions.len() > VERSIONS_MAX {
        let oldest = service
            .versions
            .values()
            .filter(|version| version.role == Role::Retired)
            .min_by_key(|version| version.seen);
        let Some(label) = oldest.map(|version| version.label.clone()) else { return };
        service.versions.remove(&label);
    }
}
