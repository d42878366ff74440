//! The watch after a flip: when it begins, what ends it, and what becomes of a version that is judged bad.

use cutover_core::bake::{State, is_baked};
use cutover_core::command::{Change, Command, Judgement, Ruling, Sessions};
use cutover_core::effect::compare;
use cutover_core::id::Epoch;
use cutover_core::judge::{Baseline, Kind, Numbers, Standing, Verdict};
use cutover_core::policy::{BakePolicy, FlipMode, FlipPolicy, Policy};
use cutover_core::time::Millis;

use crate::world::{World, label, web};

fn policy(rollback: bool) -> Policy {
    let flip = FlipPolicy { stable_for: Millis::ZERO, ..FlipPolicy::default() };
    Policy { bake: BakePolicy { rollback, ..BakePolicy::default() }, flip, ..Policy::default() }
}

/// v2 replaced v1 just now.
fn baking(rollback: bool) -> World {
    let mut world = World::serving(policy(rollback), "v1", &["a"]);
    world.join("v2", &["b"]);
    world.flip("v2").unwrap();
    world
}

fn state(world: &World) -> Option<State> {
    world.service().bake.as_ref().map(|bake| bake.state)
}

fn judgement(world: &World, standing: Standing) -> Judgement {
    let bake = world.service().bake.as_ref().unwrap();
    let verdict = Verdict {
        kind: Kind::Bake,
        version: bake.version.clone(),
        against: bake.from.clone(),
        since: bake.began_at,
        standing,
        reason: "3.00 % of 900 requests failed".to_owned(),
        numbers: Numbers { requests: 900, errors: 27, evidence: 130.0, ..Numbers::default() },
    };
    Judgement { service: web(), epoch: bake.epoch, ruling: Ruling::Verdict(verdict) }
}

/// Judges the version that bakes, and answers the kinds of events that follow.
fn judge(world: &mut World, standing: Standing) -> Vec<&'static str> {
    let judgement = judgement(world, standing);
    ruled(world, judgement)
}

fn ruled(world: &mut World, judgement: Judgement) -> Vec<&'static str> {
    let before = world.state.clone();
    world.apply(&Command::Judged(vec![judgement])).unwrap();
    compare(&before, &world.state).iter().map(|(_, event)| event.kind()).collect()
}

#[test]
fn a_flip_that_replaces_a_version_begins_a_bake_and_a_first_activation_does_not() {
    let world = World::serving(policy(false), "v1", &["a"]);
    assert_eq!((state(&world), is_baked(world.service())), (None, true));
    let world = baking(false);
    let bake = world.service().bake.clone().unwrap();
    assert_eq!((bake.version, bake.from, bake.epoch), (label("v2"), label("v1"), Epoch(2)));
    assert_eq!((bake.state, bake.ends_at.since(bake.began_at)), (State::Running, Millis::from_secs(300)));
    assert!(!is_baked(world.service()));
}

#[test]
fn a_flip_by_itself_begins_one_too() {
    let mut policy = policy(false);
    policy.flip.mode = FlipMode::Auto;
    let mut world = World::serving(policy, "v1", &["a"]);
    world.join("v2", &["b"]);
    world.wait(Millis(100));
    assert_eq!((world.active(), state(&world)), (Some("v2"), Some(State::Running)));
}

#[test]
fn without_a_duration_there_is_none() {
    let mut policy = policy(false);
    policy.bake.duration = Millis::ZERO;
    let mut world = World::serving(policy, "v1", &["a"]);
    world.join("v2", &["b"]);
    world.flip("v2").unwrap();
    assert_eq!((state(&world), is_baked(world.service())), (None, true));
}

#[test]
fn its_baseline_is_frozen_with_the_epoch_that_it_belongs_to() {
    let mut world = baking(false);
    let baseline = Baseline { requests: 1000, errors: 1, p95_us: Some(10), p99_us: Some(20) };
    let frozen = |epoch| Judgement { service: web(), epoch, ruling: Ruling::Baseline(baseline) };
    assert!(ruled(&mut world, frozen(Epoch(1))).is_empty());
    assert_eq!(world.service().bake.as_ref().unwrap().baseline, Baseline::default());
    assert!(ruled(&mut world, frozen(Epoch(2))).is_empty(), "it is no news");
    assert_eq!(world.service().bake.as_ref().unwrap().baseline, baseline);
}

#[test]
fn a_good_version_has_passed_when_its_time_is_over_and_not_before() {
    let mut world = baking(true);
    assert!(judge(&mut world, Standing::Good).is_empty());
    assert_eq!(state(&world), Some(State::Running));
    world.wait(Millis::from_secs(300));
    assert_eq!(judge(&mut world, Standing::Good), ["baked"]);
    assert_eq!(
        (state(&world), is_baked(world.service()), world.active()),
        (Some(State::Passed), true, Some("v2"))
    );
    assert!(judge(&mut world, Standing::Bad).is_empty(), "that is over");
}

#[test]
fn a_bad_version_is_rolled_back_and_rejected_with_the_reason() {
    let mut world = baking(true);
    let events = judge(&mut world, Standing::Bad);
    assert_eq!(events[0], "judged_bad");
    assert!(events.contains(&"activated") && events.contains(&"bake_ended"), "{events:?}");
    assert_eq!((world.active(), world.epoch(), world.role("v2")), (Some("v1"), 3, "rejected"));
    let reason = world.version("v2").rejected.as_deref();
    assert_eq!(reason, Some("judged bad: 3.00 % of 900 requests failed"));
    assert_eq!(state(&world), Some(State::RolledBack));
    assert_eq!(world.service().verdict.as_ref().unwrap().numbers.errors, 27);
}

#[test]
fn its_sessions_move() {
    let mut world = baking(true);
    let pin = world.request(None).pin;
    judge(&mut world, Standing::Bad);
    assert_eq!(world.request(pin).version, "v1");
}

#[test]
fn without_the_old_version_a_bad_one_stays_and_it_is_said_why() {
    let mut world = baking(true);
    world.down("a");
    assert_eq!(judge(&mut world, Standing::Bad), ["judged_bad"]);
    assert_eq!((world.active(), state(&world)), (Some("v2"), Some(State::Failed)));
    let reason = &world.service().verdict.as_ref().unwrap().reason;
    assert!(
        reason.contains("not rolled back: version v1") && reason.contains("no usable backend"),
        "{reason}"
    );
}

#[test]
fn a_bad_version_is_rolled_back_to_the_one_that_it_was_compared_with_and_to_no_other() {
    let mut world = baking(true);
    world.join("v3", &["c"]);
    world.flip("v3").unwrap();
    world.change(Change::Reject { version: label("v2"), reason: "no".into() }).unwrap();
    judge(&mut world, Standing::Bad);
    assert_eq!((world.active(), state(&world)), (Some("v3"), Some(State::Failed)));
}

#[test]
fn with_rollback_off_a_bad_version_is_told_once_and_people_may_roll_back() {
    let mut world = baking(false);
    assert_eq!(judge(&mut world, Standing::Bad), ["judged_bad"]);
    assert_eq!(
        (world.active(), world.role("v2"), state(&world)),
        (Some("v2"), "active", Some(State::Failed))
    );
    assert!(judge(&mut world, Standing::Bad).is_empty());
    world.wait(Millis::from_secs(300));
    assert!(judge(&mut world, Standing::Good).is_empty() && !is_baked(world.service()));
    world.rollback(Sessions::Move).unwrap();
    assert_eq!(state(&world), Some(State::RolledBack));
}

#[test]
fn a_rollback_ends_the_bake_and_begins_none() {
    let mut world = baking(true);
    world.rollback(Sessions::Keep).unwrap();
    assert_eq!((state(&world), world.active()), (Some(State::RolledBack), Some("v1")));
    assert!(judge(&mut world, Standing::Bad).is_empty());
    assert!(is_baked(world.service()), "v1 was there before");
}

#[test]
fn a_new_flip_supersedes_the_bake() {
    let mut world = baking(true);
    let outdated = judgement(&world, Standing::Bad);
    world.join("v3", &["c"]);
    let before = world.state.clone();
    world.flip("v3").unwrap();
    let events: Vec<_> = compare(&before, &world.state).iter().map(|(_, event)| event.to_string()).collect();
    assert!(
        events.contains(&"the bake of version v2 ended because another version became active".to_owned())
    );
    assert!(events.contains(&"version v3 is compared with v2 for 5m".to_owned()), "{events:?}");
    assert!(ruled(&mut world, outdated).is_empty());
    assert_eq!((world.active(), state(&world)), (Some("v3"), Some(State::Running)));
}

#[test]
fn a_verdict_about_a_service_that_is_gone_is_ignored() {
    let mut world = baking(true);
    let judgement = judgement(&world, Standing::Bad);
    world.apply(&Command::RemoveService(web())).unwrap();
    assert!(ruled(&mut world, judgement).is_empty());
}

#[test]
fn a_baked_hook_is_owed_once_the_bake_is_passed() {
    use cutover_core::policy::{Hook, HookPoint, Secret};
    let mut policy = policy(true);
    policy.hooks = vec![Hook {
        on: HookPoint::Baked,
        url: "https://ci.test/baked".parse().unwrap(),
        secret: Secret::Given("s".into()),
        ca: None,
        timeout: Millis::from_secs(1),
    }];
    let mut world = World::serving(policy, "v1", &["a"]);
    world.join("v2", &["b"]);
    world.flip("v2").unwrap();
    let owed = |world: &World| world.service().hooks.owed.len();
    assert_eq!(owed(&world), 0);
    world.wait(Millis::from_secs(300));
    judge(&mut world, Standing::Good);
    assert_eq!(owed(&world), 1);
    judge(&mut world, Standing::Good);
    assert_eq!(owed(&world), 1);
}
