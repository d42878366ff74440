//! What the control plane counts, for Prometheus. No label takes a value that a client of the proxy can choose.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cutover_core::backend::Operational;
use cutover_core::command::{Change, Command};
use cutover_core::id::{Revision, ServiceName};
use cutover_core::service::Service;
use cutover_core::state::State;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::error::SubmitError;

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
        let gauges = |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
            let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauges.clone())).map(|()| gauges)
        };
        let counters =
            |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
                let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
                registry.register(Box::new(counters.clone())).map(|()| counters)
            };
        let revision =
            IntGauge::new("cutover_revision", "The last committed revision of the control state.")?;
        registry.register(Box::new(revision.clone()))?;
        let commit_help = "Time that commits of the control state took.";
        let commit_seconds = Histogram::with_opts(
            HistogramOpts::new("cutover_store_commit_seconds", commit_help).buckets(COMMIT_BUCKETS.to_vec()),
        )?;
        registry.register(Box::new(commit_seconds.clone()))?;
        Ok(Self {
            backend_up: gauges(
                "cutover_backend_up",
                "Whether the backend answers its probes.",
                &["service", "backend"],
            )?,
            version_epoch: gauges(
                "cutover_version_epoch",
                "The epoch of the service; grows at every flip and rollback.",
                &["service"],
            )?,
            backends: gauges(
                "cutover_backends",
                "Backends of each version, by whether user traffic may be sent to them.",
                &["service", "version", "usable"],
            )?,
            flips: counters(
                "cutover_flips_total",
                "Changes of the active version, by outcome.",
                &["service", "outcome"],
            )?,
            probes: counters("cutover_probes_total", "Health checks, by result.", &["service", "result"])?,
            revision,
            commit_seconds,
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

    /// Follows a change of the state. Services that the two states share cost a comparison of pointers.
    pub(crate) fn follow(&self, before: &State, after: &State, revision: Revision) {
        self.revision.set(signed(revision.0));
        for (name, old) in &before.services {
            let new = after.services.get(name);
            if !new.is_some_and(|new| Arc::ptr_eq(old, new)) {
                self.forget(old, new.map(AsRef::as_ref));
            }
        }
        for (name, new) in &after.services {
            if !before.services.get(name).is_some_and(|old| Arc::ptr_eq(old, new)) {
                self.show(new);
            }
        }
    }

    fn show(&self, service: &Service) {
        let name = service.name.as_str();
        self.version_epoch.with_label_values(&[name]).set(signed(service.epoch.0));
        for backend in service.backends.values() {
            let is_up = matches!(backend.operational, Operational::Up(_));
            self.backend_up.with_label_values(&[name, backend.id.as_str()]).set(i64::from(is_up));
        }
        for (label, capacity) in service.capacities() {
            let gauge = |is_usable| self.backends.with_label_values(&[name, label.as_str(), is_usable]);
            gauge("true").set(i64::from(capacity.usable));
            gauge("false").set(i64::from(capacity.registered - capacity.usable));
        }
    }

    /// Removes the series of everything that `old` had and `new` has not.
    fn forget(&self, old: &Service, new: Option<&Service>) {
        let name = old.name.as_str();
        let gone = old.backends.keys().filter(|&id| !new.is_some_and(|new| new.backends.contains_key(id)));
        for id in gone {
            // An error says that there is no such series, which is what is wanted.
            drop(self.backend_up.remove_label_values(&[name, id.as_str()]));
        }
        let left: BTreeSet<_> = new.map(|new| new.capacities().into_keys().collect()).unwrap_or_default();
        for label in old.capacities().into_keys().filter(|label| !left.contains(label)) {
            for is_usable in ["true", "false"] {
                drop(self.backends.remove_label_values(&[name, label.as_str(), is_usable]));
            }
        }
        if new.is_none() {
            drop(self.version_epoch.remove_label_values(&[name]));
            for outcome in OUTCOMES {
                drop(self.flips.remove_label_values(&[name, outcome]));
            }
            for result in ["ok", "failed"] {
                drop(self.probes.remove_label_values(&[name, result]));
            }
        }
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
