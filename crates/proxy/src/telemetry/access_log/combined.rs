//! The combined format of Apache's httpd, followed by our own fields as `name=value`.

use std::io::Write;
use std::time::Duration;

use super::record::{Record, cut};
use super::timestamp;

/// Appends one line with its line feed.
pub(super) fn write(out: &mut Vec<u8>, record: &Record<'_>) {
    // Writing to memory can't fail.
    let _ = write!(out, "{} - - [", record.client);
    timestamp::write_common(out, record.at);
    let request = &record.request;
    out.extend_from_slice(b"] \"");
    escape(out, request.method.as_bytes());
    out.push(b' ');
    escape(out, request.target.as_bytes());
    let _ = write!(out, " {}\" {} ", request.protocol, record.status);
    match record.sent {
        0 => out.push(b'-'),
        sent => drop(write!(out, "{sent}")),
    }
    for field in [request.referer, request.user_agent] {
        out.extend_from_slice(b" \"");
        escape(out, field.unwrap_or(b"-"));
        out.push(b'"');
    }
    write_own_fields(out, record);
    out.push(b'\n');
}

fn write_own_fields(out: &mut Vec<u8>, record: &Record<'_>) {
    let text = |out: &mut Vec<u8>, name: &str, value: Option<&[u8]>| {
        let _ = write!(out, " {name}=");
        escape_word(out, value.filter(|value| !value.is_empty()).unwrap_or(b"-"));
    };
    text(out, "host", Some(record.request.host.as_bytes()));
    text(out, "service", record.service.map(str::as_bytes));
    text(out, "version", record.version.map(str::as_bytes));
    match record.epoch {
        Some(epoch) => drop(write!(out, " epoch={epoch}")),
        None => out.extend_from_slice(b" epoch=-"),
    }
    text(out, "backend", record.upstream.map(|upstream| upstream.backend.as_bytes()));
    text(out, "pin", record.pin.map(str::as_bytes));
    if record.asset.is_some() {
        text(out, "asset", record.asset.map(str::as_bytes));
    }
    let _ = write!(out, " received={}", record.received);
    seconds(out, "time", Some(record.took));
    seconds(out, "connect", record.upstream.and_then(|upstream| upstream.connect));
    seconds(out, "first_byte", record.upstream.and_then(|upstream| upstream.first_byte));
    let _ = write!(out, " retries={}", record.upstream.map_or(0, |upstream| upstream.retries));
    text(out, "id", Some(record.request_id));
}

fn seconds(out: &mut Vec<u8>, name: &str, span: Option<Duration>) {
    let _ = match span {
        Some(span) => write!(out, " {name}={}.{:06}", span.as_secs(), span.subsec_micros()),
        None => write!(out, " {name}=-"),
    };
}

/// Like [`escape`], for a field without quotes: a space in a refused `Host` must not begin another field.
fn escape_word(out: &mut Vec<u8>, field: &[u8]) {
    for (at, word) in cut(field).split(|&byte| byte == b' ').enumerate() {
        if at > 0 {
            out.extend_from_slice(b"\\x20");
        }
        escape(out, word);
    }
}

/// Escapes as httpd does: nothing that a client sends can end a field or a line, or move a terminal's cursor.
fn escape(out: &mut Vec<u8>, field: &[u8]) {
    for &byte in cut(field) {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x20..=0x7e => out.push(byte),
            _ => drop(write!(out, "\\x{byte:02x}")),
        }
    }
}
