//! Whether a request may be tried again, always inside the version it was decided for.

use crate::policy::Share;
use crate::time::{Millis, Timestamp};

/// How far a failed try came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be opened: the backend never saw the request.
    NotConnected,
    /// A kept connection turned out to be closed before a byte of an answer came: the backend may have seen the request,
    /// and very likely did not.
    StaleConnection,
    /// The connection broke before the head of an answer was there.
    NoAnswer,
    /// No answer came in time: the backend is likely still working on it.
    Timeout,
    /// The answer broke off, or made no sense.
    BrokenAnswer,
    /// Another version or process answered than the one that was decided for: the request was carried out, perhaps by the wrong code,
    /// unless all that was answered is that the body may come.
    WrongVersion,
}

/// What a request allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// Whether doing it twice is the same as doing it once (RFC 9110 section 9.2.2).
    pub is_idempotent: bool,
    /// Whether its whole body is still at hand, or it has none.
    pub is_body_at_hand: bool,
    /// Whether the backend may have carried it out: a byte of it was sent.
    pub is_sent: bool,
}

/// Whether a request may be tried again after this failure: when no byte was sent, or when it is idempotent and its body
/// is at hand.
#[must_use]
pub fn may_retry(failure: Failure, replay: Replay) -> bool {
    match failure {
        Failure::NotConnected => replay.is_body_at_hand,
        Failure::StaleConnection | Failure::NoAnswer | Failure::WrongVersion => {
            replay.is_body_at_hand && (replay.is_idempotent || !replay.is_sent)
        }
        // A slow answer is not cured by asking once more, and a begun one can't be taken back.
        Failure::Timeout | Failure::BrokenAnswer => false,
    }
}

/// Limits retries to a share of recent requests, so that they can't multiply an outage. A token bucket that requests fill
/// and retries empty.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Thousandths of a retry.
    saved: u64,
    filled_at: Timestamp,
}

impl Budget {
    const RETRY: u64 = 1000;
    /// Retries that are always allowed per second, so that a quiet service can retry at all.
    const PER_SECOND: u64 = 3 * Self::RETRY;
    /// Most retries that may be saved up: what a busy service earned in the last moments, not in the last hour.
    const SAVED_MAX: u64 = 100 * Self::RETRY;

    /// A budget that has the allowance of one second.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self { saved: Self::PER_SECOND, filled_at: now }
    }

    /// Counts a request.
    pub fn earn(&mut self, share: Share) {
        self.saved = (self.saved + share.of(Self::RETRY)).min(Self::SAVED_MAX);
    }

    /// Takes a retry; `false` when the budget is spent.
    pub fn spend(&mut self, now: Timestamp) -> bool {
        let elapsed = now.since(self.filled_at).min(Millis::from_secs(1));
        self.filled_at = now;
        if self.saved < Self::PER_SECOND {
            self.saved = (self.saved + elapsed.0 * Self::PER_SECOND / 1000).min(Self::PER_SECOND);
        }
        let Some(left) = self.saved.checked_sub(Self::RETRY) else { return false };
        self.saved = left;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_safe_is_tried_again() {
        let get = Replay { is_idempotent: true, is_body_at_hand: true, is_sent: true };
        let post = Replay { is_idempotent: false, ..get };
        let streamed = Replay { is_body_at_hand: false, ..get };
        assert!(may_retry(Failure::NoAnswer, get));
        assert!(may_retry(Failure::NotConnected, Replay { is_sent: false, ..post }));
        assert!(!may_retry(Failure::NoAnswer, post));
        assert!(!may_retry(Failure::NoAnswer, streamed));
        assert!(may_retry(Failure::WrongVersion, get) && !may_retry(Failure::WrongVersion, post));
        assert!(may_retry(Failure::WrongVersion, Replay { is_sent: false, ..post }), "it had no body yet");
        assert!(!may_retry(Failure::Timeout, get));
        assert!(!may_retry(Failure::BrokenAnswer, get));
    }

    #[test]
    fn retries_are_a_share_of_requests_with_a_small_allowance() {
        let mut budget = Budget::new(Timestamp(0));
        let fifth = Share::new(0.2).unwrap();
        (0..100).for_each(|_| budget.earn(fifth));
        let spent = (0..100).filter(|_| budget.spend(Timestamp(0))).count();
        assert_eq!(spent, 23);
        assert!(!budget.spend(Timestamp(100)));
        assert!(budget.spend(Timestamp(500)));
    }
}
