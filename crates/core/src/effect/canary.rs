//! What happens to canaries.

use std::fmt;

use super::Event;
use crate::canary::{Canary, Pace};
use crate::id::Epoch;
use crate::policy::Share;
use crate::service::Service;
use crate::version::Role;

/// What changed about a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanaryNews {
    /// Its share grew.
    Grew(Share),
    /// Its share shrank: who is not in it any more goes back.
    Shrank {
        /// The share.
        share: Share,
        /// The epoch that began.
        epoch: Epoch,
    },
    /// Its steps pause.
    Paused,
    /// Its steps go on.
    GoesOn,
    /// It stays at its share.
    Held,
    /// Its last step is over.
    Complete,
    /// The active version serves its sessions, because none of its backends can.
    Starved,
    /// Its backends serve its sessions again.
    Fed,
}

/// How a canary ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanaryEnd {
    /// It became active.
    Promoted(Epoch),
    /// Another version became active.
    Overtaken(Epoch),
    /// Somebody ended it: its sessions go back.
    Aborted(Epoch),
    /// It was judged bad: its sessions go back.
    Rejected(Epoch),
    /// Its last backend left.
    Lost(Epoch),
}

pub(super) fn compare(old: &Service, new: &Service, tell: &mut dyn FnMut(Event)) {
    match (&old.canary, &new.canary) {
        (Some(before), Some(after)) if before.version == after.version => {
            for news in news(before, after, new.epoch) {
                tell(Event::CanaryChanged(after.version.clone(), news));
            }
        }
        (before, after) => {
            if let Some(before) = before {
                tell(Event::CanaryEnded(before.version.clone(), end(before, old, new)));
            }
            if let Some(after) = after {
                tell(Event::CanaryBegun(after.version.clone(), after.share));
            }
        }
    }
}

fn news(before: &Canary, after: &Canary, epoch: Epoch) -> Vec<CanaryNews> {
    let share = after.share;
    let size = match () {
        () if share > before.share => Some(CanaryNews::Grew(share)),
        () if share < before.share => Some(CanaryNews::Shrank { share, epoch }),
        () => None,
    };
    let pace = match (before.pace, after.pace) {
        (Pace::Paused(_), Pace::Paused(_)) | (Pace::Held, Pace::Held) | (Pace::Complete, Pace::Complete) => {
            None
        }
        (_, Pace::Paused(_)) => Some(CanaryNews::Paused),
        (_, Pace::Held) => Some(CanaryNews::Held),
        (_, Pace::Complete) => Some(CanaryNews::Complete),
        (Pace::Paused(_) | Pace::Held | Pace::Complete, Pace::Until(_)) => Some(CanaryNews::GoesOn),
        (Pace::Until(_), Pace::Until(_)) => None,
    };
    let food = match (before.is_starved, after.is_starved) {
        (false, true) => Some(CanaryNews::Starved),
        (true, false) => Some(CanaryNews::Fed),
        _ => None,
    };
    [size, pace, food].into_iter().flatten().collect()
}

fn end(canary: &Canary, old: &Service, new: &Service) -> CanaryEnd {
    let epoch = new.epoch;
    let version = new.versions.get(&canary.version);
    match version.map(|version| version.role) {
        Some(Role::Active) => CanaryEnd::Promoted(epoch),
        _ if old.active != new.active => CanaryEnd::Overtaken(epoch),
        Some(Role::Rejected) => CanaryEnd::Rejected(epoch),
        None | Some(Role::Retired) => CanaryEnd::Lost(epoch),
        Some(_) => CanaryEnd::Aborted(epoch),
    }
}

impl CanaryEnd {
    /// The words that [`as_str`](Self::as_str) answers.
    pub const OUTCOMES: [&'static str; 5] = ["promoted", "overtaken", "aborted", "rejected", "lost"];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promoted(_) => "promoted",
            Self::Overtaken(_) => "overtaken",
            Self::Aborted(_) => "aborted",
            Self::Rejected(_) => "rejected",
            Self::Lost(_) => "lost",
        }
    }

    /// The epoch that began with it.
    #[must_use]
    pub const fn epoch(self) -> Option<Epoch> {
        match self {
            // The switch tells of it.
            Self::Promoted(_) | Self::Overtaken(_) => None,
            Self::Aborted(epoch) | Self::Rejected(epoch) | Self::Lost(epoch) => Some(epoch),
        }
    }
}

impl fmt::Display for CanaryNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grew(share) => write!(f, "grew to {share} of new sessions"),
            Self::Shrank { share, epoch } => {
                write!(f, "shrank to {share}; its other sessions go back in epoch {epoch}")
            }
            Self::Paused => f.write_str("pauses at its step"),
            Self::GoesOn => f.write_str("goes on by its steps"),
            Self::Held => f.write_str("stays at its share"),
            Self::Complete => f.write_str("is through all of its steps"),
            Self::Starved => f.write_str("has no usable backend: the active version serves its sessions"),
            Self::Fed => f.write_str("has a usable backend again"),
        }
    }
}

impl fmt::Display for CanaryEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promoted(epoch) => write!(f, "it is active in epoch {epoch}"),
            Self::Overtaken(epoch) => write!(f, "another version is active in epoch {epoch}"),
            Self::Aborted(epoch) => write!(f, "its sessions go back in epoch {epoch}"),
            Self::Rejected(epoch) => write!(f, "it was rejected, its sessions go back in epoch {epoch}"),
            Self::Lost(epoch) => write!(f, "its last backend left, its sessions go back in epoch {epoch}"),
        }
    }
}
