//! Limits of one service, as they are written.

use cutover_core::policy::ServiceLimits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::document::Check;
use crate::document::scalar::write_size;

/// Limits of one service that are lower than the proxy's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceLimitsSpec {
    /// Size that a request body may have; `"0"` = the proxy's limit.
    #[schemars(example = &"10MiB")]
    pub body: String,
    /// Time without a body byte that ends a request; `"0s"` = the proxy's limit.
    pub body_idle_timeout: String,
}

pub(super) fn limits(limits: &ServiceLimitsSpec, check: &mut Check<'_>) -> ServiceLimits {
    ServiceLimits {
        body: Some(check.size("body", &limits.body)).filter(|&bytes| bytes > 0),
        body_idle_timeout: Some(check.duration("body_idle_timeout", &limits.body_idle_timeout))
            .filter(|span| !span.is_zero()),
    }
}

impl From<&ServiceLimits> for ServiceLimitsSpec {
    fn from(limits: &ServiceLimits) -> Self {
        Self {
            body: write_size(limits.body.unwrap_or(0)),
            body_idle_timeout: limits.body_idle_timeout.unwrap_or_default().to_string(),
        }
    }
}
