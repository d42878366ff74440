//! Our own answers: what a client gets when no backend answered. They tell what happened, and nothing about what is behind the proxy.

use http::StatusCode;

use crate::message::decimal::Decimal;
use crate::message::fields::Fields;
use crate::message::json;
use crate::message::name::Name;
use crate::message::negotiate::{self, Form};

/// An answer of ours. What is about the connection, and the date, is for the connection to add.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    /// Its status.
    pub status: StatusCode,
    /// Its fields, `Content-Length` among them where it can have a body.
    pub fields: Fields,
    /// Its body, which is left out where HEAD was asked.
    pub body: Vec<u8>,
}

/// What is wrong, for a client that asked for something else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    /// The status of the answer.
    pub status: StatusCode,
    /// One sentence for people, without a full stop. It goes to strangers.
    pub detail: &'a str,
    /// Seconds after which the client may come again, where that makes sense.
    pub retry_after_secs: Option<u64>,
    /// The id under which the request is known.
    pub request_id: Option<&'a [u8]>,
    /// What the operator says in HTML. `{status}` and `{request_id}` in it are replaced.
    pub page: Option<&'a str>,
}

impl Refusal<'_> {
    /// The answer, in the form that the fields of the request, `asked`, ask for.
    ///
    /// Nothing of it may be stored. The length is set; a HEAD request gets the same head, and its body is for the connection to leave out.
    #[must_use]
    pub(crate) fn answer(&self, asked: &Fields) -> Own {
        let &Self { status, detail, request_id, .. } = self;
        let form = negotiate::form(asked);
        let title = status.canonical_reason().unwrap_or("Error");
        let body = match (form, self.page) {
            (Form::Json, _) => problem(status, title, detail, request_id),
            (Form::Html, Some(page)) => filled(page, status, request_id),
            (Form::Html, None) => words(status, title, detail, request_id),
            (Form::Text, _) => text(status, title, detail, request_id),
        };
        let mut own = plain(status, form.content_type(), body);
        if let Some(secs) = self.retry_after_secs {
            own.fields.append(Name::RetryAfter, &[Decimal::of(secs).as_bytes()]);
        }
        if let Some(id) = request_id {
            own.fields.append(Name::XRequestId, &[id]);
        }
        own.fields.append(Name::Vary, &[b"Accept"]);
        own
    }
}

/// Sends the client of a request with the fields `asked` to `location`, which must have no byte that a value can't have. Unlike other answers of
/// ours it may be stored: a status that is permanent says so.
#[must_use]
pub(crate) fn redirect(status: StatusCode, location: &[u8], asked: &Fields) -> Own {
    let mut fields = Fields::default();
    fields.append_other("Location", location);
    fields.append(Name::ContentLength, &[b"0"]);
    if let Some(id) = asked.first(Name::XRequestId) {
        fields.append(Name::XRequestId, &[id]);
    }
    Own { status, fields, body: Vec::new() }
}

/// An answer that may not be stored.
#[must_use]
pub(crate) fn plain(status: StatusCode, content_type: &str, body: Vec<u8>) -> Own {
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

fn words(status: StatusCode, title: &str, detail: &str, id: Option<&[u8]>) -> Vec<u8> {
    let (status, title, detail) = (status.as_u16(), escaped(title.as_bytes()), escaped(detail.as_bytes()));
    let id = id.map_or(String::new(), |id| format!("<p><small>Request {}</small></p>\n", escaped(id)));
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{status} {title}</title>\n<h1>{status} {title}</h1>\n<p>{detail}.</p>\n{id}</html>\n"
    );
    page.into_bytes()
}

/// A page of the operator's with what it leaves open. One pass, so that nothing in a request id is taken for a part of the page.
fn filled(page: &str, status: StatusCode, id: Option<&[u8]>) -> Vec<u8> {
    let id = escaped(id.unwrap_or_default());
    let mut out = String::with_capacity(page.len() + id.len());
    let mut rest = page;
    while let Some(at) = rest.find('{') {
        let (before, open) = rest.split_at(at);
        out.push_str(before);
        rest = if let Some(after) = open.strip_prefix("{request_id}") {
            out.push_str(&id);
            after
        } else if let Some(after) = open.strip_prefix("{status}") {
            out.push_str(status.as_str());
            after
        } else {
            out.push('{');
            &open[1..]
        };
    }
    out.push_str(rest);
    out.into_bytes()
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
        answered_with(None, status, accept)
    }

    fn answered_with(page: Option<&str>, status: StatusCode, accept: &str) -> (Own, String) {
        let asked = Fields::from_iter([("accept", accept)]);
        let request_id = Some(HOSTILE.as_bytes());
        let detail = "no backend is available";
        let own = Refusal { status, detail, retry_after_secs: Some(7), request_id, page }.answer(&asked);
        assert_eq!(own.status, status);
        assert_eq!(field(&own, "content-length"), own.body.len().to_string());
        assert_eq!(field(&own, "cache-control"), "no-store");
        assert_eq!((field(&own, "x-request-id"), field(&own, "retry-after")), (HOSTILE, "7"));
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
    fn a_page_of_the_operator_is_for_browsers() {
        let page = "<p style=\"{}\">{status} {id} {request_id}{request_id}{";
        let (own, body) = answered_with(Some(page), StatusCode::SERVICE_UNAVAILABLE, "text/html");
        assert_eq!(field(&own, "content-type"), "text/html; charset=utf-8");
        let id = "&lt;script&gt;alert(&quot;&amp;&#39;&quot;)&lt;/script&gt;";
        assert_eq!(body, format!("<p style=\"{{}}\">503 {{id}} {id}{id}{{"));
        let (own, _) = answered_with(Some(page), StatusCode::SERVICE_UNAVAILABLE, "*/*");
        assert_eq!(field(&own, "content-type"), "application/problem+json");
    }

    #[test]
    fn nothing_in_a_request_id_is_a_part_of_the_page() {
        assert_eq!(filled("{request_id}", StatusCode::NOT_FOUND, Some(b"{status}")), b"{status}");
    }

    #[test]
    fn a_redirect_says_where_to_and_no_more() {
        let own =
            redirect(StatusCode::PERMANENT_REDIRECT, b"/new", &Fields::from_iter([("x-request-id", "7")]));
        let expected = [("location", "/new"), ("content-length", "0"), ("x-request-id", "7")];
        assert_eq!((own.status.as_u16(), own.fields, own.body.len()), (308, Fields::from_iter(expected), 0));
    }
}
