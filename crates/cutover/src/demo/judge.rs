//! The verdict over what the visitors met: which sessions mixed versions, which went back, what failed.
//!
//! Pure: visits and the demo's own changes in, counts out. A rollback moves the sessions of the version that is taken
//! back; that move, and nothing else, is not held against the proxy.

use tokio::time::Instant;

use super::{
    release::Release,
    trace::{Change, ChangeKind, Failure, Fault, Seen, Visit},
};

/// Failures that the verdict keeps in words.
const EXPLAINED_MAX: usize = 5;

/// The counts over all visits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) requests: u64,
    /// Requests without the right answer.
    pub(super) failed: u64,
    /// Those of `failed` that are a 404 for an asset which the page named.
    pub(super) assets_missing: u64,
    /// The same, but where a rollback fell between page and asset; not in `failed`.
    pub(super) assets_rolled_back: u64,
    pub(super) sessions: u64,
    /// Sessions that saw two versions other than by a rollback.
    pub(super) mixed: u64,
    /// Sessions that saw an older version after a newer one other than by a rollback.
    pub(super) went_back: u64,
    /// Sessions that a rollback moved.
    pub(super) rolled_back: u64,
    /// Sessions that began after a change was answered and still got another version than its target.
    pub(super) late: u64,
    /// The first failures, in words.
    pub(super) explained: Vec<String>,
}

impl Verdict {
    pub(super) fn over(visits: &[Visit], changes: &[Change]) -> Self {
        let mut verdict = Self::default();
        for visit in visits {
            verdict.add(visit, changes);
        }
        verdict
    }

    /// Whether every visitor got what cutover promises.
    pub(super) fn is_clean(&self) -> bool {
        self.failed == 0 && self.mixed == 0 && self.went_back == 0 && self.late == 0
    }

    fn add(&mut self, visit: &Visit, changes: &[Change]) {
        self.requests += visit.requests;
        self.sessions += u64::from(!visit.answers.is_empty());
        for failure in &visit.failures {
            self.add_failure(failure, changes);
        }
        let path = Path::of(&visit.answers, changes);
        self.mixed += u64::from(path.mixed);
        self.went_back += u64::from(path.went_back);
        self.rolled_back += u64::from(path.rolled_back);
        if let Some((seen, wanted)) = began_late(&visit.answers, changes) {
            self.late += 1;
            self.explain(format!(
                "a session that began after the flip to {wanted} was answered got {}",
                seen.release
            ));
        }
        if let Some((before, after)) = path.first_wrong_step {
            self.explain(format!(
                "a session that was on {} was answered by {}",
                before.release, after.release
            ));
        }
    }

    fn add_failure(&mut self, failure: &Failure, changes: &[Change]) {
        if let Fault::AssetMissing { page, by } = failure.fault {
            if rollbacks(changes).any(|back| fell_between(back, page, failure.answered, by)) {
                self.assets_rolled_back += 1;
                return;
            }
            self.assets_missing += 1;
        }
        self.failed += 1;
        self.explain(format!("{}: {}", failure.target, failure.fault));
    }

    fn explain(&mut self, what: String) {
        if self.explained.len() < EXPLAINED_MAX {
            self.explained.push(what);
        }
    }
}

/// The way of one session through the versions.
#[derive(Debug, Default)]
struct Path {
    mixed: bool,
    went_back: bool,
    rolled_back: bool,
    first_wrong_step: Option<(Seen, Seen)>,
}

impl Path {
    fn of(answers: &[Seen], changes: &[Change]) -> Self {
        let mut answers: Vec<_> = answers.iter().map(|seen| (era(seen, changes), *seen)).collect();
        answers.sort_by_key(|(era, seen)| (*era, seen.answered));
        let mut path = Self::default();
        for pair in answers.windows(2) {
            let [(era_before, before), (era_after, after)] = pair else { continue };
            if before.release == after.release {
                continue;
            }
            let mut passed = rollbacks(changes).take(*era_after).skip(*era_before);
            if passed.any(|back| back.from == before.release && back.to == after.release) {
                path.rolled_back = true;
                continue;
            }
            path.mixed = true;
            path.went_back |= after.release < before.release;
            path.first_wrong_step.get_or_insert((*before, *after));
        }
        path
    }
}

/// How many rollbacks an answer comes after.
///
/// While a rollback is under way both versions answer: the old one what was sent before, the other what was decided
/// since. So an answer of the version that is taken back comes after the rollback only if it was *sent* after its
/// return; any other comes after it as soon as it was *answered* after its call.
fn era(seen: &Seen, changes: &[Change]) -> usize {
    rollbacks(changes)
        .filter(|back| {
            if seen.release == back.from { seen.sent >= back.answered } else { seen.answered >= back.called }
        })
        .count()
}

/// Whether the page was asked for before the rollback had happened, and its asset answered after it had begun.
fn fell_between(back: &Change, page: Seen, asset_answered: Instant, by: Release) -> bool {
    let is_from_bad_to_good = back.from == page.release && back.to == by;
    is_from_bad_to_good && page.sent < back.answered && asset_answered >= back.called
}

/// The first answer of a session that began after a change had been answered, and should have been on its target.
///
/// A session whose first request overlaps the next change may be on either side of that one, and is left out.
fn began_late(answers: &[Seen], changes: &[Change]) -> Option<(Seen, Release)> {
    let first = answers.iter().min_by_key(|seen| seen.sent)?;
    let last = changes.iter().rposition(|change| change.answered <= first.sent)?;
    let is_overlapped = changes.get(last + 1).is_some_and(|next| next.called <= first.answered);
    let wanted = changes.get(last)?.to;
    (first.release != wanted && !is_overlapped).then_some((*first, wanted))
}

fn rollbacks(changes: &[Change]) -> impl Iterator<Item = &Change> {
    changes.iter().filter(|change| change.kind == ChangeKind::Rollback)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_session_that_stays_is_clean_even_over_a_flip() {
        let at = clock();
        let flips = [change(ChangeKind::Flip, 1, 2, at(10), at(12))];

        let verdict = Verdict::over(&[visit([(1, at(0)), (1, at(20))]), visit([(2, at(13))])], &flips);

        assert!(verdict.is_clean(), "{verdict:?}");
        assert_eq!(verdict.sessions, 2);
    }

    #[test]
    fn a_flip_that_moves_a_session_mixes_it() {
        let at = clock();
        let flips = [change(ChangeKind::Flip, 1, 2, at(10), at(12))];

        let verdict = Verdict::over(&[visit([(1, at(0)), (2, at(20))])], &flips);

        assert_eq!((verdict.mixed, verdict.went_back, verdict.late), (1, 0, 0));
    }

    #[test]
    fn there_and_back_again_is_going_back() {
        let at = clock();

        let verdict = Verdict::over(&[visit([(1, at(0)), (2, at(5)), (1, at(9))])], &[]);

        assert_eq!((verdict.mixed, verdict.went_back), (1, 1));
        assert_eq!(verdict.explained, ["a session that was on v1 was answered by v2"]);
    }

    #[test]
    fn a_rollback_may_move_sessions_of_the_bad_version_once() {
        let at = clock();
        let back = [change(ChangeKind::Rollback, 2, 1, at(10), at(12))];

        let moved = Verdict::over(&[visit([(2, at(0)), (1, at(20)), (1, at(30))])], &back);
        let and_again = Verdict::over(&[visit([(2, at(0)), (1, at(20)), (2, at(30))])], &back);

        assert!(moved.is_clean());
        assert_eq!(moved.rolled_back, 1);
        assert_eq!((and_again.rolled_back, and_again.mixed), (1, 1));
    }

    #[test]
    fn a_rollback_excuses_no_move_before_it_nor_of_other_versions() {
        let at = clock();
        let back = [change(ChangeKind::Rollback, 2, 1, at(10), at(12))];

        let before = Verdict::over(&[visit([(2, at(0)), (1, at(5))])], &back);
        let forward = Verdict::over(&[visit([(1, at(0)), (2, at(20))])], &back);

        assert_eq!((before.mixed, before.went_back), (1, 1));
        assert_eq!((forward.mixed, forward.went_back), (1, 0));
    }

    #[test]
    fn an_answer_that_was_in_flight_during_the_rollback_is_no_return() {
        let at = clock();
        let back = [change(ChangeKind::Rollback, 2, 1, at(10), at(12))];
        let slow = Seen { release: release(2), sent: at(9), answered: at(25) };
        let mut visit = visit([(2, at(0)), (1, at(14))]);
        visit.answers.push(slow);

        let verdict = Verdict::over(&[visit], &back);

        assert!(verdict.is_clean(), "{verdict:?}");
    }

    #[test]
    fn a_session_that_begins_after_the_flip_belongs_to_the_new_version() {
        let at = clock();
        let flips =
            [change(ChangeKind::Flip, 1, 2, at(10), at(12)), change(ChangeKind::Flip, 2, 3, at(40), at(42))];

        let late = Verdict::over(&[visit([(1, at(13))])], &flips);
        let during = Verdict::over(&[visit([(1, at(11))])], &flips);
        let at_the_next = Verdict::over(&[visit([(3, at(39))])], &flips);

        assert_eq!((late.late, during.late, at_the_next.late), (1, 0, 0));
        assert!(!late.is_clean());
    }

    #[test]
    fn an_asset_lost_to_a_rollback_is_counted_apart() {
        let at = clock();
        let back = [change(ChangeKind::Rollback, 2, 1, at(10), at(12))];
        let missing = |page, sent, by, answered| Failure {
            target: "/assets/app.js".into(),
            fault: Fault::AssetMissing { page: seen((page, sent)), by: release(by) },
            answered,
        };
        let excused = missing(2, at(8), 1, at(11));
        let other_way = missing(1, at(8), 2, at(11));
        let long_after = missing(2, at(40), 1, at(41));
        let visit = Visit { failures: vec![excused, other_way, long_after], ..Visit::default() };

        let verdict = Verdict::over(&[visit], &back);

        assert_eq!((verdict.assets_rolled_back, verdict.assets_missing, verdict.failed), (1, 2, 2));
    }

    fn clock() -> impl Fn(u64) -> Instant {
        let zero = Instant::now();
        move |ms| zero + Duration::from_millis(ms)
    }

    fn release(number: u8) -> Release {
        Release::parse(&format!("v{number}")).unwrap()
    }

    fn visit<const N: usize>(answers: [(u8, Instant); N]) -> Visit {
        Visit { answers: answers.map(seen).into(), requests: N as u64, ..Visit::default() }
    }

    fn seen((number, sent): (u8, Instant)) -> Seen {
        Seen { release: release(number), sent, answered: sent + Duration::from_millis(1) }
    }

    fn change(kind: ChangeKind, from: u8, to: u8, called: Instant, answered: Instant) -> Change {
        Change { kind, from: release(from), to: release(to), called, answered }
    }
}
