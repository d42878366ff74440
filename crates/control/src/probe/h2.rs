//! One request over a connection of HTTP/2 of its own (RFC 9113).

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, client};
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::ask::{Failure, is_process_gone};

/// Bytes that the fields of an answer may have.
const HEADERS_MAX: u32 = 64 * 1024;
/// How long it may take to say goodbye: the answer is there, and nobody waits for this.
const GOODBYE: Duration = Duration::from_millis(100);

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// The fields in front of the body.
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The fields behind it.
    pub(super) trailers: HeaderMap,
}

/// Sends a request and reads the answer: its head, and of its body no more than `body_max` bytes; nothing of it if that is `None`, or if
/// its status is judged to be bad.
pub(super) async fn ask<S>(
    stream: S,
    request: Request<()>,
    body: Bytes,
    body_max: Option<usize>,
    judge: impl Fn(StatusCode) -> Result<(), Failure>,
) -> Result<Reply, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = client::Builder::new();
    builder.enable_push(false).max_header_list_size(HEADERS_MAX);
    let (sender, connection) =
        builder.handshake::<_, Bytes>(stream).await.map_err(|error| failure(&error))?;
    let exchange = async {
        let mut sender = sender.ready().await.map_err(|error| failure(&error))?;
        let is_last = body.is_empty();
        let (response, mut send) = sender.send_request(request, is_last).map_err(|error| failure(&error))?;
        if !is_last {
            send.send_data(body, true).map_err(|error| failure(&error))?;
        }
        let (head, body) = response.await.map_err(|error| failure(&error))?.into_parts();
        judge(head.status)?;
        let (body, trailers) = match body_max {
            Some(body_max) => read(body, body_max).await?,
            None => Default::default(),
        };
        Ok(Reply { status: head.status, headers: head.headers, body, trailers })
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    // The connection does the reading and writing. It may end before the exchange has taken what it read.
    tokio::select! {
        outcome = &mut exchange => goodbye(connection, outcome).await,
        _ = &mut connection => exchange.await,
    }
}

/// Lets the connection say that it ends: it does by itself when nobody can use it any more.
async fn goodbye<C: Future>(connection: C, outcome: Result<Reply, Failure>) -> Result<Reply, Failure> {
    // Whoever does not hear it sees the end.
    let _ = timeout(GOODBYE, connection).await;
    outcome
}

async fn read(mut body: RecvStream, body_max: usize) -> Result<(Bytes, HeaderMap), Failure> {
    let mut whole = BytesMut::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|error| failure(&error))?;
        if whole.len() + piece.len() > body_max {
            return Err(Failure::of("body: length limit exceeded"));
        }
        // A window that is gone says that there is no more to come.
        let _ = body.flow_control().release_capacity(piece.len());
        whole.extend_from_slice(&piece);
    }
    let trailers = poll_fn(|cx| body.poll_trailers(cx)).await.map_err(|error| failure(&error))?;
    Ok((whole.freeze(), trailers.unwrap_or_default()))
}

fn failure(error: &h2::Error) -> Failure {
    let is_process_gone = error.get_io().is_some_and(|io| is_process_gone(io.kind()));
    Failure { detail: format!("HTTP/2: {error}"), is_process_gone }
}
