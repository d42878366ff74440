//! What the client reads about a service that is deployed to.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::error::Reason;
use super::{Canary, Summary};

/// `GET /v1/services/{s}`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Service {
    pub(crate) active: Option<String>,
    pub(crate) epoch: u64,
    pub(crate) freeze: Option<Freeze>,
    #[serde(default)]
    pub(crate) roll: Summary,
    pub(crate) canary: Option<Canary>,
    pub(crate) bake: Option<Bake>,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) contract: Option<Contract>,
    #[serde(default)]
    pub(crate) policy: Policy,
}

/// What of the policy a deploy has to know.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Policy {
    pub(crate) flip: FlipPolicy,
    pub(crate) canary: CanaryPolicy,
}

/// How flips begin.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FlipPolicy {
    pub(crate) mode: String,
}

/// How canaries go on by themselves.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CanaryPolicy {
    pub(crate) steps: Vec<Value>,
}

/// Why flips are refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Freeze {
    pub(crate) reason: String,
    pub(crate) by: String,
}

/// The watch period after a flip.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Bake {
    pub(crate) version: String,
    pub(crate) from: Option<String>,
    pub(crate) epoch: u64,
    pub(crate) ends_at: Option<String>,
    /// `running`, `passed`, `failed`, `rolled_back` or `superseded`.
    pub(crate) state: String,
}

/// What was found out about a version.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) version: String,
    /// `watching`, `good` or `bad`.
    #[serde(default)]
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
}

/// The destructive migration that ran last.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Contract {
    /// The oldest version that may be flipped to: the one that was active.
    pub(crate) floor: String,
    #[serde(default)]
    pub(crate) note: String,
}

/// One version.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Version {
    pub(crate) version: String,
    pub(crate) role: String,
    pub(crate) epoch: Option<u64>,
    pub(crate) rejected: Option<String>,
    #[serde(default)]
    pub(crate) usable_backends: u64,
    #[serde(default)]
    pub(crate) usable_weight: u64,
    #[serde(default)]
    pub(crate) expected_weight: u64,
    #[serde(default)]
    pub(crate) in_flight: u64,
    #[serde(default)]
    pub(crate) tunnels: u64,
    pub(crate) latest_pin_expiry: Option<String>,
    #[serde(default)]
    pub(crate) holds: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) gates: BTreeMap<String, Gate>,
    pub(crate) drain_deadline: Option<String>,
}

/// A gate of a version.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Gate {
    pub(crate) open: bool,
    pub(crate) note: String,
    pub(crate) required: bool,
}

/// `GET …/versions`.
#[derive(Debug, Deserialize)]
pub(crate) struct Versions {
    pub(crate) versions: Vec<Version>,
}

/// What stands in the way of something that was only asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct DryRun {
    #[serde(default)]
    pub(crate) reasons: Vec<Reason>,
}
