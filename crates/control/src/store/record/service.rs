//! The record of a service: what it was put with, which version is active, whether it is frozen or in maintenance, and what is known of
//! its database.

use std::sync::Arc;

use cutover_core::contract::Contract;
use cutover_core::id::{Epoch, ServiceName, VersionLabel};
use cutover_core::policy::Policy;
use cutover_core::schema::Schema;
use cutover_core::service::{Service, Source};
use cutover_core::suspend::Suspension;
use cutover_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::ReadPolicy;
use super::bake::{BakeRecord, VerdictRecord};
use super::canary::CanaryRecord;
use super::hooks::HooksRecord;
use super::roll::RollRecord;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceRecord {
    source: SourceRecord,
    active: Option<String>,
    epoch: u64,
    learned_weight: u64,
    next_seen: u64,
    freeze: Option<SuspensionRecord>,
    #[serde(default)]
    maintenance: Option<SuspensionRecord>,
    #[serde(default)]
    contract: Option<ContractRecord>,
    #[serde(default)]
    schema: Option<u64>,
    #[serde(default, skip_serializing_if = "HooksRecord::is_nothing")]
    hooks: HooksRecord,
    #[serde(default)]
    roll: RollRecord,
    #[serde(default)]
    bake: Option<BakeRecord>,
    #[serde(default)]
    verdict: Option<VerdictRecord>,
    canary: Option<CanaryRecord>,
    /// Whether it was removed and came again, so that pins of before are out there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_again: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum SourceRecord {
    Config,
    Api { document: Arc<str> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SuspensionRecord {
    reason: String,
    until_ms: Option<u64>,
    by: String,
    at_ms: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContractRecord {
    at_ms: u64,
    by: String,
    note: String,
    floor: String,
    seen: u64,
}

impl ServiceRecord {
    pub(super) fn of(service: &Service) -> Self {
        Self {
            source: match &service.source {
                Source::Config => SourceRecord::Config,
                Source::Api(document) => SourceRecord::Api { document: document.text().into() },
            },
            active: service.active.as_ref().map(ToString::to_string),
            epoch: service.epoch.0,
            learned_weight: service.learned_weight,
            next_seen: service.next_seen,
            freeze: service.freeze.as_ref().map(SuspensionRecord::of),
            maintenance: service.maintenance.as_ref().map(SuspensionRecord::of),
            contract: service.contract.as_ref().map(ContractRecord::of),
            schema: service.schema.map(Schema::value),
            hooks: HooksRecord::of(&service.hooks),
            roll: RollRecord::of(&service.roll),
            bake: service.bake.as_ref().map(BakeRecord::of),
            verdict: service.verdict.as_ref().map(VerdictRecord::of),
            canary: service.canary.as_ref().map(CanaryRecord::of),
            is_again: service.former_pins_until.is_some(),
        }
    }

    /// The service without its backends and versions.
    pub(super) fn service(self, name: ServiceName, read_policy: ReadPolicy) -> Result<Service, String> {
        let (policy, source) = match self.source {
            SourceRecord::Config => (Arc::new(Policy::default()), Source::Config),
            SourceRecord::Api { document } => {
                let policy = read_policy(&name, &document)
                    .map_err(|error| format!("the document of the service is not valid any more: {error}"))?;
                (policy, Source::Api((&*document).into()))
            }
        };
        let schema = |number| Schema::new(number).ok_or_else(|| format!("{number} is no schema"));
        let active = self.active.map(|label| VersionLabel::parse(&label)).transpose();
        Ok(Service {
            active: active.map_err(|error| format!("active {error}"))?,
            epoch: Epoch(self.epoch),
            learned_weight: self.learned_weight,
            next_seen: self.next_seen,
            freeze: self.freeze.map(SuspensionRecord::suspension),
            maintenance: self.maintenance.map(SuspensionRecord::suspension),
            contract: self.contract.map(ContractRecord::contract).transpose()?,
            schema: self.schema.map(schema).transpose()?,
            hooks: self.hooks.hooks()?,
            roll: self.roll.roll()?,
            bake: self.bake.map(BakeRecord::bake).transpose()?,
            verdict: self.verdict.map(VerdictRecord::verdict).transpose()?,
            canary: self.canary.map(CanaryRecord::canary).transpose()?,
            former_pins_until: self.is_again.then_some(Timestamp(0)),
            ..Service::new(name, policy, source)
        })
    }
}

impl SuspensionRecord {
    fn of(suspension: &Suspension) -> Self {
        Self {
            reason: suspension.reason.clone(),
            until_ms: suspension.until.map(|at| at.0),
            by: suspension.by.clone(),
            at_ms: suspension.at.0,
        }
    }

    fn suspension(self) -> Suspension {
        Suspension {
            reason: self.reason,
            until: self.until_ms.map(Timestamp),
            by: self.by,
            at: Timestamp(self.at_ms),
        }
    }
}

impl ContractRecord {
    fn of(contract: &Contract) -> Self {
        Self {
            at_ms: contract.at.0,
            by: contract.by.clone(),
            note: contract.note.clone(),
            floor: contract.floor.to_string(),
            seen: contract.seen,
        }
    }

    fn contract(self) -> Result<Contract, String> {
        Ok(Contract {
            at: Timestamp(self.at_ms),
            by: self.by,
            note: self.note,
            floor: VersionLabel::parse(&self.floor).map_err(|error| format!("floor {error}"))?,
            seen: self.seen,
        })
    }
}
