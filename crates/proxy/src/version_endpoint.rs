//! `GET /.cutover/version`: which version this client is pinned to and which one is active, so that an app can offer a reload.

use std::sync::Arc;

use bytes::Bytes;
use cutover_core::pin::{NoPin, Pin};
use cutover_core::snapshot::{ServiceSet, VersionSet};
use http::header::{ALLOW, HeaderValue};
use http::{Method, Response, StatusCode};

use crate::{json, respond};

/// The path. It belongs to the proxy in every service.
pub const PATH: &str = "/.cutover/version";

/// The answer to a request with `method` and `pin` (as [`pin::read`](crate::pin::read) answers): an object, never stored; 405 for anything but GET and HEAD.
///
/// `version` is `null` without a pin, and for a pin of a version that is forgotten by now; then `update` is true.
#[must_use]
pub fn answer(method: &Method, service: &ServiceSet, pin: Result<Pin, NoPin>) -> Response<Bytes> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let body = b"only GET and HEAD are answered here\n".to_vec();
        let mut answer = respond::plain(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", body);
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    respond::plain(StatusCode::OK, "application/json", body(service, pin.ok()))
}

fn body(service: &ServiceSet, pin: Option<Pin>) -> Vec<u8> {
    let active = service.active_version();
    let pinned = pin.and_then(|pin| service.versions.iter().find(|version| version.hash == pin.version));
    let is_outdated = pin.is_some_and(|pin| active.is_some_and(|active| active.hash != pin.version));
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(br#"{"service":"#);
    json::write_string(&mut out, service.name.as_str().as_bytes());
    out.extend_from_slice(br#","version":"#);
    write_or_null(&mut out, pinned, write_label);
    out.extend_from_slice(br#","epoch":"#);
    write_or_null(&mut out, pin.map(|pin| pin.epoch.0), json::write_number);
    out.extend_from_slice(br#","active":"#);
    write_or_null(&mut out, active, write_label);
    out.extend_from_slice(br#","active_epoch":"#);
    write_or_null(&mut out, active.map(|_| service.epoch.0), json::write_number);
    out.extend_from_slice(br#","update":"#);
    out.extend_from_slice(if is_outdated { b"true" } else { b"false" });
    out.extend_from_slice(b"}\n");
    out
}

fn write_label(out: &mut Vec<u8>, version: &Arc<VersionSet>) {
    json::write_string(out, version.label.as_str().as_bytes());
}

fn write_or_null<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => write(out, value),
        None => out.extend_from_slice(b"null"),
    }
}
