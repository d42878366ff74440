//! Schemas: which versions can work with the database as it is.

use cutover_core::command::{Change, Flip, Registration, Sessions};
use cutover_core::contract::RecordContract;
use cutover_core::effect::{Event, compare};
use cutover_core::policy::{BakePolicy, FlipMode, FlipPolicy, Policy};
use cutover_core::rejected::{Code, Rejected};
use cutover_core::schema::{Schema, SchemaRange, SetSchema};
use cutover_core::time::Millis;

use crate::world::{World, codes, label, registration};

fn schema(number: u64) -> Schema {
    Schema::new(number).unwrap()
}

fn range(min: u64, max: u64) -> SchemaRange {
    SchemaRange { min: Some(schema(min)), max: Some(schema(max)) }
}

fn set(world: &mut World, number: u64, force: bool) -> Result<(), Rejected> {
    world.change(Change::SetSchema(SetSchema { schema: Some(schema(number)), force }))
}

/// A backend that can work with these schemas comes up.
fn join(world: &mut World, version: &str, backend: &str, schema: SchemaRange) {
    world.change(Change::Register(Registration { schema, ..registration(backend, version) })).unwrap();
    world.up(backend, version);
}

/// v1, which works with 1 and 2, is active, v2 works with 2 and 3.
fn two_versions(policy: Policy) -> World {
    let mut world = World::new(policy);
    join(&mut world, "v1", "a", range(1, 2));
    join(&mut world, "v2", "b", range(2, 3));
    world.wait(Millis::from_secs(5));
    world
}

#[test]
fn a_version_is_flipped_to_only_if_it_can_work_with_the_database() {
    let mut world = two_versions(Policy::default());
    set(&mut world, 1, false).unwrap();
    assert_eq!(codes(world.flip("v2")), [Code::SchemaOutOfRange]);
    let forced = Change::Flip(Flip { to: label("v2"), if_epoch: None, force: true });
    let said = world.change(forced).unwrap_err().to_string();
    assert_eq!(said, "version v2 needs a schema from 2 to 3, and the database of web is at 1");
    set(&mut world, 2, false).unwrap();
    world.flip("v2").unwrap();
}

#[test]
fn and_rolled_back_to_only_then() {
    let mut world = two_versions(Policy::default());
    set(&mut world, 2, false).unwrap();
    world.request(None);
    world.flip("v2").unwrap();
    assert_eq!(codes(set(&mut world, 3, false)), [Code::SchemaOutOfRange], "v1 still drains");
    set(&mut world, 3, true).unwrap();
    assert_eq!(codes(world.rollback(Sessions::Move)), [Code::SchemaOutOfRange]);
}

#[test]
fn a_schema_that_the_active_version_can_not_work_with_takes_force() {
    let mut world = two_versions(Policy::default());
    let said = set(&mut world, 3, false).unwrap_err().to_string();
    assert_eq!(said, "version v1 is active and needs a schema from 1 to 2, not 3");
    assert_eq!(world.service().schema, None);
    let before = world.state.clone();
    set(&mut world, 3, true).unwrap();
    let events: Vec<_> = compare(&before, &world.state).into_iter().map(|(_, event)| event).collect();
    assert_eq!(events, [Event::SchemaChanged(Some(schema(3)))]);
    world.change(Change::SetSchema(SetSchema { schema: None, force: false })).unwrap();
    assert_eq!(world.service().schema, None);
}

#[test]
fn the_range_of_a_version_is_what_all_its_backends_agree_on() {
    let mut world = two_versions(Policy::default());
    join(&mut world, "v2", "c", range(3, 4));
    assert_eq!(SchemaRange::of(world.service(), &label("v2")), range(3, 3));
    join(&mut world, "v2", "d", SchemaRange::ANY);
    assert_eq!(SchemaRange::of(world.service(), &label("v2")), range(3, 3));
    join(&mut world, "v2", "e", range(1, 2));
    set(&mut world, 2, false).unwrap();
    assert_eq!(codes(world.flip("v2")), [Code::SchemaOutOfRange]);
}

#[test]
fn without_a_schema_no_range_counts() {
    let mut world = two_versions(Policy::default());
    world.flip("v2").unwrap();
    assert_eq!(world.active(), Some("v2"));
}

#[test]
fn nothing_becomes_active_by_itself_that_can_not_work_with_the_database() {
    let flip = FlipPolicy { mode: FlipMode::Auto, stable_for: Millis::ZERO, ..FlipPolicy::default() };
    let mut world = World::new(Policy { flip, ..Policy::default() });
    set(&mut world, 1, false).unwrap();
    join(&mut world, "v2", "b", range(2, 3));
    assert_eq!(world.active(), None);
    join(&mut world, "v1", "a", range(1, 2));
    assert_eq!(world.active(), Some("v1"));
    world.wait(Millis::from_secs(1));
    assert_eq!(world.active(), Some("v1"));
    set(&mut world, 2, false).unwrap();
    assert_eq!(world.active(), Some("v2"), "it flips as soon as the expand migration is told");
}

#[test]
fn a_contract_says_at_which_schema_it_leaves_the_database() {
    let bake = BakePolicy { duration: Millis::ZERO, ..BakePolicy::default() };
    let mut world = two_versions(Policy { bake, ..Policy::default() });
    set(&mut world, 2, false).unwrap();
    world.flip("v2").unwrap();
    world.wait(Millis::from_secs(1800));
    let contract = |number| RecordContract {
        note: String::new(),
        schema: Some(schema(number)),
        force: false,
        by: "dba".into(),
    };
    assert_eq!(codes(world.change(Change::Contract(contract(4)))), [Code::SchemaOutOfRange]);
    assert_eq!((&world.service().contract, world.service().schema), (&None, Some(schema(2))));
    world.change(Change::Contract(contract(3))).unwrap();
    assert_eq!(world.service().schema, Some(schema(3)));
    assert_eq!(codes(world.rollback(Sessions::Move)), [Code::BelowFloor, Code::SchemaOutOfRange]);
}
