//! Why a figure could not be measured.

use std::io;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The operating system refused something.
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },
    /// A figure from a run with other answers would compare different work.
    #[error("an answer with status {0}")]
    Status(u16),
    #[error("an answer that is no HTTP/1.1 message with a Content-Length")]
    Framing,
    #[error("the answer's body has {got} bytes instead of {expected}")]
    Length { got: u64, expected: u64 },
    #[error("TLS: {0}")]
    Tls(String),
    #[error("HTTP/2: {0}")]
    Http2(String),
    #[error("the connection was closed in the middle of {0}")]
    Closed(&'static str),
    /// A proxy or a request that should have come to its end by now.
    #[error("{0} took too long")]
    TooLong(String),
    #[error("{0}")]
    Unusable(String),
}

/// Says what was being done when the operating system refused.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl Into<String>) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T, Error> {
        self.map_err(|source| Error::Io { doing: what.into(), source: source.into() })
    }
}
