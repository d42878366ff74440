//! How versions come and leave, as it is written: flips, drains, rolls.

use cutover_core::id::GateName;
use cutover_core::policy::{self, DrainPolicy, FlipPolicy, RollPolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::WAIT_MIN;
use crate::document::Check;

/// More batches than any fleet has are a mistake.
const BATCHES_MAX: u32 = 1000;

/// When a flip is allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlipSpec {
    /// Whether a version that may flip does so by itself.
    pub mode: FlipMode,
    /// Backends that the new version needs.
    pub quorum: QuorumSpec,
    /// Time for which the quorum must have been there without a break.
    pub stable_for: String,
    /// Gates that must be open.
    #[schemars(example = ["expand"])]
    pub gates: Vec<String>,
}

/// Whether a version that may flip does so by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlipMode {
    /// It waits for the call.
    Manual,
    /// The newest staged version flips when the conditions hold.
    Auto,
}

/// Backends that a new version needs before it may become active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QuorumSpec {
    /// Usable backends.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: u32,
    /// Share of the expected weight that must be usable.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f64,
}

/// How the old version leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DrainSpec {
    /// Time after which a drain ends whatever is left.
    pub deadline: String,
    /// Time over which the rest is evicted after the deadline.
    pub spread: String,
}

/// In what order the backends of a fixed fleet are taken out for a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RollSpec {
    /// In what order.
    pub strategy: RollStrategy,
    /// Batches of the strategy `halves`, at least 2.
    #[schemars(range(min = 2, max = 1_000))]
    pub batches: u32,
    /// Time that a granted restart may take; after it the roll is frozen.
    pub permit_deadline: String,
}

/// In what order backends are restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RollStrategy {
    /// In batches, two unless `batches` says otherwise.
    Halves,
    /// One at a time.
    OneByOne,
}

pub(super) fn flip(flip: &FlipSpec, check: &mut Check<'_>) -> FlipPolicy {
    FlipPolicy {
        mode: match flip.mode {
            FlipMode::Manual => policy::FlipMode::Manual,
            FlipMode::Auto => policy::FlipMode::Auto,
        },
        quorum_count: flip.quorum.count,
        quorum_share: check.table("quorum").share("share", flip.quorum.share),
        stable_for: check.duration("stable_for", &flip.stable_for),
        gates: check.list("gates", &flip.gates, |name| {
            GateName::parse(name).map_err(|error| format!("{name:?} is no gate name: {error}"))
        }),
    }
}

pub(super) fn drain(drain: &DrainSpec, check: &mut Check<'_>) -> DrainPolicy {
    DrainPolicy {
        deadline: check.duration("deadline", &drain.deadline),
        spread: check.duration("spread", &drain.spread),
    }
}

pub(super) fn roll(roll: &RollSpec, check: &mut Check<'_>) -> RollPolicy {
    if !(2..=BATCHES_MAX).contains(&roll.batches) {
        check.wrong("batches", format_args!("{} is not from 2 to {BATCHES_MAX}", roll.batches));
    }
    RollPolicy {
        strategy: match roll.strategy {
            RollStrategy::Halves => policy::RollStrategy::Batches(roll.batches),
            RollStrategy::OneByOne => policy::RollStrategy::OneByOne,
        },
        permit_deadline: check.duration_from("permit_deadline", &roll.permit_deadline, WAIT_MIN),
    }
}

impl From<&FlipPolicy> for FlipSpec {
    fn from(flip: &FlipPolicy) -> Self {
        Self {
            mode: match flip.mode {
                policy::FlipMode::Manual => FlipMode::Manual,
                policy::FlipMode::Auto => FlipMode::Auto,
            },
            quorum: QuorumSpec { count: flip.quorum_count, share: flip.quorum_share.value() },
            stable_for: flip.stable_for.to_string(),
            gates: flip.gates.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<&DrainPolicy> for DrainSpec {
    fn from(drain: &DrainPolicy) -> Self {
        Self { deadline: drain.deadline.to_string(), spread: drain.spread.to_string() }
    }
}

impl From<&RollPolicy> for RollSpec {
    fn from(roll: &RollPolicy) -> Self {
        let (strategy, batches) = match roll.strategy {
            policy::RollStrategy::Batches(batches) => (RollStrategy::Halves, batches),
            policy::RollStrategy::OneByOne => (RollStrategy::OneByOne, 2),
        };
        Self { strategy, batches, permit_deadline: roll.permit_deadline.to_string() }
    }
}
