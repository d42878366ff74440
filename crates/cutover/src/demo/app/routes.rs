//! Which handler answers a request, and what every answer of this process carries.

use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue},
};

use super::{App, body::Body, shop, websocket, workbench};

const VERSION: HeaderName = HeaderName::from_static("x-app-version");
const BOOT_ID: HeaderName = HeaderName::from_static("x-app-boot-id");
const PID: HeaderName = HeaderName::from_static("x-app-pid");

/// Answers one request and signs the answer with version, boot id and pid.
pub(super) async fn answer(app: Arc<App>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let mut response =
        if request.uri().path() == "/up" { health(&app, &request) } else { work(&app, request).await };
    let headers = response.headers_mut();
    if !app.options.no_version_header {
        sign(headers, VERSION, app.version());
    }
    sign(headers, BOOT_ID, &app.boot_id);
    sign(headers, PID, &app.pid.to_string());
    Ok(response)
}

/// An answer with a whole body.
pub(super) fn whole(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A JSON answer, which no cache may keep.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = whole(status, "application/json", value.to_string());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A JSON error that names the version, as every body of this app does.
pub(super) fn refuse(app: &App, status: StatusCode, detail: &str) -> Response<Body> {
    json(status, &serde_json::json!({ "version": app.version(), "error": detail }))
}

async fn work(app: &Arc<App>, request: Request<Incoming>) -> Response<Body> {
    tokio::time::sleep(Duration::from_millis(app.options.latency_ms)).await;
    if app.dice.chance(app.options.error_rate) {
        return refuse(app, StatusCode::INTERNAL_SERVER_ERROR, "drawn by --error-rate");
    }
    let path = request.uri().path().to_owned();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match path.as_str() {
        "/" if reads => shop::page(app, &request),
        "/api/cart" if reads => shop::cart(app, &request).await,
        "/api/order" if request.method() == Method::POST => shop::order(app, request).await,
        "/ws" if reads => websocket::upgrade(Arc::clone(app), request),
        path => match path.strip_prefix("/assets/") {
            Some(name) if reads => shop::asset(app, name),
            _ => workbench::answer(app, request).await,
        },
    }
}

/// `GET /up` answers the health; `POST /up?status=N` sets it from outside, 0 gives it back to the options.
fn health(app: &App, request: &Request<Incoming>) -> Response<Body> {
    if request.method() == Method::POST {
        let wanted =
            super::query::number(request.uri(), "status").and_then(|status| u16::try_from(status).ok());
        let Some(wanted) = wanted.filter(|status| *status == 0 || (200..=599).contains(status)) else {
            return refuse(app, StatusCode::BAD_REQUEST, "status must be 0 or 200 to 599");
        };
        app.health_override.store(wanted, std::sync::atomic::Ordering::Relaxed);
    }
    let status = StatusCode::from_u16(app.health_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json(status, &serde_json::json!({ "version": app.version(), "boot_id": app.boot_id }))
}

/// Options may hold anything; what can't stand in a header is left off, and whoever asks for it sees that.
fn sign(headers: &mut hyper::HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
