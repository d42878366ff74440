//! Routes that show what reached the app and that answer in chosen ways, for tests of whatever stands in front of it.
//!
//! | route | answers |
//! |---|---|
//! | `/slow?ms=` | after that time |
//! | `/bytes?n=`, `/chunked?n=&trailer=1` | `n` bytes, the one at offset `i` being `i mod 251` |
//! | `/events?every_ms=&count=`, `/sse?…` | server-sent events |
//! | `/sink` (any method with a body) | how many bytes came and their SHA-256, in constant memory |
//! | `/headers` | method, target, protocol and header fields as received |
//! | `/cookie?NAME=VALUE…` | sets those cookies, and says which came |
//! | `/set-header?NAME=VALUE…` | with those header fields |
//! | `/status/CODE` | that status |

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::{
    Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, SET_COOKIE, TRAILER},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    App,
    body::{BYTES_TRAILER, Body, Events, Framing, Pattern},
    query, routes,
    shop::hex,
};

/// Longest wait of `/slow`, in milliseconds.
const SLOW_MS_MAX: u64 = 120_000;
/// Time between two events when the request names none, in milliseconds.
const EVERY_MS_DEFAULT: u64 = 100;

/// Answers the request, or 404 if no route has its path.
pub(super) async fn answer(app: &App, request: Request<Incoming>) -> Response<Body> {
    let uri = request.uri().clone();
    match uri.path() {
        "/slow" => slow(app, &uri).await,
        "/bytes" => pattern(&uri, Framing::Sized),
        "/chunked" if query::number(&uri, "trailer") == Some(1) => pattern(&uri, Framing::ChunkedWithTrailer),
        "/chunked" => pattern(&uri, Framing::Chunked),
        "/events" | "/sse" => events(app, &uri),
        "/sink" => sink(app, request).await,
        "/headers" => headers(app, &request),
        "/cookie" => cookies(app, &request),
        "/set-header" => set_headers(app, &uri),
        path => match path.strip_prefix("/status/") {
            Some(code) => status(app, code),
            None => routes::refuse(app, StatusCode::NOT_FOUND, "no such route"),
        },
    }
}

async fn slow(app: &App, uri: &Uri) -> Response<Body> {
    let ms = query::number(uri, "ms").unwrap_or(0).min(SLOW_MS_MAX);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    routes::json(StatusCode::OK, &json!({ "version": app.version(), "slept_ms": ms }))
}

fn pattern(uri: &Uri, framing: Framing) -> Response<Body> {
    let total = query::number(uri, "n").unwrap_or(0);
    let mut response = Response::new(Body::Pattern(Pattern::new(total, framing)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if framing == Framing::ChunkedWithTrailer {
        headers.insert(TRAILER, HeaderValue::from(BYTES_TRAILER));
    }
    response
}

fn events(app: &App, uri: &Uri) -> Response<Body> {
    let every_ms = query::number(uri, "every_ms").unwrap_or(EVERY_MS_DEFAULT).clamp(1, SLOW_MS_MAX);
    let mut ticks = interval(Duration::from_millis(every_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let count = query::number(uri, "count").unwrap_or(u64::MAX);
    let stopping = app.stopping.clone();
    let events = Events { version: app.version().to_owned(), ticks, sent: 0, count, stopping };
    let mut response = Response::new(Body::Events(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn sink(app: &App, request: Request<Incoming>) -> Response<Body> {
    let mut body = request.into_body();
    let (mut bytes, mut checksum) = (0, Sha256::new());
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return routes::refuse(app, StatusCode::BAD_REQUEST, "the body was cut off");
        };
        if let Some(data) = frame.data_ref() {
            bytes += data.len();
            checksum.update(data);
        }
    }
    let checksum = hex(&checksum.finalize());
    routes::json(StatusCode::OK, &json!({ "version": app.version(), "bytes": bytes, "sha256": checksum }))
}

/// The fields come in the order of their first appearance, repeated ones together, names in lower case: what hyper
/// keeps of a head.
fn headers<B>(app: &App, request: &Request<B>) -> Response<Body> {
    let fields: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let answer = json!({
        "version": app.version(),
        "method": request.method().as_str(),
        "target": request.uri().to_string(),
        "protocol": format!("{:?}", request.version()),
        "headers": fields,
    });
    routes::json(StatusCode::OK, &answer)
}

fn cookies<B>(app: &App, request: &Request<B>) -> Response<Body> {
    let came: Vec<_> = request
        .headers()
        .get_all(COOKIE)
        .iter()
        .map(|line| String::from_utf8_lossy(line.as_bytes()))
        .collect();
    let mut response = routes::json(StatusCode::OK, &json!({ "version": app.version(), "cookie": came }));
    for (name, value) in query::pairs(request.uri()) {
        let Ok(cookie) = HeaderValue::from_str(&format!("{name}={value}; Path=/")) else {
            return routes::refuse(app, StatusCode::BAD_REQUEST, "that can't stand in a cookie");
        };
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Both `?NAME=VALUE` pairs and the longer `?name=NAME&value=VALUE`.
fn set_headers(app: &App, uri: &Uri) -> Response<Body> {
    let mut fields: Vec<_> = query::pairs(uri).collect();
    if let (Some(name), Some(value)) = (query::text(uri, "name"), query::text(uri, "value")) {
        fields = vec![(name, value)];
    }
    let mut response = routes::whole(StatusCode::OK, "text/plain", format!("version {}\n", app.version()));
    for (name, value) in fields {
        let field = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value));
        let (Ok(name), Ok(value)) = field else {
            return routes::refuse(app, StatusCode::BAD_REQUEST, "that can't stand in a header");
        };
        response.headers_mut().append(name, value);
    }
    response
}

/// Informational statuses are no final answers, so they are refused like any other number.
fn status(app: &App, code: &str) -> Response<Body> {
    match code.parse().ok().and_then(|code| StatusCode::from_u16(code).ok()) {
        Some(status) if !status.is_informational() => {
            routes::json(status, &json!({ "version": app.version(), "status": status.as_u16() }))
        }
        _ => routes::refuse(app, StatusCode::BAD_REQUEST, "no final HTTP status"),
    }
}
