//! Maintenance: who is turned away, until when, and what goes on meanwhile.

use cutover_core::command::Change;
use cutover_core::effect::{Event, compare};
use cutover_core::policy::Policy;
use cutover_core::rejected::{Class, Code};
use cutover_core::snapshot::Maintenance;
use cutover_core::suspend::Suspended;
use cutover_core::time::{Millis, Timestamp};

use crate::world::{World, codes, web};

fn begin(until: Option<Timestamp>) -> Change {
    Change::Suspend { what: Suspended::Requests, reason: String::new(), until, by: "ops".into() }
}

fn maintenance(world: &World) -> Option<Maintenance> {
    world.snapshot.service(&web()).unwrap().maintenance
}

#[test]
fn the_snapshot_says_that_clients_are_turned_away() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    assert_eq!(maintenance(&world), None);
    world.change(begin(None)).unwrap();
    assert_eq!(maintenance(&world), Some(Maintenance { until: None }));
    let until = Some(world.now + Millis::from_secs(90));
    world.change(begin(until)).unwrap();
    assert_eq!(maintenance(&world), Some(Maintenance { until }), "the later one counts");
    world.change(Change::Resume(Suspended::Requests)).unwrap();
    assert_eq!(maintenance(&world), None);
}

#[test]
fn it_ends_by_itself() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.change(begin(Some(world.now + Millis::from_secs(60)))).unwrap();
    world.wait(Millis::from_secs(59));
    assert!(maintenance(&world).is_some());
    world.wait(Millis::from_secs(1));
    assert_eq!(maintenance(&world), None);
    let over = world.change(Change::Resume(Suspended::Requests)).unwrap_err();
    assert_eq!(over.class(), Class::Missing);
    assert_eq!(codes(Err(over)), [Code::NotInMaintenance]);
}

#[test]
fn a_policy_closes_its_service_for_good() {
    let policy = Policy { is_in_maintenance: true, ..Policy::default() };
    let mut world = World::serving(policy, "v1", &["a"]);
    world.change(begin(Some(world.now + Millis::from_secs(60)))).unwrap();
    assert_eq!(maintenance(&world), Some(Maintenance { until: None }));
    world.change(Change::Resume(Suspended::Requests)).unwrap();
    assert_eq!(maintenance(&world), Some(Maintenance { until: None }));
}

#[test]
fn flips_go_on_and_freezes_are_another_matter() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.change(begin(None)).unwrap();
    assert_eq!(codes(world.change(Change::Resume(Suspended::Flips))), [Code::NotFrozen]);
    world.join("v2", &["b"]);
    world.wait(Millis::from_secs(10));
    world.flip("v2").unwrap();
    let service = world.snapshot.service(&web()).unwrap();
    assert_eq!(service.active_version().unwrap().label.as_str(), "v2");
    assert!(service.maintenance.is_some());
}

#[test]
fn beginning_and_end_are_told() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let mut told = |change| {
        let before = world.state.clone();
        world.change(change).unwrap();
        compare(&before, &world.state).into_iter().map(|(_, event)| event).collect::<Vec<_>>()
    };
    assert_eq!(told(begin(None)), [Event::Suspended(Suspended::Requests)]);
    assert_eq!(told(begin(None)), [], "nothing changed");
    let ended = told(Change::Resume(Suspended::Requests));
    assert_eq!(ended, [Event::Resumed(Suspended::Requests)]);
    assert_eq!(
        (ended[0].kind(), ended[0].to_string().as_str()),
        ("maintenance_ended", "clients no longer turned away")
    );
}
