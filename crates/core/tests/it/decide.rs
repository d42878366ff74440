//! What happens to a request, case by case.

use cutover_core::backend::AdminState;
use cutover_core::command::Change;
use cutover_core::decide::{Decision, Facts};
use cutover_core::pin::{NoPin, Pin};
use cutover_core::policy::{Affinity, Balance, HashOn, OnMissingVersion, PinMode, PinPolicy, Policy};
use cutover_core::state::State;
use cutover_core::time::Millis;

use crate::world::{World, registration};

fn two_versions(policy: Policy) -> (World, Option<Pin>) {
    let mut world = World::serving(policy, "v1", &["a", "b"]);
    let pin = world.request(None).pin;
    world.join("v2", &["c", "d"]);
    world.flip_when_stable("v2");
    (world, pin)
}

fn explicit<'a>(world: &World, version: &'a str, pin: Option<Pin>) -> Facts<'a> {
    Facts { explicit: Some(version), ..world.facts(pin) }
}

#[test]
fn a_pinned_session_stays_and_is_told_of_the_update() {
    let (mut world, pin) = two_versions(Policy::default());
    let served = world.request(pin);
    assert_eq!((served.version.as_str(), served.action, served.is_outdated), ("v1", "kept", true));
    let new = world.request(None);
    assert_eq!((new.version.as_str(), new.action, new.is_outdated), ("v2", "new", false));
}

#[test]
fn a_session_whose_version_lost_its_backends_moves_on() {
    let (mut world, pin) = two_versions(Policy::default());
    world.down("a");
    assert_eq!(world.request(pin).version, "v1");
    world.down("b");
    let moved = world.request(pin);
    assert_eq!((moved.version.as_str(), moved.action), ("v2", "moved_no_backend"));
    assert_eq!(moved.pin.unwrap().id, pin.unwrap().id, "it is the same session");
}

#[test]
fn a_session_is_not_moved_because_probes_are_late() {
    let (mut world, pin) = two_versions(Policy::default());
    world.state = State::restored(world.state.clone(), world.now);
    world.up("c", "v2");
    assert_eq!(world.decide(pin), Decision::Wait);
    let impatient = Facts { may_wait: false, ..world.facts(pin) };
    assert_eq!(world.served(&impatient).version, "v2");
    world.up("a", "v1");
    assert_eq!(world.request(pin).version, "v1");
}

#[test]
fn without_a_usable_backend_it_waits_and_then_it_is_unavailable() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    world.down("a");
    assert_eq!(world.decide(None), Decision::Wait, "never another version");
    let impatient = Facts { may_wait: false, ..world.facts(None) };
    assert_eq!(world.snapshot.decide(&impatient, &mut world.entropy), Decision::Unavailable);
}

#[test]
fn before_anything_is_active_it_waits() {
    let mut world = World::new(Policy::default());
    world.change(Change::Register(registration("a", "v1"))).unwrap();
    assert_eq!(world.decide(None), Decision::Wait);
}

#[test]
fn a_pin_for_a_version_nobody_knows_begins_anew() {
    let (mut world, pin) = two_versions(Policy::default());
    let unknown = pin.map(|pin| Pin { version: 77, ..pin });
    let served = world.request(unknown);
    assert_eq!((served.version.as_str(), served.action), ("v2", "moved_ended"));
}

#[test]
fn a_pin_of_a_later_epoch_is_obeyed_by_who_is_behind() {
    let mut behind = World::serving(Policy::default(), "v1", &["a"]);
    behind.join("v2", &["b"]);
    let mut ahead = World {
        state: behind.state.clone(),
        snapshot: behind.snapshot.clone(),
        ..World::new(Policy::default())
    };
    ahead.flip_when_stable("v2");
    let pin = ahead.request(None).pin;
    let served = behind.request(pin);
    assert_eq!((served.version.as_str(), served.pin), ("v2", pin));
    assert_eq!(behind.request(None).version, "v1");
}

#[test]
fn an_invalid_pin_is_as_if_absent_and_counted() {
    let (mut world, _) = two_versions(Policy::default());
    for problem in [NoPin::BadMac, NoPin::Expired, NoPin::FutureDated, NoPin::UnknownKey, NoPin::Malformed] {
        let facts = Facts { pin: Err(problem), ..world.facts(None) };
        let served = world.served(&facts);
        assert_eq!((served.version.as_str(), served.action), ("v2", problem.as_str()));
    }
}

#[test]
fn an_explicit_version_is_reached_when_it_has_traffic() {
    let (mut world, pin) = two_versions(Policy::default());
    let facts = explicit(&world, "v1", None);
    assert_eq!(world.served(&facts).version, "v1");
    let facts = explicit(&world, "v2", pin);
    let served = world.served(&facts);
    assert_eq!((served.version.as_str(), served.pin), ("v2", pin));
}

#[test]
fn a_staged_or_unknown_version_is_not_reached_that_way() {
    let policy = |on_missing_version| Policy { on_missing_version, ..Policy::default() };
    for (on_missing, expected) in [
        (OnMissingVersion::Conflict, Decision::MissingVersion(OnMissingVersion::Conflict)),
        (OnMissingVersion::Unavailable, Decision::MissingVersion(OnMissingVersion::Unavailable)),
    ] {
        let mut world = World::serving(policy(on_missing), "v1", &["a"]);
        world.join("v2", &["b"]);
        for version in ["v2", "v9", ""] {
            let facts = explicit(&world, version, None);
            assert_eq!(world.snapshot.decide(&facts, &mut world.entropy), expected);
        }
    }
    let mut world = World::serving(policy(OnMissingVersion::Active), "v1", &["a"]);
    world.join("v2", &["b"]);
    let facts = explicit(&world, "v2", None);
    assert_eq!(world.served(&facts).version, "v1");
}

#[test]
fn a_page_that_names_the_version_of_its_session_keeps_the_session_alive_and_on_its_backend() {
    let (mut world, pin) = two_versions(Policy { affinity: Affinity::Backend, ..Policy::default() });
    let home = world.request(pin).backend;
    for _ in 0..50 {
        let facts = explicit(&world, "v1", pin);
        assert_eq!(world.served(&facts).backend, home);
    }
    world.wait(Millis(world.service().policy.pin.idle.0 / 2));

    let facts = explicit(&world, "v1", pin);
    let served = world.served(&facts);

    assert_eq!((served.version.as_str(), served.action), ("v1", "refreshed"));
}

#[test]
fn an_explicit_version_whose_probes_are_late_is_waited_for() {
    let policy = Policy { on_missing_version: OnMissingVersion::Conflict, ..Policy::default() };
    let (mut world, _) = two_versions(policy);
    world.state = State::restored(world.state.clone(), world.now);
    world.up("c", "v2");
    let decide = |world: &mut World, version, may_wait| {
        let facts = Facts { may_wait, ..explicit(world, version, None) };
        world.snapshot.decide(&facts, &mut world.entropy)
    };

    assert_eq!(decide(&mut world, "v1", true), Decision::Wait);
    assert_eq!(decide(&mut world, "v1", false), Decision::MissingVersion(OnMissingVersion::Conflict));
    world.down("c");
    assert_eq!(decide(&mut world, "v2", true), Decision::Wait);
    assert_eq!(decide(&mut world, "v2", false), Decision::Unavailable, "it is there, and can't answer");
}

#[test]
fn without_pins_everybody_goes_to_the_active_version() {
    let pin = PinPolicy { mode: PinMode::None, ..PinPolicy::default() };
    let (mut world, none) = two_versions(Policy { pin, ..Policy::default() });
    assert_eq!(none, None);
    let (_, foreign) = two_versions(Policy::default());
    let served = world.request(foreign);
    assert_eq!((served.version.as_str(), served.action, served.pin), ("v2", "none", None));
}

#[test]
fn with_affinity_backend_a_session_stays_on_its_backend() {
    let (mut world, pin) = two_versions(Policy { affinity: Affinity::Backend, ..Policy::default() });
    let home = world.request(pin).backend;
    assert!((0..50).all(|_| world.request(pin).backend == home));
    world.patch(&home, AdminState::Drain, true).unwrap();
    assert_eq!(world.request(pin).backend, home, "a draining backend keeps its sessions");
    world.down(&home);
    let moved = world.request(pin);
    assert_eq!((moved.version.as_str(), moved.action), ("v1", "rebalanced"));
    assert_ne!(moved.backend, home);
    assert_eq!(world.request(moved.pin).backend, moved.backend);
}

#[test]
fn with_affinity_version_a_draining_backend_gets_nothing() {
    let (mut world, pin) = two_versions(Policy::default());
    world.patch("a", AdminState::Drain, true).unwrap();
    assert!((0..50).all(|_| world.request(pin).backend == "b"));
}

#[test]
fn hashing_on_the_pin_is_stable_from_the_first_request_on() {
    let policy = Policy { balance: Balance::Hash(HashOn::Pin), ..Policy::default() };
    let mut world = World::serving(policy, "v1", &["a", "b", "c", "d"]);
    for _ in 0..50 {
        let first = world.request(None);
        assert!((0..5).all(|_| world.request(first.pin).backend == first.backend));
    }
}

#[test]
fn a_retry_stays_inside_the_version_and_goes_elsewhere() {
    let (mut world, pin) = two_versions(Policy::default());
    let facts = world.facts(pin);
    let snapshot = world.snapshot.clone();
    let (service, v1) = (&snapshot.services[0], snapshot.services[0].version("v1").unwrap());
    assert_eq!(service.choose_again(v1, &[0], &facts, &mut world.entropy), Some(1));
    assert_eq!(service.choose_again(v1, &[0, 1], &facts, &mut world.entropy), None);
}
