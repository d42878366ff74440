//! Which process answers, and what it runs: what real answers, health answers, registrations and silence tell about it.

use std::sync::Arc;

use cutover_core::backend::AdminState;
use cutover_core::command::{Change, Finding, Registration};
use cutover_core::compile::compile;
use cutover_core::policy::{IdentityPolicy, IdentitySource, Policy};
use cutover_core::report::{BackendFacts, Traffic};
use cutover_core::time::Millis;
use cutover_core::traffic::Sighting;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::{World, id, label, registration, web};

fn told_by(source: IdentitySource) -> Policy {
    let identity = IdentityPolicy { source, ..IdentityPolicy::default() };
    Policy { identity, ..Policy::default() }
}

/// A service whose real answers name versions, with `a` and `b` up in v1.
fn by_response() -> World {
    World::serving(told_by(IdentitySource::Response), "v1", &["a", "b"])
}

fn seen(generation: u32, version: &str, boot_id: &str) -> Sighting {
    let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Sighting { generation, version: said(version).map(|version| label(&version)), boot_id: said(boot_id) }
}

/// A real answer over a connection of the current generation said this.
fn answer(world: &mut World, backend: &str, version: &str, boot_id: &str) {
    let sighting = seen(world.backend(backend).generation, version, boot_id);
    noticed(world, backend, sighting);
}

fn noticed(world: &mut World, backend: &str, sighting: Sighting) {
    let lost_generation = sighting.generation;
    let facts =
        BackendFacts { lost_generation, sighting: Some(Arc::new(sighting)), ..BackendFacts::default() };
    let backends = [((web(), id(backend)), facts)].into();
    world.tick(Traffic { backends, ..Traffic::default() });
}

fn boot(version: &str, boot_id: &str) -> Finding {
    Finding::Up { version: Some(label(version)), boot_id: Some(boot_id.to_owned()) }
}

/// What is believed: operational state, identity and version.
fn belief(world: &World, backend: &str) -> String {
    let backend = world.backend(backend);
    let version = backend.version.as_ref().map_or("none", |version| version.as_str());
    format!("{} {} {version}", backend.operational, backend.identity)
}

#[test]
fn a_backend_moves_to_the_version_that_its_real_answer_names() {
    let mut world = by_response();
    let generation = world.backend("a").generation;
    answer(&mut world, "a", "v2", "");
    assert_eq!(belief(&world, "a"), "up known v2");
    assert_eq!(world.backend("a").generation, generation + 1, "connections of before are not used");
    assert_eq!((world.role("v2"), world.active()), ("staged", Some("v1")));
    assert!((0..50).all(|_| world.request(None).backend == "b"));
}

#[test]
fn an_answer_over_an_older_connection_tells_nothing_about_the_process_that_is_there() {
    let mut world = by_response();
    let old = world.backend("a").generation;
    answer(&mut world, "a", "v2", "");
    let moved = world.backend("a").clone();
    noticed(&mut world, "a", seen(old, "v1", ""));
    noticed(&mut world, "a", seen(old, "v2", ""));
    assert_eq!(*world.backend("a"), moved, "told late, and twice");
}

#[test]
fn another_process_that_names_no_version_is_asked_first() {
    let mut world = by_response();
    world.probed("a", boot("v1", "1"));
    let generation = world.backend("a").generation;
    answer(&mut world, "a", "", "2");
    assert_eq!(belief(&world, "a"), "up unknown v1");
    assert_eq!(world.backend("a").generation, generation + 1);
    world.probed("a", boot("v2", "2"));
    assert_eq!(belief(&world, "a"), "up known v2");
}

#[test]
fn another_process_that_names_its_version_is_known_at_once() {
    let mut world = by_response();
    world.probed("a", boot("v1", "1"));
    let generation = world.backend("a").generation;
    answer(&mut world, "a", "v1", "2");
    assert_eq!(belief(&world, "a"), "up known v1");
    assert_eq!(world.backend("a").generation, generation + 1);
    assert_eq!(world.backend("a").boot_id.as_deref(), Some("2"));
}

#[test]
fn a_drain_ends_with_the_process_that_a_real_answer_shows_to_be_gone() {
    let mut world = by_response();
    world.patch("a", AdminState::Drain, false).unwrap();
    answer(&mut world, "a", "v2", "");
    assert_eq!(world.backend("a").admin.state, AdminState::Ready);
}

#[test]
fn by_health_a_real_answer_of_another_process_only_asks_for_a_probe() {
    let mut world = World::serving(told_by(IdentitySource::Health), "v1", &["a", "b"]);
    let generation = world.backend("a").generation;
    answer(&mut world, "a", "v9", "2");
    assert_eq!(belief(&world, "a"), "up unknown v1");
    assert_eq!(world.backend("a").generation, generation + 1, "lost once");
    world.up("a", "v1");
    assert!(world.backend("a").is_usable());
}

#[test]
fn by_label_nothing_that_is_noticed_counts() {
    let mut world = World::serving(told_by(IdentitySource::Label), "v1", &["a", "b"]);
    let before = world.backend("a").clone();
    answer(&mut world, "a", "v2", "2");
    assert_eq!(*world.backend("a"), before);
}

#[test]
fn the_cells_of_a_worker_carry_a_sighting_to_the_next_tick() {
    let mut world = by_response();
    let entry = Arc::clone(&world.snapshot.services[0].backends[0]);
    entry.traffic.note_sighting(seen(entry.generation, "v2", ""));
    assert!((0..50).all(|_| world.request(None).backend == "b"), "before any tick");
    world.wait(Millis(5));
    assert_eq!(belief(&world, "a"), "up known v2");
    assert!(world.snapshot.services[0].backends[0].is_sendable());
}

#[test]
fn a_label_does_not_outweigh_what_real_answers_named() {
    let mut world = by_response();
    answer(&mut world, "a", "v2", "");
    world.up("a", "");
    assert_eq!(belief(&world, "a"), "up known v2", "its health answer names no version");
    world.change(Change::Register(registration("a", "v1"))).unwrap();
    assert_eq!(belief(&world, "a"), "up known v2", "the same registration is no news");
}

#[test]
fn health_answers_that_contradict_real_ones_take_a_backend_out() {
    let mut world = by_response();
    answer(&mut world, "a", "v2", "");
    let generation = world.backend("a").generation;
    world.up("a", "v1");
    assert_eq!(belief(&world, "a"), "up mismatch v2");
    assert!(world.backend("a").generation > generation && !world.backend("a").is_usable());
    world.up("a", "v2");
    assert_eq!(belief(&world, "a"), "up known v2", "they agree again");
    world.up("a", "v1");
    assert_eq!(belief(&world, "a"), "up known v1", "confirmed, and then replaced");
}

#[test]
fn a_health_answer_that_insists_is_believed_in_the_end() {
    let mut world = by_response();
    answer(&mut world, "a", "v2", "");
    world.up("a", "v1");
    world.wait(Millis(9_999));
    world.up("a", "v1");
    assert_eq!(belief(&world, "a"), "up mismatch v2");
    world.wait(Millis(1));
    world.up("a", "v1");
    assert_eq!(belief(&world, "a"), "up known v1");
}

#[test]
fn a_health_answer_of_a_third_process_contradicts_nothing() {
    let mut world = by_response();
    answer(&mut world, "a", "v2", "2");
    world.probed("a", boot("v1", "3"));
    assert_eq!(belief(&world, "a"), "up known v1");
}

#[test]
fn a_disputed_process_that_is_lost_is_asked_anew() {
    let mut world = by_response();
    answer(&mut world, "a", "v2", "");
    world.up("a", "v1");
    world.down("a");
    world.up("a", "v1");
    assert_eq!(belief(&world, "a"), "up known v1");
}

#[test]
fn findings_that_come_late_or_twice_do_no_harm() {
    let mut world = by_response();
    let generation = world.backend("a").generation;
    let up = Finding::Up { version: Some(label("v2")), boot_id: None };
    world.found("a", generation, up.clone());
    let moved = world.backend("a").clone();
    world.found("a", generation, up);
    world.found("a", generation, Finding::Down);
    assert_eq!(*world.backend("a"), moved);
    world.up("a", "v2");
    assert_eq!(*world.backend("a"), moved, "no news");
}

#[test]
fn what_was_found_out_about_a_backend_that_left_is_not_believed_of_its_successor() {
    let mut world = by_response();
    let generation = world.backend("a").generation;
    world.change(Change::Deregister { backend: id("a"), drain: Millis::ZERO }).unwrap();
    world.change(Change::Register(registration("a", "v2"))).unwrap();
    world.found("a", generation, Finding::Up { version: Some(label("v1")), boot_id: None });
    assert_eq!(belief(&world, "a"), "starting unknown v2");
}

#[test]
fn a_backend_that_comes_back_between_two_snapshots_can_be_sent_to() {
    let mut world = by_response();
    for _ in 0..3 {
        answer(&mut world, "a", "v2", "");
    }
    let entry = Arc::clone(&world.snapshot.services[0].backends[0]);
    entry.traffic.note_identity_lost(entry.generation);
    let before = Arc::clone(&world.snapshot);

    world.change(Change::Deregister { backend: id("a"), drain: Millis::ZERO }).unwrap();
    world.join("v2", &["a"]);

    let snapshot = compile(&world.state, &before);
    let entry = &snapshot.services[0].backends[0];
    assert!(entry.is_sendable(), "generation {}", entry.generation);
}

#[test]
fn every_way_to_leave_is_remembered_by_the_generation_of_who_comes_back() {
    let ttl = Some(Millis::from_secs(30));
    let leave = |world: &mut World, way: u8| match way {
        0 => world.change(Change::Deregister { backend: id("a"), drain: Millis::ZERO }).unwrap(),
        1 => {
            world.change(Change::Deregister { backend: id("a"), drain: Millis(1) }).unwrap();
            world.wait(Millis(1));
        }
        _ => world.wait(Millis::from_secs(30)),
    };
    for way in 0..3 {
        let mut world = by_response();
        world.change(Change::Register(Registration { ttl, ..registration("a", "v2") })).unwrap();
        let generation = world.backend("a").generation;
        leave(&mut world, way);
        assert!(!world.service().backends.contains_key("a"));
        world.change(Change::Register(registration("a", "v2"))).unwrap();
        assert!(world.backend("a").generation > generation, "way {way}");
    }
}

#[test]
fn whoever_registers_is_starting_and_whoever_answers_is_up() {
    let mut world = by_response();
    world.change(Change::Register(registration("a", "v2"))).unwrap();
    assert_eq!(belief(&world, "a"), "starting unknown v2", "it says so itself, nobody has seen it");
    let mut world = by_response();
    world.up("a", "v2");
    assert_eq!(belief(&world, "a"), "up known v2", "the very process answered");
    world.down("a");
    assert_eq!(belief(&world, "a"), "down unknown v2");
}

#[test]
fn whoever_said_that_it_leaves_and_registers_again_is_another_process() {
    let mut world = by_response();
    let entry = Arc::clone(&world.snapshot.services[0].backends[0]);
    let _request = cutover_core::traffic::BackendInFlight::begin(&entry.traffic);
    world.change(Change::Deregister { backend: id("a"), drain: Millis::from_secs(30) }).unwrap();
    world.change(Change::Register(registration("a", "v1"))).unwrap();
    let backend = world.backend("a");
    assert_eq!(belief(&world, "a"), "starting unknown v1");
    assert!(backend.leaving.is_none() && backend.generation > entry.generation);
}

#[test]
fn a_registration_that_names_another_process_is_news_once() {
    let mut world = by_response();
    let said = Registration { boot_id: Some("1".into()), ..registration("a", "v1") };
    world.change(Change::Register(said.clone())).unwrap();
    assert_eq!(belief(&world, "a"), "up known v1", "that it has a name is no news");
    let said = Registration { version: Some(label("v2")), boot_id: Some("2".into()), ..said };
    world.change(Change::Register(said.clone())).unwrap();
    world.up("a", "v2");
    let known = world.backend("a").clone();
    let beat =
        Change::Heartbeat { backend: id("a"), version: said.version.clone(), boot_id: said.boot_id.clone() };
    world.change(beat).unwrap();
    world.change(Change::Register(said)).unwrap();
    assert_eq!(*world.backend("a"), known);
}

/// Something that happens around a backend whose process is replaced at will.
#[derive(Debug, Clone)]
enum Act {
    /// Another process listens, and runs this.
    Restart(u8),
    /// It is asked, by a probe or a request; the answer is on its way.
    Ask {
        is_probe: bool,
    },
    /// One of the answers arrives: in any order, and again.
    Arrive(prop::sample::Index),
    /// A worker's connection breaks.
    Break,
    /// Probes find nobody.
    Silence,
    Pass(u64),
}

/// What a process said when it was asked under a generation.
#[derive(Debug, Clone)]
struct Said {
    generation: u32,
    version: String,
    is_probe: bool,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1_u8..4).prop_map(Act::Restart),
        6 => any::<bool>().prop_map(|is_probe| Act::Ask { is_probe }),
        6 => any::<prop::sample::Index>().prop_map(Act::Arrive),
        1 => Just(Act::Break),
        1 => Just(Act::Silence),
        2 => (1_u64..15_000).prop_map(Act::Pass),
    ]
}

fn arrive(world: &mut World, said: &Said) {
    let version = Some(label(&said.version));
    match said.is_probe {
        true => world.found("a", said.generation, Finding::Up { version, boot_id: None }),
        // Workers report only what is not what they asked for.
        false if world.backend("a").version != version => {
            noticed(world, "a", seen(said.generation, &said.version, ""));
        }
        false => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_late_or_twice_or_never_the_truth_is_believed_in_the_end(acts in vec(act(), 1..60)) {
        let mut world = by_response();
        let (mut runs, mut on_their_way) = ("v1".to_owned(), Vec::<Said>::new());
        let ask = |world: &World, version: &str, is_probe| Said {
            generation: world.backend("a").generation,
            version: version.to_owned(),
            is_probe,
        };
        for act in acts {
            let before = world.backend("a").clone();
            match act {
                Act::Restart(version) => runs = format!("v{version}"),
                Act::Ask { is_probe } if is_probe || before.is_usable() => {
                    on_their_way.push(ask(&world, &runs, is_probe));
                }
                Act::Arrive(which) if !on_their_way.is_empty() => {
                    let said = which.get(&on_their_way);
                    arrive(&mut world, said);
                    let is_stale = said.generation < before.generation;
                    prop_assert!(!is_stale || *world.backend("a") == before, "{said:?} about another process");
                }
                Act::Ask { .. } | Act::Arrive(_) => {}
                Act::Break => noticed(&mut world, "a", seen(before.generation, "", "")),
                Act::Silence => world.down("a"),
                Act::Pass(ms) => world.wait(Millis(ms)),
            }
            prop_assert!(world.backend("a").generation >= before.generation);
        }
        // From now on nothing changes and everything arrives.
        for _ in 0..12 {
            for is_probe in [false, true] {
                if is_probe || world.backend("a").is_usable() {
                    let said = ask(&world, &runs, is_probe);
                    arrive(&mut world, &said);
                }
            }
            world.wait(Millis::from_secs(1));
        }
        prop_assert_eq!(belief(&world, "a"), format!("up known {runs}"));
    }
}
