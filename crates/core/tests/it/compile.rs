//! Snapshots share what did not change.

use std::sync::Arc;

use cutover_core::command::{Change, Command};
use cutover_core::id::ServiceName;
use cutover_core::policy::Policy;
use cutover_core::route::HostPattern;
use proptest::prelude::*;

use crate::world::{World, id, label, registration};

fn add_service(world: &mut World, name: &str) {
    let hosts = vec![HostPattern::parse(&format!("{name}.test")).unwrap()];
    let policy = Arc::new(Policy { hosts, ..Policy::default() });
    let service = ServiceName::parse(name).unwrap();
    world.apply(&Command::PutService { service, policy, document: "{}".into() }).unwrap();
}

#[test]
fn an_untouched_service_is_the_same_allocation() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    add_service(&mut world, "api");
    add_service(&mut world, "zoo");
    let before = world.snapshot.clone();
    world.join("v1", &["b"]);
    let places = |name| {
        (
            before.route(&format!("{name}.test"), "/").unwrap().service,
            world.snapshot.route(&format!("{name}.test"), "/").unwrap().service,
        )
    };
    for name in ["api", "zoo"] {
        let (old, new) = places(name);
        assert!(Arc::ptr_eq(&before.services[old], &world.snapshot.services[new]));
    }
    assert!(!world.snapshot.is_same(&before));
}

#[test]
fn an_untouched_version_is_the_same_allocation_and_cells_are_passed_on() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    let before = world.snapshot.services[0].clone();
    world.join("v2", &["c"]);
    let after = &world.snapshot.services[0];
    assert!(Arc::ptr_eq(before.version("v1").unwrap(), after.version("v1").unwrap()));
    assert!(!Arc::ptr_eq(before.version("v2").unwrap(), after.version("v2").unwrap()));
    assert!(Arc::ptr_eq(&before.version("v2").unwrap().traffic, &after.version("v2").unwrap().traffic));
    assert!(Arc::ptr_eq(&before.backends[1], &after.backends[1]));
}

#[test]
fn a_renewed_lease_is_nothing_to_publish() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let before = world.snapshot.clone();
    world.change(Change::Heartbeat { backend: id("a"), version: None, boot_id: None }).unwrap();
    assert!(world.snapshot.is_same(&before));
}

/// What may happen to a fleet, as numbers that proptest can shrink.
fn happen(world: &mut World, (what, who): (u8, u8)) {
    let backend = format!("b{}", who % 4);
    let version = format!("v{}", who % 3);
    let is_there = world.service().backends.contains_key(backend.as_str());
    match what % 6 {
        0 => world.change(Change::Register(registration(&backend, &version))).unwrap(),
        1 if is_there => world.up(&backend, &version),
        2 if is_there => world.down(&backend),
        3 => drop(world.flip(&version)),
        4 => drop(world.change(Change::Reject { version: label(&version), reason: "x".into() })),
        _ => world.wait(cutover_core::time::Millis(3000)),
    }
}

proptest! {
    #[test]
    fn a_snapshot_depends_on_the_state_alone(happenings in prop::collection::vec(any::<(u8, u8)>(), 1..60)) {
        let mut world = World::serving(Policy::default(), "v0", &["b0"]);
        for happening in happenings {
            happen(&mut world, happening);
        }
        let anew = cutover_core::compile::compile(&world.state, &cutover_core::snapshot::Snapshot::default());
        let describe = |set: &cutover_core::snapshot::ServiceSet| {
            let versions = set.versions.iter().map(|version| {
                let members: Vec<_> = version.members.iter().map(|member| (member.id.clone(), member.generation)).collect();
                (version.label.clone(), version.role, version.epoch, version.ready, version.is_pending, version.eviction, members)
            });
            (set.epoch, set.active, versions.collect::<Vec<_>>())
        };
        prop_assert_eq!(describe(&anew.services[0]), describe(&world.snapshot.services[0]));
    }
}
