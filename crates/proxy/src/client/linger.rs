//! Ending a connection whose client may still be sending: closing at once would reset it under our answer (RFC 9112 section 9.6).

use std::future::poll_fn;
use std::io;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::client::connection::Connection;
use crate::io::buffer::Buffer;

/// How long the rest of a request is read.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes of it that are read.
const BYTES_MAX: usize = 16 << 20;

/// Closes our side, and reads what the client still sends, for a while.
pub(crate) async fn linger(connection: &mut Connection, buffer: &mut Buffer) -> io::Result<()> {
    let deadline = Instant::now() + LINGER;
    let mut left = BYTES_MAX;
    let Connection { stream, alarm, .. } = connection;
    poll_fn(|cx| {
        ready!(stream.poll_end(cx))?;
        loop {
            buffer.clear();
            match buffer.poll_fill(stream, cx) {
                Poll::Ready(Ok(read)) if read > 0 && read < left => left -= read,
                Poll::Ready(read) => return Poll::Ready(read.map(drop)),
                Poll::Pending => return alarm.poll(Some(deadline), cx).map(Ok),
            }
        }
    })
    .await
}
