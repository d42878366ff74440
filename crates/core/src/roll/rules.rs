//! What stands in the way of a restart: a failed one, a full batch, sessions that are still pinned, too little capacity.

use super::State;
use crate::backend::{Backend, Operational};
use crate::command::Flip;
use crate::drain;
use crate::flip;
use crate::id::{BackendId, VersionLabel};
use crate::policy::FlipMode;
use crate::rejected::{Code, Reason};
use crate::report::Load;
use crate::service::Service;
use crate::time::Timestamp;
use crate::version::{Role, Version};

/// Everything that stands in the way of a permit for a backend that has none; empty when it gets one.
#[must_use]
pub fn obstacles(service: &Service, id: &BackendId, now: Timestamp) -> Vec<Reason> {
    let roll = &service.roll;
    let mut reasons = Vec::new();
    if roll.state == State::Frozen {
        let detail = format!("the roll is frozen: {}; resume or abort it", roll.reason);
        reasons.push(Reason::new(Code::RollFrozen, detail));
    }
    reasons.extend(full_batch(service));
    let Some(backend) = service.backends.get(id) else { return reasons };
    // What is down serves nobody. What only was not asked yet may serve in a moment.
    if matches!(backend.operational, Operational::Down(_)) {
        return reasons;
    }
    let Some(version) = backend.version.as_ref().and_then(|label| service.versions.get(label)) else {
        return reasons;
    };
    match version.role {
        Role::Active => reasons.extend(too_little_left(service, backend, now)),
        Role::Canary => reasons.extend(none_left(service, backend, &version.label)),
        Role::Draining => reasons.push(not_drained(service, version, now)),
        Role::Staged | Role::Drained | Role::Rejected | Role::Superseded | Role::Retired => {}
    }
    reasons
}

fn full_batch(service: &Service) -> Option<Reason> {
    let roll = &service.roll;
    if roll.state != State::Running || roll.permits.is_empty() {
        return None;
    }
    let size = service.policy.roll.batch_size(roll.size);
    if roll.taken < size {
        return None;
    }
    let names: Vec<&str> = roll.permits.keys().map(BackendId::as_str).collect();
    let (batch, batches) = (roll.batch, service.policy.roll.batches(roll.size));
    let detail =
        format!("batch {batch} of {batches} is under way: {} must come back first", names.join(", "));
    Some(Reason::new(Code::BatchFull, detail))
}

fn not_drained(service: &Service, version: &Version, now: Timestamp) -> Reason {
    let ends = drain::deadline(version, service.policy.drain).map_or(now, |(_, ends)| ends);
    let left = ends.since(now);
    let pins = drain::pins_until(version, Load::default()).since(now);
    let label = &version.label;
    let detail = format!(
        "sessions may be pinned to version {label}: it is drained in {left} at the latest (its last known pin ends in {pins})"
    );
    Reason::new(Code::NotDrained, detail)
}

/// A canary's sessions have nowhere to go inside their version but to its other backends.
fn none_left(service: &Service, backend: &Backend, label: &VersionLabel) -> Option<Reason> {
    let left = usable_without(service, backend, label);
    let detail = || format!("{} is the last usable backend of the canary {label}", backend.id);
    (left == 0).then(|| Reason::new(Code::BelowMinCapacity, detail()))
}

/// `min_capacity` of the expected weight must stay. Fleets that can't be halved would never come to a quorum so: when nothing is under
/// way and nothing else can help, the share is rounded down, but never to nothing.
fn too_little_left(service: &Service, backend: &Backend, now: Timestamp) -> Option<Reason> {
    let label = backend.version.as_ref()?;
    let (share, expected) = (service.policy.min_capacity, service.expected_weight());
    let left = usable_without(service, backend, label);
    let next = next_version(service);
    let strictly = share.of(expected);
    let is_stuck =
        service.roll.permits.is_empty() && next.is_some_and(|next| lacks_only_share(service, next, now));
    let needed = if is_stuck { share.at_most_of(expected).max(strictly.min(1)) } else { strictly };
    if left >= needed {
        return None;
    }
    let id = &backend.id;
    let mut detail = format!(
        "without {id} a weight of {left} of version {label} is usable, {needed} of {expected} is needed (min_capacity)"
    );
    if let Some(next) = next {
        detail.push_str(&goes_on(service, &next.label, now));
    }
    Some(Reason::new(Code::BelowMinCapacity, detail))
}

/// The weight that is usable of a version without one of its backends.
fn usable_without(service: &Service, backend: &Backend, label: &VersionLabel) -> u64 {
    let usable = service.capacity(label).usable_weight;
    if backend.is_usable() { usable.saturating_sub(u64::from(backend.weight().value())) } else { usable }
}

/// The version that restarted backends came back with and that waits for its flip.
fn next_version(service: &Service) -> Option<&Version> {
    let to = service.versions.get(service.roll.to.as_ref()?)?;
    (to.role == Role::Staged).then_some(to)
}

/// Whether a flip waits for more backends and for nothing that time brings: all that are there are usable.
fn lacks_only_share(service: &Service, next: &Version, now: Timestamp) -> bool {
    let capacity = service.capacity(&next.label);
    capacity.usable == capacity.registered
        && flip_obstacles(service, &next.label, now).iter().any(|reason| reason.code == Code::QuorumShare)
}

/// How the roll goes on: what the flip waits for, or who.
fn goes_on(service: &Service, next: &VersionLabel, now: Timestamp) -> String {
    let reasons = flip_obstacles(service, next, now);
    let name = &service.name;
    if reasons.is_empty() && service.policy.flip.mode == FlipMode::Manual {
        return format!(
            "; version {next} has its quorum, so that `cutover flip {name} {next}` goes on with the roll"
        );
    }
    let reasons: Vec<&str> = reasons.iter().map(|reason| reason.detail.as_str()).collect();
    match reasons.is_empty() {
        true => format!("; version {next} becomes active in a moment"),
        false => format!("; version {next} waits for its flip: {}", reasons.join(", ")),
    }
}

fn flip_obstacles(service: &Service, to: &VersionLabel, now: Timestamp) -> Vec<Reason> {
    flip::obstacles(service, &Flip { to: to.clone(), if_epoch: None, force: false }, now)
}
