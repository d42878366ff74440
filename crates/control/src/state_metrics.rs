//! Metrics that are read off the control state when they are scraped: what services, versions and backends are right now.

use cutover_core::backend::Operational;
use cutover_core::service::Service;
use cutover_core::time::Timestamp;
use cutover_core::version::{Role, Version};
use cutover_core::{bake, drain, roll};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGauge, IntGaugeVec, Opts, Registry};
use tokio::sync::watch;

use crate::handle::Current;

/// What the state says. No label takes a value that a client of the proxy can choose; a service has at most 64 versions.
struct StateMetrics {
    current: watch::Receiver<Current>,
    /// Without a series: they say what there is.
    empty: Series,
}

struct Series {
    revision: IntGauge,
    epoch: IntGaugeVec,
    frozen: IntGaugeVec,
    maintenance: IntGaugeVec,
    roll_state: IntGaugeVec,
    bake_state: IntGaugeVec,
    expected_weight: IntGaugeVec,
    min_capacity: GaugeVec,
    role: IntGaugeVec,
    backends: IntGaugeVec,
    usable_weight: IntGaugeVec,
    canary_share: GaugeVec,
    quorum_since: GaugeVec,
    drain_deadline: GaugeVec,
    backend_up: IntGaugeVec,
}

/// Adds the metrics of the state that `current` follows to `registry`.
///
/// # Errors
/// The registry has metrics of these names already.
pub(crate) fn register(registry: &Registry, current: watch::Receiver<Current>) -> prometheus::Result<()> {
    registry.register(Box::new(StateMetrics { current, empty: Series::new()? }))
}

impl Collector for StateMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.empty.collectors().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Anew each time, so that what is gone leaves nothing behind and two scrapes don't mix.
        let Ok(series) = Series::new() else { return Vec::new() };
        let current = self.current.borrow().clone();
        series.revision.set(signed(current.revision.0));
        current.state.services.values().for_each(|service| series.show(service));
        series.collectors().into_iter().flat_map(Collector::collect).collect()
    }
}

impl Series {
    fn new() -> prometheus::Result<Self> {
        let whole = |name, help, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let number = |name, help, labels: &[&str]| GaugeVec::new(Opts::new(name, help), labels);
        let (service, version) = (["service"], ["service", "version"]);
        let up = "Whether the backend answers its probes";
        let epoch = "The epoch of the service; grows at every flip and rollback";
        let backends = "Backends of each version, by whether user traffic may be sent to them";
        let bake = "1 for the state that the last bake of the service is in";
        let roll = "1 for the state that the roll of the service's backends is in";
        let expected =
            "Weight that the service is expected to have: quorum and capacity are measured against it";
        let capacity = "The share of the expected weight that must stay usable, 0 to 1";
        let role = "1 for the role that the version plays; a version without backends has none";
        let usable = "Weight of the version's usable backends";
        let share = "The share of new sessions, 0 to 1, that a canary gets";
        let quorum = "Since when the quorum of a version is there without a break, in seconds since 1970";
        let deadline = "When the last session of a draining version is evicted, in seconds since 1970";
        Ok(Self {
            revision: IntGauge::new("cutover_revision", "The last committed revision of the control state")?,
            epoch: whole("cutover_version_epoch", epoch, &service)?,
            frozen: whole("cutover_frozen", "Whether a freeze keeps everybody from flipping", &service)?,
            maintenance: whole("cutover_maintenance", "Whether clients are turned away", &service)?,
            roll_state: whole("cutover_roll_state", roll, &["service", "state"])?,
            bake_state: whole("cutover_bake_state", bake, &["service", "state"])?,
            expected_weight: whole("cutover_expected_weight", expected, &service)?,
            min_capacity: number("cutover_min_capacity_ratio", capacity, &service)?,
            role: whole("cutover_version_role", role, &["service", "version", "role"])?,
            backends: whole("cutover_backends", backends, &["service", "version", "usable"])?,
            usable_weight: whole("cutover_version_usable_weight", usable, &version)?,
            canary_share: number("cutover_canary_share_ratio", share, &version)?,
            quorum_since: number("cutover_version_quorum_since_timestamp_seconds", quorum, &version)?,
            drain_deadline: number("cutover_version_drain_deadline_timestamp_seconds", deadline, &version)?,
            backend_up: whole("cutover_backend_up", up, &["service", "backend"])?,
        })
    }

    fn show(&self, service: &Service) {
        let name = service.name.as_str();
        let of_service = |gauge: &IntGaugeVec, value| gauge.with_label_values(&[name]).set(value);
        of_service(&self.epoch, signed(service.epoch.0));
        of_service(&self.frozen, i64::from(service.freeze.is_some()));
        of_service(&self.maintenance, i64::from(service.maintenance.is_some()));
        of_service(&self.expected_weight, signed(service.expected_weight()));
        let min_capacity = service.policy.min_capacity.value();
        self.min_capacity.with_label_values(&[name]).set(min_capacity);
        for state in roll::State::ALL {
            let gauge = self.roll_state.with_label_values(&[name, state.as_str()]);
            gauge.set(i64::from(service.roll.state == state));
        }
        if let Some(bake) = &service.bake {
            for state in bake::State::ALL {
                let gauge = self.bake_state.with_label_values(&[name, state.as_str()]);
                gauge.set(i64::from(bake.state == state));
            }
        }
        if let Some(canary) = &service.canary {
            let labels = [name, canary.version.as_str()];
            self.canary_share.with_label_values(&labels).set(canary.share.value());
        }
        for backend in service.backends.values() {
            let is_up = matches!(backend.operational, Operational::Up(_));
            self.backend_up.with_label_values(&[name, backend.id.as_str()]).set(i64::from(is_up));
        }
        for (label, capacity) in service.capacities() {
            let labels = [name, label.as_str()];
            let backends = |usable| self.backends.with_label_values(&[name, label.as_str(), usable]);
            backends("true").set(i64::from(capacity.usable));
            backends("false").set(i64::from(capacity.registered - capacity.usable));
            self.usable_weight.with_label_values(&labels).set(signed(capacity.usable_weight));
        }
        let there = service.versions.values().filter(|version| version.role != Role::Retired);
        there.for_each(|version| self.show_version(service, version));
    }

    fn show_version(&self, service: &Service, version: &Version) {
        let labels = [service.name.as_str(), version.label.as_str()];
        self.role.with_label_values(&[labels[0], labels[1], version.role.as_str()]).set(1);
        if let Some(since) = version.quorum_since {
            self.quorum_since.with_label_values(&labels).set(seconds(since));
        }
        if let Some((_, ends)) = drain::deadline(version, service.policy.drain) {
            self.drain_deadline.with_label_values(&labels).set(seconds(ends));
        }
    }

    fn collectors(&self) -> [&dyn Collector; 15] {
        [
            &self.revision,
            &self.epoch,
            &self.frozen,
            &self.maintenance,
            &self.roll_state,
            &self.bake_state,
            &self.expected_weight,
            &self.min_capacity,
            &self.role,
            &self.backends,
            &self.usable_weight,
            &self.canary_share,
            &self.quorum_since,
            &self.drain_deadline,
            &self.backend_up,
        ]
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^52")]
fn seconds(at: Timestamp) -> f64 {
    at.0 as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cutover_core::command::{Change, Finding};
    use cutover_core::id::Revision;
    use cutover_core::snapshot::Snapshot;
    use cutover_core::state::State;
    use cutover_core::time::Millis;
    use prometheus::TextEncoder;

    use super::*;
    use crate::store::MemoryStore;
    use crate::world::{World, id};

    fn current(state: &Arc<State>, revision: u64) -> Current {
        Current {
            revision: Revision(revision),
            state: Arc::clone(state),
            snapshot: Arc::new(Snapshot::default()),
        }
    }

    fn scraped(registry: &Registry) -> String {
        TextEncoder::new().encode_to_string(&registry.gather()).expect("it can be written")
    }

    #[tokio::test]
    async fn what_is_gone_is_shown_no_more() {
        let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
        world.found("b", Finding::Down).await;
        let (state, watched) = watch::channel(current(world.controller.state(), 5));
        let registry = Registry::new();
        register(&registry, watched).expect("nothing else is registered");
        let full = scraped(&registry);
        for line in [
            r#"cutover_backend_up{backend="a",service="web"} 1"#,
            r#"cutover_backend_up{backend="b",service="web"} 0"#,
            r#"cutover_backends{service="web",usable="false",version="v2"} 1"#,
            r#"cutover_version_role{role="active",service="web",version="v1"} 1"#,
            r#"cutover_version_usable_weight{service="web",version="v2"} 0"#,
            r#"cutover_roll_state{service="web",state="idle"} 1"#,
            "cutover_revision 5",
        ] {
            assert!(full.lines().any(|found| found == line), "{line} in\n{full}");
        }

        let leave = Change::Deregister { backend: id("b"), drain: Millis::ZERO };
        let fewer = world.change(leave).await.expect("it may leave").state;
        state.send_replace(current(&fewer, 6));
        let fewer = scraped(&registry);
        assert!(!fewer.contains(r#"backend="b""#) && !fewer.contains(r#"version="v2""#), "{fewer}");
        state.send_replace(current(&Arc::default(), 7));

        assert!(!scraped(&registry).contains("service="));
    }
}
