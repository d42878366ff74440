//! Ejection by live traffic, inside one version.

use cutover_core::policy::Policy;
use cutover_core::report::{BackendFacts, Traffic};
use cutover_core::time::Millis;

use crate::world::{World, id, web};

fn failing(backends: &[&str]) -> Traffic {
    let facts = BackendFacts { consecutive_errors: 5, ..BackendFacts::default() };
    Traffic {
        backends: backends.iter().map(|backend| ((web(), id(backend)), facts.clone())).collect(),
        ..Traffic::default()
    }
}

fn ejected(world: &World) -> Vec<&str> {
    let backends = world.service().backends.values();
    backends.filter(|backend| backend.ejection.until.is_some()).map(|backend| backend.id.as_str()).collect()
}

#[test]
fn a_failing_backend_is_ejected_and_comes_back() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b"]);
    world.tick(failing(&["a"]));
    assert_eq!(ejected(&world), ["a"]);
    assert!((0..50).all(|_| world.request(None).backend == "b"));
    world.wait(Millis::from_secs(30));
    assert_eq!(ejected(&world), [""; 0]);
}

#[test]
fn never_more_than_the_share_and_never_the_last() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b", "c", "d"]);
    world.tick(failing(&["a", "b", "c", "d"]));
    assert_eq!(ejected(&world).len(), 2);
    let mut alone = World::serving(Policy::default(), "v1", &["a"]);
    alone.tick(failing(&["a"]));
    assert!(ejected(&alone).is_empty());
}

#[test]
fn a_version_of_another_label_does_not_count() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b"]);
    world.join("v2", &["c"]);
    world.tick(failing(&["c"]));
    assert!(ejected(&world).is_empty(), "it is the last of its version");
}

#[test]
fn a_process_that_is_gone_is_asked_about_and_not_ejected() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b"]);
    let mut traffic = failing(&["a"]);
    let generation = world.backend("a").generation;
    traffic.backends.values_mut().for_each(|facts| facts.lost_generation = generation);
    world.tick(traffic);
    assert!(ejected(&world).is_empty());
    assert_eq!(world.backend("a").identity.as_str(), "unknown");
}
