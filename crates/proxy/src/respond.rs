//! Our own answers: what a client gets when no backend answered. They tell what happened, and nothing about what is behind the proxy.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

use crate::json;
use crate::negotiate::{self, Form};
use crate::request_id::X_REQUEST_ID;

/// Seconds after which a client may come again when no backend was available: failures that heal at all heal by the next few probes.
const RETRY_AFTER_SECS: &str = "1";

/// The answer with `status`, in the form that the request's `headers` ask for. `detail` is one sentence for people, without a full
/// stop; it goes to strangers.
///
/// A 503 says when to come again. Nothing of it may be stored. The length is set; a HEAD request gets the same head, and its body is
/// for the connection to leave out.
#[must_use]
pub fn answer(
    status: StatusCode,
    detail: &str,
    headers: &HeaderMap,
    request_id: Option<&HeaderValue>,
) -> Response<Bytes> {
    let form = negotiate::form(headers);
    let id = request_id.map(HeaderValue::as_bytes);
    let title = status.canonical_reason().unwrap_or("Error");
    let body = match form {
        Form::Json => problem(status, title, detail, id),
        Form::Html => page(status, title, detail, id),
        Form::Text => text(status, title, detail, id),
    };
    let mut answer = plain(status, form.content_type(), body);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECS));
    }
    if let Some(id) = request_id {
        answer.headers_mut().insert(X_REQUEST_ID, id.clone());
    }
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    answer
}

/// An answer that may not be stored.
#[must_use]
pub fn plain(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *answer.body_mut() = body.into();
    answer
}

/// RFC 9457.
fn problem(status: StatusCode, title: &str, detail: &str, id: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(br#"{"type":"about:blank","title":"#);
    json::write_string(&mut out, title.as_bytes());
    out.extend_from_slice(br#","status":"#);
    json::write_number(&mut out, status.as_u16().into());
    out.extend_from_slice(br#","detail":"#);
    json::write_string(&mut out, detail.as_bytes());
    if let Some(id) = id {
        out.extend_from_slice(br#","request_id":"#);
        json::write_string(&mut out, id);
    }
    out.extend_from_slice(b"}\n");
    out
}

fn page(status: StatusCode, title: &str, detail: &str, id: Option<&[u8]>) -> Vec<u8> {
    let (status, title, detail) = (status.as_u16(), escaped(title.as_bytes()), escaped(detail.as_bytes()));
    let id = id.map_or(String::new(), |id| format!("<p><small>Request {}</small></p>\n", escaped(id)));
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{status} {title}</title>\n<h1>{status} {title}</h1>\n<p>{detail}.</p>\n{id}</html>\n"
    );
    page.into_bytes()
}

fn text(status: StatusCode, title: &str, detail: &str, id: Option<&[u8]>) -> Vec<u8> {
    let id = id.map_or(String::new(), |id| format!("request {}\n", String::from_utf8_lossy(id)));
    format!("{} {title}\n{detail}\n{id}", status.as_u16()).into_bytes()
}

/// Text that can stand anywhere in HTML: a request id is the client's own, and must not become markup.
fn escaped(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "<script>alert(\"&'\")</script>";

    fn answered(status: StatusCode, accept: &'static str) -> (HeaderMap, String) {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        let id = HeaderValue::from_static(HOSTILE);
        let (head, body) = answer(status, "no backend is available", &headers, Some(&id)).into_parts();
        assert_eq!(head.status, status);
        assert_eq!(head.headers["content-length"], body.len().to_string().as_str());
        assert_eq!(head.headers["cache-control"], "no-store");
        assert_eq!(head.headers["x-request-id"], HOSTILE);
        (head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn a_program_gets_a_problem_document() {
        let (headers, body) = answered(StatusCode::BAD_GATEWAY, "*/*");
        assert_eq!(headers["content-type"], "application/problem+json");
        let expected = concat!(
            r#"{"type":"about:blank","title":"Bad Gateway","status":502,"#,
            r#""detail":"no backend is available","request_id":"<script>alert(\"&'\")</script>"}"#,
            "\n"
        );
        assert_eq!(body, expected);
    }

    #[test]
    fn a_browser_gets_a_page_that_a_request_id_can_not_break() {
        let (headers, body) = answered(StatusCode::NOT_FOUND, "text/html");
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
        assert!(body.contains("<h1>404 Not Found</h1>") && body.contains("&lt;script&gt;"), "{body}");
        assert!(!body.contains("<script"), "{body}");
    }

    #[test]
    fn a_terminal_gets_text() {
        let (_, body) = answered(StatusCode::GATEWAY_TIMEOUT, "text/plain");
        assert!(body.starts_with("504 Gateway Timeout\nno backend is available\nrequest "), "{body}");
    }

    #[test]
    fn only_a_503_says_when_to_come_again() {
        assert_eq!(answered(StatusCode::SERVICE_UNAVAILABLE, "*/*").0["retry-after"], "1");
        assert!(!answered(StatusCode::BAD_GATEWAY, "*/*").0.contains_key("retry-after"));
    }
}
