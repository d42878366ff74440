//! What the control plane counts, for Prometheus. No label takes a value that a client of the proxy can choose.

use std::time::Duration;

use cutover_core::command::{Change, Command};
use cutover_core::effect::CanaryEnd;
use cutover_core::hook::Ended;
use cutover_core::id::{Revision, ServiceName};
use cutover_core::judge::{Kind, Standing, Verdict};
use cutover_core::policy::HookPoint;
use cutover_core::service::Service;
use cutover_core::state::State;
use cutover_core::version::DrainedBy;
use prometheus::core::Collector;
use prometheus::{GaugeVec, Histogram, HistogramOpts, IntCounterVec, Opts, Registry};

use crate::error::SubmitError;
use crate::store::CommitError;
use crate::walk::differences;

/// Commits of a local file take under a millisecond, of a cluster some, of a sick disk seconds.
const COMMIT_BUCKETS: [f64; 10] = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// How a change of the active version may end.
const OUTCOMES: [&str; 5] = ["refused", "failed", "rolled_back", "flipped", "by_itself"];

/// How the call of a hook may end.
const HOOK_OUTCOMES: [&str; 2] = ["succeeded", "failed"];

/// How a commit may fail: another one came first, nothing was changed, or nobody knows.
const COMMIT_FAILURES: [&str; 3] = ["conflict", "unavailable", "unknown"];

/// The control plane's metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    flips: IntCounterVec,
    evidence: GaugeVec,
    verdicts: IntCounterVec,
    hooks: IntCounterVec,
    canaries: IntCounterVec,
    drains: IntCounterVec,
    probes: IntCounterVec,
    commit_failures: IntCounterVec,
    commit_seconds: Histogram,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When one of that name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let to = Registrar(registry);
        Ok(Self {
            flips: to.counters(
                "cutover_flips_total",
                "Changes of the active version, by outcome.",
                &["service", "outcome"],
            )?,
            evidence: to.gauges(
                "cutover_judge_evidence",
                "How much speaks for the version that is watched being worse: it is judged bad at 100.",
                &["service", "kind"],
            )?,
            verdicts: to.counters(
                "cutover_verdicts_total",
                "Versions that were judged, by what they were watched in and by the verdict.",
                &["service", "kind", "verdict"],
            )?,
            hooks: to.counters(
                "cutover_hooks_total",
                "Calls of hooks that have ended, by the turn that they told of and by outcome.",
                &["service", "on", "outcome"],
            )?,
            canaries: to.counters(
                "cutover_canaries_total",
                "Canaries that ended, by how.",
                &["service", "outcome"],
            )?,
            drains: to.counters(
                "cutover_drains_total",
                "Versions that have drained, by how: with proof that nothing is left, or by the deadline.",
                &["service", "by"],
            )?,
            probes: to.counters(
                "cutover_probes_total",
                "Health checks, by result.",
                &["service", "result"],
            )?,
            commit_failures: commit_failures(&to)?,
            commit_seconds: to.register(Histogram::with_opts(
                HistogramOpts::new(
                    "cutover_store_commit_seconds",
                    "Time that commits of the control state took.",
                )
                .buckets(COMMIT_BUCKETS.to_vec()),
            ))?,
        })
    }

    /// Metrics that nobody reads.
    ///
    /// # Errors
    /// Never in practice: nothing else is registered.
    pub fn unregistered() -> Result<Self, prometheus::Error> {
        Self::register(&Registry::new())
    }

    /// Counts a commit, which took so long and ended like this.
    pub(crate) fn observe_commit(&self, took: Duration, outcome: &Result<Revision, CommitError>) {
        self.commit_seconds.observe(took.as_secs_f64());
        let outcome = match outcome {
            Ok(_) => return,
            Err(CommitError::Conflict { .. }) => COMMIT_FAILURES[0],
            Err(CommitError::Unavailable { .. }) => COMMIT_FAILURES[1],
            Err(CommitError::Unknown { .. }) => COMMIT_FAILURES[2],
        };
        self.commit_failures.with_label_values(&[outcome]).inc();
    }

    pub(crate) fn count_probe(&self, service: &ServiceName, is_ok: bool) {
        let result = if is_ok { "ok" } else { "failed" };
        self.probes.with_label_values(&[service.as_str(), result]).inc();
    }

    /// Counts how a flip or a rollback that somebody asked for ended. The service must exist: names of others are the caller's choice.
    pub(crate) fn count_command(&self, command: &Command, error: Option<&SubmitError>) {
        let Command::Service(service, change @ (Change::Flip(_) | Change::Rollback(_))) = command else {
            return;
        };
        let outcome = match (error, change) {
            (Some(SubmitError::Rejected(_)), _) => "refused",
            (Some(_), _) => "failed",
            (None, Change::Rollback(_)) => "rolled_back",
            (None, _) => "flipped",
        };
        self.flips.with_label_values(&[service.as_str(), outcome]).inc();
    }

    /// Counts a version that became active by itself.
    pub(crate) fn count_activation(&self, service: &ServiceName) {
        self.flips.with_label_values(&[service.as_str(), "by_itself"]).inc();
    }

    /// Counts a version that was rolled back because it was judged bad.
    pub(crate) fn count_rollback(&self, service: &ServiceName) {
        self.flips.with_label_values(&[service.as_str(), "rolled_back"]).inc();
    }

    /// Counts a verdict.
    pub(crate) fn count_verdict(&self, service: &ServiceName, kind: Kind, standing: Standing) {
        self.verdicts.with_label_values(&[service.as_str(), kind.as_str(), standing.as_str()]).inc();
    }

    /// Shows the evidence against the version that a service watches; `None` when it watches none.
    pub(crate) fn show_evidence(&self, service: &ServiceName, kind: Kind, verdict: Option<&Verdict>) {
        let labels = [service.as_str(), kind.as_str()];
        match verdict {
            Some(verdict) => self.evidence.with_label_values(&labels).set(verdict.numbers.evidence),
            // An error says that there is no such series, which is what is wanted.
            None => drop(self.evidence.remove_label_values(&labels)),
        }
    }

    /// Counts a call of a hook that has ended, however often it was tried.
    pub(crate) fn count_hook(&self, service: &ServiceName, ended: &Ended) {
        let outcome = HOOK_OUTCOMES[usize::from(!ended.is_delivered)];
        self.hooks.with_label_values(&[service.as_str(), ended.turn.on.as_str(), outcome]).inc();
    }

    /// Counts a canary that ended.
    pub(crate) fn count_canary(&self, service: &ServiceName, end: CanaryEnd) {
        self.canaries.with_label_values(&[service.as_str(), end.as_str()]).inc();
    }

    /// Counts a version whose drain ended.
    pub(crate) fn count_drain(&self, service: &ServiceName, by: DrainedBy) {
        self.drains.with_label_values(&[service.as_str(), by.as_str()]).inc();
    }

    /// Begins to count for services that are new, and ends it for those that are gone. Services that the two states share cost a comparison
    /// of pointers.
    pub(crate) fn follow(&self, before: &State, after: &State) {
        for (name, _, new) in differences(&before.services, &after.services) {
            match new {
                Some(service) => self.begin(service),
                None => self.forget(name),
            }
        }
    }

    /// Makes the series that alerts look at: one that begins with its first event shows no increase.
    fn begin(&self, service: &Service) {
        let name = service.name.as_str();
        for outcome in OUTCOMES {
            self.flips.with_label_values(&[name, outcome]);
        }
        for (kind, standing) in verdicts() {
            self.verdicts.with_label_values(&[name, kind.as_str(), standing.as_str()]);
        }
        for by in DrainedBy::ALL {
            self.drains.with_label_values(&[name, by.as_str()]);
        }
        for hook in &service.policy.hooks {
            for outcome in HOOK_OUTCOMES {
                self.hooks.with_label_values(&[name, hook.on.as_str(), outcome]);
            }
        }
    }

    /// Removes what is counted for a service as a whole.
    fn forget(&self, service: &ServiceName) {
        let name = service.as_str();
        // An error says that there is no such series, which is what is wanted.
        for outcome in OUTCOMES {
            drop(self.flips.remove_label_values(&[name, outcome]));
        }
        for by in DrainedBy::ALL {
            drop(self.drains.remove_label_values(&[name, by.as_str()]));
        }
        for kind in Kind::ALL {
            drop(self.evidence.remove_label_values(&[name, kind.as_str()]));
        }
        for (kind, standing) in verdicts() {
            drop(self.verdicts.remove_label_values(&[name, kind.as_str(), standing.as_str()]));
        }
        for on in HookPoint::ALL {
            for outcome in HOOK_OUTCOMES {
                drop(self.hooks.remove_label_values(&[name, on.as_str(), outcome]));
            }
        }
        for outcome in CanaryEnd::OUTCOMES {
            drop(self.canaries.remove_label_values(&[name, outcome]));
        }
        for result in ["ok", "failed"] {
            drop(self.probes.remove_label_values(&[name, result]));
        }
    }
}

/// Everything that a version may be judged, and in what.
fn verdicts() -> impl Iterator<Item = (Kind, Standing)> {
    Kind::ALL.into_iter().flat_map(|kind| Standing::ALL.map(|standing| (kind, standing)))
}

/// From the start there is a series for each, so that the first failure is an increase.
fn commit_failures(to: &Registrar<'_>) -> Result<IntCounterVec, prometheus::Error> {
    let help = "Commits of the control state that failed, by what is known of the change.";
    let failures = to.counters("cutover_store_commit_failures_total", help, &["outcome"])?;
    COMMIT_FAILURES.iter().for_each(|outcome| failures.with_label_values(&[outcome]).reset());
    Ok(failures)
}

/// Makes metrics that a registry knows.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        self.register(GaugeVec::new(Opts::new(name, help), labels))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn register<C: Collector + Clone + 'static>(
        &self,
        metric: Result<C, prometheus::Error>,
    ) -> Result<C, prometheus::Error> {
        let metric = metric?;
        self.0.register(Box::new(metric.clone())).map(|()| metric)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cutover_core::service::Source;
    use prometheus::TextEncoder;

    use super::*;
    use crate::world::web;

    #[test]
    fn a_service_is_counted_from_its_beginning_to_its_end() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).expect("nothing else is registered");
        let text = || TextEncoder::new().encode_to_string(&registry.gather()).expect("it can be written");
        let mut with_it = State::default();
        let service = Service::new(web(), Arc::default(), Source::Config);
        with_it.services.insert(web(), Arc::new(service));

        metrics.follow(&State::default(), &with_it);
        let bad = r#"cutover_verdicts_total{kind="bake",service="web",verdict="bad"}"#;
        assert!(text().contains(&format!("{bad} 0")), "{}", text());
        metrics.count_activation(&web());
        metrics.count_probe(&web(), true);
        metrics.count_verdict(&web(), Kind::Bake, Standing::Bad);
        metrics.count_drain(&web(), DrainedBy::Proof);
        metrics.follow(&with_it, &with_it);
        assert!(text().contains(&format!("{bad} 1")), "{}", text());

        metrics.follow(&with_it, &State::default());

        assert!(!text().contains("service="), "{}", text());
    }

    #[test]
    fn commits_that_fail_are_told_apart() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).expect("nothing else is registered");
        let outcomes = [
            Ok(Revision(1)),
            Err(CommitError::Conflict { revision: Revision(1) }),
            Err(CommitError::Unavailable { source: "full".into() }),
            Err(CommitError::Unavailable { source: "full".into() }),
            Err(CommitError::Unknown { source: "slow".into() }),
        ];

        outcomes.iter().for_each(|outcome| metrics.observe_commit(Duration::from_millis(1), outcome));

        let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("it can be written");
        for (outcome, count) in [("conflict", 1), ("unavailable", 2), ("unknown", 1)] {
            let line = format!("cutover_store_commit_failures_total{{outcome=\"{outcome}\"}} {count}");
            assert!(text.contains(&line), "{line} in\n{text}");
        }
        assert!(text.contains("cutover_store_commit_seconds_count 5"), "{text}");
    }
}
