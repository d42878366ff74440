//! Services as the API shows them.

use std::sync::Arc;

use cutover_core::bake;
use cutover_core::judge::Verdict;
use cutover_core::schema::Schema;
use cutover_core::service::{Service, Source};
use cutover_core::suspend::Suspension;
use cutover_core::version::Version;
use serde::Serialize;
use utoipa::ToSchema;

use super::bake::{BakeView, VerdictView};
use super::canary::CanaryView;
use super::hooks::HooksView;
use super::roll::RollView;
use super::schema::ContractView;
use super::service::ServiceSpec;
use super::time;

/// All services.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceList {
    /// By name.
    pub services: Vec<ServiceView>,
}

/// One service.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Service")]
pub struct ServiceView {
    /// Its name.
    #[schema(example = "web")]
    pub name: String,
    /// Where its policy came from.
    pub source: SourceView,
    /// The version that gets new sessions.
    #[schema(example = "v1")]
    pub active: Option<String>,
    /// Grows by one whenever `active` changes, and whenever sessions of a canary go back to it; 0 while nothing was ever active.
    #[schema(example = 1)]
    pub epoch: u64,
    /// The weight that quorum and capacity are measured against.
    pub expected_weight: u64,
    /// Usable weight of the active version.
    pub usable_weight: u64,
    /// Its backends, usable or not.
    pub backends: usize,
    /// The version that gets a share of the new sessions.
    pub canary: Option<CanaryView>,
    /// How far a roll of its backends is.
    pub roll: RollView,
    /// The watch over the version that was flipped to last; `null` if there was none.
    pub bake: Option<BakeView>,
    /// What is thought of the version that is watched, or was last; `null` if none ever was.
    pub verdict: Option<VerdictView>,
    /// Whether flips are refused, and why.
    pub freeze: Option<SuspensionView>,
    /// Whether clients are turned away, and why. The policy may turn them away too.
    pub maintenance: Option<SuspensionView>,
    /// The last contract migration: nothing older than its floor becomes active again.
    pub contract: Option<ContractView>,
    /// The schema at which its database is; `null` when nobody says.
    #[schema(example = 5)]
    pub schema: Option<u64>,
    /// What its hooks were asked and told.
    pub hooks: HooksView,
    /// Its versions, the newest first.
    pub versions: Vec<VersionSummary>,
    /// What the operator decided about it. Only where one service is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<ServiceSpec>,
}

/// Where a policy came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(title = "Source")]
#[serde(rename_all = "snake_case")]
pub enum SourceView {
    /// The configuration file: change it there.
    Config,
    /// This API.
    Api,
}

/// What somebody suspended: flips, which are refused without `force`, or the service itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Suspension")]
pub struct SuspensionView {
    /// Why; empty when nobody said.
    pub reason: String,
    /// Until when; `null` = until somebody ends it.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// Who did.
    pub by: String,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
}

/// A version in a few numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionSummary {
    /// Its label.
    #[schema(example = "v1")]
    pub version: String,
    /// The part it plays.
    #[schema(example = "active")]
    pub role: &'static str,
    /// The last epoch in which it was active.
    pub epoch: Option<u64>,
    /// Its backends, usable or not.
    pub backends: u32,
    /// Its usable backends.
    pub usable_backends: u32,
    /// Their weight.
    pub usable_weight: u64,
}

impl ServiceView {
    /// The service without its policy, with what is thought right now of a version that it watches.
    #[must_use]
    pub fn new(service: &Service, verdict: Option<&Verdict>) -> Self {
        let capacities = service.capacities();
        let capacity = |version: &Version| capacities.get(&version.label).copied().unwrap_or_default();
        Self {
            name: service.name.to_string(),
            source: match service.source {
                Source::Config => SourceView::Config,
                Source::Api(_) => SourceView::Api,
            },
            active: service.active.as_ref().map(ToString::to_string),
            epoch: service.epoch.0,
            expected_weight: service.expected_weight(),
            usable_weight: service.active_version().map_or(0, |active| capacity(active).usable_weight),
            backends: service.backends.len(),
            canary: CanaryView::of(service),
            roll: RollView::new(service),
            bake: service.bake.as_ref().map(BakeView::new),
            verdict: shown(service, verdict).map(VerdictView::new),
            freeze: service.freeze.as_ref().map(SuspensionView::new),
            maintenance: service.maintenance.as_ref().map(SuspensionView::new),
            contract: service.contract.as_ref().map(ContractView::new),
            schema: service.schema.map(Schema::value),
            hooks: HooksView::new(&service.hooks),
            versions: newest_first(service)
                .into_iter()
                .map(|version| VersionSummary {
                    version: version.label.to_string(),
                    role: version.role.as_str(),
                    epoch: version.epoch.map(|epoch| epoch.0),
                    backends: capacity(version).registered,
                    usable_backends: capacity(version).usable,
                    usable_weight: capacity(version).usable_weight,
                })
                .collect(),
            policy: None,
        }
    }

    /// The service with its policy.
    #[must_use]
    pub fn with_policy(service: &Service, verdict: Option<&Verdict>) -> Self {
        Self { policy: Some(ServiceSpec::from(&*service.policy)), ..Self::new(service, verdict) }
    }
}

impl SuspensionView {
    /// The suspension as text.
    #[must_use]
    pub fn new(suspension: &Suspension) -> Self {
        Self {
            reason: suspension.reason.clone(),
            until: suspension.until.map(time::write),
            by: suspension.by.clone(),
            at: time::write(suspension.at),
        }
    }
}

/// The running verdict of what is watched, else the last one that was given.
fn shown<'a>(service: &'a Service, running: Option<&'a Verdict>) -> Option<&'a Verdict> {
    let is_baking = service.bake.as_ref().is_some_and(|bake| bake.state == bake::State::Running);
    let is_watching = is_baking || service.canary.as_ref().is_some_and(|canary| !canary.is_failed);
    if is_watching { running } else { service.verdict.as_ref() }
}

/// The versions of a service in the order in which people look for them.
pub(super) fn newest_first(service: &Service) -> Vec<&Arc<Version>> {
    let mut versions: Vec<_> = service.versions.values().collect();
    versions.sort_by_key(|version| std::cmp::Reverse(version.seen));
    versions
}
