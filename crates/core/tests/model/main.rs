//! Every order in which a small fleet can be rolled: permits, restarts, probes, flips, sessions, time and crashes of cutover, searched
//! breadth first over the real [`State::apply`](cutover_core::state::State::apply). Each property is named after the guarantee that it is.
//!
//! States are told apart by [`Fleet::fingerprint`], in which backends and sessions have no names and times are relative: what differs
//! only in those goes on alike.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a state that should not be has failed")]

mod fingerprint;
mod fleet;
mod properties;

use std::collections::{BTreeSet, VecDeque};

use crate::fleet::{Budget, Fleet};

/// More states than this are a model that has grown beyond a test.
const STATES_MAX: usize = 400_000;
/// Of so many states, one is brought to its end.
const ENDS_EVERY: usize = 16;

struct Found {
    states: usize,
    /// States from which a roll was brought to its end.
    ends: usize,
}

/// Takes every step from every state that can be reached.
fn search(begin: Fleet) -> Found {
    let mut seen = BTreeSet::from([begin.fingerprint()]);
    let mut queue = VecDeque::from([begin]);
    let mut found = Found { states: 0, ends: 0 };
    while let Some(fleet) = queue.pop_front() {
        found.states += 1;
        assert!(found.states < STATES_MAX, "the model is too large");
        if found.states % ENDS_EVERY == 1 && !fleet.is_aborted {
            properties::a_roll_that_nobody_aborts_ends(fleet.clone());
            found.ends += 1;
        }
        for act in fleet.acts() {
            let mut next = fleet.clone();
            if !next.perform(act) {
                continue;
            }
            properties::check(&next);
            if seen.insert(next.fingerprint()) {
                queue.push_back(next);
            }
        }
    }
    found
}

fn assert_thorough(begin: Fleet, states_min: usize) {
    let Found { states, ends } = search(begin);
    assert!(
        states >= states_min && ends >= states_min / 100,
        "only {states} states, {ends} ends: the model has shrunk"
    );
}

#[test]
fn four_backends_are_rolled_by_themselves() {
    assert_thorough(Fleet::new(4, 2, true, Budget { passes: 1, ..Budget::default() }), 1000);
}

#[test]
fn three_backends_are_rolled_by_hand_with_two_sessions() {
    let budget = Budget { passes: 1, ..Budget::default() };
    assert_thorough(Fleet::new(3, 2, false, budget), 1000);
}

#[test]
fn three_backends_are_rolled_while_something_breaks() {
    let budget = Budget { passes: 2, broken: 1, resumes: 1, aborts: 1, ..Budget::default() };
    assert_thorough(Fleet::new(3, 1, true, budget), 1000);
}

#[test]
fn two_backends_are_rolled_while_cutover_crashes() {
    let budget = Budget { passes: 1, crashes: 1, falls: 1, ..Budget::default() };
    assert_thorough(Fleet::new(2, 1, true, budget), 1000);
}
