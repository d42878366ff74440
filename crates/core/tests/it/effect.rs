//! What a change tells the world.

use cutover_core::effect::{Event, compare};
use cutover_core::policy::Policy;

use crate::world::World;

fn kinds(world: &mut World, act: impl FnOnce(&mut World)) -> Vec<&'static str> {
    let before = world.state.clone();
    act(world);
    compare(&before, &world.state).iter().map(|(_, event)| event.kind()).collect()
}

#[test]
fn a_flip_tells_of_both_roles_and_of_the_switch() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    let told = kinds(&mut world, |world| world.flip_when_stable("v2"));
    assert_eq!(told, ["role_changed", "role_changed", "activated", "bake_began"]);
}

#[test]
fn nothing_happened_between_equal_states() {
    let world = World::serving(Policy::default(), "v1", &["a"]);
    assert!(compare(&world.state, &world.state.clone()).is_empty());
}

#[test]
fn a_new_service_tells_all_that_is_in_it() {
    let world = World::serving(Policy::default(), "v1", &["a"]);
    let events = compare(&cutover_core::state::State::default(), &world.state);
    let told: Vec<_> = events.iter().map(|(_, event)| event.to_string()).collect();
    assert!(told.contains(&"v1 became active in epoch 1".to_owned()), "{told:?}");
    assert!(matches!(events[0].1, Event::ServiceAdded));
}
