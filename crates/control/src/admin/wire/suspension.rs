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
    /// Whom to ask about it; the caller when it is not given.
    #[schema(example = "ana")]
    pub owner: Option<String>,
    /// Until when (RFC 3339); until somebody lifts it when neither this nor `for` is given.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// For how long, instead of `until`.
    #[serde(rename = "for")]
    #[schema(example = "2h")]
    pub lasting: Option<String>,
}

/// Turns clients away from now on.
#[derive(Debug, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceBody {
    /// Why. Clients are not told.
    #[schema(example = "the database moves")]
    pub reason: Option<String>,
    /// Until when (RFC 3339), which tells clients when to come again; until somebody ends it when neither this nor `for` is given.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// For how long, instead of `until`.
    #[serde(rename = "for")]
    #[schema(example = "20m")]
    pub lasting: Option<String>,
}
