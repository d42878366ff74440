//! What may keep a request from being answered by a backend: and what the client gets for it.

use cutover_core::policy::OnMissingVersion;
use http::StatusCode;

use crate::body::BodyFault;

/// Why a request gets an answer of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// It breaks a rule of HTTP that parsing alone does not check.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    /// It wants a tunnel to somewhere, which a reverse proxy does not open (RFC 9110 section 9.3.6).
    #[error("CONNECT is not served here")]
    Connect,
    /// It is a TRACE that ends here, and what it would repeat may be secret.
    #[error("TRACE is not answered here")]
    Trace,
    /// It expects something of us that we don't know (RFC 9110 section 10.1.1).
    #[error("the expectation is not known")]
    Expectation,
    /// Its body is coded in a way that we don't know (RFC 9112 section 6.1).
    #[error("the transfer coding is not known")]
    TransferCoding,
    /// It has come through this proxy too often already.
    #[error("the request runs in a circle")]
    Loop,
    /// Its request line is too long.
    #[error("the request target is too long")]
    TargetTooLong,
    /// Its head is too large.
    #[error("the request header fields are too large")]
    HeadersTooLarge,
    /// Its head did not come in time.
    #[error("the request did not come in time")]
    HeadTimeout,
    /// Something is wrong with its body.
    #[error(transparent)]
    Body(#[from] BodyFault),
    /// No service has its host and path.
    #[error("no service is configured for this host and path")]
    NoRoute,
    /// It names a version that can't be reached.
    #[error("the version that was asked for is not available")]
    MissingVersion(OnMissingVersion),
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
}

impl Error {
    /// The status of our answer.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Body(BodyFault::Broken | BodyFault::Abandoned) => {
                StatusCode::BAD_REQUEST
            }
            Self::Connect | Self::Trace => StatusCode::METHOD_NOT_ALLOWED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HeadTimeout | Self::Body(BodyFault::Stalled) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyFault::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::MissingVersion(OnMissingVersion::Conflict) => StatusCode::CONFLICT,
            Self::MissingVersion(_) | Self::Unavailable | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotConnected | Self::NoAnswer | Self::BadAnswer => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout | Self::AnswerTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Whether the connection can't be used for another request: the rest of this one is still on its way, or was never understood.
    pub(crate) const fn closes(self) -> bool {
        matches!(
            self,
            Self::Malformed(_)
                | Self::Connect
                | Self::TransferCoding
                | Self::TargetTooLong
                | Self::HeadersTooLarge
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
            Error::Malformed("x"),
            Error::Body(BodyFault::TooLarge),
            Error::NoRoute,
            Error::MissingVersion(OnMissingVersion::Conflict),
        ];
        let ours = [Error::Unavailable, Error::NotConnected, Error::AnswerTimeout, Error::TransferCoding];
        assert!(client.iter().all(|error| error.status().is_client_error()));
        assert!(ours.iter().all(|error| error.status().is_server_error()));
    }

    #[test]
    fn a_request_whose_end_is_unknown_ends_its_connection() {
        assert!(Error::Body(BodyFault::TooLarge).closes() && Error::HeadTimeout.closes());
        assert!(!Error::NoRoute.closes() && !Error::NotConnected.closes());
    }
}
