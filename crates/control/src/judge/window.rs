//! How a version answered lately: since five to ten minutes, whatever it did before.

use cutover_core::answers::Tally;
use cutover_core::id::VersionLabel;
use cutover_core::judge::Baseline;
use cutover_core::time::{Millis, Timestamp};

/// Time between two turns. What is older than two of them tells little about how a version answers now.
const TURN: Millis = Millis::from_secs(300);

/// What the cells of an active version said when the last two turns were made. Nothing before the first ones, so that a version which
/// has just become active is known by all that it ever answered.
#[derive(Debug)]
pub(super) struct Window {
    version: VersionLabel,
    turned_at: Timestamp,
    last: Tally,
    before: Tally,
}

impl Window {
    pub(super) fn begin(version: VersionLabel, now: Timestamp) -> Self {
        Self { version, turned_at: now, last: Tally::default(), before: Tally::default() }
    }

    pub(super) fn is_of(&self, version: &VersionLabel) -> bool {
        self.version == *version
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        now.since(self.turned_at) >= TURN
    }

    /// Makes a turn; the cells say this.
    pub(super) fn turn(&mut self, tally: Tally, now: Timestamp) {
        self.before = std::mem::replace(&mut self.last, tally);
        self.turned_at = now;
    }

    /// What was counted lately, when the cells say this.
    fn lately(&self, tally: &Tally) -> Tally {
        tally.since(&self.before)
    }
}

/// How the version answered lately whose cells say `tally`: all that it ever answered, when there is no window of it.
pub(super) fn lately(window: Option<&Window>, version: &VersionLabel, tally: &Tally) -> Baseline {
    let window = window.filter(|window| window.is_of(version));
    window.map_or_else(|| tally.into(), |window| (&window.lately(tally)).into())
}
