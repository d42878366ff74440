//! Versions that are tried out before everybody gets them, or after nobody gets them any more.

use cutover_core::command::{Change, Preview as Request, Sessions};
use cutover_core::contract::RecordContract;
use cutover_core::decide::{Decision, Facts};
use cutover_core::effect::compare;
use cutover_core::id::Epoch;
use cutover_core::pin::{Pin, version_hash};
use cutover_core::policy::{Affinity, OnMissingVersion, PinMode, PinPolicy, Policy};
use cutover_core::preview::{Preview, TTL_MIN};
use cutover_core::rejected::Code;
use cutover_core::tie::{Term, Tie};
use cutover_core::time::Millis;

use crate::world::{World, codes, id, label, web};

fn of<'a>(world: &World, version: &str, pin: Option<Pin>) -> Facts<'a> {
    let preview = Preview { version: version_hash(&label(version)), expires_at: world.now + TTL_MIN };
    Facts { preview: Some(preview), ..world.facts(pin) }
}

fn decided(world: &mut World, version: &str) -> Decision {
    let facts = Facts { may_wait: false, ..of(world, version, None) };
    world.snapshot.decide(&facts, &mut world.entropy)
}

fn make(version: &str) -> Change {
    Change::Preview(Request { version: label(version), ttl: TTL_MIN, by: "ana".into() })
}

/// v1 is active, v2 staged.
fn staged(policy: Policy) -> World {
    let mut world = World::serving(policy, "v1", &["a", "b"]);
    world.join("v2", &["c", "d"]);
    world
}

#[test]
fn a_staged_version_serves_who_may_try_it_out_and_nobody_else() {
    let mut world = staged(Policy::default());
    let facts = of(&world, "v2", None);
    let served = world.served(&facts);
    assert_eq!((served.version.as_str(), served.action, served.is_outdated), ("v2", "preview", false));
    assert!((0..100).all(|_| world.request(None).version == "v1"));
}

#[test]
fn it_goes_before_a_pin_and_an_explicit_version_and_leaves_the_pin_alone() {
    let mut world = staged(Policy::default());
    let pin = world.request(None).pin;
    let facts = Facts { explicit: Some("v1"), ..of(&world, "v2", pin) };
    let served = world.served(&facts);
    assert_eq!((served.version.as_str(), served.pin), ("v2", None));
    assert_eq!(world.request(pin).pin, pin);
}

#[test]
fn every_live_version_can_be_tried_out() {
    let mut world = staged(Policy::default());
    world.join("v3", &["e"]);
    assert_eq!((world.role("v1"), world.role("v2"), world.role("v3")), ("active", "superseded", "staged"));
    for version in ["v1", "v2", "v3"] {
        let facts = of(&world, version, None);
        assert_eq!(world.served(&facts).version, version);
    }
    world.flip_when_stable("v3");
    world.rollback(Sessions::Move).unwrap();
    assert_eq!(world.role("v3"), "rejected");
    world.wait(Millis::from_secs(10));
    assert!(world.version("v3").drained.is_some(), "it is looked at, not used");
    let facts = of(&world, "v3", None);
    assert_eq!(world.served(&facts).version, "v3", "what was wrong with it?");
}

#[test]
fn nothing_of_a_drained_version_begins_again() {
    let mut world = staged(Policy::default());
    world.flip_when_stable("v2");
    let facts = of(&world, "v1", None);
    assert_eq!(world.served(&facts).version, "v1", "it drains");
    // Nobody was pinned: the first look seals it, the second one proves it.
    world.tick(world.snapshot.traffic());
    assert!(world.version("v1").is_sealed);
    assert_eq!(decided(&mut world, "v1"), Decision::NoPreview);
    world.tick(world.snapshot.traffic());
    assert_eq!(world.role("v1"), "drained");
    assert_eq!(decided(&mut world, "v1"), Decision::NoPreview);
    assert_eq!(codes(world.change(make("v1"))), [Code::WrongRole]);
}

#[test]
fn without_a_usable_backend_it_gets_no_other_version() {
    let mut world = staged(Policy { on_missing_version: OnMissingVersion::Active, ..Policy::default() });
    world.down("c");
    world.down("d");
    assert_eq!(decided(&mut world, "v2"), Decision::NoPreview);
    assert_eq!(decided(&mut world, "v77"), Decision::NoPreview);
}

#[test]
fn it_waits_while_a_backend_may_come() {
    let mut world = staged(Policy::default());
    world.state = cutover_core::state::State::restored(world.state.clone(), world.now);
    world.up("a", "v1");
    let facts = of(&world, "v2", None);
    assert_eq!(world.snapshot.decide(&facts, &mut world.entropy), Decision::Wait);
    assert_eq!(decided(&mut world, "v2"), Decision::NoPreview);
}

#[test]
fn where_sessions_are_in_memory_a_preview_stays_on_one_backend() {
    let mut world = staged(Policy { affinity: Affinity::Backend, ..Policy::default() });
    let facts = of(&world, "v2", None);
    let first = world.served(&facts).backend;
    assert!((0..100).all(|_| world.served(&facts).backend == first));
    world.down(&first);
    assert_ne!(world.served(&facts).backend, first);
}

#[test]
fn it_works_without_pins_too() {
    let pin = PinPolicy { mode: PinMode::None, ..PinPolicy::default() };
    let mut world = staged(Policy { pin, ..Policy::default() });
    let facts = of(&world, "v2", None);
    assert_eq!(world.served(&facts).version, "v2");
}

#[test]
fn a_tunnel_that_tries_a_rejected_version_out_goes_on() {
    let mut world = staged(Policy::default());
    world.flip_when_stable("v2");
    world.rollback(Sessions::Move).unwrap();
    let tie = |is_preview| Tie {
        service: web(),
        version: label("v2"),
        backend: id("c"),
        id: 1,
        epoch: Epoch(1),
        is_preview,
    };
    assert_eq!(tie(false).term(&world.snapshot), Term::Over);
    assert_eq!(tie(true).term(&world.snapshot), Term::Open);
}

#[test]
fn whoever_makes_one_is_remembered_and_told_of() {
    let mut world = staged(Policy::default());
    for made in 1..3 {
        let before = world.state.clone();
        world.change(make("v2")).unwrap();
        let told: Vec<_> =
            compare(&before, &world.state).iter().map(|(_, event)| event.to_string()).collect();
        assert_eq!(told, ["preview of version v2 made for 10s"]);
        let previewed = world.version("v2").previewed.clone().unwrap();
        assert_eq!((previewed.made, previewed.by.as_str()), (made, "ana"));
        assert_eq!(previewed.until, world.now + TTL_MIN);
    }
}

#[test]
fn what_can_not_be_tried_out_is_refused() {
    let mut world = staged(Policy::default());
    assert_eq!(codes(world.change(make("v77"))), [Code::UnknownVersion]);
    for backend in ["c", "d"] {
        world.change(Change::Deregister { backend: id(backend), drain: Millis::ZERO }).unwrap();
    }
    assert_eq!(codes(world.change(make("v2"))), [Code::Retired]);
}

#[test]
fn the_database_is_nothing_any_more_for_what_is_behind_the_floor() {
    let mut world = staged(Policy::default());
    world.join("v3", &["e"]);
    world.change(make("v2")).unwrap();
    world.flip_when_stable("v3");
    let facts = of(&world, "v2", None);
    assert_eq!(world.served(&facts).version, "v2");
    let (note, schema, by) = (String::new(), None, "dba".to_owned());
    world.change(Change::Contract(RecordContract { note, schema, force: true, by })).unwrap();
    assert_eq!(decided(&mut world, "v2"), Decision::NoPreview);
    assert_eq!(codes(world.change(make("v2"))), [Code::BelowFloor]);
    world.change(make("v3")).unwrap();
}
