//! A request that changes to another protocol: `Upgrade` in HTTP/1.1, extended CONNECT in HTTP/2 (RFC 8441).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use h2::ext::Protocol;
use sha1::{Digest, Sha1};

use crate::h1::head::RequestHead;
use crate::message::name::Name;

/// What a key is answered with (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a request in the form of HTTP/1.1 wants to change to.
#[derive(Debug)]
pub(super) struct Switch {
    protocol: Box<str>,
    /// The client's `Sec-WebSocket-Key`, which HTTP/2 does not have: it is answered here.
    key: Option<Box<[u8]>>,
}

impl Switch {
    /// What the request wants to change to, if it does.
    pub(super) fn of(asked: &RequestHead) -> Option<Self> {
        let protocol = std::str::from_utf8(asked.fields.first(Name::Upgrade)?).ok()?;
        let key = asked.fields.named("sec-websocket-key").map(Into::into);
        Some(Self { protocol: protocol.to_ascii_lowercase().into(), key })
    }

    /// What it is called in HTTP/2.
    pub(super) fn protocol(&self) -> Protocol {
        Protocol::from(&*self.protocol)
    }

    /// Writes the lines of a 101 that stand for its end of the agreement.
    pub(super) fn write_answer(&self, text: &mut Vec<u8>) {
        for piece in ["connection: upgrade\r\nupgrade: ", &self.protocol, "\r\n"] {
            text.extend_from_slice(piece.as_bytes());
        }
        if let Some(key) = &self.key {
            text.extend_from_slice(b"sec-websocket-accept: ");
            text.extend_from_slice(accept(key).as_bytes());
            text.extend_from_slice(b"\r\n");
        }
    }
}

/// The `Sec-WebSocket-Accept` for a key (RFC 6455 section 4.2.2).
fn accept(key: &[u8]) -> String {
    BASE64.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6455_1_3_the_example() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
