//! Versions as the API shows them.

use std::collections::BTreeMap;

use cutover_core::answers::{Answering, Tally};
use cutover_core::contract::below_floor;
use cutover_core::drain::{deadline, pins_until};
use cutover_core::quorum::Quorum;
use cutover_core::report::Load;
use cutover_core::schema::{Schema, SchemaRange};
use cutover_core::service::Service;
use cutover_core::time::Timestamp;
use cutover_core::version::Version;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::services::newest_first;
use super::time;

/// All versions of a service.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionList {
    /// The newest first.
    pub versions: Vec<VersionView>,
}

/// One version of a service.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Version")]
pub struct VersionView {
    /// Its label.
    #[schema(example = "v2")]
    pub version: String,
    /// The part it plays: `staged`, `canary`, `active`, `draining`, `drained`, `rejected`, `superseded` or `retired`.
    #[schema(example = "staged")]
    pub role: &'static str,
    /// The last epoch in which it was active.
    pub epoch: Option<u64>,
    /// When it first appeared.
    #[schema(format = DateTime)]
    pub seen_at: String,
    /// Why it is never chosen automatically, if somebody judged it bad.
    pub rejected: Option<String>,
    /// Its backends, usable or not.
    pub backends: u32,
    /// Its usable backends.
    pub usable_backends: u32,
    /// Their weight.
    pub usable_weight: u64,
    /// The weight that quorum and capacity are measured against.
    pub expected_weight: u64,
    /// What it has against what a flip needs.
    pub quorum: QuorumView,
    /// Requests in flight, tunnels included.
    pub in_flight: u64,
    /// Tunnels (WebSocket and other upgrades) that are open.
    pub tunnels: u64,
    /// Its answers since this process knows it.
    pub requests: u64,
    /// Those of them that had a status of 5xx.
    pub failed: u64,
    /// Those of them that broke off, or never came so that the client got one of cutover's own.
    pub resets: u64,
    /// Those of them that were no asset though one was asked for.
    pub asset_misses: u64,
    /// Answers that named another version than this one.
    pub mismatches: u64,
    /// The share of its answers, 0 to 1, that had a status of 5xx, broke off or never came; `null` before the first.
    pub error_rate: Option<f64>,
    /// The time in milliseconds within which 99 of 100 answers began, to an eighth; `null` before the first.
    pub p99_ms: Option<f64>,
    /// Its answers by the time in which they began. Only where `latencies` is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latencies: Option<Vec<LatencyView>>,
    /// By when every pin of it has expired; `null` when there can be none.
    #[schema(format = DateTime)]
    pub latest_pin_expiry: Option<String>,
    /// Who else says that it runs this version.
    pub holds: BTreeMap<String, HoldView>,
    /// Gates that a flip to it needs, and those that somebody set.
    pub gates: BTreeMap<String, GateView>,
    /// The first schema of the database with which all of its backends can work.
    pub schema_min: Option<u64>,
    /// The last one.
    pub schema_max: Option<u64>,
    /// Whether a contract migration ran that it is too old for: it never becomes active again.
    pub below_floor: bool,
    /// When the eviction of its last sessions begins, while it drains.
    #[schema(format = DateTime)]
    pub drain_deadline: Option<String>,
    /// How its drain ended, if it did.
    pub drained: Option<DrainedView>,
    /// The previews of it that have not ended, if there are any.
    pub previewed: Option<PreviewedView>,
}

/// Answers of about the same latency, since this process knows the version. What was counted between two looks is their difference.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Latency")]
pub struct LatencyView {
    /// The time in microseconds within which they began.
    #[schema(example = 1024)]
    pub within_us: u64,
    /// How many they are, without those of the entries before.
    #[schema(example = 17)]
    pub answers: u64,
}

/// What the data plane does for a version, as its cells tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// What it still does for it.
    pub load: Load,
    /// How the version answers; `None` before the first answer.
    pub answering: Option<Answering>,
}

/// What a version has against what a flip needs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Quorum")]
pub struct QuorumView {
    /// Whether there is enough, for long enough or not.
    pub met: bool,
    /// Usable backends.
    pub usable: u32,
    /// Usable backends that it needs.
    pub needed: u32,
    /// Usable weight.
    pub usable_weight: u64,
    /// Usable weight that it needs.
    pub needed_weight: u64,
    /// Since when there is enough without a break.
    #[schema(format = DateTime)]
    pub stable_since: Option<String>,
    /// How long there must be enough.
    #[schema(example = "5s")]
    pub stable_for: String,
}

/// A hold.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Hold")]
pub struct HoldView {
    /// When it lapses unless it is renewed.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// Who took it.
    pub by: String,
}

/// A gate.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(title = "Gate")]
pub struct GateView {
    /// Whether it is open.
    pub open: bool,
    /// What was said with it.
    pub note: String,
    /// Whether a flip needs it.
    pub required: bool,
    /// Who set it; empty while nobody did.
    pub by: String,
    /// When it was set.
    #[schema(format = DateTime)]
    pub at: Option<String>,
}

/// How a drain ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Drained")]
pub struct DrainedView {
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// `proof`: nothing of it was left; `deadline`: its time was over, or somebody evicted the rest.
    #[schema(example = "proof")]
    pub by: &'static str,
}

/// The previews of a version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Previewed")]
pub struct PreviewedView {
    /// When the last of them ends.
    #[schema(format = DateTime)]
    pub until: String,
    /// Who made the latest.
    pub by: String,
}

/// Opens or closes a gate.
#[derive(Debug, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GateBody {
    /// Whether it is open from now on.
    pub open: bool,
    /// What is to be remembered with it.
    pub note: Option<String>,
    /// Whether the version may be one that no backend has reported yet, as when a migration runs before the code that needs it; by default
    /// it must be known.
    pub ahead: Option<bool>,
}

/// Takes or renews a hold.
#[derive(Debug, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldBody {
    /// How long it lasts unless it is renewed, `"1s"` to `"7d"`.
    #[schema(example = "5m")]
    pub ttl: String,
}

/// Says why.
#[derive(Debug, Default, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonOnlyBody {
    /// Why; kept in the timeline.
    pub reason: Option<String>,
}

impl VersionList {
    /// All versions, each with what the data plane does for it.
    #[must_use]
    pub fn new(service: &Service, seen: impl Fn(&Version) -> Seen, now: Timestamp) -> Self {
        let view = |version: &Version| VersionView::new(service, version, seen(version), now);
        Self { versions: newest_first(service).into_iter().map(|version| view(version)).collect() }
    }
}

impl VersionView {
    /// The version with what the data plane does for it.
    #[must_use]
    pub fn new(service: &Service, version: &Version, seen: Seen, now: Timestamp) -> Self {
        let Seen { load, answering } = seen;
        let policy = &service.policy;
        let capacity = service.capacity(&version.label);
        let quorum = Quorum::of(&policy.flip, capacity, service.expected_weight());
        let schemas = SchemaRange::of(service, &version.label);
        let pins_until = Some(pins_until(version, load)).filter(|&until| until > now);
        Self {
            version: version.label.to_string(),
            role: version.role.as_str(),
            epoch: version.epoch.map(|epoch| epoch.0),
            seen_at: time::write(version.seen_at),
            rejected: version.rejected.clone(),
            backends: capacity.registered,
            usable_backends: capacity.usable,
            usable_weight: capacity.usable_weight,
            expected_weight: service.expected_weight(),
            quorum: QuorumView {
                met: quorum.is_met(),
                usable: quorum.usable,
                needed: quorum.needed,
                usable_weight: quorum.usable_weight,
                needed_weight: quorum.needed_weight,
                stable_since: version.quorum_since.map(time::write),
                stable_for: policy.flip.stable_for.to_string(),
            },
            in_flight: load.in_flight,
            tunnels: load.tunnels,
            requests: answering.map_or(0, |answering| answering.answered),
            failed: answering.map_or(0, |answering| answering.failed),
            resets: answering.map_or(0, |answering| answering.resets),
            asset_misses: answering.map_or(0, |answering| answering.asset_misses),
            mismatches: answering.map_or(0, |answering| answering.mismatches),
            error_rate: answering.map(|answering| answering.error_rate),
            p99_ms: answering.map(|answering| answering.p99_ms),
            latencies: None,
            latest_pin_expiry: pins_until.map(time::write),
            holds: holds(version),
            gates: gates(service, version),
            schema_min: schemas.min.map(Schema::value),
            schema_max: schemas.max.map(Schema::value),
            below_floor: below_floor(service, version).is_some(),
            drain_deadline: deadline(version, policy.drain).map(|(begins, _)| time::write(begins)),
            drained: version
                .drained
                .map(|drained| DrainedView { at: time::write(drained.at), by: drained.by.as_str() }),
            previewed: version.previewed.as_ref().filter(|previewed| previewed.until > now).map(
                |previewed| PreviewedView { until: time::write(previewed.until), by: previewed.by.clone() },
            ),
        }
    }
}

impl LatencyView {
    /// All answers of a tally, the fastest first.
    #[must_use]
    pub fn all(tally: &Tally) -> Vec<Self> {
        tally.latencies().map(|(within_us, answers)| Self { within_us, answers }).collect()
    }
}

fn holds(version: &Version) -> BTreeMap<String, HoldView> {
    let view = |hold: &cutover_core::version::Hold| HoldView {
        expires_at: time::write(hold.expires_at),
        by: hold.by.clone(),
    };
    version.holds.iter().map(|(name, hold)| (name.to_string(), view(hold))).collect()
}

/// A gate that a flip needs is shown although nobody has set it: closed.
fn gates(service: &Service, version: &Version) -> BTreeMap<String, GateView> {
    let mut gates: BTreeMap<String, GateView> = version
        .gates
        .iter()
        .map(|(name, gate)| {
            let (note, by) = (gate.note.clone(), gate.by.clone());
            let at = Some(time::write(gate.at));
            (name.to_string(), GateView { open: gate.is_open, note, required: false, by, at })
        })
        .collect();
    for name in &service.policy.flip.gates {
        gates.entry(name.to_string()).or_default().required = true;
    }
    gates
}
