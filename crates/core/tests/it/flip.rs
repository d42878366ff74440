//! The switch: what it needs, what it lists when refused, what it changes.

use cutover_core::command::{Change, Flip};
use cutover_core::id::{Epoch, GateName};
use cutover_core::policy::{FlipMode, FlipPolicy, Policy};
use cutover_core::rejected::{Class, Code};
use cutover_core::suspend::Suspended;
use cutover_core::time::{Millis, Timestamp};

use crate::world::{World, codes, id, label, registration};

fn auto() -> Policy {
    Policy { flip: FlipPolicy { mode: FlipMode::Auto, ..FlipPolicy::default() }, ..Policy::default() }
}

#[test]
fn a_flip_swaps_the_roles_in_the_next_epoch() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b"]);
    world.join("v2", &["c", "d"]);
    assert_eq!(world.role("v2"), "staged");
    world.flip_when_stable("v2");
    assert_eq!((world.role("v1"), world.role("v2"), world.epoch()), ("draining", "active", 2));
}

#[test]
fn a_refusal_lists_every_reason() {
    let flip = FlipPolicy {
        quorum_count: 3,
        quorum_share: cutover_core::policy::Share::ALL,
        gates: vec![GateName::parse("expand").unwrap()],
        ..FlipPolicy::default()
    };
    let mut world = World::new(Policy { flip, ..Policy::default() });
    world.join("v1", &["a", "b", "c"]);
    world.join("v2", &["d", "e"]);
    world
        .change(Change::Suspend {
            what: Suspended::Flips,
            reason: "friday".into(),
            until: None,
            by: "ops".into(),
        })
        .unwrap();
    let request = Flip { to: label("v2"), if_epoch: Some(Epoch(9)), force: false };
    let refused = world.change(Change::Flip(request.clone())).unwrap_err();
    assert_eq!(refused.class(), Class::Precondition);
    let found = refused.reasons.iter().map(|reason| reason.code).collect::<Vec<_>>();
    assert_eq!(
        found,
        [Code::EpochMismatch, Code::QuorumCount, Code::QuorumShare, Code::GateClosed, Code::Frozen]
    );
    let forced = Flip { if_epoch: Some(Epoch(1)), force: true, ..request };
    world.change(Change::Flip(forced)).unwrap();
    assert_eq!(world.active(), Some("v2"));
}

#[test]
fn a_quorum_that_breaks_has_to_be_stable_anew() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    world.wait(Millis(4999));
    assert_eq!(codes(world.flip("v2")), [Code::NotStable]);
    world.down("b");
    world.up("b", "v2");
    world.wait(Millis(4999));
    assert_eq!(codes(world.flip("v2")), [Code::NotStable]);
    world.wait(Millis(1));
    world.flip("v2").unwrap();
}

#[test]
fn a_new_version_inherits_the_expected_weight_until_the_old_one_is_gone() {
    let mut world = World::serving(Policy::default(), "v1", &["a", "b", "c", "d"]);
    world.join("v2", &["e"]);
    world.wait(Millis::from_secs(10));
    assert_eq!(codes(world.flip("v2")), [Code::QuorumShare]);
    world.join("v2", &["f"]);
    world.flip_when_stable("v2");
    assert_eq!(world.service().expected_weight(), 4);
    for backend in ["a", "b", "c", "d"] {
        world.change(Change::Deregister { backend: id(backend), drain: Millis::ZERO }).unwrap();
    }
    assert_eq!((world.role("v1"), world.service().expected_weight()), ("retired", 2));
}

#[test]
fn force_never_overrides_an_empty_set_or_a_rejection() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.change(Change::Register(registration("b", "v2"))).unwrap();
    let force = |to: &str| Change::Flip(Flip { to: label(to), if_epoch: None, force: true });
    assert_eq!(codes(world.change(force("v2"))), [Code::NothingUsable]);
    world.up("b", "v2");
    world.change(Change::Reject { version: label("v2"), reason: "smoke test".into() }).unwrap();
    assert_eq!(codes(world.change(force("v2"))), [Code::Rejected]);
    world.change(Change::Clear(label("v2"))).unwrap();
    world.change(force("v2")).unwrap();
    assert_eq!(codes(world.change(force("v2"))), [Code::AlreadyActive]);
    assert_eq!(codes(world.change(force("v7"))), [Code::UnknownVersion]);
}

#[test]
fn a_newer_staged_version_supersedes_the_older_one() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    world.join("v3", &["c"]);
    assert_eq!((world.role("v2"), world.role("v3")), ("superseded", "staged"));
    world.wait(Millis::from_secs(10));
    assert_eq!(codes(world.flip("v2")), [Code::Superseded]);
    world.change(Change::Clear(label("v2"))).unwrap();
    world.flip("v2").unwrap();
}

#[test]
fn a_superseded_version_comes_back_when_the_newer_one_is_gone_or_bad() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    world.join("v3", &["c"]);
    world.change(Change::Reject { version: label("v3"), reason: "no".into() }).unwrap();
    assert_eq!(world.role("v2"), "staged");
    world.change(Change::Clear(label("v3"))).unwrap();
    assert_eq!(world.role("v2"), "superseded");
    world.change(Change::Deregister { backend: id("c"), drain: Millis::ZERO }).unwrap();
    assert_eq!((world.role("v2"), world.role("v3")), ("staged", "retired"));
}

#[test]
fn in_mode_auto_the_newest_staged_version_flips_when_it_may() {
    let mut world = World::serving(auto(), "v1", &["a", "b"]);
    world.join("v2", &["c"]);
    world.wait(Millis(4999));
    assert_eq!(world.active(), Some("v1"));
    world.wait(Millis(1));
    assert_eq!((world.active(), world.epoch()), (Some("v2"), 2));
}

#[test]
fn in_mode_auto_an_old_server_that_rejoins_pulls_nothing_back() {
    let mut world = World::serving(auto(), "v1", &["a"]);
    world.join("v2", &["b"]);
    world.wait(Millis::from_secs(6));
    world.change(Change::Deregister { backend: id("a"), drain: Millis::ZERO }).unwrap();
    world.join("v1", &["a"]);
    world.wait(Millis::from_secs(60));
    assert_eq!((world.active(), world.role("v1")), (Some("v2"), "drained"));
}

#[test]
fn in_mode_auto_a_rejected_version_and_a_closed_gate_wait() {
    let gates = vec![GateName::parse("smoke").unwrap()];
    let flip = FlipPolicy { gates, ..auto().flip };
    let mut world = World::serving(Policy { flip, ..auto() }, "v1", &["a"]);
    world.join("v2", &["b"]);
    world.wait(Millis::from_secs(60));
    assert_eq!(world.active(), Some("v1"));
    let gate = GateName::parse("smoke").unwrap();
    let open = Change::SetGate {
        version: label("v2"),
        gate,
        is_open: true,
        note: String::new(),
        is_ahead: false,
        by: "ci".into(),
    };
    world.change(open).unwrap();
    assert_eq!(world.active(), Some("v2"));
}

#[test]
fn in_mode_auto_a_rollback_does_not_bring_up_what_the_bad_version_had_replaced() {
    let mut world = World::serving(auto(), "v1", &["a"]);
    world.join("v2", &["b"]);
    world.join("v3", &["c"]);
    world.wait(Millis::from_secs(6));
    assert_eq!((world.active(), world.role("v2")), (Some("v3"), "superseded"));
    world.rollback(cutover_core::command::Sessions::Move).unwrap();
    world.wait(Millis::from_secs(60));
    assert_eq!((world.active(), world.role("v2")), (Some("v1"), "staged"));
    world.flip("v2").unwrap();
}

#[test]
fn a_freeze_ends_by_itself() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    let until = Some(Timestamp(world.now.0 + 60_000));
    world
        .change(Change::Suspend { what: Suspended::Flips, reason: "sale".into(), until, by: "ops".into() })
        .unwrap();
    world.wait(Millis::from_secs(59));
    assert_eq!(codes(world.flip("v2")), [Code::Frozen]);
    world.wait(Millis::from_secs(1));
    world.flip("v2").unwrap();
    assert_eq!(codes(world.change(Change::Resume(Suspended::Flips))), [Code::NotFrozen]);
}

#[test]
fn who_is_refused_by_a_freeze_learns_whose_it_is_why_and_until_when() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    let until = Timestamp(world.now.0 + 60_000);
    let freeze = Change::Suspend {
        what: Suspended::Flips,
        reason: "sale".into(),
        until: Some(until),
        by: "ana".into(),
    };
    world.change(freeze).unwrap();
    let refused = world.flip("v2").unwrap_err().to_string();
    assert!(refused.contains(&format!("web is frozen until {until} by ana: sale")), "{refused}");
}

#[test]
fn a_flip_back_is_a_plain_flip_that_rejects_nothing() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    world.flip_when_stable("v2");
    world.flip("v1").unwrap();
    assert_eq!((world.role("v1"), world.role("v2"), world.epoch()), ("active", "draining", 3));
}

#[test]
fn only_so_many_retired_versions_are_remembered() {
    let mut world = World::serving(Policy::default(), "v0", &["a"]);
    for number in 1..100 {
        world.join(&format!("v{number}"), &["b"]);
    }
    let versions = &world.service().versions;
    assert_eq!(versions.len(), cutover_core::service::VERSIONS_MAX);
    assert!(versions.contains_key("v0") && versions.contains_key("v99") && !versions.contains_key("v1"));
}
