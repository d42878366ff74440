//! A canary: a version that gets a share of the new sessions before it may get all of them.
//!
//! Who belongs to the share is told by a hash of the session's id. Within an epoch the share only grows, so whoever was pinned to the
//! canary in this epoch stays; what takes sessions from it again begins another one.

mod course;
mod rules;

pub(crate) use self::course::{begin, follow, give_up, is_due, judged, observe, set};
pub(crate) use self::rules::not_now;
pub use self::rules::obstacles;
use crate::id::VersionLabel;
use crate::mix::{mix, unit};
use crate::policy::{CanaryPolicy, Share};
use crate::time::{Millis, Timestamp};

/// A version that gets a share of the new sessions.
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    /// The version.
    pub version: VersionLabel,
    /// Its share of new sessions.
    pub share: Share,
    /// When it began.
    pub began_at: Timestamp,
    /// Since when it has this share.
    pub since: Timestamp,
    /// How it goes on.
    pub pace: Pace,
    /// Whether the active version serves its sessions, because none of its own backends can.
    pub is_starved: bool,
    /// Whether it was judged bad, and stays because the policy wants people to decide.
    pub is_failed: bool,
}

/// How a canary goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It has the share that somebody gave it, until somebody changes it.
    Held,
    /// It goes by steps, and this one ends then.
    Until(Timestamp),
    /// It goes by steps, and this one has so long left once somebody lets it go on.
    Paused(Millis),
    /// The last step is over.
    Complete,
}

impl Canary {
    /// When its step ends, while one runs.
    #[must_use]
    pub const fn next_at(&self) -> Option<Timestamp> {
        match self.pace {
            Pace::Until(at) => Some(at),
            Pace::Held | Pace::Paused(_) | Pace::Complete => None,
        }
    }

    /// Whether its steps are over.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self.pace, Pace::Complete)
    }

    /// Whether its steps pause.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        matches!(self.pace, Pace::Paused(_))
    }

    /// The step that it has reached, from 1, if it goes by steps.
    #[must_use]
    pub fn step(&self, policy: &CanaryPolicy) -> Option<usize> {
        (self.pace != Pace::Held).then(|| policy.reached(self.share))
    }
}

/// Whether the session with this pin id falls into `share` of all sessions.
///
/// Monotone in `share`: who is in a share is in every larger one, so a growing canary never moves anybody back.
#[must_use]
pub fn includes(pin_id: u64, share: Share) -> bool {
    // Mixed once more with a constant of its own, so that it is independent of other uses of the pin id.
    unit(mix(pin_id ^ 0xca11_a57e_5a1e_5e5a)) < share.value()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_growing_share_never_moves_anybody_back(id: u64, a in 0.0..=1.0, b in 0.0..=1.0) {
            let (small, large) = (f64::min(a, b), f64::max(a, b));
            let [small, large] = [small, large].map(|value| Share::new(value).unwrap());
            prop_assert!(!includes(id, small) || includes(id, large));
        }
    }

    #[test]
    fn nobody_is_in_no_share_and_everybody_in_the_whole() {
        let ids = 0..10_000_u64;
        assert!(ids.clone().all(|id| !includes(id, Share::new(0.0).unwrap())));
        assert!(ids.clone().all(|id| includes(id, Share::ALL)));
        let tenth = ids.filter(|&id| includes(id, Share::new(0.1).unwrap())).count();
        assert!((900..1100).contains(&tenth), "{tenth} of 10,000 in a share of 0.1");
    }
}
