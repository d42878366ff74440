//! The judge is judged: what is right passes, and what was broken on purpose is found.

use std::time::Instant;

use cutover_core::id::VersionLabel;
use cutover_core::pin::version_hash;

use super::*;
use crate::trace::Pin;
use crate::world::ChangeKind;

/// A world with v1 active and servers of both versions well, and time that passes.
fn world() -> World {
    let mut world = World::new(Duration::from_secs(40));
    world.settle("a", "v1");
    world.settle("b", "v2");
    change(&mut world, ChangeKind::Flip, "", "v1");
    world
}

fn change(world: &mut World, kind: ChangeKind, from: &str, to: &str) {
    let change = world.call(kind, from, to);
    world.happened(change);
}

fn seen(version: &str, epoch: u64) -> Seen {
    let hash = version_hash(&version.parse::<VersionLabel>().unwrap());
    let now = Instant::now();
    let pin = Some(Pin { epoch, version: hash });
    Seen { version: version.to_owned(), pin, is_safe: true, sent: now, answered: Instant::now() }
}

fn failure(kind: Kind, is_safe: bool) -> Failure {
    let now = Instant::now();
    Failure { what: "GET /".to_owned(), kind, is_safe, sent: now, failed: Instant::now() }
}

fn session(answers: Vec<Seen>) -> Visit {
    let requests = answers.len() as u64;
    Visit { answers, requests, ..Visit::new(Visitor::Session, "h1") }
}

fn verdict(visit: &Visit, world: &World) -> Tally {
    let mut tally = Tally::default();
    judge(visit, world, &mut tally);
    tally
}

/// Which guarantees are broken.
fn broken(visit: &Visit, world: &World) -> Vec<Guarantee> {
    let tally = verdict(visit, world);
    Guarantee::ALL.into_iter().filter(|of| tally.count(*of).violations > 0).collect()
}

#[test]
fn a_session_that_stays_over_a_flip_is_right_and_one_that_moves_by_itself_is_not() {
    let mut world = world();
    let first = seen("v1", 1);
    change(&mut world, ChangeKind::Flip, "v1", "v2");

    assert_eq!(broken(&session(vec![first.clone(), seen("v1", 1)]), &world), []);
    assert_eq!(broken(&session(vec![first, seen("v2", 2)]), &world), [Guarantee::OneVersion]);
}

#[test]
fn a_rollback_moves_its_sessions_and_nobody_else() {
    let mut world = world();
    change(&mut world, ChangeKind::Flip, "v1", "v2");
    let (bad, good) = (seen("v2", 2), seen("v1", 1));
    change(&mut world, ChangeKind::Rollback, "v2", "v1");

    let moved = verdict(&session(vec![bad, seen("v1", 3)]), &world);
    assert_eq!((moved.violations(), moved.count(Guarantee::OneVersion).excused["rolled back"]), (0, 1));
    let tally = verdict(&session(vec![good, seen("v2", 3)]), &world);
    assert!(tally.count(Guarantee::OneVersion).violations == 1, "{tally:?}");
}

#[test]
fn an_epoch_that_falls_is_found() {
    let world = world();
    assert_eq!(broken(&session(vec![seen("v1", 2), seen("v1", 1)]), &world), [Guarantee::NeverBack]);
}

#[test]
fn an_answer_of_another_version_than_the_pin_s_is_found() {
    let world = world();
    let wrong = Seen { pin: seen("v2", 1).pin, ..seen("v1", 1) };
    assert_eq!(broken(&session(vec![wrong]), &world), [Guarantee::WrongVersion]);
}

#[test]
fn a_new_session_on_the_old_version_after_the_flip_is_found_and_one_during_the_flip_is_right() {
    let mut world = world();
    let during = world.call(ChangeKind::Flip, "v1", "v2");
    let either = [seen("v1", 1), seen("v2", 2)];
    world.happened(during);

    for first in either {
        assert_eq!(broken(&session(vec![first]), &world), []);
    }
    assert_eq!(broken(&session(vec![seen("v1", 1)]), &world), [Guarantee::OneStep]);
    assert_eq!(broken(&session(vec![seen("v2", 2)]), &world), []);
}

#[test]
fn a_flip_that_was_refused_gives_nobody_the_other_version() {
    let mut world = world();
    let refused = world.call(ChangeKind::Flip, "v1", "v2");
    let early = seen("v2", 2);
    world.refused(refused);
    assert_eq!(broken(&session(vec![early]), &world), [Guarantee::OneStep]);
}

#[test]
fn a_canary_is_for_new_sessions_until_it_has_ended() {
    let mut world = world();
    change(&mut world, ChangeKind::Canary, "v1", "v2");
    assert_eq!(broken(&session(vec![seen("v2", 1)]), &world), []);
    change(&mut world, ChangeKind::CanaryEnd, "v2", "v1");
    assert_eq!(broken(&session(vec![seen("v2", 1)]), &world), [Guarantee::OneStep]);
}

#[test]
fn what_fails_without_trouble_is_found_and_a_dead_cutover_excuses_it() {
    let mut world = world();
    let visit =
        |kind, is_safe| Visit { failures: vec![failure(kind, is_safe)], ..session(vec![seen("v1", 1)]) };
    assert_eq!(broken(&visit(Kind::NoAnswer, true), &world), [Guarantee::Dropped]);

    let dead = world.begin(Whose::Cutover);
    let during = visit(Kind::NoAnswer, true);
    world.end(dead);
    assert_eq!(broken(&during, &world), []);
}

#[test]
fn the_death_of_one_of_two_servers_excuses_only_what_can_not_be_sent_twice() {
    let mut world = world();
    world.settle("c", "v1");
    let died = world.begin(Whose::Died);
    world.unsettle("a");
    let visit =
        |is_safe| Visit { failures: vec![failure(Kind::NoAnswer, is_safe)], ..session(vec![seen("v1", 1)]) };
    let (safe, once) = (visit(true), visit(false));
    world.end(died);
    assert_eq!(verdict(&once, &world).count(Guarantee::Dropped).excused["its server died in the middle"], 1);
    assert_eq!(broken(&safe, &world), [Guarantee::Dropped]);

    world.unsettle("c");
    assert_eq!(broken(&visit(true), &world), []);
}

#[test]
fn a_machine_that_stood_still_excuses_what_failed_meanwhile_and_not_later() {
    let mut world = world();
    let visit = |at: Instant| {
        let failure = Failure { sent: at, failed: at, ..failure(Kind::NoAnswer, true) };
        Visit { failures: vec![failure], ..session(vec![]) }
    };
    let from = Instant::now();
    world.stood_still(from);
    assert_eq!(broken(&visit(from), &world), []);
    assert_eq!(broken(&visit(Instant::now() + READY * 2), &world), [Guarantee::Dropped]);
}

#[test]
fn a_wrong_answer_is_never_excused() {
    let mut world = world();
    world.begin(Whose::Cutover);
    let visit = Visit { failures: vec![failure(Kind::Wrong, true)], ..session(vec![seen("v1", 1)]) };
    assert_eq!(broken(&visit, &world), [Guarantee::Dropped]);
}

#[test]
fn an_answer_of_what_was_drained_by_proof_is_found_until_it_is_active_again() {
    let mut world = world();
    change(&mut world, ChangeKind::Flip, "v1", "v2");
    let old = seen("v1", 1);
    let asked = Instant::now();
    world.prove("v1", asked);
    assert_eq!(broken(&session(vec![old]), &world), [Guarantee::OneStep]);
    assert!(broken(&session(vec![seen("v1", 1)]), &world).contains(&Guarantee::Drained));

    change(&mut world, ChangeKind::Flip, "v2", "v1");
    assert_eq!(broken(&session(vec![seen("v1", 3)]), &world), []);
}
