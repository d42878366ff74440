//! Bakes and verdicts as the API shows them.

use cutover_core::bake::Bake;
use cutover_core::judge::Verdict;
use serde::Serialize;
use utoipa::ToSchema;

use super::time;

/// The watch over a version that replaced another one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Bake")]
pub struct BakeView {
    /// The version that is watched.
    #[schema(example = "v2")]
    pub version: String,
    /// The version that it replaced, and is compared with.
    #[schema(example = "v1")]
    pub from: String,
    /// The epoch that the flip began.
    pub epoch: u64,
    /// When it was flipped to.
    #[schema(format = DateTime)]
    pub began_at: String,
    /// When it has passed, unless it is judged bad before.
    #[schema(format = DateTime)]
    pub ends_at: String,
    /// `running`, `passed`, `failed` (judged bad, and still active), `rolled_back`, or `superseded` (another version became active).
    #[schema(example = "running")]
    pub state: &'static str,
}

/// What is thought of a new version, and the numbers behind it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(title = "Verdict")]
pub struct VerdictView {
    /// What it is or was watched in: `canary` or `bake`.
    #[schema(example = "bake")]
    pub kind: &'static str,
    /// The version.
    #[schema(example = "v2")]
    pub version: String,
    /// The version that it is compared with.
    #[schema(example = "v1")]
    pub against: String,
    /// Answers of the version since it is watched, by this process.
    pub requests: u64,
    /// Those of them that were errors: a status of 5xx, broken off, or never there.
    pub errors: u64,
    /// Their share, 0 to 1; `null` before the first answer.
    pub error_rate: Option<f64>,
    /// The share of errors of the version that it is compared with; `null` if it answered nothing.
    pub baseline_error_rate: Option<f64>,
    /// How much speaks for it being worse: it is judged bad at 100.
    pub evidence: f64,
    /// The time in milliseconds within which 99 of 100 of its answers began, to an eighth; `null` before the first answer.
    pub p99_ms: Option<f64>,
    /// The same of the version that it is compared with.
    pub baseline_p99_ms: Option<f64>,
    /// `watching`, `good` or `bad`.
    #[schema(example = "watching")]
    pub state: &'static str,
    /// Why that is thought of it; empty while it is watched.
    pub reason: String,
}

impl BakeView {
    /// The bake as text.
    #[must_use]
    pub fn new(bake: &Bake) -> Self {
        Self {
            version: bake.version.to_string(),
            from: bake.from.to_string(),
            epoch: bake.epoch.0,
            began_at: time::write(bake.began_at),
            ends_at: time::write(bake.ends_at),
            state: bake.state.as_str(),
        }
    }
}

impl VerdictView {
    /// The verdict as text.
    #[must_use]
    pub fn new(verdict: &Verdict) -> Self {
        let numbers = verdict.numbers;
        Self {
            kind: verdict.kind.as_str(),
            version: verdict.version.to_string(),
            against: verdict.against.to_string(),
            requests: numbers.requests,
            errors: numbers.errors,
            error_rate: numbers.error_rate(),
            baseline_error_rate: numbers.baseline_error_rate,
            evidence: numbers.evidence,
            p99_ms: numbers.p99_ms,
            baseline_p99_ms: numbers.baseline_p99_ms,
            state: verdict.standing.as_str(),
            reason: verdict.reason.clone(),
        }
    }
}
