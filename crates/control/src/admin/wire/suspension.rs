//! Freezes and maintenance as the API takes them.

use schemars::JsonSchema;
use serde::Deserialize;
use utoipa::ToSchema;

/// Refuses flips from now on.
#[derive(Debug, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeBody {
    /// Why.
    #[schema(example = "black friday")]
    pub reason: String,
    /// Until when (RFC 3339); until somebody lifts it when it is not given.
    #[schema(format = DateTime)]
    pub until: Option<String>,
}

/// Turns clients away from now on.
#[derive(Debug, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceBody {
    /// Why. Clients are not told.
    #[schema(example = "the database moves")]
    pub reason: Option<String>,
    /// Until when (RFC 3339), which tells clients when to come again; until somebody ends it when it is not given.
    #[schema(format = DateTime)]
    pub until: Option<String>,
}
