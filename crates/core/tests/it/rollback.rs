//! Back in one call.

use cutover_core::command::{Change, Sessions};
use cutover_core::policy::Policy;
use cutover_core::rejected::Code;
use cutover_core::suspend::Suspended;
use cutover_core::time::Millis;

use crate::world::{World, codes, id, label};

fn flipped() -> World {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    world
}

#[test]
fn a_rollback_is_a_newer_epoch_and_rejects_the_bad_version() {
    let mut world = flipped();
    world.rollback(Sessions::Move).unwrap();
    assert_eq!((world.active(), world.epoch(), world.role("v2")), (Some("v1"), 3, "rejected"));
    assert_eq!(world.version("v2").rejected.as_deref(), Some("bad"));
}

#[test]
fn sessions_of_the_bad_version_move_at_once() {
    let mut world = flipped();
    let pin = world.request(None).pin;
    world.rollback(Sessions::Move).unwrap();
    let moved = world.request(pin);
    assert_eq!((moved.version.as_str(), moved.action), ("v1", "moved_ended"));
    assert_eq!(moved.pin.unwrap().epoch.0, 3);
}

#[test]
fn or_they_stay_until_their_pins_end_and_then_it_is_rejected() {
    let mut world = flipped();
    let pin = world.request(None).pin;
    world.rollback(Sessions::Keep).unwrap();
    assert_eq!(world.role("v2"), "draining");
    assert_eq!(world.request(pin).version, "v2");
    assert_eq!(world.request(None).version, "v1");
    assert_eq!(codes(world.flip("v2")), [Code::Rejected]);
    world.wait(Millis::from_secs(1800));
    assert_eq!(world.role("v2"), "rejected");
}

#[test]
fn it_needs_a_version_that_was_active_and_is_warm() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    assert_eq!(codes(world.rollback(Sessions::Move)), [Code::NothingToRollBackTo]);
    world.flip_when_stable("v2");
    world.down("a");
    assert_eq!(codes(world.rollback(Sessions::Move)), [Code::NothingUsable]);
    assert_eq!((world.active(), world.role("v2")), (Some("v2"), "active"));
}

#[test]
fn it_works_in_a_freeze_and_goes_back_step_by_step() {
    let mut world = flipped();
    world.join("v3", &["c"]);
    world.flip_when_stable("v3");
    world
        .change(Change::Suspend {
            what: Suspended::Flips,
            reason: "sale".into(),
            until: None,
            by: "ops".into(),
        })
        .unwrap();
    world.rollback(Sessions::Move).unwrap();
    assert_eq!(world.active(), Some("v2"));
    world.rollback(Sessions::Move).unwrap();
    assert_eq!(world.active(), Some("v1"));
    assert_eq!(codes(world.rollback(Sessions::Move)), [Code::NothingToRollBackTo]);
}

#[test]
fn a_cleared_version_may_be_tried_again() {
    let mut world = flipped();
    world.rollback(Sessions::Move).unwrap();
    world.change(Change::Clear(label("v2"))).unwrap();
    world.flip("v2").unwrap();
    assert_eq!((world.active(), world.epoch()), (Some("v2"), 4));
}

#[test]
fn a_rejected_version_stays_rejected_when_its_backends_leave_and_return() {
    let mut world = flipped();
    world.rollback(Sessions::Move).unwrap();
    world.change(Change::Deregister { backend: id("b"), drain: Millis::ZERO }).unwrap();
    assert_eq!(world.role("v2"), "retired");
    world.join("v2", &["b"]);
    assert_eq!(world.role("v2"), "rejected");
}
