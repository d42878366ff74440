//! A span: something that took time because of a request.

use std::time::SystemTime;

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace that it is part of; never 0.
    pub trace: u128,
    /// Its own id; never 0.
    pub id: u64,
    /// The span that it is part of, if there is one.
    pub parent: Option<Parent>,
    /// Which side of a request it is.
    pub kind: Kind,
    /// What it is called: of few values.
    pub name: &'static str,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// Whether it failed.
    pub is_failed: bool,
    /// What is known about it, by the names of the semantic conventions for HTTP, and by `cutover.…` for what only we know.
    pub attributes: Vec<(&'static str, Value)>,
}

/// The span that another one is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Its id.
    pub id: u64,
    /// Whether it is somebody else's.
    pub is_remote: bool,
}

/// Which side of a request a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The side that was asked.
    Server,
    /// The side that asks.
    Client,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A number.
    Number(i64),
}

impl Value {
    /// Text that a peer can choose: as much of it as one line of the access log would have.
    pub(super) fn cut(bytes: &[u8]) -> Self {
        Self::Text(String::from_utf8_lossy(crate::telemetry::access_log::cut(bytes)).into_owned())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}
