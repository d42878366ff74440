//! How a service begins: the first version becomes active by itself.

use cutover_core::command::{Change, Finding};
use cutover_core::policy::{FlipPolicy, IdentityPolicy, IdentitySource, Policy};

use crate::world::{World, id, registration};

#[test]
fn the_first_usable_version_becomes_active_as_epoch_1() {
    let mut world = World::new(Policy::default());
    world.change(Change::Register(registration("a", "v1"))).unwrap();
    assert_eq!((world.active(), world.epoch()), (None, 0));
    world.up("a", "v1");
    assert_eq!((world.active(), world.epoch(), world.role("v1")), (Some("v1"), 1, "active"));
}

#[test]
fn it_waits_for_the_quorum_count_but_not_for_stability() {
    let flip = FlipPolicy { quorum_count: 2, ..FlipPolicy::default() };
    let mut world = World::serving(Policy { flip, ..Policy::default() }, "v1", &["a"]);
    assert_eq!(world.active(), None);
    world.join("v1", &["b"]);
    assert_eq!(world.active(), Some("v1"));
}

#[test]
fn of_several_the_weightier_one_wins() {
    let flip = FlipPolicy { quorum_count: 2, ..FlipPolicy::default() };
    let mut world = World::new(Policy { flip, ..Policy::default() });
    for (backend, version) in [("a", "v1"), ("b", "v2"), ("c", "v2"), ("d", "v1"), ("e", "v2")] {
        world.change(Change::Register(registration(backend, version))).unwrap();
    }
    for (backend, version) in [("a", "v1"), ("b", "v2"), ("c", "v2")] {
        world.up(backend, version);
    }
    assert_eq!(world.active(), Some("v2"));
}

#[test]
fn others_that_were_there_first_are_staged_not_superseded() {
    let mut world = World::new(Policy::default());
    world.change(Change::Register(registration("a", "v2"))).unwrap();
    world.join("v1", &["b"]);
    world.up("a", "v2");
    assert_eq!((world.role("v1"), world.role("v2")), ("active", "staged"));
}

#[test]
fn the_expected_weight_counts_all_that_registered_and_grows() {
    let mut world = World::new(Policy::default());
    for backend in ["a", "b", "c"] {
        world.change(Change::Register(registration(backend, "v1"))).unwrap();
    }
    world.up("a", "v1");
    assert_eq!(world.service().expected_weight(), 3);
    world.join("v1", &["d"]);
    assert_eq!(world.service().expected_weight(), 4);
    world.change(Change::Deregister { backend: id("d"), drain: cutover_core::time::Millis::ZERO }).unwrap();
    assert_eq!(world.service().expected_weight(), 4);
}

#[test]
fn a_health_answer_wins_over_the_label_and_the_label_fills_in() {
    let mut world = World::new(Policy::default());
    world.change(Change::Register(registration("a", "v1"))).unwrap();
    world.up("a", "v2");
    assert_eq!(world.active(), Some("v2"));
    world.change(Change::Register(registration("b", "v2"))).unwrap();
    world.up("b", "");
    assert!(world.backend("b").is_usable());
}

#[test]
fn without_any_version_a_backend_stays_unknown() {
    let mut world = World::new(Policy::default());
    world.change(Change::Register(registration("a", ""))).unwrap();
    world.up("a", "");
    assert_eq!(
        (world.backend("a").identity.as_str(), world.backend("a").operational.as_str()),
        ("unknown", "up")
    );
    assert_eq!(world.active(), None);
}

#[test]
fn with_identity_label_the_health_answer_is_not_asked_for_a_version() {
    let identity = IdentityPolicy { source: IdentitySource::Label, ..IdentityPolicy::default() };
    let mut world = World::new(Policy { identity, ..Policy::default() });
    world.change(Change::Register(registration("a", "v1"))).unwrap();
    world.probed("a", Finding::Up { version: Some(crate::world::label("v9")), boot_id: None });
    assert_eq!(world.active(), Some("v1"));
}
