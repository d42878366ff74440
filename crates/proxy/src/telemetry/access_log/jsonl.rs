//! One JSON object per line.

use std::io::Write;
use std::time::Duration;

use super::record::{Record, cut};
use super::timestamp;
use crate::message::json;

/// Appends one line with its line feed. What is not known is `null`, but only requests for assets have `asset`; times are in microseconds.
pub(super) fn write(out: &mut Vec<u8>, record: &Record<'_>) {
    let request = &record.request;
    out.extend_from_slice(b"{\"time\":\"");
    timestamp::write_rfc3339(out, record.at);
    out.push(b'"');
    begin(out, "client");
    // An address has nothing to escape, and writing to memory can't fail.
    let _ = write!(out, "\"{}\"", record.client);
    text(out, "method", Some(request.method.as_bytes()));
    text(out, "host", Some(request.host.as_bytes()));
    text(out, "target", Some(request.target.as_bytes()));
    text(out, "protocol", Some(request.protocol.as_bytes()));
    number(out, "status", Some(record.status.into()));
    number(out, "received_bytes", Some(record.received));
    number(out, "sent_bytes", Some(record.sent));
    number(out, "duration_us", Some(micros(record.took)));
    text(out, "service", record.service.map(str::as_bytes));
    text(out, "version", record.version.map(str::as_bytes));
    number(out, "epoch", record.epoch.map(|epoch| epoch.0));
    text(out, "backend", record.upstream.map(|upstream| upstream.backend.as_bytes()));
    text(out, "pin", record.pin.map(str::as_bytes));
    if record.asset.is_some() {
        text(out, "asset", record.asset.map(str::as_bytes));
    }
    number(out, "connect_us", record.upstream.and_then(|upstream| upstream.connect).map(micros));
    number(out, "first_byte_us", record.upstream.and_then(|upstream| upstream.first_byte).map(micros));
    number(out, "retries", Some(record.upstream.map_or(0, |upstream| upstream.retries).into()));
    text(out, "request_id", Some(record.request_id));
    text(out, "user_agent", request.user_agent);
    text(out, "referer", request.referer);
    out.extend_from_slice(b"}\n");
}

fn text(out: &mut Vec<u8>, name: &str, value: Option<&[u8]>) {
    begin(out, name);
    match value {
        Some(value) => json::write_string(out, cut(value)),
        None => out.extend_from_slice(b"null"),
    }
}

fn number(out: &mut Vec<u8>, name: &str, value: Option<u64>) {
    begin(out, name);
    match value {
        Some(value) => json::write_number(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

fn begin(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
