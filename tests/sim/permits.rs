//! What is checked of permits: how many are out, how much must stay, and that a frozen roll gives nothing.

use cutover_core::backend::{AdminState, Operational};
use cutover_core::id::{BackendId, VersionLabel};
use cutover_core::roll::{Roll, State};
use cutover_core::service::Service;
use cutover_core::time::Timestamp;
use cutover_core::version::Role;

/// Never more are out than a batch has.
pub(crate) fn check_batch(service: &Service) {
    let Roll { permits, size, .. } = &service.roll;
    let limit = service.policy.roll.batch_size(*size) as usize;
    assert!(permits.len() <= limit, "{} backends are out, and a batch has {limit}", permits.len());
}

/// A permit was asked for and given: what it takes out may be missed. `before` is the state in which that was decided.
pub(crate) fn check_asked(before: &Service, id: &BackendId) {
    if before.roll.permits.contains_key(id) {
        return;
    }
    assert!(before.roll.state != State::Frozen, "a frozen roll gave {id} a permit");
    check_capacity(before, id);
}

/// A step was taken: permits that were granted by it were not granted by a frozen roll, and what they take out is still not missed.
pub(crate) fn check_granted(before: &Service, after: &Service, now: Timestamp) {
    for id in granted(before, after, now) {
        let is_frozen = before.roll.state == State::Frozen && after.roll.state == State::Frozen;
        assert!(!is_frozen, "{id} may be restarted although the roll is frozen: {}", after.roll.reason);
        // Whose process is gone already can't be kept.
        if before.active == after.active && !after.roll.permits[id].is_away {
            check_capacity(after, id);
        }
    }
}

/// Enough is left of the active version without this backend, and nothing of one that still serves sessions is taken.
fn check_capacity(service: &Service, id: &BackendId) {
    let Some(backend) = service.backends.get(id) else { return };
    let Some(version) = backend.version.as_ref().and_then(|label| service.versions.get(label)) else {
        return;
    };
    if let Operational::Down(_) = backend.operational {
        return;
    }
    let is_asked = !service.roll.permits.contains_key(id);
    assert!(!is_asked || version.role != Role::Draining, "{id} got a permit while {} drains", version.label);
    if version.role == Role::Active {
        let (left, needed) = (weight_without(service, &version.label, id), needed(service, id));
        assert!(left >= needed, "{id} may be restarted, which leaves {left} of {needed}: {:?}", service.roll);
    }
}

/// Backends that may be restarted after a step and could not before. What was granted before, by a commit that nobody heard of until now,
/// was decided under what was known then.
pub(crate) fn granted<'a>(
    before: &'a Service,
    after: &'a Service,
    now: Timestamp,
) -> impl Iterator<Item = &'a BackendId> {
    let permits = after.roll.permits.iter().filter(move |(_, permit)| permit.granted_at == Some(now));
    permits.map(|(id, _)| id).filter(|id| !before.roll.is_granted(id))
}

/// The usable weight of a version without one of its backends.
fn weight_without(service: &Service, label: &VersionLabel, id: &BackendId) -> u64 {
    let others = service.backends.values().filter(|backend| backend.version.as_ref() == Some(label));
    let usable = others.filter(|backend| backend.id != *id && backend.is_usable());
    usable.map(|backend| u64::from(backend.weight().value())).sum()
}

/// The weight that must stay usable of the active version. Of a fleet that can't be halved a little less, where its roll can't go on otherwise.
fn needed(service: &Service, id: &BackendId) -> u64 {
    let (share, expected) = (service.policy.min_capacity.value(), service.expected_weight() as f64);
    let strictly = (share * expected - 1e-9).ceil();
    let may_flip = |role| matches!(role, Role::Staged | Role::Canary | Role::Draining | Role::Drained);
    let mut versions = service.versions.values();
    let next = match &service.roll.to {
        Some(to) => versions.find(|version| version.label == *to && may_flip(version.role)),
        None => versions
            .filter(|version| matches!(version.role, Role::Staged | Role::Canary))
            .max_by_key(|version| version.seen),
    };
    let is_stuck = next.is_some_and(|next| {
        let mut backends =
            service.backends.values().filter(|backend| backend.version.as_ref() == Some(&next.label));
        let is_short = service.capacity(&next.label).usable_weight
            < service.policy.flip.quorum_share.of(service.expected_weight());
        is_short && backends.all(|backend| backend.is_usable())
    });
    if is_stuck && service.roll.permits.keys().all(|other| other == id) {
        (share * expected + 1e-9).floor().max(strictly.min(1.0)) as u64
    } else {
        strictly as u64
    }
}

/// Nothing is in flight on a backend that may be restarted, unless it had all the time that a drain may take.
pub(crate) fn check_empty(service: &Service, id: &BackendId, in_flight: usize, now: Timestamp) {
    let Some(backend) = service.backends.get(id).filter(|_| in_flight > 0) else { return };
    let drain = service.policy.drain;
    // An operator may send requests to it again, whatever its client does with the permit.
    let is_over = backend.admin.state != AdminState::Drain
        || backend.leaving.is_some_and(|at| at <= now)
        || backend.admin.since + drain.deadline + drain.spread <= now;
    assert!(is_over, "G5: {id} may be restarted with {in_flight} requests in flight");
}
