//! A canary that the judge has found bad, or good; and what lasts on one that is over.

use cutover_core::canary::includes;
use cutover_core::command::{Change, Command, Judgement, Ruling, SetCanary};
use cutover_core::effect::compare;
use cutover_core::id::Epoch;
use cutover_core::judge::{Kind, Numbers, Standing, Verdict};
use cutover_core::policy::{BakePolicy, CanaryPolicy, CanaryStep, FlipMode, FlipPolicy, Policy};
use cutover_core::tie::{Term, Tie};
use cutover_core::time::Millis;

use crate::canary::{set, share};
use crate::world::{World, id, label, web};

/// In mode auto, v2 is the canary at the first of two steps.
fn stepping(rollback: bool) -> World {
    let steps = [0.1, 0.5].map(|of| CanaryStep { share: share(of), lasts: Millis::from_secs(60) });
    let policy = Policy {
        canary: CanaryPolicy { steps: steps.to_vec() },
        flip: FlipPolicy { mode: FlipMode::Auto, ..FlipPolicy::default() },
        bake: BakePolicy { rollback, ..BakePolicy::default() },
        ..Policy::default()
    };
    let mut world = World::serving(policy, "v1", &["a", "b"]);
    world.join("v2", &["c", "d"]);
    world
}

/// Judges the canary, and answers the kinds of events that follow.
fn judge(world: &mut World, standing: Standing) -> Vec<&'static str> {
    let since = world.service().canary.as_ref().unwrap().began_at;
    let verdict = Verdict {
        kind: Kind::Canary,
        version: label("v2"),
        against: label("v1"),
        since,
        standing,
        reason: "3.00 % of 900 requests failed".to_owned(),
        numbers: Numbers { requests: 900, errors: 27, evidence: 130.0, ..Numbers::default() },
    };
    rule(world, verdict)
}

fn rule(world: &mut World, verdict: Verdict) -> Vec<&'static str> {
    let before = world.state.clone();
    let epoch = Epoch(world.epoch());
    let judgement = Judgement { service: web(), epoch, ruling: Ruling::Verdict(verdict) };
    world.apply(&Command::Judged(vec![judgement])).unwrap();
    compare(&before, &world.state).iter().map(|(_, event)| event.kind()).collect()
}

#[test]
fn a_bad_one_is_rejected_and_its_sessions_go_back_if_the_policy_says_so() {
    let mut world = stepping(true);
    assert_eq!(judge(&mut world, Standing::Bad), ["judged_bad", "role_changed", "canary_ended"]);
    assert_eq!((world.role("v2"), world.active(), world.epoch()), ("rejected", Some("v1"), 2));
    let why = "judged bad: 3.00 % of 900 requests failed";
    assert_eq!(world.version("v2").rejected.as_deref(), Some(why));
    world.wait(Millis::from_secs(600));
    assert_eq!((world.active(), world.epoch()), (Some("v1"), 2), "it does not come again by itself");
}

#[test]
fn else_it_is_told_and_does_not_grow_until_somebody_says_so() {
    let mut world = stepping(false);
    assert_eq!(judge(&mut world, Standing::Bad), ["judged_bad", "canary_changed"]);
    assert!(judge(&mut world, Standing::Bad).is_empty(), "once");
    world.wait(Millis::from_secs(600));
    let canary = world.service().canary.clone().unwrap();
    assert!(canary.is_failed && canary.is_paused() && canary.share == share(0.1));
    let go_on = SetCanary { to: label("v2"), share: None, paused: Some(false), if_epoch: None };
    world.change(Change::SetCanary(go_on)).unwrap();
    world.wait(Millis::from_secs(60));
    assert_eq!(world.service().canary.as_ref().unwrap().share, share(0.5));
    world.wait(Millis::from_secs(60));
    assert_eq!(world.active(), Some("v2"));
}

#[test]
fn one_that_waits_for_its_flip_is_not_flipped_to_after_that() {
    let mut world = stepping(false);
    world.wait(Millis::from_secs(60));
    // Its last step ends in the very tick in which it is judged.
    world.now = world.now + Millis::from_secs(60);
    judge(&mut world, Standing::Bad);
    world.wait(Millis::from_secs(600));
    assert_eq!((world.active(), world.role("v2")), (Some("v1"), "canary"));
}

#[test]
fn a_good_one_is_told_at_the_end_of_its_steps_and_not_before() {
    let mut world = stepping(false);
    let mut policy = (*world.service().policy).clone();
    policy.flip.mode = FlipMode::Manual;
    let (policy, document) = (policy.into(), "{}".into());
    world.apply(&Command::PutService { service: web(), policy, document }).unwrap();
    assert!(judge(&mut world, Standing::Good).is_empty());
    world.wait(Millis::from_secs(60));
    world.wait(Millis::from_secs(60));
    assert_eq!(judge(&mut world, Standing::Good), ["judged_good"]);
    assert_eq!(world.role("v2"), "canary", "people flip to it");
    assert_eq!(judge(&mut world, Standing::Bad), ["judged_bad", "canary_changed"]);
}

#[test]
fn what_is_thought_of_an_earlier_canary_is_outdated() {
    let mut world = stepping(true);
    let since = world.service().canary.as_ref().unwrap().began_at;
    world.now = world.now + Millis(5);
    set(&mut world, "v2", 0.0).unwrap();
    set(&mut world, "v2", 0.3).unwrap();
    let verdict = Verdict {
        kind: Kind::Canary,
        version: label("v2"),
        against: label("v1"),
        since,
        standing: Standing::Bad,
        reason: String::new(),
        numbers: Numbers::default(),
    };
    assert!(rule(&mut world, verdict).is_empty());
    assert_eq!(world.role("v2"), "canary");
}

#[test]
fn tunnels_go_with_their_sessions() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    set(&mut world, "v2", 0.8).unwrap();
    let tie = |of: u64, epoch, is_preview| Tie {
        service: web(),
        version: label("v2"),
        backend: id("b"),
        id: of,
        epoch: Epoch(epoch),
        is_preview,
    };
    let inside = (0..).find(|&of| includes(of, share(0.3))).unwrap();
    let between = (0..).find(|&of| includes(of, share(0.8)) && !includes(of, share(0.3))).unwrap();
    let terms = |world: &World| [inside, between].map(|of| tie(of, 1, false).term(&world.snapshot));
    assert_eq!(terms(&world), [Term::Open, Term::Open]);
    set(&mut world, "v2", 0.3).unwrap();
    assert_eq!(terms(&world), [Term::Open, Term::Over]);
    assert_eq!(tie(between, 2, false).term(&world.snapshot), Term::Open, "it was asked for by name since");
    set(&mut world, "v2", 0.0).unwrap();
    assert_eq!(terms(&world), [Term::Over, Term::Over]);
    assert_eq!(tie(between, 1, true).term(&world.snapshot), Term::Open, "somebody tries the version out");
    set(&mut world, "v2", 1.0).unwrap();
    world.change(Change::Reject { version: label("v2"), reason: "slow".into() }).unwrap();
    assert_eq!(tie(inside, 3, false).term(&world.snapshot), Term::Over);
}

#[test]
fn tunnels_of_a_canary_that_is_flipped_to_stay() {
    let mut world = World::serving(Policy::default(), "v1", &["a"]);
    world.join("v2", &["b"]);
    set(&mut world, "v2", 0.5).unwrap();
    let [on_it, on_the_old] = [("v2", "b"), ("v1", "a")].map(|(version, backend)| Tie {
        service: web(),
        version: label(version),
        backend: id(backend),
        id: 7,
        epoch: Epoch(1),
        is_preview: false,
    });
    world.flip_when_stable("v2");
    assert_eq!(on_it.term(&world.snapshot), Term::Open);
    assert!(matches!(on_the_old.term(&world.snapshot), Term::Open | Term::Until(_)));
}
