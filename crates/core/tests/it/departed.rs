//! Services that are removed and come again: their pins are still out there.

use std::sync::Arc;

use cutover_core::command::{Command, Configured};
use cutover_core::decide::Decision;
use cutover_core::pin::Pin;
use cutover_core::policy::{FlipPolicy, PinMode, PinPolicy, Policy};
use cutover_core::state::State;
use cutover_core::time::Millis;

use crate::world::{World, registration, web};

fn put(policy: Policy) -> Command {
    Command::PutService { service: web(), policy: Arc::new(policy), document: "{}".into() }
}

/// A session of v1 in epoch 5; the service is removed then, and put again.
fn comes_again(policy: Policy) -> (World, Pin) {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    for to in ["v2", "v1", "v2", "v1"] {
        world.flip_when_stable(to);
    }
    let pin = world.request(None).pin.unwrap();
    assert_eq!((world.epoch(), pin.epoch.0), (5, 5));
    world.apply(&Command::RemoveService(web())).unwrap();
    world.apply(&put(policy)).unwrap();
    (world, pin)
}

/// The same, where v1 was active again and v2 is now.
fn comes_again_and_flips(pin: PinPolicy) -> World {
    let (mut world, _) = comes_again(Policy { pin, ..Policy::default() });
    world.join("v1", &["a"]);
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    world
}

#[test]
fn a_service_that_comes_again_goes_on_from_its_epoch() {
    let (mut world, _) = comes_again(Policy::default());
    world.join("v1", &["a"]);
    assert_eq!((world.active(), world.epoch()), (Some("v1"), 6));
    assert!(world.state.departed.epochs.is_empty(), "it remembers its epoch itself");
}

#[test]
fn a_pin_of_before_does_not_reach_what_is_not_for_sessions() {
    let (mut world, pin) = comes_again(Policy::default());
    world.join("v2", &["b"]);
    world.join("v1", &["a"]);
    assert_eq!((world.active(), world.role("v1")), (Some("v2"), "staged"));
    assert_eq!(world.request(Some(pin)).version, "v2");
}

#[test]
fn nor_while_nothing_is_active() {
    let flip = FlipPolicy { quorum_count: 2, ..FlipPolicy::default() };
    let (mut world, pin) = comes_again(Policy { flip, ..Policy::default() });
    world.join("v1", &["a"]);
    assert_eq!(world.decide(Some(pin)), Decision::Wait);
    assert_eq!((world.active(), world.role("v1")), (None, "staged"));
}

#[test]
fn a_session_goes_on_where_its_version_is_active_again() {
    let (mut world, pin) = comes_again(Policy::default());
    world.join("v1", &["a"]);
    let served = world.request(Some(pin));
    assert_eq!((served.version.as_str(), served.action), ("v1", "kept"));
}

#[test]
fn no_version_is_drained_before_the_last_pin_of_before_is_over() {
    let pin = PinPolicy { idle: Millis::from_secs(100), ..PinPolicy::default() };
    let mut world = comes_again_and_flips(pin);
    world.wait(Millis::from_secs(90));
    assert_eq!(world.role("v1"), "draining");
    // Also after a restart, of a version that was not active by then.
    world.state = State::clone(&world.state).restored(world.now);
    world.up("a", "v1");
    world.up("b", "v2");
    world.wait(Millis::from_secs(90));
    assert_eq!(world.role("v1"), "draining");
    world.wait(Millis::from_secs(20));
    assert_eq!(world.role("v1"), "drained");
}

#[test]
fn without_pins_a_service_that_comes_again_waits_for_none() {
    let pin = PinPolicy { mode: PinMode::None, ..PinPolicy::default() };
    let mut world = comes_again_and_flips(pin);
    world.wait(Millis::from_secs(1));
    assert_eq!(world.role("v1"), "drained");
}

#[test]
fn a_service_that_left_the_file_and_is_back_goes_on_from_its_epoch() {
    let mut world = World::new(Policy::default());
    world.state = State::default();
    let configured = Configured {
        name: web(),
        policy: Arc::default(),
        backends: vec![registration("a", "v1"), registration("b", "v2")],
    };
    world.apply(&Command::Configure(vec![configured.clone()])).unwrap();
    world.up("a", "v1");
    world.up("b", "v2");
    world.flip_when_stable("v2");
    world.apply(&Command::Configure(Vec::new())).unwrap();
    world.apply(&Command::Configure(vec![configured])).unwrap();
    world.up("a", "v1");
    assert_eq!((world.active(), world.epoch()), (Some("v1"), 3));
}
