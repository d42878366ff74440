//! What the judge sees, remembers and says, under a clock that tests move by hand.

use std::sync::Arc;
use std::time::Duration;

use cutover_core::answers::Outcome;
use cutover_core::bake::{Bake, State};
use cutover_core::command::{Change, Command, SetCanary};
use cutover_core::judge::{Kind, Standing};
use cutover_core::policy::{BakePolicy, Policy, Share};
use cutover_core::time::Millis;

use crate::store::{Fault, FaultyStore, MemoryStore, Store};
use crate::world::{World, label, web};

/// A version answers so often; so many of the answers are errors.
fn answer(world: &World, version: &str, requests: u64, errors: u64) {
    let snapshot = world.serve();
    let set = snapshot.service(&web()).expect("web").version(version).expect("the version");
    for at in 0..requests {
        let outcome = if at < errors { Outcome::Failed } else { Outcome::Good };
        set.traffic.answers.note(outcome, Duration::from_millis(5));
    }
}

/// Seconds in which v2 answers, until it is no longer active; so many at most.
async fn watched(world: &mut World, seconds: u64, errors: u64) -> u64 {
    for second in 1..=seconds {
        answer(world, "v2", 100, errors);
        world.pass(Millis::from_secs(1)).await;
        if world.active() != Some("v2") {
            return second;
        }
    }
    seconds
}

async fn put(world: &mut World, bake: BakePolicy) {
    let policy = Arc::new(Policy { bake, ..Policy::default() });
    let put = Command::PutService { service: web(), policy, document: "{}".into() };
    world.submit(put).await.expect("a service");
}

/// v1 answered 10,000 requests, five of them with an error; then v2 replaced it.
async fn baking(store: Arc<dyn Store>, rollback: bool) -> World {
    let mut world = World::with_two_versions(store).await;
    put(&mut world, BakePolicy { rollback, ..BakePolicy::default() }).await;
    world.pass(Millis(100)).await;
    answer(&world, "v1", 10_000, 5);
    world.flip("v2").await.expect("it may");
    world.pass(Millis(100)).await;
    world
}

fn bake(world: &World) -> &Bake {
    world.web().bake.as_ref().expect("a bake")
}

fn kinds(world: &World) -> Vec<String> {
    let entries = world.controller.events().timeline(&web(), 100, None);
    entries.iter().rev().map(|entry| entry.kind.to_string()).collect()
}

#[tokio::test]
async fn the_baseline_is_frozen_in_the_same_step_as_the_flip() {
    let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
    world.pass(Millis(100)).await;
    answer(&world, "v1", 1000, 10);
    let before = world.controller.revision();
    let done = world.flip("v2").await.expect("it may");
    assert_eq!(done.revision, before.next());
    assert_eq!((bake(&world).baseline.requests, bake(&world).baseline.errors), (1000, 10));
    answer(&world, "v1", 1000, 1000);
    world.pass(Millis::from_secs(5)).await;
    assert_eq!(bake(&world).baseline.errors, 10, "what pinned sessions still meet does not count");
}

#[tokio::test]
async fn the_baseline_is_what_the_old_version_did_lately() {
    let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
    world.pass(Millis(100)).await;
    answer(&world, "v1", 1000, 1000);
    for _ in 0..3 {
        world.pass(Millis::from_secs(300)).await;
        answer(&world, "v1", 100, 1);
    }
    world.flip("v2").await.expect("it may");
    let baseline = bake(&world).baseline;
    assert_eq!((baseline.requests, baseline.errors), (200, 2), "of the last five to ten minutes");
}

#[tokio::test]
async fn a_bad_version_is_rolled_back_with_its_numbers() {
    let mut world = baking(Arc::new(MemoryStore::new()), true).await;
    let seconds = watched(&mut world, 60, 3).await;
    assert!((5..30).contains(&seconds), "{seconds}");
    assert_eq!((world.active(), bake(&world).state), (Some("v1"), State::RolledBack));
    let verdict = world.web().verdict.clone().expect("a verdict");
    assert_eq!((verdict.standing, verdict.numbers.error_rate()), (Standing::Bad, Some(0.03)));
    assert_eq!(verdict.numbers.baseline_error_rate, Some(0.0005));
    assert!(verdict.numbers.evidence >= 100.0);
    let rejected = world.web().versions["v2"].rejected.clone();
    assert_eq!(rejected, Some(format!("judged bad: {}", verdict.reason)));
    assert!(verdict.reason.starts_with("too many errors: 3.00 % of"), "{}", verdict.reason);
}

#[tokio::test]
async fn a_good_version_passes_at_the_end_of_its_bake() {
    let mut world = baking(Arc::new(MemoryStore::new()), true).await;
    watched(&mut world, 299, 0).await;
    assert_eq!(bake(&world).state, State::Running);
    let running = world.controller.verdicts().of(&web()).expect("a verdict");
    assert_eq!((running.standing, running.numbers.requests), (Standing::Watching, 29_900));
    watched(&mut world, 2, 0).await;
    assert_eq!((world.active(), bake(&world).state), (Some("v2"), State::Passed));
    let verdict = world.web().verdict.clone().expect("a verdict");
    assert_eq!(verdict.standing, Standing::Good);
    assert_eq!(kinds(&world).last().map(String::as_str), Some("baked"));
    assert_eq!(world.controller.verdicts().of(&web()), None, "nothing is watched any more");
}

#[tokio::test]
async fn a_bake_that_saw_nothing_passes_and_says_so() {
    let mut world = baking(Arc::new(MemoryStore::new()), true).await;
    world.pass(Millis::from_secs(300)).await;
    assert_eq!(bake(&world).state, State::Passed);
    let reason = world.web().verdict.clone().expect("a verdict").reason;
    assert_eq!(reason, "nothing is known against it, but it was asked only 0 times");
}

#[tokio::test]
async fn with_rollback_off_it_is_told_once() {
    let mut world = baking(Arc::new(MemoryStore::new()), false).await;
    watched(&mut world, 60, 30).await;
    assert_eq!((world.active(), bake(&world).state), (Some("v2"), State::Failed));
    assert_eq!(kinds(&world).iter().filter(|kind| *kind == "judged_bad").count(), 1);
}

#[tokio::test]
async fn a_restart_keeps_the_bake_and_its_baseline_and_begins_the_sums_anew() {
    let mut world = baking(Arc::new(MemoryStore::new()), true).await;
    watched(&mut world, 4, 3).await;
    let before = bake(&world).clone();
    world.restart().await;
    assert_eq!(*bake(&world), before);
    for (backend, version) in [("a", "v1"), ("b", "v2")] {
        world.up(backend, version).await;
    }
    // The document of these tests has no policy but the default one.
    put(&mut world, BakePolicy { rollback: true, ..BakePolicy::default() }).await;
    world.pass(Millis(100)).await;
    assert_eq!(world.controller.verdicts().of(&web()).expect("a verdict").numbers.requests, 0);
    let seconds = watched(&mut world, 60, 3).await;
    assert!((5..30).contains(&seconds) && world.active() == Some("v1"), "{seconds}");
}

#[tokio::test]
async fn a_verdict_that_could_not_be_committed_is_given_again() {
    let fault = Arc::new(std::sync::Mutex::new(Fault::None));
    let plan = Arc::clone(&fault);
    let plan = move || *plan.lock().expect("nobody panicked");
    let mut world = baking(Arc::new(FaultyStore::new(Arc::new(MemoryStore::new()), plan)), true).await;
    *fault.lock().expect("nobody panicked") = Fault::Unavailable;
    watched(&mut world, 40, 3).await;
    assert_eq!((world.active(), bake(&world).state), (Some("v2"), State::Running));
    *fault.lock().expect("nobody panicked") = Fault::None;
    world.pass(Millis(100)).await;
    assert_eq!((world.active(), bake(&world).state), (Some("v1"), State::RolledBack));
}

async fn set_canary(world: &mut World, to: &str, share: f64) {
    let request = SetCanary { to: label(to), share: Share::new(share), paused: None, if_epoch: None };
    world.change(Change::SetCanary(request)).await.expect("it may");
}

/// v1 is active, v2 its canary.
async fn canary(rollback: bool) -> World {
    let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
    put(&mut world, BakePolicy { rollback, ..BakePolicy::default() }).await;
    world.pass(Millis(100)).await;
    answer(&world, "v1", 10_000, 5);
    set_canary(&mut world, "v2", 0.1).await;
    world.pass(Millis(100)).await;
    world
}

/// Seconds in which both versions answer, until there is no canary any more; so many at most.
async fn compared(world: &mut World, seconds: u64, errors: u64) -> u64 {
    for second in 1..=seconds {
        answer(world, "v1", 900, 1);
        answer(world, "v2", 100, errors);
        world.pass(Millis::from_secs(1)).await;
        if world.web().canary.is_none() {
            return second;
        }
    }
    seconds
}

#[tokio::test]
async fn a_bad_canary_ends_with_its_numbers() {
    let mut world = canary(true).await;
    let seconds = compared(&mut world, 60, 3).await;
    assert!((5..30).contains(&seconds) && world.web().canary.is_none(), "{seconds}");
    let verdict = world.web().verdict.clone().expect("a verdict");
    assert_eq!((verdict.kind, verdict.standing), (Kind::Canary, Standing::Bad));
    assert!(verdict.numbers.baseline_error_rate.expect("v1 answered") < 0.002, "{verdict:?}");
    let rejected = world.web().versions["v2"].rejected.clone();
    assert_eq!(rejected, Some(format!("judged bad: {}", verdict.reason)));
    world.pass(Millis(100)).await;
    assert_eq!(world.controller.verdicts().of(&web()), None, "nothing is watched any more");
}

#[tokio::test]
async fn a_canary_that_is_as_bad_as_the_active_version_is_not_worse() {
    let mut world = canary(true).await;
    for _ in 0..60 {
        answer(&world, "v1", 900, 90);
        answer(&world, "v2", 100, 10);
        world.pass(Millis::from_secs(1)).await;
    }
    assert!(world.web().canary.is_some(), "{:?}", world.web().verdict);
    let running = world.controller.verdicts().of(&web()).expect("a verdict");
    assert_eq!((running.kind, running.numbers.requests), (Kind::Canary, 6000));
}

#[tokio::test]
async fn a_larger_share_goes_on_with_the_same_watch() {
    let mut world = canary(true).await;
    compared(&mut world, 10, 0).await;
    set_canary(&mut world, "v2", 0.5).await;
    compared(&mut world, 10, 0).await;
    let running = world.controller.verdicts().of(&web()).expect("a verdict");
    assert_eq!(running.numbers.requests, 2000);
}

#[tokio::test]
async fn with_rollback_off_a_bad_canary_is_told_once_and_stays() {
    let mut world = canary(false).await;
    compared(&mut world, 60, 30).await;
    assert!(world.web().canary.as_ref().is_some_and(|canary| canary.is_failed));
    assert_eq!(kinds(&world).iter().filter(|kind| *kind == "judged_bad").count(), 1);
}

#[tokio::test]
async fn a_canary_and_the_bake_of_the_active_version_are_both_watched() {
    let mut world = baking(Arc::new(MemoryStore::new()), false).await;
    world.register("c", "v3").await.expect("a backend");
    world.up("c", "v3").await;
    set_canary(&mut world, "v3", 0.5).await;
    for _ in 0..60 {
        answer(&world, "v2", 100, 30);
        answer(&world, "v3", 100, 0);
        world.pass(Millis::from_secs(1)).await;
    }
    assert_eq!(bake(&world).state, State::Failed);
    let running = world.controller.verdicts().of(&web()).expect("a verdict");
    assert_eq!((running.kind, running.version.as_str()), (Kind::Canary, "v3"));
}
