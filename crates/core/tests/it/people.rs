//! Limits and refusals around gates, rejections and services.

use std::sync::Arc;

use cutover_core::command::{Change, Command};
use cutover_core::id::{GateName, ServiceName};
use cutover_core::policy::Policy;
use cutover_core::rejected::Code;
use cutover_core::route::{HostPattern, PathPrefix};
use cutover_core::suspend::Suspended;

use crate::world::{World, codes, label, web};

fn put(name: &str, host: Option<&str>, path: &str) -> Command {
    let hosts = host.map(|host| HostPattern::parse(host).unwrap()).into_iter().collect();
    let policy = Policy { hosts, paths: vec![PathPrefix::parse(path).unwrap()], ..Policy::default() };
    Command::PutService {
        service: ServiceName::parse(name).unwrap(),
        policy: Arc::new(policy),
        document: "{}".into(),
    }
}

#[test]
fn the_active_version_is_not_rejected_but_rolled_back() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let reject = Change::Reject { version: label("v1"), reason: "no".into() };
    assert_eq!(codes(world.change(reject)), [Code::WrongRole]);
    assert_eq!(codes(world.change(Change::Clear(label("v1")))), [Code::WrongRole]);
}

#[test]
fn a_version_has_so_many_gates_and_no_more() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let set = |number: usize| {
        let gate = GateName::parse(&format!("g{number}")).unwrap();
        Change::SetGate {
            version: label("v1"),
            gate,
            is_open: true,
            note: String::new(),
            is_ahead: false,
            by: "ci".into(),
        }
    };
    for number in 0..cutover_core::gate::GATES_MAX {
        world.change(set(number)).unwrap();
    }
    assert_eq!(codes(world.change(set(999))), [Code::LimitReached]);
    world.change(set(0)).unwrap();
}

#[test]
fn a_gate_can_be_opened_ahead_of_the_first_backend() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    let set = |is_ahead| Change::SetGate {
        version: label("v2"),
        gate: GateName::parse("expand").unwrap(),
        is_open: true,
        note: String::new(),
        is_ahead,
        by: "ci".into(),
    };

    assert_eq!(codes(world.change(set(false))), [Code::UnknownVersion]);
    world.change(set(true)).unwrap();
    assert_eq!(world.role("v2"), "retired");
    world.join("v2", &["b"]);

    assert_eq!(world.role("v2"), "staged", "the announcement is no reason to take it for an old one");
    assert!(world.service().versions[&label("v2")].gates.values().all(|gate| gate.is_open));
}

#[test]
fn a_version_that_is_announced_later_is_newer_whichever_starts_first() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    for version in ["v2", "v3"] {
        let gate = GateName::parse("expand").unwrap();
        let note = String::new();
        let version = label(version);
        world
            .change(Change::SetGate { version, gate, is_open: true, note, is_ahead: true, by: "ci".into() })
            .unwrap();
    }

    world.join("v3", &["c"]);
    world.join("v2", &["b"]);

    assert_eq!((world.role("v2"), world.role("v3")), ("superseded", "staged"));
}

#[test]
fn two_services_cannot_have_the_same_route() {
    let mut world = World::new(Policy::default());
    assert_eq!(codes(world.apply(&put("other", None, "/"))), [Code::RouteTaken]);
    let told = world.apply(&put("other", None, "/")).unwrap_err().to_string();
    assert!(
        told.contains("other can't have path / of hosts that nobody else names: it is that of service web"),
        "{told}"
    );
    world.apply(&put("api", None, "/api")).unwrap();
    world.apply(&put("shop", Some("shop.example"), "/")).unwrap();
    assert_eq!(codes(world.apply(&put("shop2", Some("SHOP.example"), "/"))), [Code::RouteTaken]);
    let told = world.apply(&put("shop2", Some("SHOP.example"), "/")).unwrap_err().to_string();
    assert!(
        told.contains("of shop.example: it is that of service shop, which was made by the admin API"),
        "{told}"
    );
    assert_eq!(
        world.snapshot.route("shop.example", "/api").map(|found| found.service),
        Some(1),
        "hosts go before paths"
    );
    assert_eq!(world.snapshot.route("x.example", "/api").map(|found| found.service), Some(0));
}

#[test]
fn an_unknown_service_is_missing() {
    let mut world = World::new(Policy::default());
    let gone = ServiceName::parse("gone").unwrap();
    assert_eq!(codes(world.apply(&Command::RemoveService(gone.clone()))), [Code::UnknownService]);
    assert_eq!(
        codes(world.apply(&Command::Service(gone, Change::Resume(Suspended::Flips)))),
        [Code::UnknownService]
    );
    world.apply(&Command::RemoveService(web())).unwrap();
    assert!(world.snapshot.services.is_empty() && world.snapshot.route("any", "/").is_none());
}
