//! Freezes as the API takes them.

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
