//! Sessions that live in the memory of one backend: how long a permit for it waits for them.

use cutover_core::command::Change;
use cutover_core::policy::{Affinity, DrainPolicy, Policy};
use cutover_core::time::{Millis, Timestamp};

use crate::world::{World, id};

/// Four backends of one version, to which sessions are tied.
fn fleet() -> World {
    let policy = Policy { affinity: Affinity::Backend, ..Policy::default() };
    World::serving(policy, "v1", &["a", "b", "c", "d"])
}

impl World {
    /// A session is handed a pin that names this backend.
    fn tie(&self, backend: usize, expiry: Timestamp) {
        self.snapshot.services[0].backends[backend].traffic.note_pin_expiry(expiry);
    }

    fn ask_for_a(&mut self) {
        self.change(Change::AskPermit { backend: id("a") }).unwrap();
    }

    fn may_restart_a(&self) -> bool {
        self.service().roll.is_granted(&id("a"))
    }
}

#[test]
fn sessions_that_go_on_stay_until_the_deadline() {
    let mut world = fleet();
    world.ask_for_a();
    let DrainPolicy { deadline, spread, .. } = world.service().policy.drain;
    let (ends, idle) = (world.now + deadline + spread, world.service().policy.pin.idle);
    while world.now + Millis::from_secs(60) < ends {
        world.tie(0, world.now + idle);
        world.wait(Millis::from_secs(60));
        assert!(!world.may_restart_a(), "somebody comes every minute");
    }
    world.wait(Millis::from_secs(60));
    assert!(world.may_restart_a());
}

#[test]
fn a_backend_to_which_no_session_is_tied_is_empty_at_once() {
    let mut world = fleet();
    world.tie(1, world.now + Millis::from_secs(1800));
    world.ask_for_a();
    world.wait(Millis(100));
    assert!(world.may_restart_a(), "it is another backend that has a session");
}

#[test]
fn a_permit_is_granted_when_the_last_session_has_ended() {
    let mut world = fleet();
    world.tie(0, world.now + Millis::from_secs(60));
    world.ask_for_a();
    world.wait(Millis::from_secs(59));
    assert!(!world.may_restart_a());
    world.wait(Millis::from_secs(1));
    assert!(world.may_restart_a());
}

#[test]
fn after_a_restart_there_may_be_sessions_until_all_pins_of_before_have_ended() {
    let mut world = fleet();
    world.state = world.state.clone().restored(world.now);
    ["a", "b", "c", "d"].iter().for_each(|backend| world.up(backend, "v1"));
    world.ask_for_a();
    let idle = world.service().policy.pin.idle;
    world.wait(Millis(idle.0 - 1000));
    assert!(!world.may_restart_a());
    world.wait(Millis::from_secs(1));
    assert!(world.may_restart_a());
}
