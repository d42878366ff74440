//! Policy `page`: a navigation moves, and everything that a page loads follows the page.

use cutover_core::canary::includes;
use cutover_core::decide::Facts;
use cutover_core::pin::Pin;
use cutover_core::policy::{PinMode, PinPolicy, Policy};
use cutover_core::time::Millis;

use crate::canary::{set, share};
use crate::world::{Served, World};

fn policy() -> Policy {
    Policy { pin: PinPolicy { mode: PinMode::Page, ..PinPolicy::default() }, ..Policy::default() }
}

/// v1 was active, v2 is. The pin is v1's.
fn flipped() -> (World, Option<Pin>) {
    let mut world = World::serving(policy(), "v1", &["a"]);
    let pin = world.request(None).pin;
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    (world, pin)
}

fn navigate(world: &mut World, pin: Option<Pin>) -> Served {
    let facts = Facts { is_navigation: true, ..world.facts(pin) };
    world.served(&facts)
}

#[test]
fn a_navigation_moves_and_what_a_page_loads_does_not() {
    let (mut world, pin) = flipped();
    let loaded = world.request(pin);
    assert_eq!((loaded.version.as_str(), loaded.is_outdated), ("v1", true));
    let page = navigate(&mut world, pin);
    assert_eq!((page.version.as_str(), page.action, page.is_outdated), ("v2", "moved_navigation", false));
    assert_eq!(page.pin.unwrap().id, pin.unwrap().id, "it is the same session");
    assert_eq!(world.request(page.pin).version, "v2");
    assert_eq!(navigate(&mut world, page.pin).action, "kept");
}

#[test]
fn a_navigation_never_goes_back() {
    let mut behind = World::serving(policy(), "v1", &["a"]);
    behind.join("v2", &["b"]);
    let mut ahead =
        World { state: behind.state.clone(), snapshot: behind.snapshot.clone(), ..World::new(policy()) };
    ahead.flip_when_stable("v2");
    let pin = ahead.request(None).pin;
    assert_eq!(navigate(&mut behind, pin).version, "v2");
}

#[test]
fn a_navigation_to_nowhere_stays() {
    let (mut world, pin) = flipped();
    world.down("b");
    assert_eq!(navigate(&mut world, pin).version, "v1");
}

#[test]
fn a_navigation_goes_to_the_canary_of_its_session() {
    let mut world = World::serving(policy(), "v1", &["a"]);
    world.join("v2", &["b"]);
    let pins: Vec<Pin> = (0..200).map(|_| world.request(None).pin.unwrap()).collect();
    set(&mut world, "v2", 0.5).unwrap();
    for pin in pins {
        assert_eq!(world.request(Some(pin)).version, "v1");
        let page = navigate(&mut world, Some(pin));
        assert_eq!(page.version == "v2", includes(pin.id, share(0.5)));
        assert_eq!(navigate(&mut world, page.pin).version, page.version);
    }
}

#[test]
fn who_navigates_leaves_before_anybody_is_evicted() {
    let (mut world, pin) = flipped();
    assert_eq!(navigate(&mut world, pin).version, "v2");
    let drain = world.service().policy.drain;
    // A page that asks again and again, and is never left.
    let mut busy = pin;
    for _ in 0..10 {
        world.wait(Millis(drain.deadline.0 / 10));
        let loaded = world.request(busy);
        assert_eq!(loaded.version, "v1");
        busy = loaded.pin;
    }
    world.wait(Millis(drain.spread.0 + 1));
    assert_eq!(world.request(busy).version, "v2");
}
