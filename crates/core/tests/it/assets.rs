//! Kept assets: that they were dropped is told, each time.

use cutover_core::command::Change;
use cutover_core::effect::{Event, compare};
use cutover_core::policy::Policy;

use crate::world::World;

#[test]
fn every_drop_is_told_also_a_repeated_one() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let mut told = |target: Option<&str>| {
        let before = world.state.clone();
        world.change(Change::DropAssets(target.map(ToOwned::to_owned))).unwrap();
        compare(&before, &world.state).into_iter().map(|(_, event)| event).collect::<Vec<_>>()
    };
    let one = Event::AssetsDropped(Some("/a.js".to_owned()));
    for _ in 0..2 {
        assert_eq!(told(Some("/a.js")), std::slice::from_ref(&one));
    }
    assert_eq!(told(None), [Event::AssetsDropped(None)]);
    assert_eq!((one.kind(), one.to_string().as_str()), ("assets_dropped", "kept assets dropped: /a.js"));
}
