//! The contract migration: when it may run, and what may never come back after it.

use cutover_core::command::{Change, Flip, Sessions};
use cutover_core::contract::{RecordContract, below_floor};
use cutover_core::effect::{Event, compare};
use cutover_core::id::HoldName;
use cutover_core::policy::{BakePolicy, DrainPolicy, FlipMode, FlipPolicy, PinMode, PinPolicy, Policy};
use cutover_core::rejected::{Code, Rejected};
use cutover_core::time::Millis;

use crate::world::{World, codes, id, label};

fn request(force: bool) -> RecordContract {
    RecordContract { note: "dropped users.name".into(), schema: None, force, by: "dba".into() }
}

/// Without a bake, which nobody judges here.
fn calm() -> Policy {
    Policy { bake: BakePolicy { duration: Millis::ZERO, ..BakePolicy::default() }, ..Policy::default() }
}

fn contract(world: &mut World) -> Result<(), Rejected> {
    world.change(Change::Contract(request(false)))
}

/// v1 drains for v2, and has a session.
fn draining() -> World {
    let mut world = World::serving(calm(), "v1", &["a"]);
    world.request(None);
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    world
}

/// v1 has drained, v2 is active.
fn drained() -> World {
    let mut world = draining();
    world.wait(Millis::from_secs(1800));
    assert_eq!(world.role("v1"), "drained");
    world
}

fn hold(version: &str) -> Change {
    let hold = HoldName::parse("worker").unwrap();
    Change::SetHold { version: label(version), hold, ttl: Millis::from_secs(20_000), by: "queue".into() }
}

#[test]
fn it_waits_for_the_old_version_and_sets_the_floor() {
    let mut world = draining();
    assert_eq!(codes(contract(&mut world)), [Code::NotDrained]);
    let mut world = drained();
    let before = world.state.clone();

    contract(&mut world).unwrap();

    let recorded = world.service().contract.clone().unwrap();
    assert_eq!((recorded.floor, recorded.by.as_str(), recorded.at), (label("v2"), "dba", world.now));
    let events: Vec<_> = compare(&before, &world.state).into_iter().map(|(_, event)| event).collect();
    assert_eq!(events, [Event::Contracted(label("v2"))]);
}

#[test]
fn nothing_below_the_floor_becomes_active_again_not_even_by_force() {
    let mut world = drained();
    contract(&mut world).unwrap();
    assert_eq!(codes(world.flip("v1")), [Code::BelowFloor]);
    let forced = Change::Flip(Flip { to: label("v1"), if_epoch: None, force: true });
    assert_eq!(codes(world.change(forced)), [Code::BelowFloor]);
    assert_eq!(codes(world.rollback(Sessions::Move)), [Code::BelowFloor]);
    let said = below_floor(world.service(), world.version("v1")).unwrap().detail;
    for part in ["v1 is older than v2", "dba recorded", "2023-11-14T22:", "(dropped users.name)"] {
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
}

#[test]
fn what_is_newer_than_the_floor_comes_and_goes_as_before() {
    let mut world = drained();
    contract(&mut world).unwrap();
    world.join("v3", &["c"]);
    world.flip_when_stable("v3");
    world.rollback(Sessions::Move).unwrap();
    assert_eq!(world.active(), Some("v2"));
    assert_eq!(codes(world.rollback(Sessions::Move)), [Code::BelowFloor]);
}

#[test]
fn once_more_for_the_same_version_changes_nothing_and_for_a_later_one_raises_the_floor() {
    let mut world = drained();
    contract(&mut world).unwrap();
    let first = world.service().contract.clone();
    world.now = world.now + Millis::from_secs(60);
    contract(&mut world).unwrap();
    assert_eq!(world.service().contract, first);

    world.join("v3", &["c"]);
    world.flip_when_stable("v3");
    assert_eq!(codes(contract(&mut world)), [Code::NotDrained]);
    world.wait(Millis::from_secs(1800));
    contract(&mut world).unwrap();
    assert_eq!(world.service().contract.clone().unwrap().floor, label("v3"));
    assert_eq!(codes(world.rollback(Sessions::Move)), [Code::BelowFloor]);
}

#[test]
fn force_records_it_while_old_code_still_runs() {
    let mut world = draining();
    world.change(Change::Contract(request(true))).unwrap();
    assert_eq!(world.role("v1"), "draining", "its sessions are the operator's concern");
    assert_eq!(codes(world.rollback(Sessions::Move)), [Code::BelowFloor]);
}

#[test]
fn a_worker_that_holds_an_old_version_is_in_the_way_even_after_the_deadline() {
    let drain = DrainPolicy { deadline: Millis::from_secs(10), spread: Millis::ZERO };
    let mut world = World::serving(Policy { drain, ..calm() }, "v1", &["a"]);
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    world.change(hold("v1")).unwrap();
    world.wait(Millis::from_secs(10));
    assert_eq!(world.role("v1"), "drained");
    assert_eq!(codes(contract(&mut world)), [Code::NotDrained]);
    let drop = HoldName::parse("worker").unwrap();
    world.change(Change::DropHold { version: label("v1"), hold: drop }).unwrap();
    contract(&mut world).unwrap();
}

#[test]
fn a_rejected_version_that_still_answers_is_in_the_way() {
    let policy = PinPolicy { mode: PinMode::None, ..PinPolicy::default() };
    let mut world = World::serving(Policy { pin: policy, ..calm() }, "v1", &["a"]);
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    world.rollback(Sessions::Move).unwrap();
    assert_eq!(codes(contract(&mut world)), [Code::NotDrained]);
    world.wait(Millis::from_secs(1));
    contract(&mut world).unwrap();
    assert_eq!(world.service().contract.clone().unwrap().floor, label("v1"));
}

#[test]
fn a_version_that_was_gone_serves_no_session_when_it_comes_back() {
    let mut world = draining();
    let pin = {
        let mut other = World::serving(calm(), "v1", &["a"]);
        other.request(None).pin
    };
    world.change(Change::Deregister { backend: id("a"), drain: Millis::ZERO }).unwrap();
    assert_eq!(world.role("v1"), "retired");
    contract(&mut world).unwrap();
    world.join("v1", &["a"]);
    assert_eq!(world.role("v1"), "drained");
    assert_eq!(world.request(pin).version, "v2");
}

#[test]
fn an_old_version_is_not_chosen_by_itself_either() {
    let flip = FlipPolicy { mode: FlipMode::Auto, stable_for: Millis::ZERO, ..FlipPolicy::default() };
    let mut world = World::serving(Policy { flip, ..calm() }, "v1", &["a"]);
    world.join("v2", &["b"]);
    world.join("v3", &["c"]);
    world.wait(Millis::from_secs(1800));
    assert_eq!(world.active(), Some("v3"));
    contract(&mut world).unwrap();
    world.change(Change::Deregister { backend: id("c"), drain: Millis::ZERO }).unwrap();
    world.wait(Millis::from_secs(1));
    assert_eq!(world.active(), Some("v3"));
}

#[test]
fn it_needs_an_active_version() {
    let mut world = World::new(calm());
    assert_eq!(codes(contract(&mut world)), [Code::NothingActive]);
    assert_eq!(codes(world.change(Change::Contract(request(true)))), [Code::NothingActive]);
    world.join("v1", &["a"]);
    contract(&mut world).unwrap();
}

#[test]
fn every_version_that_is_in_the_way_is_named() {
    let mut world = draining();
    world.change(hold("v1")).unwrap();
    world.join("v3", &["c"]);
    world.flip_when_stable("v3");
    let rejected = contract(&mut world).unwrap_err().to_string();
    for part in ["v1 is draining", "v1 is held by worker, which queue took", "v2 is draining"] {
        assert!(rejected.contains(part), "{part:?} is not in {rejected:?}");
    }
}

#[test]
fn while_the_version_is_watched_the_way_back_stays_open() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    world.wait(Millis::from_secs(1));
    assert_eq!(codes(contract(&mut world)), [Code::NotBaked]);
    world.change(Change::Contract(request(true))).unwrap();
}
