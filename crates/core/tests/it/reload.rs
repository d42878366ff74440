//! Reloads of the configuration file: they change policies and static backends, and nothing that runs.

use std::sync::Arc;

use cutover_core::backend::{AdminState, Origin};
use cutover_core::command::{Change, Command, Configured, Registration};
use cutover_core::policy::Policy;
use cutover_core::rejected::Code;
use cutover_core::state::State;
use cutover_core::time::Millis;

use crate::world::{World, codes, id, registration, web};

fn configured(policy: Policy, backends: Vec<Registration>) -> Command {
    Command::Configure(vec![Configured { name: web(), policy: Arc::new(policy), backends }])
}

/// A service `web` from a file with two backends of v1.
fn from_file() -> World {
    let mut world = World::new(Policy::default());
    world.state = State::default();
    world
        .apply(&configured(Policy::default(), vec![registration("a", "v1"), registration("b", "v1")]))
        .unwrap();
    world.up("a", "v1");
    world.up("b", "v1");
    world
}

#[test]
fn a_reload_undoes_no_flip_no_drain_and_no_registration() {
    let mut world = from_file();
    world.join("v2", &["c"]);
    world.flip_when_stable("v2");
    world.patch("a", AdminState::Drain, false).unwrap();
    let slower = Policy { queue_timeout: Millis::from_secs(9), ..Policy::default() };
    world.apply(&configured(slower, vec![registration("a", "v1"), registration("b", "v1")])).unwrap();
    assert_eq!((world.active(), world.epoch()), (Some("v2"), 2));
    assert_eq!(world.backend("a").admin.state, AdminState::Drain);
    assert!(world.backend("c").is_usable() && world.backend("b").is_usable());
    assert_eq!(world.service().policy.queue_timeout, Millis::from_secs(9));
}

#[test]
fn static_backends_come_and_go_with_the_file() {
    let mut world = from_file();
    world
        .apply(&configured(Policy::default(), vec![registration("b", "v1"), registration("z", "v1")]))
        .unwrap();
    assert_eq!(world.service().backends.keys().map(|id| id.as_str()).collect::<Vec<_>>(), ["b", "z"]);
    assert_eq!(world.backend("b").origin, Origin::Config);
    assert!(world.backend("b").is_usable());
}

#[test]
fn a_registration_keeps_its_name_until_it_ends_unless_the_file_means_the_same_backend() {
    let mut world = from_file();
    world.join("v2", &["c"]);
    world.flip_when_stable("v2");
    let elsewhere = Registration { address: "other.test:80".parse().unwrap(), ..registration("c", "v3") };
    let file = configured(Policy::default(), vec![elsewhere.clone()]);
    world.apply(&file).unwrap();
    assert_eq!(world.backend("c").address, registration("c", "v2").address);
    assert!(world.backend("c").is_usable() && world.backend("c").origin != Origin::Config);

    world.change(Change::Deregister { backend: id("c"), drain: Millis::ZERO }).unwrap();
    world.apply(&file).unwrap();
    assert_eq!(world.backend("c").address, elsewhere.address);
}

#[test]
fn at_the_same_address_the_file_takes_a_registration_over() {
    let mut world = from_file();
    world.join("v1", &["c"]);
    world.apply(&configured(Policy::default(), vec![registration("c", "v1")])).unwrap();
    assert_eq!(world.backend("c").origin, Origin::Config);
    assert!(world.backend("c").is_usable());
}

#[test]
fn what_the_file_defines_the_api_does_not_change() {
    let mut world = from_file();
    let put = Command::PutService { service: web(), policy: Arc::default(), document: "{}".into() };
    assert_eq!(codes(world.apply(&put)), [Code::DefinedInConfig]);
    assert_eq!(codes(world.apply(&Command::RemoveService(web()))), [Code::DefinedInConfig]);
    assert_eq!(codes(world.change(Change::Register(registration("a", "v9")))), [Code::DefinedInConfig]);
    let leave = Change::Deregister { backend: id("a"), drain: Millis::ZERO };
    assert_eq!(codes(world.change(leave)), [Code::DefinedInConfig]);
}

#[test]
fn a_service_that_left_the_file_is_gone() {
    let mut world = from_file();
    world.apply(&Command::Configure(Vec::new())).unwrap();
    assert!(world.state.services.is_empty());
}
