//! What was said of a deploy's steps already.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::plan::Step;

/// Time after which a wait for the same thing is told again.
const REMIND: Duration = Duration::from_secs(60);

/// What comes before the time that a canary's step has left.
pub(super) const LEFT: &str = ", for ";

/// The steps that were said to be done, and what was said last of the one that waits.
#[derive(Debug, Default)]
pub(super) struct StepLog {
    done: BTreeSet<Step>,
    said: Option<(Step, String, Instant)>,
}

impl StepLog {
    /// Notes that a step is done; whether that is news.
    pub(super) fn done(&mut self, step: Step) -> bool {
        self.done.insert(step)
    }

    /// Whether it is time to say this about a step: when it is another thing than before, or after a while. Numbers alone are no
    /// news, but for those of a canary's step.
    pub(super) fn is_news(&mut self, step: Step, text: &str, now: Instant) -> bool {
        let shape: String = match step {
            Step::Canary => text.split(LEFT).next().unwrap_or(text).to_owned(),
            _ => text.chars().filter(|char| !char.is_ascii_digit()).collect(),
        };
        let is_old = |(before, said, at): &(Step, String, Instant)| {
            *before == step && *said == shape && now.duration_since(*at) < REMIND
        };
        if self.said.as_ref().is_some_and(is_old) {
            return false;
        }
        self.said = Some((step, shape, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_wait_is_told_again_only_after_a_while() {
        let (mut log, now) = (StepLog::default(), Instant::now());
        assert!(log.is_news(Step::Drain, "3 requests in flight", now));
        assert!(!log.is_news(Step::Drain, "12 requests in flight", now));
        assert!(log.is_news(Step::Drain, "pins", now));
        assert!(!log.is_news(Step::Drain, "pins", now + REMIND / 2));
        assert!(log.is_news(Step::Drain, "pins", now + REMIND));
    }

    #[test]
    fn each_share_of_a_canary_is_told_and_the_time_that_it_has_left_is_not() {
        let (mut log, now) = (StepLog::default(), Instant::now());
        assert!(log.is_news(Step::Canary, "5 % of the sessions, step 1 of 2, for 9 s more", now));
        assert!(!log.is_news(Step::Canary, "5 % of the sessions, step 1 of 2, for 8 s more", now));
        assert!(log.is_news(Step::Canary, "50 % of the sessions, step 2 of 2, for 9 s more", now));
    }

    #[test]
    fn a_step_is_done_once() {
        let mut log = StepLog::default();
        assert!(log.done(Step::Flip) && !log.done(Step::Flip));
        assert!(log.done(Step::Bake));
    }
}
