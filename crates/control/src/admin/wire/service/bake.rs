//! How a version is watched after it became active, as it is written.

use cutover_core::policy::BakePolicy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::document::Check;

/// How a version is watched after it became active, and what happens when it is judged bad. The last three keys hold for a canary too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BakeSpec {
    /// How long a version is watched after a flip; `"0s"` = not at all.
    pub duration: String,
    /// Whether a version that is judged bad is rolled back, and a canary aborted. Otherwise it is only told.
    pub rollback: bool,
    /// Share of the requests that may fail; 0 = only the comparison with the old version counts.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_error_rate: f64,
    /// Time in which 99 of 100 answers have to begin; `"0s"` = only the comparison with the old version counts.
    pub max_p99: String,
}

pub(super) fn bake(bake: &BakeSpec, check: &mut Check<'_>) -> BakePolicy {
    let max_error_rate = check.share("max_error_rate", bake.max_error_rate);
    BakePolicy {
        duration: check.duration("duration", &bake.duration),
        rollback: bake.rollback,
        max_error_rate: Some(max_error_rate).filter(|share| share.value() > 0.0),
        max_p99: check.duration("max_p99", &bake.max_p99),
    }
}

impl From<&BakePolicy> for BakeSpec {
    fn from(bake: &BakePolicy) -> Self {
        Self {
            duration: bake.duration.to_string(),
            rollback: bake.rollback,
            max_error_rate: bake.max_error_rate.map_or(0.0, cutover_core::policy::Share::value),
            max_p99: bake.max_p99.to_string(),
        }
    }
}
