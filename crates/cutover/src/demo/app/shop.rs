//! The shop: a page that names its build's assets, those assets, a call that works a little, and an order.

use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CACHE_CONTROL, COOKIE, HeaderValue, SET_COOKIE},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{App, body::Body, routes};

/// The cookie by which the shop knows its visitor; cutover has no part in it.
pub(in crate::demo) const VISITOR_COOKIE: &str = "visitor";
/// Largest order body, in bytes.
const ORDER_BYTES_MAX: usize = 1 << 20;
/// Size of the built assets, in bytes: small, but more than one segment.
const ASSET_BYTES: usize = 6 * 1024;
/// Longest work time of the cart call, in milliseconds.
const CART_WORK_MS_MAX: u64 = 8;

/// The page: names its version and the assets of the same build, and greets a new visitor with a cookie.
pub(super) fn page<B>(app: &App, request: &Request<B>) -> Response<Body> {
    let version = app.version();
    let html = format!(
        "<!doctype html>\n<html lang=\"en\" data-app-version=\"{version}\">\n<head><title>Shop {version}</title>\n\
         <link rel=\"stylesheet\" href=\"/assets/app.{version}.css\">\n\
         <script type=\"module\" src=\"/assets/app.{version}.js\"></script></head>\n\
         <body><h1>Shop</h1><p>This page was made by {version}.</p></body></html>\n"
    );
    let mut response = routes::whole(StatusCode::OK, "text/html; charset=utf-8", html);
    if cookie(request, VISITOR_COOKIE).is_none() {
        let greeting = format!("{VISITOR_COOKIE}={:016x}; Path=/", app.dice.roll());
        if let Ok(greeting) = HeaderValue::from_str(&greeting) {
            response.headers_mut().insert(SET_COOKIE, greeting);
        }
    }
    response
}

/// `app.<version>.js` and `.css` of this build, cacheable for ever; another build's are 404, as after a real deploy.
pub(super) fn asset(app: &App, name: &str) -> Response<Body> {
    let of_this_build = name.strip_prefix("app.").and_then(|rest| rest.strip_prefix(app.version()));
    let content_type = match of_this_build {
        Some(".js") => "text/javascript",
        Some(".css") => "text/css",
        _ => return routes::refuse(app, StatusCode::NOT_FOUND, "no such asset in this build"),
    };
    let mut text = format!("/* app-version=\"{}\" */\n", app.version());
    text.extend(std::iter::repeat_n("/* one line of the build's output */\n", ASSET_BYTES / 37));
    let mut response = routes::whole(StatusCode::OK, content_type, text);
    let immutable = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(CACHE_CONTROL, immutable);
    response
}

/// The cart of the visitor, after a short random work time.
pub(super) async fn cart<B>(app: &App, request: &Request<B>) -> Response<Body> {
    tokio::time::sleep(Duration::from_millis(app.dice.between(0, CART_WORK_MS_MAX))).await;
    let visitor = cookie(request, VISITOR_COOKIE);
    routes::json(StatusCode::OK, &json!({ "version": app.version(), "visitor": visitor, "items": [] }))
}

/// Takes an order and answers how many bytes it had and their SHA-256, in hex.
pub(super) async fn order(app: &App, request: Request<Incoming>) -> Response<Body> {
    let Ok(order) = Limited::new(request.into_body(), ORDER_BYTES_MAX).collect().await else {
        return routes::refuse(app, StatusCode::PAYLOAD_TOO_LARGE, "the order is too large, or was cut off");
    };
    let order = order.to_bytes();
    let checksum = hex(&Sha256::digest(&order));
    let answer = json!({ "version": app.version(), "bytes": order.len(), "sha256": checksum });
    routes::json(StatusCode::OK, &answer)
}

/// Bytes in lower-case hex.
pub(in crate::demo) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn cookie<'a, B>(request: &'a Request<B>, name: &str) -> Option<&'a str> {
    let lines = request.headers().get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(known, value)| (known == name).then_some(value))
}
