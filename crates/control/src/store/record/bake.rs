//! The records of a bake and of a verdict, as part of their service's.

use cutover_core::bake::{Bake, State};
use cutover_core::id::{Epoch, VersionLabel};
use cutover_core::judge::{Baseline, Kind, Numbers, Standing, Verdict};
use cutover_core::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BakeRecord {
    version: String,
    from: String,
    epoch: u64,
    began_at_ms: u64,
    ends_at_ms: u64,
    state: String,
    baseline: BaselineRecord,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BaselineRecord {
    requests: u64,
    errors: u64,
    p95_us: Option<u64>,
    p99_us: Option<u64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VerdictRecord {
    kind: String,
    version: String,
    against: String,
    since_ms: u64,
    standing: String,
    reason: String,
    requests: u64,
    errors: u64,
    baseline_error_rate: Option<f64>,
    evidence: f64,
    p99_ms: Option<f64>,
    baseline_p99_ms: Option<f64>,
}

impl BakeRecord {
    pub(super) fn of(bake: &Bake) -> Self {
        let Baseline { requests, errors, p95_us, p99_us } = bake.baseline;
        Self {
            version: bake.version.to_string(),
            from: bake.from.to_string(),
            epoch: bake.epoch.0,
            began_at_ms: bake.began_at.0,
            ends_at_ms: bake.ends_at.0,
            state: bake.state.as_str().to_owned(),
            baseline: BaselineRecord { requests, errors, p95_us, p99_us },
        }
    }

    pub(super) fn bake(self) -> Result<Bake, String> {
        let state = State::ALL.into_iter().find(|state| state.as_str() == self.state);
        let BaselineRecord { requests, errors, p95_us, p99_us } = self.baseline;
        Ok(Bake {
            version: version(&self.version)?,
            from: version(&self.from)?,
            epoch: Epoch(self.epoch),
            began_at: Timestamp(self.began_at_ms),
            ends_at: Timestamp(self.ends_at_ms),
            state: state.ok_or_else(|| format!("there is no state {:?} of a bake", self.state))?,
            baseline: Baseline { requests, errors, p95_us, p99_us },
        })
    }
}

impl VerdictRecord {
    pub(super) fn of(verdict: &Verdict) -> Self {
        let Numbers { requests, errors, baseline_error_rate, evidence, p99_ms, baseline_p99_ms } =
            verdict.numbers;
        Self {
            kind: verdict.kind.as_str().to_owned(),
            version: verdict.version.to_string(),
            against: verdict.against.to_string(),
            since_ms: verdict.since.0,
            standing: verdict.standing.as_str().to_owned(),
            reason: verdict.reason.clone(),
            requests,
            errors,
            baseline_error_rate,
            evidence,
            p99_ms,
            baseline_p99_ms,
        }
    }

    pub(super) fn verdict(self) -> Result<Verdict, String> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == self.kind);
        let standing = Standing::ALL.into_iter().find(|standing| standing.as_str() == self.standing);
        Ok(Verdict {
            kind: kind.ok_or_else(|| format!("nothing is judged in a {:?}", self.kind))?,
            version: version(&self.version)?,
            against: version(&self.against)?,
            since: Timestamp(self.since_ms),
            standing: standing.ok_or_else(|| format!("no verdict is {:?}", self.standing))?,
            reason: self.reason,
            numbers: Numbers {
                requests: self.requests,
                errors: self.errors,
                baseline_error_rate: self.baseline_error_rate,
                evidence: self.evidence,
                p99_ms: self.p99_ms,
                baseline_p99_ms: self.baseline_p99_ms,
            },
        })
    }
}

fn version(label: &str) -> Result<VersionLabel, String> {
    VersionLabel::parse(label).map_err(|error| format!("the bake or verdict names a version that {error}"))
}
