//! Canaries: who gets them, how they go by steps, and how they end.

use cutover_core::canary::includes;
use cutover_core::command::{Change, Flip, Registration, Rollback, Sessions, SetCanary};
use cutover_core::drain::pins_until;
use cutover_core::effect::compare;
use cutover_core::id::Epoch;
use cutover_core::pin::Pin;
use cutover_core::policy::{
    CanaryPolicy, CanaryStep, FlipMode, FlipPolicy, PinMode, PinPolicy, Policy, Share,
};
use cutover_core::rejected::{Code, Rejected};
use cutover_core::report::Load;
use cutover_core::state::State;
use cutover_core::suspend::Suspended;
use cutover_core::time::{Millis, Timestamp};

use crate::world::{World, codes, id, label, registration};

pub(crate) fn share(value: f64) -> Share {
    Share::new(value).unwrap()
}

fn request(to: &str, share: Option<f64>) -> SetCanary {
    SetCanary { to: label(to), share: share.map(self::share), paused: None, if_epoch: None }
}

pub(crate) fn set(world: &mut World, to: &str, share: f64) -> Result<(), Rejected> {
    world.change(Change::SetCanary(request(to, Some(share))))
}

fn by_steps(world: &mut World, paused: Option<bool>) -> Result<(), Rejected> {
    world.change(Change::SetCanary(SetCanary { paused, ..request("v2", None) }))
}

fn steps(steps: &[(f64, u64)]) -> CanaryPolicy {
    let step = |&(of, secs): &(f64, u64)| CanaryStep { share: share(of), lasts: Millis::from_secs(secs) };
    CanaryPolicy { steps: steps.iter().map(step).collect() }
}

/// v1 is active, v2 staged.
fn staged(policy: Policy) -> World {
    let mut world = World::serving(policy, "v1", &["a", "b"]);
    world.join("v2", &["c", "d"]);
    world
}

fn stepped(mode: FlipMode) -> World {
    let flip = FlipPolicy { mode, ..FlipPolicy::default() };
    staged(Policy { canary: steps(&[(0.1, 60), (0.5, 60)]), flip, ..Policy::default() })
}

/// The pins of so many new sessions.
fn sessions(world: &mut World, count: usize) -> Vec<Pin> {
    (0..count).map(|_| world.request(None).pin.unwrap()).collect()
}

fn versions(world: &mut World, pins: &[Pin]) -> Vec<String> {
    pins.iter().map(|pin| world.request(Some(*pin)).version).collect()
}

fn count_of(versions: &[String], version: &str) -> usize {
    versions.iter().filter(|found| *found == version).count()
}

/// Share, and whether it goes on by itself.
fn shape(world: &World) -> Option<(f64, bool)> {
    let canary = world.service().canary.as_ref()?;
    Some((canary.share.value(), canary.next_at().is_some()))
}

#[test]
fn a_canary_gets_its_share_of_new_sessions_and_keeps_them() {
    let mut world = staged(Policy::default());
    set(&mut world, "v2", 0.25).unwrap();
    assert_eq!((world.role("v2"), world.active(), world.epoch()), ("canary", Some("v1"), 1));
    let pins = sessions(&mut world, 2000);
    let homes = versions(&mut world, &pins);
    assert!((400..600).contains(&count_of(&homes, "v2")), "{} of 2000", count_of(&homes, "v2"));
    let is_by_hash = |(pin, home): (&Pin, &String)| includes(pin.id, share(0.25)) == (home == "v2");
    assert!(pins.iter().zip(&homes).all(is_by_hash));
    assert_eq!(versions(&mut world, &pins), homes);
}

#[test]
fn a_growing_share_moves_nobody() {
    let mut world = staged(Policy::default());
    set(&mut world, "v2", 0.1).unwrap();
    let pins = sessions(&mut world, 300);
    let homes = versions(&mut world, &pins);
    set(&mut world, "v2", 0.9).unwrap();
    assert_eq!((versions(&mut world, &pins), world.epoch()), (homes, 1));
}

#[test]
fn a_shrinking_share_moves_those_outside_in_a_new_epoch() {
    let mut world = staged(Policy::default());
    set(&mut world, "v2", 0.8).unwrap();
    let pins = sessions(&mut world, 300);
    let before = versions(&mut world, &pins);
    set(&mut world, "v2", 0.3).unwrap();
    assert_eq!((world.epoch(), world.active()), (2, Some("v1")));
    for (pin, before) in pins.iter().zip(&before) {
        let served = world.request(Some(*pin));
        let stays = before == "v1" || includes(pin.id, share(0.3));
        assert_eq!(&served.version == before, stays);
        assert!(stays || (served.version == "v1" && served.pin.unwrap().epoch == Epoch(2)));
    }
}

#[test]
fn an_end_moves_all_of_its_sessions_back_in_a_new_epoch() {
    let mut world = staged(Policy::default());
    set(&mut world, "v2", 1.0).unwrap();
    let pins = sessions(&mut world, 50);
    set(&mut world, "v2", 0.0).unwrap();
    assert_eq!((world.role("v2"), world.epoch(), shape(&world)), ("staged", 2, None));
    for pin in pins {
        let served = world.request(Some(pin));
        assert_eq!((served.version.as_str(), served.action), ("v1", "moved_ended"));
        assert_eq!(served.pin.unwrap().epoch, Epoch(2));
    }
}

#[test]
fn an_epoch_without_a_switch_is_told_as_none() {
    let mut world = staged(Policy::default());
    set(&mut world, "v2", 0.5).unwrap();
    for (to, told) in [
        (0.2, vec!["canary v2 shrank to 20 %; its other sessions go back in epoch 2"]),
        (
            0.0,
            vec!["version v2 went from canary to staged", "canary v2 ended: its sessions go back in epoch 3"],
        ),
    ] {
        let before = world.state.clone();
        set(&mut world, "v2", to).unwrap();
        let events: Vec<String> =
            compare(&before, &world.state).iter().map(|(_, event)| event.to_string()).collect();
        assert_eq!(events, told);
    }
}

#[test]
fn a_flip_to_it_promotes_it_and_its_sessions_stay() {
    let mut world = staged(Policy::default());
    set(&mut world, "v2", 0.5).unwrap();
    let pins = sessions(&mut world, 100);
    let homes = versions(&mut world, &pins);
    world.flip_when_stable("v2");
    assert_eq!((world.role("v1"), world.role("v2"), shape(&world)), ("draining", "active", None));
    assert_eq!((versions(&mut world, &pins), world.epoch()), (homes, 2));
}

#[test]
fn a_flip_to_another_version_ends_it() {
    let mut world = staged(Policy::default());
    set(&mut world, "v2", 1.0).unwrap();
    let pin = world.request(None).pin;
    world.join("v3", &["e", "f"]);
    assert_eq!((world.role("v2"), world.role("v3")), ("canary", "staged"));
    world.flip_when_stable("v3");
    assert_eq!((world.role("v2"), shape(&world)), ("superseded", None));
    assert_eq!(world.request(pin).version, "v3");
}

#[test]
fn a_rollback_ends_it() {
    let mut world = staged(Policy::default());
    world.flip_when_stable("v2");
    world.join("v3", &["e"]);
    set(&mut world, "v3", 0.5).unwrap();
    let rollback = Rollback { if_epoch: None, sessions: Sessions::Move, reason: "bad".into() };
    world.change(Change::Rollback(rollback)).unwrap();
    assert_eq!((world.active(), world.role("v3"), shape(&world)), (Some("v1"), "staged", None));
}

#[test]
fn who_judges_it_bad_ends_it() {
    let mut world = staged(Policy::default());
    set(&mut world, "v2", 1.0).unwrap();
    let pin = world.request(None).pin;
    world.change(Change::Reject { version: label("v2"), reason: "slow".into() }).unwrap();
    assert_eq!((world.role("v2"), world.epoch(), shape(&world)), ("rejected", 2, None));
    assert_eq!(world.request(pin).version, "v1");
}

#[test]
fn it_ends_when_its_last_backend_leaves() {
    let mut world = staged(Policy::default());
    set(&mut world, "v2", 1.0).unwrap();
    let pin = world.request(None).pin;
    for backend in ["c", "d"] {
        world.change(Change::Deregister { backend: id(backend), drain: Millis::ZERO }).unwrap();
    }
    assert_eq!((world.role("v2"), world.epoch(), shape(&world)), ("retired", 2, None));
    assert_eq!(world.request(pin).version, "v1");
}

#[test]
fn without_a_usable_backend_its_sessions_fall_back_and_it_goes_on() {
    let mut world = staged(Policy::default());
    set(&mut world, "v2", 1.0).unwrap();
    let pin = world.request(None).pin;
    world.down("c");
    world.down("d");
    let served = world.request(pin);
    assert_eq!((served.version.as_str(), served.action), ("v1", "moved_no_backend"));
    assert_eq!(world.request(None).version, "v1");
    world.wait(Millis(1));
    let canary = world.service().canary.as_ref().unwrap();
    assert!(canary.is_starved && world.epoch() == 1);
    world.up("c", "v2");
    world.wait(Millis(1));
    assert!(!world.service().canary.as_ref().unwrap().is_starved);
    assert_eq!(world.request(None).version, "v2");
    assert_eq!(world.request(served.pin).version, "v1", "it is not moved once more");
}

#[test]
fn backends_that_nobody_asked_yet_are_no_news() {
    let mut world = staged(Policy::default());
    set(&mut world, "v2", 1.0).unwrap();
    world.state = State::restored(world.state.clone(), world.now);
    world.wait(Millis(1));
    assert!(!world.service().canary.as_ref().unwrap().is_starved);
}

#[test]
fn without_pins_each_request_is_drawn() {
    let pin = PinPolicy { mode: PinMode::None, ..PinPolicy::default() };
    let mut world = staged(Policy { pin, ..Policy::default() });
    set(&mut world, "v2", 0.3).unwrap();
    let served: Vec<String> = (0..2000).map(|_| world.request(None).version).collect();
    assert!((500..700).contains(&count_of(&served, "v2")), "{} of 2000", count_of(&served, "v2"));
}

#[test]
fn a_pin_of_this_epoch_is_news_to_who_is_behind() {
    let mut behind = staged(Policy::default());
    let mut ahead = World {
        state: behind.state.clone(),
        snapshot: behind.snapshot.clone(),
        ..World::new(Policy::default())
    };
    set(&mut ahead, "v2", 1.0).unwrap();
    let pin = ahead.request(None).pin;
    assert_eq!(behind.request(pin).version, "v2", "a canary began that it does not know of yet");
    set(&mut behind, "v2", 0.0001).unwrap();
    assert_eq!(behind.request(pin).version, "v2", "the share is larger by now");
}

#[test]
fn every_reason_against_a_canary_is_listed() {
    let gate = "smoke".parse().unwrap();
    let flip = FlipPolicy { gates: vec![gate], ..FlipPolicy::default() };
    let mut world = staged(Policy { flip, ..Policy::default() });
    world.down("c");
    world.down("d");
    let freeze =
        Change::Suspend { what: Suspended::Flips, reason: "sale".into(), until: None, by: "ops".into() };
    world.change(freeze).unwrap();
    let change = Change::SetCanary(SetCanary { if_epoch: Some(Epoch(7)), ..request("v2", None) });
    assert_eq!(
        codes(world.change(change)),
        [Code::EpochMismatch, Code::NoSteps, Code::NothingUsable, Code::GateClosed, Code::Frozen]
    );
    assert_eq!(codes(set(&mut world, "v9", 0.1)), [Code::UnknownVersion]);
    assert_eq!(codes(set(&mut world, "v1", 0.1))[0], Code::AlreadyActive);
    assert_eq!(codes(set(&mut world, "v2", 0.0)), [Code::NoCanary]);
}

#[test]
fn only_a_staged_version_becomes_one_and_only_one_at_a_time() {
    let mut world = staged(Policy::default());
    world.flip_when_stable("v2");
    assert_eq!(codes(set(&mut world, "v1", 0.1)), [Code::WrongRole]);
    world.join("v3", &["e"]);
    set(&mut world, "v3", 0.1).unwrap();
    world.join("v4", &["f"]);
    assert_eq!(codes(set(&mut world, "v4", 0.1)), [Code::CanaryRunning]);
}

#[test]
fn what_is_closed_does_not_keep_sessions_from_going_back() {
    let mut world = staged(Policy::default());
    set(&mut world, "v2", 0.5).unwrap();
    let freeze =
        Change::Suspend { what: Suspended::Flips, reason: "sale".into(), until: None, by: "ops".into() };
    world.change(freeze).unwrap();
    assert_eq!(codes(set(&mut world, "v2", 0.6)), [Code::Frozen]);
    set(&mut world, "v2", 0.2).unwrap();
    set(&mut world, "v2", 0.0).unwrap();
}

#[test]
fn it_goes_by_its_steps_and_stays_at_the_last() {
    let mut world = stepped(FlipMode::Manual);
    by_steps(&mut world, None).unwrap();
    assert_eq!(shape(&world), Some((0.1, true)));
    world.wait(Millis::from_secs(59));
    assert_eq!(shape(&world), Some((0.1, true)));
    world.wait(Millis::from_secs(1));
    assert_eq!(shape(&world), Some((0.5, true)));
    world.wait(Millis::from_secs(60));
    assert_eq!(shape(&world), Some((0.5, false)));
    assert!(world.service().canary.as_ref().unwrap().is_complete());
    world.wait(Millis::from_secs(6000));
    assert_eq!((world.role("v2"), world.epoch()), ("canary", 1));
}

#[test]
fn a_pause_keeps_what_is_left_of_the_step() {
    let mut world = stepped(FlipMode::Manual);
    by_steps(&mut world, None).unwrap();
    world.wait(Millis::from_secs(40));
    by_steps(&mut world, Some(true)).unwrap();
    world.wait(Millis::from_secs(1000));
    assert_eq!(shape(&world), Some((0.1, false)));
    by_steps(&mut world, Some(false)).unwrap();
    world.wait(Millis::from_secs(19));
    assert_eq!(shape(&world), Some((0.1, true)));
    world.wait(Millis::from_secs(1));
    assert_eq!(shape(&world), Some((0.5, true)));
}

#[test]
fn a_share_by_hand_stops_the_steps_until_they_are_asked_for_again() {
    let mut world = stepped(FlipMode::Auto);
    set(&mut world, "v2", 0.3).unwrap();
    world.wait(Millis::from_secs(600));
    assert_eq!(shape(&world), Some((0.3, false)));
    assert_eq!(codes(by_steps(&mut world, Some(true))), [Code::NoSteps]);
    by_steps(&mut world, None).unwrap();
    assert_eq!(shape(&world), Some((0.5, true)));
}

#[test]
fn it_does_not_grow_while_it_is_frozen_or_starved() {
    let mut world = stepped(FlipMode::Manual);
    by_steps(&mut world, None).unwrap();
    let freeze =
        Change::Suspend { what: Suspended::Flips, reason: "sale".into(), until: None, by: "ops".into() };
    world.change(freeze).unwrap();
    world.wait(Millis::from_secs(90));
    assert_eq!(shape(&world), Some((0.1, true)));
    world.change(Change::Resume(Suspended::Flips)).unwrap();
    world.down("c");
    world.down("d");
    world.wait(Millis::from_secs(90));
    assert_eq!(shape(&world), Some((0.1, true)));
    world.up("c", "v2");
    world.wait(Millis(1));
    world.wait(Millis::from_secs(59));
    assert_eq!(shape(&world), Some((0.1, true)), "the step begins again");
    world.wait(Millis::from_secs(1));
    assert_eq!(shape(&world), Some((0.5, true)));
}

#[test]
fn in_mode_auto_a_new_version_goes_through_the_steps_and_flips() {
    let mut world = stepped(FlipMode::Auto);
    assert_eq!((world.role("v2"), shape(&world)), ("canary", Some((0.1, true))));
    world.wait(Millis::from_secs(60));
    world.wait(Millis::from_secs(60));
    assert_eq!((world.active(), world.epoch(), shape(&world)), (Some("v2"), 2, None));
}

#[test]
fn in_mode_auto_nothing_overtakes_it_and_an_end_is_final() {
    let mut world = stepped(FlipMode::Auto);
    world.join("v3", &["e", "f"]);
    world.wait(Millis::from_secs(10));
    assert_eq!((world.role("v2"), world.role("v3"), world.epoch()), ("canary", "staged", 1));
    world.change(Change::Deregister { backend: id("e"), drain: Millis::ZERO }).unwrap();
    world.change(Change::Deregister { backend: id("f"), drain: Millis::ZERO }).unwrap();
    set(&mut world, "v2", 0.0).unwrap();
    world.wait(Millis::from_secs(600));
    assert_eq!((world.role("v2"), world.active(), shape(&world)), ("staged", Some("v1"), None));
}

#[test]
fn pins_of_a_canary_count_after_a_restart() {
    let mut world = staged(Policy::default());
    set(&mut world, "v2", 1.0).unwrap();
    set(&mut world, "v2", 0.0).unwrap();
    world.state = State::restored(world.state.clone(), world.now);
    let until = pins_until(world.version("v2"), Load::default());
    assert!(until > world.now, "a pin of the process before may be alive");
    assert!(until > Timestamp(0) && world.version("v2").was_canary);
}

#[test]
fn a_forced_flip_and_a_registration_leave_nothing_behind() {
    let mut world = staged(Policy::default());
    set(&mut world, "v2", 0.5).unwrap();
    // Both backends turn into another version at once: nobody runs the canary any more.
    for backend in ["c", "d"] {
        let again = Registration { boot_id: Some("2".into()), ..registration(backend, "v3") };
        world.change(Change::Register(again)).unwrap();
        world.up(backend, "v3");
    }
    assert_eq!((world.role("v2"), shape(&world)), ("retired", None));
    world.change(Change::Flip(Flip { to: label("v3"), if_epoch: None, force: true })).unwrap();
    assert_eq!(world.active(), Some("v3"));
}
