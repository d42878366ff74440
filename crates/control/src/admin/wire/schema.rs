//! Schemas and contract migrations as the API takes and shows them.

use cutover_core::contract::{Contract, RecordContract, below_floor};
use cutover_core::rejected::Reason;
use cutover_core::schema::{Schema, SchemaRange};
use cutover_core::service::Service;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::ReasonBody;
use super::services::newest_first;
use super::time;
use crate::document::Check;

/// Says at which schema the database is.
#[derive(Debug, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaBody {
    /// The number of the schema.
    #[schema(example = 5)]
    pub schema: u64,
    /// What is to be remembered with it; kept in the timeline.
    pub note: Option<String>,
    /// Whether to believe it although a version that serves can't work with it.
    pub force: Option<bool>,
}

/// At which schema the database is.
#[derive(Debug, Serialize, ToSchema)]
pub struct SchemaAnswer {
    /// The number of the schema; `null` when nobody says.
    #[schema(example = 5)]
    pub schema: Option<u64>,
    /// The one before.
    #[schema(example = 4)]
    pub from: Option<u64>,
    /// The revision that holds it.
    pub revision: u64,
}

/// Says that the contract migration of the active version ran.
#[derive(Debug, Default, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractBody {
    /// What is to be remembered with it.
    #[schema(example = "dropped users.name")]
    pub note: Option<String>,
    /// The schema at which the database is after it.
    #[schema(example = 5)]
    pub schema: Option<u64>,
    /// Whether to record it although old code may still run.
    pub force: Option<bool>,
    /// Whether to change nothing and answer whether it may run now.
    pub dry_run: Option<bool>,
}

/// What a call to contract answers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ContractAnswer {
    /// It is recorded.
    Done(Contracted),
    /// It was only asked for.
    DryRun(ContractDryRun),
}

/// The contract migration is recorded.
#[derive(Debug, Serialize, ToSchema)]
pub struct Contracted {
    /// The oldest version that may become active from now on.
    #[schema(example = "v2")]
    pub floor: String,
    /// When it was recorded.
    #[schema(format = DateTime)]
    pub at: String,
    /// Who did.
    pub by: String,
    /// What was said with it.
    pub note: String,
    /// The schema at which the database is; `null` when nobody says.
    pub schema: Option<u64>,
    /// Whether it was recorded before; nothing but the schema was changed then.
    pub already: bool,
    /// The revision that holds it.
    pub revision: u64,
}

/// What a contract migration would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContractDryRun {
    /// Whether it may run now.
    pub allowed: bool,
    /// Everything that stands in its way.
    pub reasons: Vec<ReasonBody>,
    /// The version that would be the oldest to become active; `null` while none is active.
    #[schema(example = "v2")]
    pub floor: Option<String>,
    /// Versions that could not become active any more, the newest first.
    #[schema(example = json!(["v1"]))]
    pub below: Vec<String>,
    /// The schema at which the database would be; `null` when nobody says.
    pub schema: Option<u64>,
}

/// The last contract migration of a service.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Contract")]
pub struct ContractView {
    /// When it was recorded.
    #[schema(format = DateTime)]
    pub at: String,
    /// Who did.
    pub by: String,
    /// What was said with it.
    pub note: String,
    /// The oldest version that may become active.
    #[schema(example = "v2")]
    pub floor: String,
}

impl ContractView {
    /// The contract as text.
    #[must_use]
    pub fn new(contract: &Contract) -> Self {
        Self {
            at: time::write(contract.at),
            by: contract.by.clone(),
            note: contract.note.clone(),
            floor: contract.floor.to_string(),
        }
    }
}

impl ContractDryRun {
    /// What `request` would do to `service`, given what stands in its way.
    #[must_use]
    pub fn new(service: &Service, request: &RecordContract, reasons: &[Reason]) -> Self {
        let active = service.active_version();
        let is_below = |seen: u64| active.is_some_and(|active| seen < active.seen);
        let below = newest_first(service).into_iter();
        Self {
            allowed: reasons.is_empty(),
            reasons: reasons.iter().map(ReasonBody::from).collect(),
            floor: active.map(|active| active.label.to_string()),
            below: below
                .filter(|version| is_below(version.seen) || below_floor(service, version).is_some())
                .map(|version| version.label.to_string())
                .collect(),
            schema: request.schema.or(service.schema).map(Schema::value),
        }
    }
}

/// A schema, if one is given. Reports numbers that are none.
pub fn schema(check: &mut Check<'_>, key: &str, number: Option<u64>) -> Option<Schema> {
    let number = number?;
    let schema = Schema::new(number);
    if schema.is_none() {
        check.wrong(key, format_args!("is {number}; must be a whole number from 0 to {}", Schema::MAX));
    }
    schema
}

/// The schemas with which a backend can work. Reports a range in which nothing lies.
pub fn range(check: &mut Check<'_>, min: Option<u64>, max: Option<u64>) -> SchemaRange {
    let range = SchemaRange { min: schema(check, "schema_min", min), max: schema(check, "schema_max", max) };
    if let (true, Some(min), Some(max)) = (range.is_empty(), range.min, range.max) {
        check.wrong("schema_max", format_args!("is {max}; must not be less than schema_min, which is {min}"));
    }
    range
}
