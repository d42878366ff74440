//! Our own answers: what a client gets when no backend answered. They tell what happened, and nothing about what is behind the proxy.

use http::StatusCode;

use crate::decimal::Decimal;
use crate::fields::Fields;
use crate::json;
use crate::name::Name;
use crate::negotiate::{self, Form};

/// Seconds after which a client may come again when no backend was available: failures that heal at all heal by the next few probes.
const RETRY_AFTER_SECS: &[u8] = b"1";

/// An answer of ours. What is about the connection, and the date, is for the connection to add.
#[derive(Debug, Clone)]
pub struct Own {
    /// Its status.
    pub status: StatusCode,
    /// Its fields, `Content-Length` among them where it can have a body.
    pub fields: Fields,
    /// Its body, which is left out where HEAD was asked.
    pub body: Vec<u8>,
}

/// The answer with `status`, in the form that the fields of the request, `asked`, ask for. `detail` is one sentence for people, without
/// a full stop; it goes to strangers.
///
/// A 503 says when to come again. Nothing of it may be stored. The length is set; a HEAD request gets the same head, and its body is
/// for the connection to leave out.
#[must_use]
pub fn answer(status: StatusCode, detail: &str, asked: &Fields, request_id: Option<&[u8]>) -> Own {
    let form = negotiate::form(asked);
    let title = status.canonical_reason().unwrap_or("Error");
    let body = match form {
        Form::Json => problem(status, title, detail, request_id),
        Form::Html => page(status, title, detail, request_id),
        Form::Text => text(status, title, detail, request_id),
    };
    let mut own = plain(status, form.content_type(), body);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        own.fields.append(Name::RetryAfter, &[RETRY_AFTER_SECS]);
    }
    if let Some(id) = request_id {
        own.fields.append(Name::XRequestId, &[id]);
    }
    own.fields.append(Name::Vary, &[b"Accept"]);
    own
}

/// An answer that may not be stored.
#[must_use]
pub fn plain(status: StatusCode, content_type: &str, body: Vec<u8>) -> Own {
    let mut fields = Fields::default();
    fields.append(Name::ContentType, &[content_type.as_bytes()]);
    fields.append(Name::ContentLength, &[Decimal::of(body.len() as u64).as_bytes()]);
    fields.append(Name::CacheControl, &[b"no-store"]);
    Own { status, fields, body }
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

    fn field<'a>(own: &'a Own, name: &str) -> &'a str {
        own.fields.named(name).map_or("", |value| std::str::from_utf8(value).unwrap())
    }

    fn answered(status: StatusCode, accept: &str) -> (Own, String) {
        let asked = Fields::from_iter([("accept", accept)]);
        let own = answer(status, "no backend is available", &asked, Some(HOSTILE.as_bytes()));
        assert_eq!(own.status, status);
        assert_eq!(field(&own, "content-length"), own.body.len().to_string());
        assert_eq!(field(&own, "cache-control"), "no-store");
        assert_eq!(field(&own, "x-request-id"), HOSTILE);
        let body = String::from_utf8(own.body.clone()).unwrap();
        (own, body)
    }

    #[test]
    fn a_program_gets_a_problem_document() {
        let (own, body) = answered(StatusCode::BAD_GATEWAY, "*/*");
        assert_eq!(field(&own, "content-type"), "application/problem+json");
        let expected = concat!(
            r#"{"type":"about:blank","title":"Bad Gateway","status":502,"#,
            r#""detail":"no backend is available","request_id":"<script>alert(\"&'\")</script>"}"#,
            "\n"
        );
        assert_eq!(body, expected);
    }

    #[test]
    fn a_browser_gets_a_page_that_a_request_id_can_not_break() {
        let (own, body) = answered(StatusCode::NOT_FOUND, "text/html");
        assert_eq!(field(&own, "content-type"), "text/html; charset=utf-8");
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
        assert_eq!(field(&answered(StatusCode::SERVICE_UNAVAILABLE, "*/*").0, "retry-after"), "1");
        assert!(!answered(StatusCode::BAD_GATEWAY, "*/*").0.fields.contains(Name::RetryAfter));
    }
}
