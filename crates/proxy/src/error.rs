//! What may keep a request from being answered by a backend: and what the client gets for it.

use cutover_core::policy::OnMissingVersion;
use cutover_core::time::Timestamp;
use http::StatusCode;

use crate::client::rate::Standing;
use crate::h1::framing::FramingError;
use crate::h1::head::HeadError;
use crate::serve::facts::HostError;
use crate::serve::upload::BodyFault;

/// Seconds after which a client may come again when no backend was available: failures that heal at all heal by the next few probes.
const UNAVAILABLE_SECS: u64 = 1;
/// The same during maintenance whose end nobody has said.
const MAINTENANCE_SECS: u64 = 60;

/// Why a request gets an answer of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Its head is no request.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// It can't be said where its body ends.
    #[error("the request is malformed: {0}")]
    Framing(#[from] FramingError),
    /// Its host can't be told.
    #[error("the request is malformed: {0}")]
    Host(#[from] HostError),
    /// It is a TRACE with a body (RFC 9110 section 9.3.8).
    #[error("the request is malformed: a TRACE has no body")]
    TraceBody,
    /// It wants a tunnel to somewhere, which a reverse proxy does not open (RFC 9110 section 9.3.6).
    #[error("CONNECT is not served here")]
    Connect,
    /// It is a TRACE that ends here, and what it would repeat may be secret.
    #[error("TRACE is not answered here")]
    Trace,
    /// It expects something of us that we don't know (RFC 9110 section 10.1.1).
    #[error("the expectation is not known")]
    Expectation,
    /// It has come through this proxy too often already.
    #[error("the request runs in a circle")]
    Loop,
    /// Its head did not come in time.
    #[error("the request did not come in time")]
    HeadTimeout,
    /// Something is wrong with its body.
    #[error(transparent)]
    Body(#[from] BodyFault),
    /// The service turns its clients away, until then as far as anybody has said.
    #[error("the service is closed for maintenance")]
    Maintenance {
        /// Until when.
        until: Option<Timestamp>,
    },
    /// Its client sends more than it may.
    #[error("the client sends too many requests")]
    RateLimited(Standing),
    /// No service has its host and path.
    #[error("no service is configured for this host and path")]
    NoRoute,
    /// Its path would lead out of what the service's prefix is rewritten to.
    #[error("the path leads out of the service")]
    LeadsOut,
    /// It names a version that can't be reached.
    #[error("the version that was asked for is not available")]
    MissingVersion(OnMissingVersion),
    /// Its leave to try a version out has ended.
    #[error("this preview has expired, and whoever made it can make another")]
    PreviewExpired,
    /// What it has is no leave to try a version of this service out.
    #[error("this preview is not valid here: it is damaged, for another service, or its key is gone")]
    PreviewInvalid,
    /// The version that it tries out can't serve it.
    #[error("the version of this preview has no usable backend (?cutover-preview=end leaves the preview)")]
    PreviewUnavailable,
    /// No backend can take it.
    #[error("no backend is available")]
    Unavailable,
    /// So many requests wait for a backend that it may not wait too.
    #[error("too many requests wait for a backend")]
    Overloaded,
    /// No connection to a backend could be opened.
    #[error("the backend can't be reached")]
    NotConnected,
    /// No connection to a backend opened in time.
    #[error("the backend could not be reached in time")]
    ConnectTimeout,
    /// The backend closed the connection without an answer.
    #[error("the backend closed the connection without an answer")]
    NoAnswer,
    /// The backend did not answer in time.
    #[error("the backend did not answer in time")]
    AnswerTimeout,
    /// What the backend sent is no answer to this request.
    #[error("the backend sent an invalid answer")]
    BadAnswer,
    /// It wants to change to another protocol, which has no meaning in HTTP/1.1, or where there is nobody to change: the proxy itself, or a
    /// backend that speaks an HTTP/2 without such a thing (RFC 8441).
    #[error("there is no change to that protocol here")]
    NoSwitch,
    /// The client went away while it was waited for an answer.
    #[error("the client is gone")]
    ClientGone,
}

impl Error {
    /// The status of our answer.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Head(HeadError::Version) => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Head(HeadError::Method) | Self::Framing(FramingError::UnknownCoding) | Self::NoSwitch => {
                StatusCode::NOT_IMPLEMENTED
            }
            Self::Head(HeadError::LineTooLong) => StatusCode::URI_TOO_LONG,
            Self::Head(HeadError::TooLarge) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Head(_)
            | Self::Framing(_)
            | Self::Host(_)
            | Self::TraceBody
            | Self::LeadsOut
            | Self::Body(BodyFault::Broken) => StatusCode::BAD_REQUEST,
            Self::Connect | Self::Trace => StatusCode::METHOD_NOT_ALLOWED,
            Self::PreviewExpired => StatusCode::GONE,
            Self::PreviewInvalid => StatusCode::FORBIDDEN,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::HeadTimeout | Self::Body(BodyFault::Stalled) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyFault::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::MissingVersion(OnMissingVersion::Conflict) => StatusCode::CONFLICT,
            Self::Maintenance { .. }
            | Self::MissingVersion(_)
            | Self::PreviewUnavailable
            | Self::Unavailable
            | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            // Nobody reads what is said to a client that is gone.
            Self::ClientGone | Self::NotConnected | Self::NoAnswer | Self::BadAnswer => {
                StatusCode::BAD_GATEWAY
            }
            Self::ConnectTimeout | Self::AnswerTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Seconds after which the client may come again, where that makes sense.
    pub(crate) fn retry_after_secs(self, now: Timestamp) -> Option<u64> {
        match self {
            Self::RateLimited(standing) => standing.retry_after_secs(),
            Self::Maintenance { until: None } => Some(MAINTENANCE_SECS),
            // Rounded up: who comes early comes twice.
            Self::Maintenance { until: Some(until) } => Some(until.since(now).0.div_ceil(1000).max(1)),
            _ => (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(UNAVAILABLE_SECS),
        }
    }

    /// Whether it is about a preview. Who tries versions out wants to know why it does not work, and not what is said to everybody.
    pub(crate) const fn is_of_preview(self) -> bool {
        matches!(self, Self::PreviewExpired | Self::PreviewInvalid | Self::PreviewUnavailable)
    }

    /// Whether the version owes the client an answer: its backends could not be reached, or did not answer as they should.
    pub(crate) const fn is_owed(self) -> bool {
        matches!(
            self,
            Self::Unavailable
                | Self::Overloaded
                | Self::NotConnected
                | Self::ConnectTimeout
                | Self::NoAnswer
                | Self::AnswerTimeout
                | Self::BadAnswer
        )
    }

    /// Whether the connection can't be used for another request: the rest of this one is still on its way, or was never understood.
    pub(crate) const fn closes(self) -> bool {
        matches!(
            self,
            Self::Head(_)
                | Self::Framing(_)
                | Self::Host(_)
                | Self::TraceBody
                | Self::Connect
                | Self::HeadTimeout
                | Self::Body(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whose_fault_it_is() {
        let client = [
            Error::Head(HeadError::Start),
            Error::Body(BodyFault::TooLarge),
            Error::NoRoute,
            Error::MissingVersion(OnMissingVersion::Conflict),
        ];
        let ours =
            [Error::Unavailable, Error::NotConnected, Error::AnswerTimeout, Error::Head(HeadError::Version)];
        assert!(client.iter().all(|error| error.status().is_client_error()));
        assert!(ours.iter().all(|error| error.status().is_server_error()));
    }

    #[test]
    fn a_503_says_when_to_come_again() {
        let now = Timestamp::from_secs(1000);
        let secs = |error: Error| error.retry_after_secs(now);
        let until = |ms| Error::Maintenance { until: Some(Timestamp(ms)) };
        assert_eq!([Error::Unavailable, Error::Maintenance { until: None }].map(secs), [Some(1), Some(60)]);
        assert_eq!([until(1_090_000), until(1_000_001), until(1)].map(secs), [Some(90), Some(1), Some(1)]);
        assert_eq!([Error::NoRoute, Error::AnswerTimeout].map(secs), [None, None]);
    }

    #[test]
    fn a_request_whose_end_is_unknown_ends_its_connection() {
        assert!(Error::Body(BodyFault::TooLarge).closes() && Error::HeadTimeout.closes());
        assert!(!Error::NoRoute.closes() && !Error::NotConnected.closes());
    }
}
