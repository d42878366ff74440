//! What holds in every state, whatever the order of things.

use cutover_core::backend::Backend;
use cutover_core::drain;
use cutover_core::id::VersionLabel;
use cutover_core::pin::Pin;
use cutover_core::roll;
use cutover_core::service::Service;
use cutover_core::version::{DrainedBy, Role};

use crate::fleet::{Act, DRAINS, Fleet, PINS, id, label, web};

/// Rounds in which a roll that nobody aborts must come to its end. It takes a dozen.
const ROUNDS_MAX: usize = 60;

/// Everything that must hold after what happened last.
pub(crate) fn check(fleet: &Fleet) {
    let Some((act, before, pin)) = &fleet.last else { return };
    let before = &before.services[&web()];
    match *act {
        Act::Begin(session) => {
            g1_one_version_per_session(fleet, session, before, pin.as_ref());
            g2_never_back(fleet, session);
            g3_no_wrong_version_answer(fleet, session);
            g4_new_sessions_go_to_the_active_version(fleet, session, pin.as_ref());
        }
        Act::Restart(backend, _) => g5_no_permitted_restart_cuts_a_request(fleet, backend),
        Act::Ask(backend) => no_permit_takes_what_must_stay(fleet, backend, before),
        _ => {}
    }
    g7_drained_means_drained(fleet);
    a_frozen_roll_takes_nobody_else_out(fleet, *act, before);
}

fn usable(service: &Service, version: &VersionLabel) -> u64 {
    service.capacity(version).usable_weight
}

/// A session changes its version only when that can't or must not serve it any more.
fn g1_one_version_per_session(fleet: &Fleet, session: usize, before: &Service, pin: Option<&Pin>) {
    let served = fleet.sessions[session].version.as_ref().unwrap();
    let Some(pinned) = pin.map(|pin| fleet.pinned(pin)).filter(|pinned| pinned != served) else { return };
    let version = &before.versions[&pinned];
    let eviction = drain::deadline(version, before.policy.drain);
    let is_serving = matches!(version.role, Role::Active | Role::Draining)
        && usable(before, &pinned) > 0
        && eviction.is_none_or(|(begins, _)| fleet.now < begins);
    assert!(!is_serving, "{pinned} was left for {served}: {fleet:?}");
}

fn g2_never_back(fleet: &Fleet, session: usize) {
    let session = &fleet.sessions[session];
    let epoch = fleet.service().versions[session.version.as_ref().unwrap()].epoch;
    assert!(epoch >= session.epoch, "went back: {fleet:?}");
}

/// Only a process that is not the one that cutover asked last may answer in another version: nobody restarts without a permit here.
fn g3_no_wrong_version_answer(fleet: &Fleet, session: usize) {
    let (backend, version) = fleet.sessions[session].request.as_ref().unwrap();
    let process = fleet.processes[*backend];
    assert!(!process.answers || label(process.version) == *version, "wrong version: {fleet:?}");
}

fn g4_new_sessions_go_to_the_active_version(fleet: &Fleet, session: usize, pin: Option<&Pin>) {
    let served = &fleet.sessions[session].version;
    assert!(pin.is_some() || *served == fleet.service().active, "not active: {fleet:?}");
}

/// What is in flight when a backend may be restarted had all the time that a drain lasts.
fn g5_no_permitted_restart_cuts_a_request(fleet: &Fleet, backend: usize) {
    let permit = &fleet.service().roll.permits[&id(backend)];
    let drained_for = permit.granted_at.unwrap().since(permit.asked_at);
    assert!(fleet.in_flight(backend) == 0 || drained_for >= DRAINS, "cut off: {fleet:?}");
}

fn g7_drained_means_drained(fleet: &Fleet) {
    for version in fleet.service().versions.values() {
        if version.drained.is_none_or(|drained| drained.by != DrainedBy::Proof) {
            continue;
        }
        let has_pins = version.role == Role::Drained
            && fleet
                .sessions
                .iter()
                .filter_map(|session| fleet.pin(session))
                .any(|pin| fleet.pinned(&pin) == version.label);
        assert!(fleet.requests_of(&version.label) == 0 && !has_pins, "not drained: {fleet:?}");
    }
}

/// A backend that serves is taken out only while half of what is expected stays: rounded down where the fleet can't be halved, and
/// never the last one.
fn no_permit_takes_what_must_stay(fleet: &Fleet, backend: usize, before: &Service) {
    let was = &before.backends[&id(backend)];
    let Some(active) = before.active.as_ref().filter(|_| was.is_usable() && was.version == before.active)
    else {
        return;
    };
    let left = usable(fleet.service(), active);
    let expected = before.expected_weight();
    assert!(left >= (expected / 2).max(1), "{left} of {expected} are left: {fleet:?}");
    if !before.roll.permits.is_empty() {
        assert!(left * 2 >= expected, "{left} of {expected} are left: {fleet:?}");
    }
}

fn a_frozen_roll_takes_nobody_else_out(fleet: &Fleet, act: Act, before: &Service) {
    if before.roll.state != roll::State::Frozen || matches!(act, Act::Flip | Act::Resume | Act::Abort) {
        return;
    }
    let is_known = |id| before.roll.permits.contains_key(id);
    let service = fleet.service();
    assert!(service.roll.permits.keys().all(is_known), "a permit was given: {fleet:?}");
    assert_eq!(service.active, before.active, "flipped by itself: {fleet:?}");
}

/// From wherever it is, a roll ends that somebody goes on with and whose restarts succeed from now on: every backend runs v2, which
/// everybody is served by.
pub(crate) fn a_roll_that_nobody_aborts_ends(mut fleet: Fleet) {
    let begin = fleet.clone();
    let backends = fleet.processes.len();
    for _ in 0..ROUNDS_MAX {
        let service = fleet.service();
        let runs_v2 = |backend: &Backend| backend.version == Some(label(2)) && backend.is_usable();
        let is_there = service.backends.values().all(|backend| runs_v2(backend));
        if is_there && service.active == Some(label(2)) && service.roll.state == roll::State::Done {
            return;
        }
        for session in 0..fleet.sessions.len() {
            fleet.perform(Act::End(session));
        }
        fleet.go_on();
        for backend in 0..backends {
            fleet.perform(Act::Repair(backend));
            fleet.perform(Act::Probe(backend));
            fleet.perform(Act::Ask(backend));
            fleet.perform(Act::Tick);
            fleet.perform(Act::Restart(backend, true));
            fleet.perform(Act::Probe(backend));
        }
        fleet.perform(Act::Flip);
        fleet.now = fleet.now + PINS;
        fleet.perform(Act::Tick);
        fleet.perform(Act::Tick);
    }
    panic!("the roll does not end from here: {begin:?}\nbut stays so: {fleet:?}");
}
