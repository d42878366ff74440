//! What a visitor met, as the judge gets it.

use std::fmt;
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cutover_core::id::VersionLabel;
use cutover_core::pin::version_hash;

/// A pin as a client can read it, without the key that signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) epoch: u64,
    /// The hash of the version.
    pub(crate) version: u64,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) version: String,
    /// The pin that the client holds after this answer, if it holds one.
    pub(crate) pin: Option<Pin>,
    /// Whether the request may be sent twice.
    pub(crate) is_safe: bool,
    pub(crate) sent: Instant,
    pub(crate) answered: Instant,
}

/// A request without a right answer, or a tunnel that broke.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) what: String,
    pub(crate) kind: Kind,
    /// Whether the request may be sent twice.
    pub(crate) is_safe: bool,
    pub(crate) sent: Instant,
    pub(crate) failed: Instant,
}

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No answer, or an error of the proxy.
    NoAnswer,
    /// An answer that broke off.
    Cut,
    /// A tunnel that was told to begin anew (close code 1012, or 1001 by an app that stops).
    Goodbye,
    /// An answer that is not the one to this request.
    Wrong,
}

/// Whose visit it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// A session with a cookie.
    Session,
    /// A WebSocket, which stays where it began.
    Tunnel,
    /// Calls of gRPC, which have no pin.
    Caller,
}

/// Everything that one visitor met.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) visitor: Visitor,
    /// As `h2 over tls`.
    pub(crate) protocol: &'static str,
    pub(crate) answers: Vec<Seen>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) requests: u64,
}

impl Visit {
    pub(crate) fn new(visitor: Visitor, protocol: &'static str) -> Self {
        Self { visitor, protocol, answers: Vec::new(), failures: Vec::new(), requests: 0 }
    }
}

impl Pin {
    /// Reads the value of a cookie (layout: `crates/core/src/pin.rs`).
    pub(crate) fn read(value: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(value).ok()?;
        let number = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        Some(Self { epoch: number(2)?, version: number(10)? })
    }

    /// Whether it names this version.
    pub(crate) fn names(self, version: &str) -> bool {
        hash(version) == Some(self.version)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.what, self.kind)
    }
}

fn hash(version: &str) -> Option<u64> {
    version.parse::<VersionLabel>().ok().map(|label| version_hash(&label))
}

#[test]
fn a_pin_is_read_as_it_is_laid_out() {
    let mut bytes = vec![1, 9];
    bytes.extend(7_u64.to_be_bytes());
    bytes.extend(hash("v2").unwrap().to_be_bytes());
    bytes.extend([0; 32]);

    let pin = Pin::read(&BASE64_URL_SAFE_NO_PAD.encode(&bytes)).unwrap();

    assert_eq!(pin.epoch, 7);
    assert!(pin.names("v2") && !pin.names("v1"));
    assert_eq!(Pin::read("not*a*pin"), None);
}
