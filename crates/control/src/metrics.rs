//! What the control plane counts, for Prometheus. No label takes a value that a client of the proxy can choose.

use std::sync::Arc;
use std::time::Duration;

use cutover_core::backend::Operational;
use cutover_core::bake;
use cutover_core::command::{Change, Command};
use cutover_core::effect::CanaryEnd;
use cutover_core::hook::Ended;
use cutover_core::id::{Revision, ServiceName};
use cutover_core::judge::{Kind, Standing, Verdict};
use cutover_core::policy::HookPoint;
use cutover_core::service::{Service, Source};
use cutover_core::state::State;
use prometheus::core::Collector;
use prometheus::{GaugeVec, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::error::SubmitError;
use crate::walk::differences;

/// Commits of a local file take under a millisecond, of a cluster some, of a sick disk seconds.
const COMMIT_BUCKETS: [f64; 10] = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// How a change of the active version may end.
const OUTCOMES: [&str; 5] = ["refused", "failed", "rolled_back", "flipped", "by_itself"];

/// The control plane's metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    backend_up: IntGaugeVec,
    version_epoch: IntGaugeVec,
    backends: IntGaugeVec,
    flips: IntCounterVec,
    bake_state: IntGaugeVec,
    evidence: GaugeVec,
    verdicts: IntCounterVec,
    hooks: IntCounterVec,
    canaries: IntCounterVec,
    canary_share: GaugeVec,
    probes: IntCounterVec,
    revision: IntGauge,
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
            backend_up: to.int_gauges(
                "cutover_backend_up",
                "Whether the backend answers its probes.",
                &["service", "backend"],
            )?,
            version_epoch: to.int_gauges(
                "cutover_version_epoch",
                "The epoch of the service; grows at every flip and rollback.",
                &["service"],
            )?,
            backends: to.int_gauges(
                "cutover_backends",
                "Backends of each version, by whether user traffic may be sent to them.",
                &["service", "version", "usable"],
            )?,
            flips: to.counters(
                "cutover_flips_total",
                "Changes of the active version, by outcome.",
                &["service", "outcome"],
            )?,
            bake_state: to.int_gauges(
                "cutover_bake_state",
                "1 for the state that the last bake of the service is in.",
                &["service", "state"],
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
            canary_share: to.gauges(
                "cutover_canary_share",
                "The share of new sessions, 0 to 1, that a canary gets.",
                &["service", "version"],
            )?,
            probes: to.counters(
                "cutover_probes_total",
                "Health checks, by result.",
                &["service", "result"],
            )?,
            revision: to.register(IntGauge::new(
                "cutover_revision",
                "The last committed revision of the control state.",
            ))?,
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

    pub(crate) fn observe_commit(&self, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
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
        let outcome = if ended.is_delivered { "succeeded" } else { "failed" };
        self.hooks.with_label_values(&[service.as_str(), ended.turn.on.as_str(), outcome]).inc();
    }

    /// Counts a canary that ended.
    pub(crate) fn count_canary(&self, service: &ServiceName, end: CanaryEnd) {
        self.canaries.with_label_values(&[service.as_str(), end.as_str()]).inc();
    }

    /// Follows a change of the state. Services that the two states share cost a comparison of pointers.
    pub(crate) fn follow(&self, before: &State, after: &State, revision: Revision) {
        self.revision.set(signed(revision.0));
        for (name, old, new) in differences(&before.services, &after.services) {
            let none = Arc::new(Service::new(name.clone(), Arc::default(), Source::Config));
            self.follow_service(old.unwrap_or(&none), new.unwrap_or(&none));
            if new.is_none() {
                self.forget(name);
            }
        }
    }

    fn follow_service(&self, old: &Service, new: &Service) {
        let name = new.name.as_str();
        self.version_epoch.with_label_values(&[name]).set(signed(new.epoch.0));
        if old.bake != new.bake {
            for state in bake::State::ALL {
                let is_in = new.bake.as_ref().is_some_and(|bake| bake.state == state);
                self.bake_state.with_label_values(&[name, state.as_str()]).set(i64::from(is_in));
            }
        }
        self.follow_canary(old, new);
        for (id, _, backend) in differences(&old.backends, &new.backends) {
            let labels = [name, id.as_str()];
            match backend {
                Some(backend) => {
                    let is_up = matches!(backend.operational, Operational::Up(_));
                    self.backend_up.with_label_values(&labels).set(i64::from(is_up));
                }
                // An error says that there is no such series, which is what is wanted.
                None => drop(self.backend_up.remove_label_values(&labels)),
            }
        }
        let capacities = new.capacities();
        for label in old.capacities().into_keys().filter(|label| !capacities.contains_key(label)) {
            for is_usable in ["true", "false"] {
                drop(self.backends.remove_label_values(&[name, label.as_str(), is_usable]));
            }
        }
        for (label, capacity) in capacities {
            let gauge = |is_usable| self.backends.with_label_values(&[name, label.as_str(), is_usable]);
            gauge("true").set(i64::from(capacity.usable));
            gauge("false").set(i64::from(capacity.registered - capacity.usable));
        }
    }

    fn follow_canary(&self, old: &Service, new: &Service) {
        let name = new.name.as_str();
        let running = new.canary.as_ref();
        if let Some(canary) =
            old.canary.as_ref().filter(|old| running.is_none_or(|new| new.version != old.version))
        {
            drop(self.canary_share.remove_label_values(&[name, canary.version.as_str()]));
        }
        if let Some(canary) = running {
            self.canary_share.with_label_values(&[name, canary.version.as_str()]).set(canary.share.value());
        }
    }

    /// Removes what is counted for a service as a whole.
    fn forget(&self, service: &ServiceName) {
        let name = service.as_str();
        drop(self.version_epoch.remove_label_values(&[name]));
        for outcome in OUTCOMES {
            drop(self.flips.remove_label_values(&[name, outcome]));
        }
        for state in bake::State::ALL {
            drop(self.bake_state.remove_label_values(&[name, state.as_str()]));
        }
        drop(self.evidence.remove_label_values(&[name]));
        for (kind, standing) in Kind::ALL.into_iter().flat_map(|kind| Standing::ALL.map(|it| (kind, it))) {
            drop(self.verdicts.remove_label_values(&[name, kind.as_str(), standing.as_str()]));
        }
        for on in HookPoint::ALL {
            for outcome in ["succeeded", "failed"] {
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

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Makes metrics that a registry knows.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn int_gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels))
    }

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
    use std::collections::BTreeSet;

    use cutover_core::command::Finding;

    use super::*;
    use crate::store::MemoryStore;
    use crate::world::{World, id, web};

    fn series(registry: &Registry) -> BTreeSet<String> {
        let families = registry.gather();
        let shown = families.iter().flat_map(|family| {
            family.get_metric().iter().map(move |metric| {
                let labels: Vec<_> =
                    metric.get_label().iter().map(|label| label.value().to_owned()).collect();
                format!("{}{{{}}} {}", family.name(), labels.join(","), metric.get_gauge().get_value())
            })
        });
        shown.filter(|series| !series.contains("commit")).collect()
    }

    #[tokio::test]
    async fn what_is_gone_is_shown_no_more() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).expect("nothing else is registered");
        let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
        world.found("b", Finding::Down).await;
        let full = Arc::clone(world.controller.state());
        metrics.follow(&State::default(), &full, Revision(5));
        let shown = series(&registry);
        assert!(shown.contains("cutover_backend_up{a,web} 1"), "{shown:?}");
        assert!(shown.contains("cutover_backend_up{b,web} 0"), "{shown:?}");
        assert!(shown.contains("cutover_backends{web,false,v2} 1"), "{shown:?}");

        let leave = Change::Deregister { backend: id("b"), drain: cutover_core::time::Millis::ZERO };
        let fewer = world.change(leave).await.expect("it may leave").state;
        metrics.count_activation(&web());
        metrics.count_probe(&web(), true);
        metrics.count_verdict(&web(), Kind::Bake, Standing::Bad);
        metrics.follow(&full, &fewer, Revision(6));
        assert!(!series(&registry).iter().any(|series| series.contains("{b,") || series.contains(",v2}")));
        metrics.follow(&fewer, &State::default(), Revision(7));

        assert_eq!(series(&registry), BTreeSet::from(["cutover_revision{} 7".to_owned()]));
    }
}
