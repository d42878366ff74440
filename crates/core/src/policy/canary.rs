//! How a new version gets its share of the sessions: step by step, each for a while.

use super::Share;
use crate::time::Millis;

/// How a new version gets its share before it is flipped to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CanaryPolicy {
    /// The steps, whose shares strictly grow. None: a canary has the share that somebody gives it.
    pub steps: Vec<CanaryStep>,
}

/// One step of a canary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CanaryStep {
    /// The share of new sessions that the canary gets.
    pub share: Share,
    /// How long it lasts.
    pub lasts: Millis,
}

impl CanaryPolicy {
    /// The first step with more than `share`.
    #[must_use]
    pub fn after(&self, share: Share) -> Option<CanaryStep> {
        self.steps.iter().find(|step| step.share > share).copied()
    }

    /// How many steps a canary with `share` has reached, the current one included.
    #[must_use]
    pub fn reached(&self, share: Share) -> usize {
        self.steps.iter().take_while(|step| step.share <= share).count()
    }

    /// The last step that a canary with `share` has reached.
    #[must_use]
    pub fn current(&self, share: Share) -> Option<CanaryStep> {
        self.reached(share).checked_sub(1).map(|at| self.steps[at])
    }
}
