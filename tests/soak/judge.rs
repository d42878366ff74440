//! The verdict over one visit: what it saw against what it may have seen. Pure.

use std::time::Duration;

use super::tally::{Guarantee, Tally};
use super::trace::{Failure, Kind, Seen, Visit, Visitor};
use super::world::{Whose, World};

/// After a server died or fell silent, what was on the way to it may fail for this long: connections are waited for, answers too,
/// and probes have to notice.
const NOTICED: Duration = Duration::from_secs(30);
/// What is sent while a server dies may be on its way to it, on a connection whose end is not read yet.
const ON_THE_WAY: Duration = Duration::from_secs(3);
/// A session whose requests are no further apart keeps its pin: it lives for 12 s, and is handed out again after three.
const PIN_SAFE: Duration = Duration::from_secs(8);
/// After cutover was ready again, the first who find it are still on their way.
const READY: Duration = Duration::from_secs(1);

/// Adds what this visit shows to the tally.
pub(crate) fn judge(visit: &Visit, world: &World, tally: &mut Tally) {
    tally.requests += visit.requests;
    tally.visits += 1;
    *tally.by_protocol.entry(visit.protocol).or_default() += visit.requests;
    if let Some(first) = visit.answers.first() {
        first_answer(visit, first, world, tally);
    }
    for seen in &visit.answers {
        answer(visit, seen, world, tally);
    }
    for pair in visit.answers.windows(2) {
        step(visit, &pair[0], &pair[1], world, tally);
    }
    tally.check_many(Guarantee::Dropped, visit.requests.saturating_sub(visit.failures.len() as u64));
    for failure in &visit.failures {
        failed(visit, failure, world, tally);
    }
}

/// G4: a new session gets what is active.
fn first_answer(visit: &Visit, first: &Seen, world: &World, tally: &mut Tally) {
    let allowed = world.allowed(first.sent, first.answered);
    tally.check(Guarantee::OneStep, allowed.contains(&first.version.as_str()), first.answered, || {
        format!("{}: a new one got {} where {allowed:?} may be had", visit.protocol, first.version)
    });
}

/// G3: who is pinned to a version is answered by it. G7: what is drained by proof answers nobody.
fn answer(visit: &Visit, seen: &Seen, world: &World, tally: &mut Tally) {
    if let Some(pin) = seen.pin {
        // A request that can't be sent twice is passed on with the wrong answer, and counted.
        let is_excused = !seen.is_safe && world.had(Whose::Died, seen.sent, seen.answered);
        let is_right = pin.names(&seen.version);
        tally.check_unless(
            is_excused.then_some("can't be sent twice"),
            Guarantee::WrongVersion,
            is_right,
            seen.answered,
            || format!("{}: pinned to another version, answered by {}", visit.protocol, seen.version),
        );
    }
    // Callers have no pin, so an answer to each is a first one.
    if visit.visitor == Visitor::Caller {
        first_answer(visit, seen, world, tally);
    }
    // What an old process still does is not known to one that was started after the crash of its successor.
    let is_orphan = visit.visitor == Visitor::Tunnel
        && visit.answers.first().is_some_and(|first| world.had(Whose::Cutover, first.sent, seen.answered));
    if world.proofs() > 0 && !is_orphan {
        let is_unused = world.is_proven_unused(&seen.version, seen.sent, seen.answered);
        tally.check(Guarantee::Drained, !is_unused, seen.answered, || {
            format!("{}: answered by {}, which was drained by proof", visit.protocol, seen.version)
        });
    }
}

/// G1: a session stays on its version. G2: its epoch never falls.
fn step(visit: &Visit, before: &Seen, after: &Seen, world: &World, tally: &mut Tally) {
    if visit.visitor != Visitor::Session {
        return;
    }
    let stays = before.version == after.version;
    let is_late = after.answered - before.sent >= PIN_SAFE;
    let expired = || is_late.then_some("its pin may have expired");
    let leaves = || world.may_leave(&before.version, before.sent, after.answered).or_else(expired);
    let why = if stays { None } else { leaves() };
    tally.check_unless(why, Guarantee::OneVersion, stays, after.answered, || {
        format!("{}: from {} to {}, for no reason", visit.protocol, before.version, after.version)
    });
    if let (Some(old), Some(new)) = (before.pin, after.pin) {
        tally.check(Guarantee::NeverBack, new.epoch >= old.epoch, after.answered, || {
            format!("{}: from epoch {} back to {}", visit.protocol, old.epoch, new.epoch)
        });
    }
}

/// G5: nothing fails that could have been answered.
fn failed(visit: &Visit, failure: &Failure, world: &World, tally: &mut Tally) {
    let version = visit.answers.iter().rev().find(|seen| seen.answered <= failure.failed);
    let why = excuse(version.map(|seen| seen.version.as_str()), failure, world);
    tally.check_unless(why, Guarantee::Dropped, false, failure.failed, || {
        let version = version.map_or("nobody yet", |seen| &seen.version);
        format!("{}, served by {version}: {failure}", visit.protocol)
    });
}

fn excuse(version: Option<&str>, failure: &Failure, world: &World) -> Option<&'static str> {
    let (from, to) = (failure.sent, failure.failed);
    if failure.kind == Kind::Wrong {
        return None;
    }
    let began = from.checked_sub(READY).unwrap_or(from);
    if world.had(Whose::Cutover, began, to) {
        return Some("cutover was killed");
    }
    if world.had(Whose::Descriptors, began, to) {
        return Some("cutover had no descriptors");
    }
    if world.had_just(Whose::Silent, from, to, NOTICED) {
        return Some("a server was silent");
    }
    if world.had(Whose::Machine, began, to) {
        return Some("the machine stood still");
    }
    let is_in_the_middle = !failure.is_safe || failure.kind != Kind::NoAnswer;
    if is_in_the_middle && world.had_just(Whose::Died, from, to, ON_THE_WAY) {
        return Some("its server died in the middle");
    }
    let lacks = |version: &str| world.may_lack(version, from, to);
    match version {
        Some(version) if lacks(version) => Some("its version may have had no server"),
        None if world.allowed(from, to).into_iter().any(lacks) => Some("the version may have had no server"),
        Some(version) if failure.kind == Kind::Goodbye => {
            let drained = || world.lost_one(version, from, to).then_some("its server was drained");
            world.may_leave(version, from, to).or_else(drained)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
