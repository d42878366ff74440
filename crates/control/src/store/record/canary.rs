//! The record of a canary, as part of its service's.

use cutover_core::canary::{Canary, Pace};
use cutover_core::id::VersionLabel;
use cutover_core::policy::Share;
use cutover_core::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CanaryRecord {
    version: String,
    share: f64,
    began_at_ms: u64,
    since_ms: u64,
    pace: PaceRecord,
    is_starved: bool,
    is_failed: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum PaceRecord {
    Held,
    Until { at_ms: u64 },
    Paused { left_ms: u64 },
    Complete,
}

impl CanaryRecord {
    pub(super) fn of(canary: &Canary) -> Self {
        Self {
            version: canary.version.to_string(),
            share: canary.share.value(),
            began_at_ms: canary.began_at.0,
            since_ms: canary.since.0,
            pace: match canary.pace {
                Pace::Held => PaceRecord::Held,
                Pace::Until(at) => PaceRecord::Until { at_ms: at.0 },
                Pace::Paused(left) => PaceRecord::Paused { left_ms: left.0 },
                Pace::Complete => PaceRecord::Complete,
            },
            is_starved: canary.is_starved,
            is_failed: canary.is_failed,
        }
    }

    pub(super) fn canary(self) -> Result<Canary, String> {
        let share = Share::new(self.share);
        Ok(Canary {
            version: VersionLabel::parse(&self.version).map_err(|error| format!("the canary {error}"))?,
            share: share.ok_or_else(|| format!("the canary has a share of {}", self.share))?,
            began_at: Timestamp(self.began_at_ms),
            since: Timestamp(self.since_ms),
            pace: match self.pace {
                PaceRecord::Held => Pace::Held,
                PaceRecord::Until { at_ms } => Pace::Until(Timestamp(at_ms)),
                PaceRecord::Paused { left_ms } => Pace::Paused(Millis(left_ms)),
                PaceRecord::Complete => Pace::Complete,
            },
            is_starved: self.is_starved,
            is_failed: self.is_failed,
        })
    }
}
