//! Errors on the wire: problem details (RFC 9457).

use cutover_core::rejected::Reason;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was not answered with what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(title = "Problem")]
pub struct ProblemBody {
    /// Always `about:blank`: a problem means no more than its status, the reasons say the rest (RFC 9457 section 4.2.1).
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What the status means.
    pub title: &'static str,
    /// The status.
    #[schema(example = 409)]
    pub status: u16,
    /// What is wrong, in a sentence.
    #[schema(example = "the flip was refused")]
    pub detail: String,
    /// Everything that is wrong, not just the first thing.
    pub reasons: Vec<ReasonBody>,
}

/// One thing that is wrong, or stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(title = "Reason")]
pub struct ReasonBody {
    /// What kind of thing, for programs.
    #[schema(example = "quorum_count")]
    pub code: &'static str,
    /// What exactly, for people.
    #[schema(example = "1 of 2 needed backends are usable")]
    pub detail: String,
    /// Which field, parameter or header, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl From<&Reason> for ReasonBody {
    fn from(reason: &Reason) -> Self {
        Self { code: reason.code.as_str(), detail: reason.detail.clone(), field: None }
    }
}
