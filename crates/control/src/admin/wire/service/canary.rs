//! The steps of a canary, as they are written.

use cutover_core::policy::{self, CanaryPolicy, Share};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::WAIT_MIN;
use crate::document::Check;

/// More steps than anybody watches are a mistake.
const STEPS_MAX: usize = 100;

/// How a new version gets its share of the sessions before it is flipped to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CanarySpec {
    /// The steps; their shares strictly grow. In flip mode `auto` a new version goes through them before it flips.
    pub steps: Vec<CanaryStepSpec>,
}

/// One step of a canary.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
// What is required is so by the schema; what was wrong and taken out reads as a default, so that the rest is still looked at.
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["share", "for"]))]
pub struct CanaryStepSpec {
    /// The share of new sessions that it gets.
    #[schemars(range(min = 0.0, max = 1.0), example = &0.05)]
    #[schema(required = true)]
    pub share: f64,
    /// How long the step lasts.
    #[serde(rename = "for")]
    #[schema(required = true)]
    #[schemars(example = &"10m")]
    pub lasts: String,
}

pub(super) fn canary(canary: &CanarySpec, check: &mut Check<'_>) -> CanaryPolicy {
    if canary.steps.len() > STEPS_MAX {
        check.wrong("steps", format_args!("are {}; at most {STEPS_MAX} are taken", canary.steps.len()));
    }
    let mut before = Share::NONE;
    let steps = canary.steps.iter().enumerate().map(|(at, step)| {
        let mut check = check.element("steps", at);
        let share = check.share("share", step.share);
        if share <= before && check.are_clean(&["share"]) {
            let least = match at {
                0 => "0".to_owned(),
                _ => format!("{}, the share of the step before", before.value()),
            };
            check.wrong("share", format_args!("is {}; must be more than {least}", step.share));
        }
        before = share;
        let lasts = match check.are_clean(&["for"]) {
            true => check.duration_from("for", &step.lasts, WAIT_MIN),
            false => WAIT_MIN,
        };
        policy::CanaryStep { share, lasts }
    });
    CanaryPolicy { steps: steps.collect() }
}

impl From<&CanaryPolicy> for CanarySpec {
    fn from(canary: &CanaryPolicy) -> Self {
        let step = |step: &policy::CanaryStep| CanaryStepSpec {
            share: step.share.value(),
            lasts: step.lasts.to_string(),
        };
        Self { steps: canary.steps.iter().map(step).collect() }
    }
}
