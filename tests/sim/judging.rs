//! How versions answer, and what the judge must make of it: a good version is never judged bad, and a bad one is as soon as it was asked often
//! enough.

use std::time::Duration;

use cutover_core::answers::Outcome;
use cutover_core::bake::State;
use cutover_core::entropy::Entropy;
use cutover_core::id::VersionLabel;
use cutover_core::judge::Standing;
use cutover_core::policy::BakePolicy;
use cutover_core::service::Service;
use cutover_core::snapshot::VersionSet;
use cutover_core::time::Millis;

/// A request of a session stands for so many, of visitors who check nothing.
const VISITORS: u64 = 20;
/// How many of a thousand answers are errors.
const ERRORS_OF_GOOD: u64 = 3;
const ERRORS_OF_BAD: u64 = 300;
/// Answers of a bad version and of the good one before it with which nobody takes it for good any more.
const ENOUGH: u64 = 1000;

/// How versions answer. It has dice of its own, so that what else happens in a history is what happened without it.
pub(crate) struct Judging {
    dice: Entropy,
}

/// In some histories the judge may act; in the others it only tells.
pub(crate) fn policy(seed: u64) -> BakePolicy {
    BakePolicy { duration: Millis::from_secs(30), rollback: seed % 5 >= 3, ..BakePolicy::default() }
}

/// Every third release is bad.
fn is_bad(version: &VersionLabel) -> bool {
    version.as_str().trim_start_matches('v').parse::<u64>().is_ok_and(|number| number % 3 == 0)
}

impl Judging {
    pub(crate) fn new(seed: u64) -> Self {
        Self { dice: Entropy::new(!seed) }
    }

    /// A version answers a session, and others who came in the same moment.
    pub(crate) fn answer(&mut self, version: &VersionSet) {
        let errors = if is_bad(&version.label) { ERRORS_OF_BAD } else { ERRORS_OF_GOOD };
        for _ in 0..VISITORS {
            let outcome = if self.dice.below(1000) < errors { Outcome::Failed } else { Outcome::Good };
            version.traffic.answers.note(outcome, Duration::from_millis(10));
        }
    }
}

/// Looks at what was judged in one go. Answers whether a version was judged bad.
pub(crate) fn check(before: &Service, after: &Service) -> bool {
    let bad = after.verdict.as_ref().filter(|verdict| verdict.standing == Standing::Bad);
    let news = bad.filter(|_| before.verdict != after.verdict);
    if let Some(verdict) = news {
        assert!(is_bad(&verdict.version), "a good version was judged bad: {verdict:?}");
    }
    let (Some(was), Some(bake)) = (&before.bake, &after.bake) else { return news.is_some() };
    let has_passed = (was.epoch, was.state, bake.state) == (bake.epoch, State::Running, State::Passed);
    if has_passed && is_bad(&bake.version) && !is_bad(&bake.from) {
        let asked = after.verdict.as_ref().map_or(0, |verdict| verdict.numbers.requests);
        assert!(
            asked < ENOUGH || bake.baseline.requests < ENOUGH,
            "a bad version passed its bake: {bake:?}, {:?}",
            after.verdict
        );
    }
    let was_left = bake.state == State::Failed && was.state == State::Running && was.epoch == bake.epoch;
    if was_left && after.policy.bake.rollback {
        let reason = news.map_or("", |verdict| verdict.reason.as_str());
        assert!(
            reason.contains("not rolled back: "),
            "a bad version was not rolled back: {:?}",
            after.verdict
        );
    }
    news.is_some()
}
