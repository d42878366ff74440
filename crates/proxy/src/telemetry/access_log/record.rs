//! What the access log says about one request.

use std::net::IpAddr;
use std::time::Duration;

use cutover_core::id::Epoch;
use cutover_core::time::Timestamp;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The combined format of Apache's httpd, followed by our own fields.
    Combined,
    /// One JSON object per line.
    Json,
}

/// One request, from its first byte to the last of its answer.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// When it began.
    pub at: Timestamp,
    /// Where it came from, as far as that can be believed.
    pub client: IpAddr,
    /// What was asked.
    pub request: Request<'a>,
    /// The status of the answer; 499 when the client was gone before there was one.
    pub status: u16,
    /// Body bytes received from the client.
    pub received: u64,
    /// Body bytes sent to the client.
    pub sent: u64,
    /// From the request's head to the last byte.
    pub took: Duration,
    /// The service, if one was found.
    pub service: Option<&'a str>,
    /// The version that was decided for.
    pub version: Option<&'a str>,
    /// The service's epoch then.
    pub epoch: Option<Epoch>,
    /// What became of the pin: [`PinOutcome::as_str`](crate::pin::PinOutcome::as_str).
    pub pin: Option<&'a str>,
    /// Where an asset was found: [`AssetOutcome::as_str`](crate::telemetry::metrics::AssetOutcome::as_str).
    pub asset: Option<&'a str>,
    /// The backend that answered, or was tried last.
    pub upstream: Option<Upstream<'a>>,
    /// The id under which the app knows the request.
    pub request_id: &'a [u8],
}

/// What a client asked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The target as it came, with its query.
    pub target: &'a str,
    /// `HTTP/1.1` and so on.
    pub protocol: &'static str,
    /// The authority; empty if there was none.
    pub host: &'a str,
    /// `User-Agent`
    pub user_agent: Option<&'a [u8]>,
    /// `Referer`
    pub referer: Option<&'a [u8]>,
}

/// How a backend answered.
#[derive(Debug, Clone, Copy)]
pub struct Upstream<'a> {
    /// Its name.
    pub backend: &'a str,
    /// Time to open a connection; `None` when an open one was used.
    pub connect: Option<Duration>,
    /// From sending the request to the head of the answer; `None` when none came.
    pub first_byte: Option<Duration>,
    /// Tries before this one.
    pub retries: u32,
}

/// Bytes of one field of a line beyond which it is cut. A line is then shorter than 16 KiB, whatever is escaped in it.
pub(super) const FIELD_MAX: usize = 1024;

/// The first [`FIELD_MAX`] bytes.
pub(crate) fn cut(field: &[u8]) -> &[u8] {
    &field[..field.len().min(FIELD_MAX)]
}
