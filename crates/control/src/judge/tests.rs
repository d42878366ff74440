//! What the judge sees, remembers and says, under a clock that tests move by hand.

use std::sync::Arc;
use std::time::Duration;

use cutover_core::answers::Outcome;
use cutover_core::bake::{Bake, State};
use cutover_core::command::Command;
use cutover_core::judge::Standing;
use cutover_core::policy::{BakePolicy, Policy};
use cutover_core::time::Millis;

use crate::store::{Fault, FaultyStore, MemoryStore, Store};
use crate::world::{World, web};

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
