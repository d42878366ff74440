//! Whether enough of a version is usable, and for long enough.

use crate::policy::FlipPolicy;
use crate::rejected::{Code, Reason};
use crate::service::Capacity;
use crate::time::Timestamp;

/// What a version has, against what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum {
    /// Usable backends.
    pub usable: u32,
    /// Usable backends that it needs.
    pub needed: u32,
    /// Usable weight.
    pub usable_weight: u64,
    /// Usable weight that it needs.
    pub needed_weight: u64,
}

impl Quorum {
    /// The quorum of a version with this capacity in a service with this expected weight.
    #[must_use]
    pub fn of(policy: &FlipPolicy, capacity: Capacity, expected_weight: u64) -> Self {
        Self {
            usable: capacity.usable,
            // An empty set never makes a quorum, whatever the policy says.
            needed: policy.quorum_count.max(1),
            usable_weight: capacity.usable_weight,
            needed_weight: policy.quorum_share.of(expected_weight),
        }
    }

    /// Whether it is there.
    #[must_use]
    pub const fn is_met(&self) -> bool {
        self.usable >= self.needed && self.usable_weight >= self.needed_weight
    }

    /// What is missing, given since when it is there.
    #[must_use]
    pub fn missing(&self, policy: &FlipPolicy, since: Option<Timestamp>, now: Timestamp) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if self.usable < self.needed {
            let detail = format!("{} of {} needed backends are usable", self.usable, self.needed);
            reasons.push(Reason::new(Code::QuorumCount, detail));
        }
        if self.usable_weight < self.needed_weight {
            let detail =
                format!("a weight of {} is usable, {} is needed", self.usable_weight, self.needed_weight);
            reasons.push(Reason::new(Code::QuorumShare, detail));
        }
        if let Some(since) = since.filter(|&since| self.is_met() && now.since(since) < policy.stable_for) {
            let (had, needed) = (now.since(since), policy.stable_for);
            reasons.push(Reason::new(Code::NotStable, format!("the quorum is there for {had} of {needed}")));
        }
        reasons
    }
}
