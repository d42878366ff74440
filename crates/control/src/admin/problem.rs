//! Errors as answers: `application/problem+json` with every reason (RFC 9457).

use axum::response::{IntoResponse, Response};
use cutover_core::rejected::{Class, Rejected};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use super::wire::problem::{ProblemBody, ReasonBody};
use crate::document::Problems;
use crate::error::SubmitError;

/// An error as it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    reasons: Vec<ReasonBody>,
    retry_after_secs: Option<u64>,
}

/// Advice for a caller who should simply come back.
const RETRY_AFTER_SECS: u64 = 1;

impl Problem {
    /// A problem with one reason, whose detail says it all.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let reason = ReasonBody { code, detail: detail.clone(), field: None };
        Self { status, detail, reasons: vec![reason], retry_after_secs: None }
    }

    /// The request can't be understood; `field` is the parameter or header that is wrong.
    pub(crate) fn malformed(code: &'static str, field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail).about(field)
    }

    /// A value is well-formed and makes no sense.
    pub(crate) fn nonsense(field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail).about(field)
    }

    /// Nothing is there.
    pub(crate) fn missing(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// What is wrong in the body of a request, `status` being 400 for its shape and 422 for its sense.
    pub(crate) fn document(status: StatusCode, code: &'static str, problems: Problems) -> Self {
        let reasons: Vec<ReasonBody> = problems
            .into_iter()
            .map(|problem| {
                let field = (!problem.path.segments().is_empty()).then(|| problem.path.to_string());
                ReasonBody { code, detail: problem.to_string(), field }
            })
            .collect();
        let detail = match reasons.as_slice() {
            [only] => only.detail.clone(),
            several => format!("{} things are wrong in the body", several.len()),
        };
        Self { status, detail, reasons, retry_after_secs: None }
    }

    /// A handler panicked: our own fault, and nothing about it leaves the process.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong inside cutover; its log says more",
        )
    }

    #[cfg(test)]
    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    /// The same, asking the caller to come back.
    pub(crate) const fn retriable(self) -> Self {
        self.retriable_after(RETRY_AFTER_SECS)
    }

    /// The same, asking the caller to come back after so many seconds.
    pub(crate) const fn retriable_after(mut self, secs: u64) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    fn about(mut self, field: &str) -> Self {
        for reason in &mut self.reasons {
            reason.field = Some(field.to_owned());
        }
        self
    }
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        let (status, what) = match rejected.class() {
            Class::Missing => (StatusCode::NOT_FOUND, "there is no such thing"),
            Class::Precondition => (StatusCode::PRECONDITION_FAILED, "a precondition does not hold"),
            Class::Refused => (StatusCode::CONFLICT, "refused"),
        };
        let detail = match rejected.reasons.as_slice() {
            [only] => only.detail.clone(),
            several => format!("{what}, for {} reasons: {rejected}", several.len()),
        };
        let reasons = rejected.reasons.iter().map(ReasonBody::from).collect();
        Self { status, detail, reasons, retry_after_secs: None }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        let text = error.to_string();
        match error {
            SubmitError::Rejected(rejected) => rejected.into(),
            SubmitError::RevisionMismatch { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "revision_mismatch", text).about("If-Match")
            }
            SubmitError::KeyReused => Self::nonsense("Idempotency-Key", text),
            SubmitError::Unavailable { source } => {
                tracing::warn!(%source, "the store is unavailable");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", text).retriable()
            }
            // Not 503, which promises that nothing was changed.
            SubmitError::Unknown { source } => {
                tracing::warn!(%source, "the outcome of a commit is unknown");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "outcome_unknown", text)
            }
            SubmitError::NotServed { .. } => Self::new(StatusCode::GATEWAY_TIMEOUT, "not_served", text),
            SubmitError::Starting => Self::new(StatusCode::SERVICE_UNAVAILABLE, "starting", text).retriable(),
            SubmitError::Upgrading => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "upgrading", text).retriable()
            }
            SubmitError::Stopped => Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", text).retriable(),
            SubmitError::Overloaded => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", text).retriable()
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail,
            reasons: self.reasons,
        };
        // Strings and numbers always serialize.
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"cutover\""));
        }
        if let Some(secs) = self.retry_after_secs {
            headers.insert(RETRY_AFTER, secs.into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use cutover_core::id::Revision;
    use cutover_core::rejected::{Code, Reason};

    use super::*;

    #[test]
    fn every_way_to_fail_has_its_status() {
        let cause = || "disk full".into();
        let statuses = [
            SubmitError::Rejected(Rejected::because(Code::Frozen, "")),
            SubmitError::Rejected(Rejected::because(Code::UnknownHold, "")),
            SubmitError::Rejected(Rejected::because(Code::EpochMismatch, "")),
            SubmitError::RevisionMismatch { current: Revision(3) },
            SubmitError::KeyReused,
            SubmitError::Unavailable { source: cause() },
            SubmitError::Unknown { source: cause() },
            SubmitError::NotServed { revision: Revision(3) },
            SubmitError::Starting,
            SubmitError::Overloaded,
            SubmitError::Stopped,
        ]
        .map(|error| Problem::from(error).status().as_u16());
        assert_eq!(statuses, [409, 404, 412, 412, 422, 503, 500, 504, 503, 429, 503]);
    }

    #[test]
    fn a_refusal_lists_every_reason() {
        let reasons = vec![Reason::new(Code::Frozen, "frozen"), Reason::new(Code::QuorumCount, "too few")];
        let problem = Problem::from(Rejected { reasons });
        assert_eq!(problem.detail, "refused, for 2 reasons: frozen; too few");
        assert_eq!(
            problem.reasons.iter().map(|reason| reason.code).collect::<Vec<_>>(),
            ["frozen", "quorum_count"]
        );
    }
}
