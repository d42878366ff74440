//! Takes a header off a connection, and not one byte of what follows it, which may be TLS.

use std::io;

use cutover_core::proxy_protocol::SIGNATURE;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{HeaderError, LEN_MAX, LINE_START, Told, parse, starts};

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// What came is none.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The connection broke, or ended before it was whole.
    #[error("the connection is over before its PROXY header")]
    Broken(#[from] io::Error),
}

/// Waits for a header and takes it. The bytes are looked at first and taken then: as many as belong to the header.
pub(crate) async fn receive(stream: &mut TcpStream) -> Result<Told, Refused> {
    let mut bytes = vec![0; LEN_MAX];
    let mut len = 0;
    loop {
        let seen = stream.peek(&mut bytes[len..]).await?;
        if seen == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let parsed = parse(&bytes[..len + seen])?;
        let end = parsed.map_or(len + seen, |(_, end)| end);
        stream.read_exact(&mut bytes[len..end]).await?;
        len = end;
        if let Some((told, _)) = parsed {
            return Ok(told);
        }
    }
}

/// Whether what the connection begins with, once it begins, claims to be a header. Nothing of it is taken.
pub(crate) async fn claims(stream: &TcpStream) -> bool {
    let mut bytes = [0; LINE_START.len()];
    // What is wrong with the connection will be found by whoever reads it.
    let Ok(seen) = stream.peek(&mut bytes).await else { return false };
    // It comes in one piece (section 2); less of it is no request either, and refused as one.
    seen == bytes.len() && (starts(&bytes, LINE_START) || starts(&bytes, &SIGNATURE))
}
