//! Metrics of the data plane. Handles are resolved once per snapshot, so that a request only adds to counters.
//!
//! No label has a value that a client chooses.

mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cutover_core::id::{ServiceName, VersionLabel};
use cutover_core::snapshot::{ServiceSet, Snapshot};
use http::StatusCode;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use crate::pin::PinOutcome;
use crate::pin::preview::PreviewOutcome;

/// Upper bounds in seconds: from a cached answer on loopback to the default time limit of an upstream.
const DURATION_BUCKETS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// The statuses that the proxy answers by itself.
const OWN_STATUSES: [&str; 28] = [
    "200", "204", "301", "302", "303", "307", "308", "400", "403", "404", "405", "408", "409", "410", "413",
    "414", "417", "421", "429", "431", "500", "501", "502", "503", "504", "505", "508", "other",
];

/// How a try to get an answer from a backend failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum UpstreamFailure {
    /// No connection.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// A connection, but none over TLS to a backend that is believed.
    Tls,
    /// A connection, but none of HTTP/2.
    Http2,
    /// The connection ended before the answer began.
    NoAnswer,
    /// No answer in time.
    AnswerTimeout,
    /// What came is no answer.
    BadAnswer,
    /// The answer broke off in the middle.
    BrokenBody,
}

/// Why a connection was closed before it was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Unserved {
    /// Its client has as many as it may have.
    TooMany,
    /// It begins with a PROXY header, of one who may not send any.
    UntrustedProxy,
    /// It does not begin with a PROXY header, of one who has to send one.
    Header,
    /// The header did not come in time.
    HeaderTimeout,
}

/// How a handshake of TLS with a client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Handshake {
    /// Well, with all that it takes.
    Full,
    /// Well, by a ticket of an earlier one.
    Resumed,
    /// What came is no TLS.
    NotTls,
    /// The two have nothing in common.
    Incompatible,
    /// The client's certificate is missing or not believed.
    Certificate,
    /// The client refused to go on.
    Refused,
    /// Something in it is not allowed.
    Protocol,
    /// The connection ended meanwhile.
    Gone,
    /// It took too long.
    Timeout,
}

/// What became of an answer that named another version than the one that was decided for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mismatch {
    /// It was discarded, and the request tried again.
    Replayed,
    /// The client got it, because the request can't be tried again.
    Forwarded,
}

/// Where an asset was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AssetOutcome {
    /// In the version that was chosen.
    Hit,
    /// In another live version.
    OtherVersion,
    /// In the vault.
    Vault,
    /// Nowhere.
    Miss,
}

/// What a version did wrong beside its statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// Its answer broke off or never came.
    Reset,
    /// An asset was asked for, and its answer was none.
    AssetMiss,
    /// An answer that it was to give named another version.
    Mismatch,
}

/// All metrics of the data plane, shared by its workers.
#[derive(Debug)]
pub struct Metrics {
    /// Client connections that are open.
    pub connections: IntGauge,
    /// Client connections that were accepted.
    pub accepted: IntCounter,
    /// Tunnels that are open.
    pub tunnels: IntGauge,
    /// Requests that wait for a backend.
    pub queue_waiting: IntGauge,
    /// Access-log lines that were dropped because the log's reader or disk is too slow, or gone.
    pub access_log_dropped: IntCounter,
    /// Spans that found no room on their way to the collector, or that it did not take.
    pub spans_dropped: IntCounter,
    own_answers: [IntCounter; OWN_STATUSES.len()],
    handshakes: [IntCounter; Handshake::ALL.len()],
    refused: [IntCounter; Unserved::ALL.len()],
    requests: IntCounterVec,
    duration: HistogramVec,
    pins: IntCounterVec,
    previews: IntCounterVec,
    retries: IntCounterVec,
    rate_limited: IntCounterVec,
    failures: IntCounterVec,
    mismatches: IntCounterVec,
    assets: IntCounterVec,
    faults: IntCounterVec,
    received: IntCounterVec,
    sent: IntCounterVec,
    /// Locked when a snapshot comes, never by a request.
    known: Mutex<Known>,
}

/// The labels that series were made for.
#[derive(Debug, Default)]
struct Known {
    /// The newest snapshot whose labels are among them.
    generation: u64,
    services: BTreeMap<ServiceName, BTreeSet<VersionLabel>>,
}

/// The counters of one service.
#[derive(Debug, Clone)]
pub struct ServiceHandles {
    /// Tries beyond a request's first.
    pub retries: IntCounter,
    /// Requests that were refused because their client sends too many.
    pub rate_limited: IntCounter,
    /// Body bytes received from clients.
    pub received: IntCounter,
    /// Body bytes sent to clients.
    pub sent: IntCounter,
    /// Per version, in the order of [`ServiceSet::versions`].
    pub versions: Vec<VersionHandles>,
    pins: [IntCounter; PinOutcome::ALL.len()],
    previews: [IntCounter; PreviewOutcome::ALL.len()],
    failures: [IntCounter; UpstreamFailure::ALL.len()],
    mismatches: [IntCounter; Mismatch::ALL.len()],
    assets: [IntCounter; AssetOutcome::ALL.len()],
}

/// The counters of one version.
#[derive(Debug, Clone)]
pub struct VersionHandles {
    requests: [IntCounter; CLASSES.len()],
    faults: [IntCounter; Fault::ALL.len()],
    duration: Histogram,
}

impl Metrics {
    /// Makes the metrics and adds them to `registry`.
    ///
    /// # Errors
    /// The registry has metrics of these names already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name, help| register(registry, IntGauge::new(name, help)?);
        let counter = |name, help| register(registry, IntCounter::new(name, help)?);
        let counters = |name, help, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let (of_service, of_version) = (["service"], ["service", "version"]);
        let refused = "Connections that were closed before they were served, by why";
        let refused = counters("cutover_connections_refused_total", refused, &["reason"])?;
        let handshakes = "TLS handshakes with clients, by how they ended";
        let handshakes = counters("cutover_tls_handshakes_total", handshakes, &["outcome"])?;
        let own = "Answers of the proxy itself, because no backend could or should answer";
        let own = counters("cutover_own_answers_total", own, &["status"])?;
        let requests = "Requests that were answered, by class of status";
        let duration = "Time from a request's head to the last byte of its answer";
        let duration = HistogramOpts::new("cutover_request_duration_seconds", duration);
        let duration = HistogramVec::new(duration.buckets(DURATION_BUCKETS.to_vec()), &of_version)?;
        let pins = "Requests by what became of their pin";
        let previews = "Requests that try a version out, and links to it, by what became of them";
        let retries = "Tries beyond a request's first";
        let rate_limited = "Requests that were refused because their client sends too many";
        let failures = "Tries that failed, by how";
        let mismatches =
            "Answers of another version than the one that was decided for, by what became of them";
        let assets = "Requests for assets, by where they were found";
        let faults = "What a version did wrong beside its statuses, by what";
        let lost = "Access-log lines that could not be written";
        Ok(Self {
            connections: gauge("cutover_connections", "Client connections that are open")?,
            accepted: counter("cutover_connections_accepted_total", "Client connections that were accepted")?,
            tunnels: gauge("cutover_tunnels", "Tunnels (WebSocket and other upgrades) that are open")?,
            queue_waiting: gauge("cutover_queue_waiting", "Requests that wait for a usable backend")?,
            access_log_dropped: counter("cutover_access_log_dropped_total", lost)?,
            spans_dropped: counter("cutover_spans_dropped_total", "Spans that no collector got")?,
            refused: Unserved::ALL.map(|why| refused.with_label_values(&[why.as_str()])),
            handshakes: Handshake::ALL.map(|how| handshakes.with_label_values(&[how.as_str()])),
            own_answers: OWN_STATUSES.map(|status| own.with_label_values(&[status])),
            requests: counters("cutover_requests_total", requests, &["service", "version", "class"])?,
            duration: register(registry, duration)?,
            pins: counters("cutover_pins_total", pins, &["service", "outcome"])?,
            previews: counters("cutover_previews_total", previews, &["service", "outcome"])?,
            retries: counters("cutover_upstream_retries_total", retries, &of_service)?,
            rate_limited: counters("cutover_rate_limited_total", rate_limited, &of_service)?,
            failures: counters("cutover_upstream_errors_total", failures, &["service", "kind"])?,
            mismatches: counters("cutover_mismatches_total", mismatches, &["service", "outcome"])?,
            assets: counters("cutover_assets_total", assets, &["service", "outcome"])?,
            faults: counters("cutover_version_faults_total", faults, &["service", "version", "kind"])?,
            received: counters("cutover_received_bytes_total", "Body bytes from clients", &of_service)?,
            sent: counters("cutover_sent_bytes_total", "Body bytes to clients", &of_service)?,
            known: Mutex::default(),
        })
    }

    /// The counters of `service`, as it is in the snapshot of `generation`. Takes a lock: for when a snapshot comes, not for requests.
    #[must_use]
    pub fn resolve(&self, service: &ServiceSet, generation: u64) -> ServiceHandles {
        // Under the lock, so that no series is made while `forget_gone` decides about it.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.generation = known.generation.max(generation);
        let labels = known.services.entry(service.name.clone()).or_default();
        labels.extend(service.versions.iter().map(|version| version.label.clone()));
        let name = service.name.as_str();
        ServiceHandles {
            retries: self.retries.with_label_values(&[name]),
            rate_limited: self.rate_limited.with_label_values(&[name]),
            received: self.received.with_label_values(&[name]),
            sent: self.sent.with_label_values(&[name]),
            versions: service
                .versions
                .iter()
                .map(|version| self.version(name, version.label.as_str()))
                .collect(),
            pins: PinOutcome::ALL.map(|outcome| self.pins.with_label_values(&[name, outcome.as_str()])),
            previews: PreviewOutcome::ALL
                .map(|outcome| self.previews.with_label_values(&[name, outcome.as_str()])),
            failures: UpstreamFailure::ALL
                .map(|kind| self.failures.with_label_values(&[name, kind.as_str()])),
            mismatches: Mismatch::ALL
                .map(|outcome| self.mismatches.with_label_values(&[name, outcome.as_str()])),
            assets: AssetOutcome::ALL.map(|outcome| self.assets.with_label_values(&[name, outcome.as_str()])),
        }
    }

    /// Ends the series of all services and versions that `snapshot` does not have, so that their number stays bounded over any number of deploys.
    /// Called by each worker when it takes over a snapshot; an older one than was already seen ends nothing.
    pub fn forget_gone(&self, snapshot: &Snapshot) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if snapshot.generation < known.generation {
            return;
        }
        known.generation = snapshot.generation;
        let services: BTreeMap<_, _> =
            snapshot.services.iter().map(|service| (&service.name, service)).collect();
        known.services.retain(|name, labels| {
            let service = services.get(name);
            labels.retain(|label| {
                let is_there = service.is_some_and(|service| service.version(label.as_str()).is_some());
                if !is_there {
                    self.forget_version(name.as_str(), label.as_str());
                }
                is_there
            });
            if service.is_none() {
                self.forget_service(name.as_str());
            }
            service.is_some()
        });
    }

    /// Counts a connection that was closed before it was served.
    pub fn refused(&self, why: Unserved) {
        self.refused[why as usize].inc();
    }

    /// Counts a handshake with a client.
    pub fn handshake(&self, how: Handshake) {
        self.handshakes[how as usize].inc();
    }

    /// Counts an answer of ours.
    pub fn own_answer(&self, status: StatusCode) {
        let at = OWN_STATUSES.iter().position(|&own| own == status.as_str());
        self.own_answers[at.unwrap_or(OWN_STATUSES.len() - 1)].inc();
    }

    fn version(&self, service: &str, version: &str) -> VersionHandles {
        VersionHandles {
            requests: CLASSES.map(|class| self.requests.with_label_values(&[service, version, class])),
            faults: Fault::ALL
                .map(|fault| self.faults.with_label_values(&[service, version, fault.as_str()])),
            duration: self.duration.with_label_values(&[service, version]),
        }
    }

    // Removing fails only for what is not there.

    fn forget_version(&self, service: &str, version: &str) {
        for class in CLASSES {
            let _ = self.requests.remove_label_values(&[service, version, class]);
        }
        for fault in Fault::ALL {
            let _ = self.faults.remove_label_values(&[service, version, fault.as_str()]);
        }
        let _ = self.duration.remove_label_values(&[service, version]);
    }

    fn forget_service(&self, service: &str) {
        for outcome in PinOutcome::ALL {
            let _ = self.pins.remove_label_values(&[service, outcome.as_str()]);
        }
        for outcome in PreviewOutcome::ALL {
            let _ = self.previews.remove_label_values(&[service, outcome.as_str()]);
        }
        for kind in UpstreamFailure::ALL {
            let _ = self.failures.remove_label_values(&[service, kind.as_str()]);
        }
        for outcome in Mismatch::ALL {
            let _ = self.mismatches.remove_label_values(&[service, outcome.as_str()]);
        }
        for outcome in AssetOutcome::ALL {
            let _ = self.assets.remove_label_values(&[service, outcome.as_str()]);
        }
        for of_service in [&self.retries, &self.rate_limited, &self.received, &self.sent] {
            let _ = of_service.remove_label_values(&[service]);
        }
    }
}

impl ServiceHandles {
    /// Counts what became of a pin.
    pub fn pin(&self, outcome: PinOutcome) {
        self.pins[outcome as usize].inc();
    }

    /// Counts what became of a preview.
    pub fn preview(&self, outcome: PreviewOutcome) {
        self.previews[outcome as usize].inc();
    }

    /// Counts a try that failed.
    pub fn upstream_failed(&self, how: UpstreamFailure) {
        self.failures[how as usize].inc();
    }

    /// Counts a request for an asset.
    pub fn asset(&self, outcome: AssetOutcome) {
        self.assets[outcome as usize].inc();
    }

    /// Counts an answer of another version than the one that was decided for.
    pub fn mismatch(&self, outcome: Mismatch) {
        self.mismatches[outcome as usize].inc();
    }
}

impl VersionHandles {
    /// Counts a request that was answered.
    pub fn answered(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len());
        self.requests[class - 1].inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts what the version did wrong.
    pub fn fault(&self, fault: Fault) {
        self.faults[fault as usize].inc();
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use cutover_core::command::Command;
    use cutover_core::policy::Policy;
    use prometheus::TextEncoder;

    use super::*;
    use crate::worker::fleet::Fleet;

    fn metrics() -> (Registry, Metrics) {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        (registry, metrics)
    }

    fn text(registry: &Registry) -> String {
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn a_request_is_counted_for_its_service_version_and_class() {
        let (registry, metrics) = metrics();
        let fleet = Fleet::new(Policy::default());
        let handles = metrics.resolve(fleet.set(), 1);
        handles.versions[0].answered(StatusCode::NO_CONTENT, Duration::from_millis(3));
        handles.versions[1].answered(StatusCode::BAD_GATEWAY, Duration::from_secs(100));
        handles.pin(PinOutcome::Withheld);
        handles.upstream_failed(UpstreamFailure::BrokenBody);
        handles.mismatch(Mismatch::Forwarded);
        metrics.own_answer(StatusCode::NOT_FOUND);
        metrics.own_answer(StatusCode::IM_A_TEAPOT);
        let text = text(&registry);
        for line in [
            r#"cutover_requests_total{class="2xx",service="web",version="v1"} 1"#,
            r#"cutover_requests_total{class="5xx",service="web",version="v2"} 1"#,
            r#"cutover_request_duration_seconds_bucket{service="web",version="v1",le="0.0025"} 0"#,
            r#"cutover_request_duration_seconds_bucket{service="web",version="v1",le="0.005"} 1"#,
            r#"cutover_request_duration_seconds_count{service="web",version="v2"} 1"#,
            r#"cutover_pins_total{outcome="withheld",service="web"} 1"#,
            r#"cutover_pins_total{outcome="new",service="web"} 0"#,
            r#"cutover_upstream_errors_total{kind="broken_body",service="web"} 1"#,
            r#"cutover_mismatches_total{outcome="forwarded",service="web"} 1"#,
            r#"cutover_own_answers_total{status="404"} 1"#,
            r#"cutover_own_answers_total{status="other"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
        }
    }

    #[test]
    fn series_of_what_is_gone_end() {
        let (registry, metrics) = metrics();
        let mut fleet = Fleet::new(Policy::default());
        let empty = text(&registry);
        let _ = metrics.resolve(fleet.set(), fleet.snapshot.generation);
        metrics.forget_gone(&fleet.snapshot);
        assert!(text(&registry).contains(r#"service="web",version="v1""#));
        fleet.apply(&Command::Configure(Vec::new()));
        metrics.forget_gone(&fleet.snapshot);
        assert_eq!(text(&registry), empty);
    }

    #[test]
    fn a_worker_that_is_behind_ends_nothing() {
        let (registry, metrics) = metrics();
        let fleet = Fleet::new(Policy::default());
        let handles = metrics.resolve(fleet.set(), fleet.snapshot.generation);
        metrics.forget_gone(&Snapshot::default());
        handles.versions[0].answered(StatusCode::OK, Duration::ZERO);
        assert!(text(&registry).contains(r#"{class="2xx",service="web",version="v1"} 1"#));
    }

    #[test]
    fn two_workers_add_to_the_same_series() {
        let (registry, metrics) = metrics();
        let fleet = Fleet::new(Policy::default());
        for _ in 0..2 {
            metrics.resolve(fleet.set(), 1).retries.inc();
        }
        assert!(text(&registry).contains("cutover_upstream_retries_total{service=\"web\"} 2"));
    }

    #[test]
    fn kinds_are_numbered_in_order() {
        for (at, kind) in UpstreamFailure::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at, "{}", kind.as_str());
        }
        for (at, why) in Unserved::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, at, "{}", why.as_str());
        }
        for (at, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, at, "{}", fault.as_str());
        }
        for (at, outcome) in Mismatch::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at, "{}", outcome.as_str());
        }
    }

    #[test]
    fn a_registry_takes_the_metrics_once() {
        let (registry, _metrics) = metrics();
        assert!(Metrics::new(&registry).is_err());
    }
}
