//! Canaries as the API takes and shows them.

use cutover_core::canary::Canary;
use cutover_core::service::Service;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time;

/// Begins, changes or ends a canary.
#[derive(Debug, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CanaryBody {
    /// The version.
    #[schema(example = "v2")]
    pub to: String,
    /// Its share of new sessions, 0 to 1, until somebody changes it; 0 ends the canary. It goes by the configured steps when it is not given.
    #[schema(example = 0.1)]
    pub share: Option<f64>,
    /// Whether the steps pause; as they do when it is not given.
    pub paused: Option<bool>,
    /// Why; kept in the timeline.
    pub reason: Option<String>,
    /// Only if this is the epoch; 412 otherwise.
    pub if_epoch: Option<u64>,
}

/// A version that gets a share of the new sessions.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(title = "Canary")]
pub struct CanaryView {
    /// The version.
    #[schema(example = "v2")]
    pub version: String,
    /// Its share of new sessions, 0 to 1.
    #[schema(example = 0.05)]
    pub share: f64,
    /// When it began.
    #[schema(format = DateTime)]
    pub began_at: String,
    /// Since when it has this share.
    #[schema(format = DateTime)]
    pub since: String,
    /// The step that it has reached, from 1; `null` when somebody gave it its share.
    #[schema(example = 1)]
    pub step: Option<usize>,
    /// How many steps are configured.
    #[schema(example = 3)]
    pub steps: usize,
    /// When its step ends; `null` while none runs.
    #[schema(format = DateTime)]
    pub next_at: Option<String>,
    /// Whether its steps pause.
    pub paused: bool,
    /// Whether its last step is over, so that it waits for its flip.
    pub complete: bool,
    /// Whether none of its backends is usable, so that the active version serves its sessions.
    pub starved: bool,
    /// Whether it was judged bad, and stays because `bake.rollback` is off.
    pub failed: bool,
}

/// What became of a canary.
#[derive(Debug, Serialize, ToSchema)]
pub struct CanaryChanged {
    /// The canary; `null` when there is none any more.
    pub canary: Option<CanaryView>,
    /// The epoch; a new one when sessions of the canary go back.
    #[schema(example = 1)]
    pub epoch: u64,
    /// The revision that holds it.
    pub revision: u64,
}

impl CanaryView {
    /// The canary of a service, if it has one.
    #[must_use]
    pub fn of(service: &Service) -> Option<Self> {
        let policy = &service.policy.canary;
        let view = |canary: &Canary| Self {
            version: canary.version.to_string(),
            share: canary.share.value(),
            began_at: time::write(canary.began_at),
            since: time::write(canary.since),
            step: canary.step(policy),
            steps: policy.steps.len(),
            next_at: canary.next_at().map(time::write),
            paused: canary.is_paused(),
            complete: canary.is_complete(),
            starved: canary.is_starved,
            failed: canary.is_failed,
        };
        service.canary.as_ref().map(view)
    }
}
