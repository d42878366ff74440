//! The watch over one new version: takes in what it answered second by second, and says when it is worse than the old one.

use std::fmt;

use super::baseline::LATENCY_MIN;
use super::betting::Betting;
use super::bound::allowed_errors;
use super::guard::Guard;
use super::{Baseline, Numbers};
use crate::answers::Tally;
use crate::id::VersionLabel;
use crate::policy::{BakePolicy, Share};

/// A version is bad at this much evidence: a version that is not worse comes there in at most 1 of 100 cases.
pub const EVIDENCE_MAX: f64 = 100.0;
/// Requests without which no version is judged bad.
const REQUESTS_MIN: u64 = 20;
/// Requests below which it is said of a good version that they were few.
const REQUESTS_FEW: u64 = 100;
/// The share of answers that may be slower than the slowest twentieth of the old version's.
const ALLOWED_SLOW: f64 = 0.1;
/// What nobody notices is not slower, however fast the old version is.
const SLOWER_BY_US: u64 = 5_000;
/// The share of answers that may be slower than a fixed limit of the 99th percentile.
const ALLOWED_LATE: f64 = 0.01;

/// The watch over one new version.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    errors: Betting,
    latency: Betting,
    error_limit: Betting,
    latency_limit: Betting,
    guard: Guard,
    total: Tally,
}

impl Watch {
    /// Takes in what the new version answered in a second. Answers what is bad about it, if anything is.
    ///
    /// `baseline` is how the old version answered: in a bake until the flip, in a canary until the end of that second.
    pub fn observe(&mut self, second: &Tally, baseline: &Baseline, policy: &BakePolicy) -> Option<Fault> {
        let (requests, errors) = (second.answered(), second.errors());
        self.guard.observe(requests, errors);
        if requests == 0 {
            return None;
        }
        self.total.add(second);
        let failing = share(errors, requests);
        let slower_than = |latency_us| share(second.slower_than(latency_us), requests);
        if let Some(allowed) = allowed_errors(baseline) {
            self.errors.observe(failing, allowed);
        }
        if let Some(slow_us) = slow(baseline) {
            self.latency.observe(slower_than(slow_us), ALLOWED_SLOW);
        }
        if let Some(limit) = policy.max_error_rate {
            self.error_limit.observe(failing, limit.value());
        }
        if !policy.max_p99.is_zero() {
            self.latency_limit.observe(slower_than(policy.max_p99.0.saturating_mul(1000)), ALLOWED_LATE);
        }
        self.fault(baseline, policy)
    }

    /// The numbers that a verdict goes by.
    #[must_use]
    pub fn numbers(&self, baseline: &Baseline) -> Numbers {
        Numbers {
            requests: self.total.answered(),
            errors: self.total.errors(),
            baseline_error_rate: baseline.error_rate(),
            evidence: self.bets().map(Betting::wealth).into_iter().fold(0.0, f64::max),
            p99_ms: self.total.within_us(99).map(millis),
            baseline_p99_ms: baseline.p99_us.map(millis),
        }
    }

    /// Why the version is thought good at the end of its watch.
    #[must_use]
    pub fn praise(&self, baseline: &Baseline, against: &VersionLabel) -> String {
        let numbers = self.numbers(baseline);
        let requests = numbers.requests;
        if requests < REQUESTS_FEW {
            return format!("nothing is known against it, but it was asked only {requests} times");
        }
        format!("{}; evidence {:.1}", compared(&numbers, against), numbers.evidence)
    }

    fn fault(&self, baseline: &Baseline, policy: &BakePolicy) -> Option<Fault> {
        if self.total.answered() < REQUESTS_MIN {
            return None;
        }
        if let Some((requests, errors)) = self.guard.trips(baseline.error_rate()) {
            return Some(Fault::Broken { requests, errors });
        }
        let limit = policy.max_error_rate.map_or(0.0, Share::value);
        let faults =
            [Fault::Errors, Fault::Slow, Fault::ErrorLimit(limit), Fault::LatencyLimit(policy.max_p99)];
        let found = self.bets().into_iter().zip(faults).find(|(bet, _)| bet.wealth() >= EVIDENCE_MAX);
        found.map(|(_, fault)| fault)
    }

    /// All bets against the version, in the order in which they are told.
    const fn bets(&self) -> [&Betting; 4] {
        [&self.errors, &self.latency, &self.error_limit, &self.latency_limit]
    }
}

/// What is bad about a version.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// At least half of the requests of the last seconds failed.
    Broken {
        /// Requests.
        requests: u64,
        /// Errors among them.
        errors: u64,
    },
    /// More of its answers are errors than the old version's allow.
    Errors,
    /// More of its answers are slow than the old version's allow.
    Slow,
    /// More of its answers are errors than this share.
    ErrorLimit(f64),
    /// More than one of 100 answers took longer than this.
    LatencyLimit(crate::time::Millis),
}

impl Fault {
    /// What is bad, in a sentence with its numbers.
    #[must_use]
    pub fn told(&self, numbers: &Numbers, against: &VersionLabel) -> String {
        let compared = compared(numbers, against);
        match self {
            Self::Broken { requests, errors } => {
                format!("{errors} of {requests} requests failed within 3 s; {compared}")
            }
            Self::Errors => format!("too many errors: {compared}; evidence {:.0}", numbers.evidence),
            Self::Slow => format!("too slow: {compared}; evidence {:.0}", numbers.evidence),
            Self::ErrorLimit(limit) => format!("more errors than {}: {compared}", Percent(*limit)),
            Self::LatencyLimit(limit) => format!("the 99th percentile is above {limit}: {compared}"),
        }
    }
}

/// The new version's numbers beside the old one's.
fn compared(numbers: &Numbers, against: &VersionLabel) -> String {
    let rate = Percent(numbers.error_rate().unwrap_or(0.0));
    let mut text = format!("{rate} of {} requests failed, p99 ", numbers.requests);
    text.push_str(&latency(numbers.p99_ms));
    match numbers.baseline_error_rate {
        Some(rate) => {
            let p99 = latency(numbers.baseline_p99_ms);
            text.push_str(&format!("; with {against} {} failed, p99 {p99}", Percent(rate)));
        }
        None => text.push_str(&format!("; nothing is known of {against}")),
    }
    text
}

fn latency(p99_ms: Option<f64>) -> String {
    p99_ms.map_or_else(|| "unknown".to_owned(), |p99_ms| format!("{p99_ms:.1} ms"))
}

/// The latency in microseconds from which on an answer is slow; `None` when too little is known of the old version.
fn slow(baseline: &Baseline) -> Option<u64> {
    let p95_us = baseline.p95_us.filter(|_| baseline.requests >= LATENCY_MIN)?;
    Some(p95_us.saturating_add(SLOWER_BY_US))
}

#[expect(clippy::cast_precision_loss, reason = "counts of answers are far below 2^52")]
fn share(count: u64, of: u64) -> f64 {
    count as f64 / of as f64
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a latency are far below 2^52")]
fn millis(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// A share as people write it.
struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} %", self.0 * 100.0)
    }
}
