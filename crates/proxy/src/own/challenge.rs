//! Answers authorities who ask over plain HTTP whether a name is ours (RFC 8555 section 8.3).

use http::{Method, StatusCode};

use crate::own::respond::{self, Own};
use crate::serve::exchange::Exchange;

/// Where they ask, before the token.
const PREFIX: &[u8] = b"/.well-known/acme-challenge/";

/// The answer, where it is such a question and its challenge is open. Any other is the app's to answer: it may have certificates of its
/// own.
pub(crate) fn answer(exchange: &Exchange<'_>) -> Option<Own> {
    let asked = &exchange.scratch.asked;
    let token = asked.path().strip_prefix(PREFIX)?;
    let client = exchange.client;
    if client.admission.front().tls.is_some() || !matches!(asked.method, Method::GET | Method::HEAD) {
        return None;
    }
    let authorization = client.worker.tokens.answer(str::from_utf8(token).ok()?)?;
    Some(respond::plain(StatusCode::OK, "application/octet-stream", authorization.as_bytes().to_vec()))
}
