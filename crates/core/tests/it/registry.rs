//! Which backends there are, and what is believed about them.

use cutover_core::backend::AdminState;
use cutover_core::command::{Change, Finding, Registration};
use cutover_core::policy::{IdentitySource, Policy};
use cutover_core::rejected::Code;
use cutover_core::report::{BackendFacts, Traffic};
use cutover_core::time::Millis;

use crate::world::{World, codes, id, label, registration, web};

fn lost(world: &World, backend: &str) -> Traffic {
    let facts =
        BackendFacts { lost_generation: world.backend(backend).generation, ..BackendFacts::default() };
    let mut traffic = world.snapshot.traffic();
    traffic.backends.insert((web(), id(backend)), facts);
    traffic
}

#[test]
fn a_lease_that_is_not_renewed_lapses() {
    let mut world = World::new(Policy::default());
    let ttl = Some(Millis::from_secs(30));
    world.change(Change::Register(Registration { ttl, ..registration("a", "v1") })).unwrap();
    world.wait(Millis::from_secs(29));
    world.change(Change::Heartbeat { backend: id("a"), version: None, boot_id: None }).unwrap();
    world.wait(Millis::from_secs(29));
    assert!(world.service().backends.contains_key("a"));
    world.wait(Millis::from_secs(1));
    assert!(!world.service().backends.contains_key("a"));
    let late = Change::Heartbeat { backend: id("a"), version: None, boot_id: None };
    assert_eq!(codes(world.change(late)), [Code::UnknownBackend]);
}

#[test]
fn registering_again_alike_changes_nothing_but_the_lease() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let before = world.backend("a").clone();
    world.change(Change::Register(registration("a", "v1"))).unwrap();
    assert_eq!(*world.backend("a"), before);
}

#[test]
fn another_address_version_or_boot_id_is_another_process() {
    let elsewhere = Registration { address: "elsewhere:80".parse().unwrap(), ..registration("a", "v1") };
    let booted = Registration { boot_id: Some("2".into()), ..registration("a", "v1") };
    for other in [elsewhere, booted, registration("a", "v2")] {
        let mut world = World::new(Policy::default());
        world
            .change(Change::Register(Registration { boot_id: Some("1".into()), ..registration("a", "v1") }))
            .unwrap();
        world.up("a", "v1");
        let generation = world.backend("a").generation;
        world.change(Change::Register(other)).unwrap();
        let backend = world.backend("a");
        assert_eq!((backend.operational.as_str(), backend.identity.as_str()), ("starting", "unknown"));
        assert!(backend.generation > generation);
    }
}

#[test]
fn another_process_does_not_inherit_the_label() {
    let elsewhere = Registration { address: "elsewhere:80".parse().unwrap(), ..registration("a", "v1") };
    let booted = Registration { boot_id: Some("2".into()), ..registration("a", "v1") };
    for (other, is_another) in [(elsewhere, true), (booted, true), (registration("a", "v1"), false)] {
        let mut policy = Policy::default();
        policy.identity.source = IdentitySource::Label;
        let mut world = World::new(policy);
        world
            .change(Change::Register(Registration { boot_id: Some("1".into()), ..registration("a", "v1") }))
            .unwrap();
        let up = Finding::Up { version: None, boot_id: None };
        world.probed("a", up.clone());
        assert_eq!(world.active(), Some("v1"));
        world.change(Change::Register(Registration { version: None, ..other.clone() })).unwrap();
        world.probed("a", up.clone());
        let identity = world.backend("a").identity.as_str();
        assert_eq!(identity, if is_another { "unknown" } else { "known" });
        // Until it says which version it is.
        world.change(Change::Register(other)).unwrap();
        world.probed("a", up);
        assert_eq!(world.backend("a").identity.as_str(), "known");
    }
}

#[test]
fn an_app_restarted_in_place_is_staged_until_the_flip() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b"]);
    world.patch("a", AdminState::Drain, false).unwrap();
    assert!(world.snapshot.services[0].version("v1").unwrap().ready == 1);
    world.down("a");
    world.up("a", "v2");
    assert_eq!(world.backend("a").admin.state, AdminState::Ready, "a drain ends with the process");
    assert_eq!((world.role("v2"), world.active()), ("staged", Some("v1")));
    assert!((0..50).all(|_| world.request(None).version == "v1"));
    world.flip_when_stable("v2");
    assert_eq!(world.request(None).version, "v2");
}

#[test]
fn a_heartbeat_tells_of_a_new_version_and_a_probe_confirms_it() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b"]);
    world.change(Change::Heartbeat { backend: id("a"), version: Some(label("v2")), boot_id: None }).unwrap();
    assert!(!world.backend("a").is_usable());
    world.up("a", "v2");
    assert_eq!(world.role("v2"), "staged");
    assert!(world.backend("a").is_usable());
}

#[test]
fn maintenance_stays_when_the_process_does_not() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b"]);
    world.patch("a", AdminState::Maint, false).unwrap();
    world.up("a", "v2");
    assert_eq!(world.backend("a").admin.state, AdminState::Maint);
}

#[test]
fn taking_a_backend_out_must_leave_enough() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b", "c"]);
    world.patch("a", AdminState::Drain, false).unwrap();
    assert_eq!(codes(world.patch("b", AdminState::Maint, false)), [Code::BelowMinCapacity]);
    world.patch("a", AdminState::Maint, false).unwrap();
    world.patch("b", AdminState::Maint, true).unwrap();
    assert_eq!(world.backend("b").admin.by, "ops");
    assert_eq!(codes(world.patch("x", AdminState::Drain, false)), [Code::UnknownBackend]);
}

#[test]
fn a_backend_that_leaves_is_removed_when_nothing_is_in_flight() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b"]);
    let entry = world.snapshot.services[0].backends[0].clone();
    let request = cutover_core::traffic::BackendInFlight::begin(&entry.traffic);
    world.change(Change::Deregister { backend: id("a"), drain: Millis::from_secs(30) }).unwrap();
    assert!((0..50).all(|_| world.request(None).backend == "b"));
    world.wait(Millis::from_secs(29));
    assert!(world.service().backends.contains_key("a"));
    drop(request);
    world.wait(Millis(100));
    assert!(!world.service().backends.contains_key("a"));
}

#[test]
fn a_backend_that_does_not_get_empty_is_removed_at_its_deadline() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b"]);
    let entry = world.snapshot.services[0].backends[0].clone();
    let _request = cutover_core::traffic::BackendInFlight::begin(&entry.traffic);
    world.change(Change::Deregister { backend: id("a"), drain: Millis::from_secs(30) }).unwrap();
    world.wait(Millis::from_secs(30));
    assert!(!world.service().backends.contains_key("a"));
}

#[test]
fn a_lost_process_gets_nothing_until_a_probe_has_asked_it() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b"]);
    let generation = world.backend("a").generation;
    world.tick(lost(&world, "a"));
    assert_eq!(world.backend("a").identity.as_str(), "unknown");
    world.found("a", generation, Finding::Up { version: Some(label("v1")), boot_id: None });
    assert_eq!(world.backend("a").identity.as_str(), "unknown", "the answer is older than the loss");
    world.up("a", "v1");
    assert!(world.backend("a").is_usable());
}

#[test]
fn a_worker_that_notices_a_loss_stops_all_others_before_any_snapshot() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b"]);
    let entry = world.snapshot.services[0].backends[0].clone();
    assert!(entry.traffic.note_identity_lost(entry.generation));
    assert!((0..100).all(|_| world.request(None).backend == "b"));
}

#[test]
fn a_boot_id_that_changes_in_a_health_answer_is_another_process() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let boot = |boot: &str| Finding::Up { version: Some(label("v1")), boot_id: Some(boot.into()) };
    world.probed("a", boot("1"));
    let generation = world.backend("a").generation;
    world.probed("a", boot("1"));
    assert_eq!(world.backend("a").generation, generation);
    world.probed("a", boot("2"));
    assert!(world.backend("a").generation > generation && world.backend("a").is_usable());
}

#[test]
fn after_a_restart_nothing_is_believed_and_leases_have_a_full_term() {
    let mut world = World::new(Policy::default());
    let ttl = Some(Millis::from_secs(30));
    world.change(Change::Register(Registration { ttl, ..registration("a", "v1") })).unwrap();
    world.up("a", "v1");
    world.wait(Millis::from_secs(20));
    world.state = world.state.clone().restored(world.now);
    let backend = world.backend("a");
    assert_eq!((backend.operational.as_str(), backend.identity.as_str()), ("starting", "unknown"));
    world.wait(Millis::from_secs(29));
    assert!(world.service().backends.contains_key("a"));
    assert_eq!((world.active(), world.epoch()), (Some("v1"), 1));
}

#[test]
fn a_weight_set_by_an_operator_survives_another_registration() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let weight = cutover_core::backend::Weight::new(5);
    world
        .change(Change::Patch { backend: id("a"), admin: None, weight, force: false, by: "ops".into() })
        .unwrap();
    world.change(Change::Register(registration("a", "v1"))).unwrap();
    assert_eq!(world.backend("a").weight().value(), 5);
}
