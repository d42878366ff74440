//! How the old version leaves, and when it is provably unused.

use std::sync::Arc;

use cutover_core::command::{Change, Command};
use cutover_core::id::HoldName;
use cutover_core::policy::{PinMode, PinPolicy, Policy};
use cutover_core::rejected::Code;
use cutover_core::report::Traffic;
use cutover_core::time::Millis;
use cutover_core::traffic::InFlight;
use cutover_core::version::DrainedBy;

use crate::world::{World, codes, id, label, web};

const HALF_HOUR: Millis = Millis::from_secs(1800);

fn without_pins() -> Policy {
    Policy { pin: PinPolicy { mode: PinMode::None, ..PinPolicy::default() }, ..Policy::default() }
}

fn flipped(policy: Policy) -> World {
    let mut world = World::serving(policy, "v1", &["a"]);
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    world
}

fn in_flight(world: &World, version: &str) -> InFlight {
    InFlight::begin(&world.snapshot.services[0].version(version).unwrap().traffic)
}

fn by(world: &World, version: &str) -> Option<DrainedBy> {
    world.version(version).drained.map(|drained| drained.by)
}

#[test]
fn a_version_nobody_used_is_drained_at_the_next_tick() {
    let mut world = flipped(Policy::default());
    world.wait(Millis(100));
    assert_eq!((world.role("v1"), by(&world, "v1")), ("drained", Some(DrainedBy::Proof)));
}

#[test]
fn a_version_that_nobody_reported_about_is_not_drained() {
    let mut world = flipped(Policy::default());
    world.tick(Traffic::default());
    assert_eq!(world.role("v1"), "draining");
}

#[test]
fn the_latest_pin_decides() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let pin = world.request(None).pin;
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    world.wait(Millis::from_secs(600));
    let refreshed = world.request(pin);
    assert_eq!(
        (refreshed.version.as_str(), refreshed.action, refreshed.is_outdated),
        ("v1", "refreshed", true)
    );
    world.wait(Millis::from_secs(1799));
    assert_eq!(world.role("v1"), "draining");
    world.wait(Millis(1000));
    assert_eq!(by(&world, "v1"), Some(DrainedBy::Proof));
}

#[test]
fn a_request_in_flight_holds_it_across_snapshots() {
    let mut world = flipped(without_pins());
    let request = in_flight(&world, "v1");
    world.join("v2", &["c"]);
    world.wait(Millis::from_secs(60));
    assert_eq!(world.role("v1"), "draining");
    drop(request);
    world.wait(Millis(100));
    assert_eq!(world.role("v1"), "drained");
}

#[test]
fn a_hold_holds_it_until_it_is_dropped_or_lapses() {
    let mut world = flipped(without_pins());
    let hold = HoldName::parse("cron").unwrap();
    let take = || Change::SetHold {
        version: label("v1"),
        hold: hold.clone(),
        ttl: Millis::from_secs(60),
        by: "w".into(),
    };
    world.change(take()).unwrap();
    world.wait(Millis::from_secs(59));
    assert_eq!(world.role("v1"), "draining");
    world.change(take()).unwrap();
    world.wait(Millis::from_secs(59));
    assert_eq!(world.role("v1"), "draining");
    world.wait(Millis::from_secs(1));
    assert_eq!(world.version("v1").holds.len(), 0);
    world.wait(Millis(100));
    assert_eq!(world.role("v1"), "drained");
    assert_eq!(codes(world.change(take())), [Code::WrongRole]);
    let drop = Change::DropHold { version: label("v1"), hold: hold.clone() };
    assert_eq!(codes(world.change(drop)), [Code::UnknownHold]);
}

#[test]
fn after_a_restart_a_hold_has_one_full_term() {
    let mut world = flipped(without_pins());
    let (version, hold) = (label("v1"), HoldName::parse("cron").unwrap());
    world.change(Change::SetHold { version, hold, ttl: Millis::from_secs(60), by: "w".into() }).unwrap();
    world.now = world.now + Millis::from_secs(600);
    world.state = world.state.clone().restored(world.now);
    world.wait(Millis::from_secs(59));
    assert_eq!((world.role("v1"), world.version("v1").holds.len()), ("draining", 1));
    world.wait(Millis::from_secs(1));
    assert_eq!(world.version("v1").holds.len(), 0);
}

#[test]
fn at_the_deadline_pins_are_evicted_one_after_the_other_and_then_it_says_so() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let mut pins: Vec<_> = (0..200).map(|_| world.request(None).pin).collect();
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    for _ in 0..4 {
        world.wait(Millis::from_secs(899));
        pins = pins.into_iter().map(|pin| world.request(pin).pin).collect();
    }
    let on_old = |world: &mut World| pins.iter().filter(|&&pin| world.request(pin).version == "v1").count();
    assert_eq!(on_old(&mut world), 200);
    world.wait(Millis::from_secs(4 + 15));
    assert!((70..130).contains(&on_old(&mut world)));
    assert_eq!(world.role("v1"), "draining");
    world.wait(Millis::from_secs(15));
    assert_eq!((world.role("v1"), by(&world, "v1")), ("drained", Some(DrainedBy::Deadline)));
    assert_eq!(on_old(&mut world), 0);
}

#[test]
fn evict_ends_a_drain_now_and_only_a_drain() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let pin = world.request(None).pin;
    world.join("v2", &["b"]);
    assert_eq!(codes(world.change(Change::Evict(label("v1")))), [Code::WrongRole]);
    world.flip_when_stable("v2");
    world.change(Change::Evict(label("v1"))).unwrap();
    assert_eq!(by(&world, "v1"), Some(DrainedBy::Deadline));
    assert_eq!(world.request(pin).version, "v2");
}

#[test]
fn a_drained_version_may_become_active_again_while_it_is_warm() {
    let mut world = flipped(Policy::default());
    world.wait(Millis(100));
    world.flip("v1").unwrap();
    assert_eq!((world.role("v1"), by(&world, "v1")), ("active", None));
}

#[test]
fn after_a_restart_pins_of_before_may_still_be_alive() {
    let mut world = flipped(Policy::default());
    world.state = world.state.clone().restored(world.now);
    world.snapshot =
        Arc::new(cutover_core::compile::compile(&world.state, &cutover_core::snapshot::Snapshot::default()));
    world.wait(Millis(HALF_HOUR.0 - 1));
    assert_eq!(world.role("v1"), "draining");
    world.wait(Millis(1));
    assert_eq!(by(&world, "v1"), Some(DrainedBy::Proof));
}

#[test]
fn after_a_restart_that_holds_for_a_version_that_was_away_too() {
    let mut world = flipped(Policy::default());
    world.change(Change::Deregister { backend: id("a"), drain: Millis::ZERO }).unwrap();
    world.state = world.state.clone().restored(world.now);
    world.join("v1", &["a"]);
    world.wait(Millis(HALF_HOUR.0 - 1));
    assert_eq!(world.role("v1"), "draining");
}

#[test]
fn after_a_restart_that_holds_for_a_version_that_was_evicted_and_is_active_again() {
    let mut world = flipped(Policy::default());
    world.change(Change::Evict(label("v1"))).unwrap();
    world.state = world.state.clone().restored(world.now);
    world.up("a", "v1");
    world.up("b", "v2");
    world.flip_when_stable("v1");
    world.flip("v2").unwrap();
    world.wait(Millis::from_secs(60));
    assert_eq!(world.role("v1"), "draining");
}

#[test]
fn after_a_restart_without_pins_there_is_nothing_to_wait_for() {
    let mut world = flipped(without_pins());
    world.state = world.state.clone().restored(world.now);
    world.wait(Millis(100));
    assert_eq!(world.role("v1"), "drained");
}

#[test]
fn a_version_whose_backends_were_away_is_still_to_be_drained() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let pin = world.request(None).pin;
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    world.change(Change::Deregister { backend: id("a"), drain: Millis::ZERO }).unwrap();
    assert_eq!(world.role("v1"), "retired");
    world.join("v1", &["a"]);
    assert_eq!(world.role("v1"), "draining");
    assert_eq!(world.request(pin).version, "v1");
}

#[test]
fn a_tunnel_does_not_hold_a_rejected_version_beyond_the_deadline() {
    let mut world = flipped(Policy::default());
    let mut tunnel = in_flight(&world, "v2");
    tunnel.becomes_tunnel();
    world.rollback(cutover_core::command::Sessions::Move).unwrap();
    world.wait(Millis::from_secs(3600));
    assert_eq!(by(&world, "v2"), None);
    world.wait(Millis::from_secs(30));
    assert_eq!((world.role("v2"), by(&world, "v2")), ("rejected", Some(DrainedBy::Deadline)));
}

#[test]
fn a_policy_under_which_pins_live_longer_holds_a_drain_longer() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let pin = world.request(None).pin;
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    let mut policy = Policy::default();
    policy.pin.idle = Millis(2 * HALF_HOUR.0);
    policy.drain.deadline = Millis::from_secs(24 * 3600);
    let change = Command::PutService { service: web(), policy: Arc::new(policy), document: Arc::from("{}") };
    world.apply(&change).unwrap();
    world.wait(HALF_HOUR);
    assert_eq!(world.role("v1"), "draining", "the pin is still good");
    assert_eq!(world.request(pin).version, "v1");
}
