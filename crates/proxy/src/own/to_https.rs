//! Tells clients of a listener in clear text to come back over TLS. Those who did, as far as a trusted proxy says where their TLS ends, are
//! served: they would come back the same way, on and on.

use http::StatusCode;

use crate::error::Error;
use crate::own::respond::{self, Own};
use crate::serve::exchange::Exchange;
use crate::serve::facts::HostError;
use crate::serve::scratch::Scratch;

/// The port that is meant when none is named.
pub(crate) const HTTPS: u16 = 443;

/// The answer that sends a client to the same place over TLS, on `port`, with the same method (RFC 9110 section 15.4.9).
pub(crate) fn answer(exchange: &Exchange<'_>, port: u16) -> Result<Own, Error> {
    let Scratch { asked, authority, host_len, .. } = &*exchange.scratch;
    let host = &authority[..*host_len];
    if host.is_empty() {
        return Err(HostError::Missing.into());
    }
    let mut location = format!("https://{host}").into_bytes();
    if port != HTTPS {
        location.extend_from_slice(format!(":{port}").as_bytes());
    }
    match asked.path_place() {
        Some(_) => location.extend_from_slice(asked.asked_text().as_bytes()),
        // It is about the whole server.
        None => location.push(b'/'),
    }
    let mut own = respond::plain(StatusCode::PERMANENT_REDIRECT, "text/plain; charset=utf-8", Vec::new());
    own.fields.append_other("Location", &location);
    Ok(own)
}
