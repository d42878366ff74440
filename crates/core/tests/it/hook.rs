//! Hooks: what they are owed, whom a flip waits for, and what is remembered.

use cutover_core::command::{Change, Flip, Sessions};
use cutover_core::effect::compare;
use cutover_core::hook::{Ended, HookReport, LEAVE_LASTS, Leave, OWED_MAX, RECENT_MAX, flip_turn, must_ask};
use cutover_core::id::Epoch;
use cutover_core::policy::{FlipMode, FlipPolicy, Hook, HookPoint, PinMode, PinPolicy, Policy, Secret};
use cutover_core::rejected::Code;
use cutover_core::time::{Millis, Timestamp};

use crate::world::{World, codes, id, label};

fn hook(on: HookPoint) -> Hook {
    let url = "https://ci.test/told".parse().unwrap();
    Hook { on, url, secret: Secret::Given("s3cret".into()), ca: None, timeout: Millis::from_secs(1) }
}

fn policy(mode: FlipMode, hooks: &[HookPoint]) -> Policy {
    Policy {
        flip: FlipPolicy { mode, stable_for: Millis::ZERO, ..FlipPolicy::default() },
        pin: PinPolicy { mode: PinMode::None, ..PinPolicy::default() },
        hooks: hooks.iter().copied().map(hook).collect(),
        ..Policy::default()
    }
}

fn two_versions(mode: FlipMode, hooks: &[HookPoint]) -> World {
    let mut world = World::serving(policy(mode, hooks), "v1", &["a"]);
    world.join("v2", &["b"]);
    world
}

fn ended(world: &World, is_delivered: bool) -> Ended {
    Ended {
        number: 0,
        turn: flip_turn(world.service(), &label("v2"), world.now),
        origin: "https://ci.test".into(),
        is_delivered,
        status: Some(if is_delivered { 204 } else { 409 }),
        tries: 1,
        took: Millis(12),
        said: "so".into(),
    }
}

/// The hooks answer about a flip to v2.
fn answer(world: &mut World, leave: Result<(), String>) {
    let (to, epoch, calls) = (label("v2"), world.service().epoch, vec![ended(world, leave.is_ok())]);
    world.change(Change::Hook(HookReport::Answered { to, epoch, calls, leave })).unwrap();
}

/// What is owed, in words.
fn owed(world: &World) -> Vec<String> {
    let owed = world.service().hooks.owed.values();
    owed.map(|owed| {
        let from = owed.turn.from.as_ref().map_or("-", |from| from.as_str());
        format!("{} {} from {from} in {}", owed.turn.on, owed.turn.version, owed.turn.epoch)
    })
    .collect()
}

#[test]
fn every_turn_is_owed_to_who_wants_to_know() {
    let mut world = two_versions(FlipMode::Manual, &HookPoint::ALL[1..]);
    assert_eq!(owed(&world), ["post_flip v1 from - in 1"]);
    world.flip("v2").unwrap();
    world.wait(Millis(1));
    assert_eq!(owed(&world)[1..], ["post_flip v2 from v1 in 2", "drained v1 from - in 2"]);
    world.rollback(Sessions::Move).unwrap();
    assert_eq!(owed(&world)[3..], ["rolled_back v1 from v2 in 3"]);
}

#[test]
fn nothing_is_owed_to_nobody() {
    let mut world = two_versions(FlipMode::Manual, &[]);
    world.flip("v2").unwrap();
    assert!(world.service().hooks.owed.is_empty() && !must_ask(world.service(), &label("v2"), world.now));
}

#[test]
fn what_is_taken_is_owed_no_more_and_told_once() {
    let mut world = two_versions(FlipMode::Manual, &[HookPoint::PostFlip]);
    let number = *world.service().hooks.owed.keys().next().unwrap();
    let before = world.state.clone();
    let report = HookReport::Ended { owed: number, call: ended(&world, true) };
    world.change(Change::Hook(report.clone())).unwrap();
    world.change(Change::Hook(report)).unwrap();
    assert!(world.service().hooks.owed.is_empty());
    let events = compare(&before, &world.state);
    let told: Vec<_> = events.iter().map(|(_, event)| (event.kind(), event.to_string())).collect();
    let text = "hook pre_flip of version v2 taken by https://ci.test, 1 try in 12ms: so";
    assert_eq!(told, [("hook_succeeded", text.to_owned())]);
}

#[test]
fn a_flip_by_hand_waits_for_leave_that_was_given_for_it() {
    let mut world = two_versions(FlipMode::Manual, &[HookPoint::PreFlip]);
    assert_eq!(world.active(), Some("v1"), "the first activation asks nobody");
    assert_eq!(codes(world.flip("v2")), [Code::HookUnasked]);
    answer(&mut world, Err("not yet".into()));
    assert_eq!(codes(world.flip("v2")), [Code::HookUnasked], "a refusal is no leave");
    answer(&mut world, Ok(()));
    world.flip("v2").unwrap();
    assert_eq!(world.service().hooks.asked, None);
    world.rollback(Sessions::Move).unwrap();
    assert_eq!(world.active(), Some("v1"), "a rollback asks nobody");
}

#[test]
fn force_asks_nobody_and_what_else_is_in_the_way_comes_first() {
    let mut world = two_versions(FlipMode::Manual, &[HookPoint::PreFlip]);
    world.change(Change::Reject { version: label("v2"), reason: "bad".into() }).unwrap();
    assert_eq!(codes(world.flip("v2")), [Code::Rejected]);
    world.change(Change::Clear(label("v2"))).unwrap();
    world.change(Change::Flip(Flip { to: label("v2"), if_epoch: None, force: true })).unwrap();
    assert_eq!(world.active(), Some("v2"));
}

#[test]
fn leave_ends_with_its_time_and_with_the_epoch() {
    let mut world = two_versions(FlipMode::Manual, &[HookPoint::PreFlip]);
    answer(&mut world, Ok(()));
    world.wait(LEAVE_LASTS);
    assert_eq!(codes(world.flip("v2")), [Code::HookUnasked]);
    let (to, epoch) = (label("v2"), Epoch(7));
    let late = HookReport::Answered { to, epoch, calls: Vec::new(), leave: Ok(()) };
    world.change(Change::Hook(late)).unwrap();
    assert_eq!(codes(world.flip("v2")), [Code::HookUnasked], "that was about another epoch");
}

#[test]
fn in_mode_auto_the_flip_follows_the_leave() {
    let mut world = two_versions(FlipMode::Auto, &[HookPoint::PreFlip]);
    world.wait(Millis(1));
    let asked = world.service().hooks.asked.clone().unwrap();
    assert_eq!((asked.to, asked.epoch, asked.answer), (label("v2"), Epoch(1), Leave::Awaited));
    assert_eq!(world.active(), Some("v1"));
    answer(&mut world, Ok(()));
    assert_eq!(world.active(), Some("v2"));
}

#[test]
fn in_mode_auto_a_refusal_stands_until_people_say_otherwise() {
    let mut world = two_versions(FlipMode::Auto, &[HookPoint::PreFlip]);
    world.wait(Millis(1));
    answer(&mut world, Err("no".into()));
    world.wait(Millis::from_secs(10_000));
    assert_eq!(world.active(), Some("v1"));
    assert!(matches!(world.service().hooks.asked.as_ref().unwrap().answer, Leave::Refused(_)));

    world.change(Change::Clear(label("v2"))).unwrap();
    assert_eq!(world.service().hooks.asked.as_ref().unwrap().answer, Leave::Awaited, "it is asked again");
    assert_eq!(codes(world.change(Change::Clear(label("v2")))), [Code::WrongRole]);
    answer(&mut world, Ok(()));
    assert_eq!(world.active(), Some("v2"));
}

#[test]
fn in_mode_auto_a_refusal_is_about_one_version() {
    let mut world = two_versions(FlipMode::Auto, &[HookPoint::PreFlip]);
    answer(&mut world, Err("no".into()));
    world.join("v3", &["c"]);
    world.wait(Millis(1));
    let asked = world.service().hooks.asked.clone().unwrap();
    assert_eq!((asked.to, asked.answer), (label("v3"), Leave::Awaited));
    world.change(Change::Deregister { backend: id("c"), drain: Millis::ZERO }).unwrap();
    assert_eq!(world.active(), Some("v1"));
}

#[test]
fn what_is_owed_and_what_is_remembered_has_an_end() {
    let mut world = two_versions(FlipMode::Manual, &[HookPoint::PostFlip]);
    for turn in 0..OWED_MAX + 5 {
        world.now = Timestamp(world.now.0 + 1);
        world.flip(if turn % 2 == 0 { "v2" } else { "v1" }).unwrap();
    }
    let hooks = &world.service().hooks;
    assert_eq!((hooks.owed.len(), hooks.recent.len()), (OWED_MAX, 6));
    assert!(hooks.recent.iter().all(|ended| !ended.is_delivered && ended.said.starts_with("given up")));
    for number in hooks.owed.keys().copied().collect::<Vec<_>>() {
        let report = HookReport::Ended { owed: number, call: ended(&world, true) };
        world.change(Change::Hook(report)).unwrap();
    }
    let hooks = &world.service().hooks;
    assert_eq!((hooks.owed.len(), hooks.recent.len()), (0, RECENT_MAX));
    assert!(hooks.recent.is_sorted_by_key(|ended| ended.number));
}
