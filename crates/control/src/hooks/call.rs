//! One call of a hook: a POST over a connection of its own, with a limit on everything that comes back.

use std::error::Error as StdError;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use cutover_core::policy::{Hook, Secret, UpstreamTls};
use cutover_core::time::Timestamp;
use cutover_resolve::{ConnectError, Names, Place, Socket};
use cutover_tls::client::{Connectors, HandshakeError};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, timeout};

use super::message::Message;
use super::sign::signature;

/// Bytes of an answer that are read: people see its beginning.
const ANSWER_BYTES_MAX: usize = 4096;
/// Bytes of its head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Characters of an answer that are kept in the timeline.
const SAID_MAX: usize = 200;
/// Bytes of a file that holds a secret.
const SECRET_BYTES_MAX: u64 = 4096;
const AGENT: &str = concat!("cutover/", env!("CARGO_PKG_VERSION"));

/// What calls are made with. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Means {
    /// How TLS is spoken.
    pub(crate) connectors: Arc<Connectors>,
    /// Names of hooks.
    pub(crate) names: Names,
    /// The name of this node.
    pub(crate) node: Arc<str>,
}

impl Means {
    /// The means of the node with this name.
    pub(crate) fn new(connectors: &Arc<Connectors>, names: &Names, node: &str) -> Self {
        Self { connectors: Arc::clone(connectors), names: names.clone(), node: node.into() }
    }
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The beginning of its body, fit to be shown.
    pub(super) text: String,
}

/// Why nothing was answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("can't read the secret from its file: {0}")]
    Secret(#[source] io::Error),
    #[error("the file of the secret is empty")]
    NoSecret,
    #[error("can't connect: {0}")]
    Connect(#[source] ConnectError),
    #[error("can't speak TLS: {0}")]
    Handshake(#[source] HandshakeError),
    #[error("no request can be made for it: {0}")]
    Request(#[source] http::Error),
    #[error("no answer: {0}")]
    Exchange(#[source] hyper::Error),
    #[error("no answer within its timeout")]
    TimedOut,
}

/// Calls `hook` once.
pub(super) async fn call(
    means: &Means,
    hook: &Hook,
    message: &Message,
    now: Timestamp,
) -> Result<Answer, CallError> {
    let called = timeout(hook.timeout.into(), begin(means, hook, message, now)).await;
    called.unwrap_or(Err(CallError::TimedOut))
}

async fn begin(means: &Means, hook: &Hook, message: &Message, now: Timestamp) -> Result<Answer, CallError> {
    let secret = read(&hook.secret).await?;
    let signature = signature(&secret, now.as_secs(), message.body.as_bytes()).unwrap_or_default();
    let request = Request::post(hook.url.target())
        .header(HOST, hook.url.authority())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .header("Cutover-Hook-Id", &message.id)
        .header("Cutover-Hook-Timestamp", now.as_secs())
        .header("Cutover-Hook-Signature", signature)
        .body(Full::new(Bytes::from(message.body.clone())))
        .map_err(CallError::Request)?;
    let socket = Place::new(hook.url.address(), &means.names).connect().await.map_err(CallError::Connect)?;
    match socket {
        Socket::Tcp(stream) => over(stream, means, hook, request).await,
        // Parsed URLs have a host.
        Socket::Unix(stream) => over(stream, means, hook, request).await,
    }
}

async fn over<S>(
    stream: S,
    means: &Means,
    hook: &Hook,
    request: Request<Full<Bytes>>,
) -> Result<Answer, CallError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if !hook.url.is_tls() {
        return exchange(stream, request).await;
    }
    let tls = UpstreamTls { ca: hook.ca.clone(), ..UpstreamTls::default() };
    let connector = means.connectors.connector(&tls, false);
    let stream = connector.connect(stream, hook.url.address()).await.map_err(CallError::Handshake)?;
    exchange(stream, request).await
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, CallError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(CallError::Exchange)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(CallError::Exchange)?;
        Ok(answer(response).await)
    };
    tokio::pin!(connection, exchange);
    // The connection does the reading and writing. It may end before the exchange has taken what it read.
    tokio::select! {
        outcome = &mut exchange => outcome,
        _ = &mut connection => exchange.await,
    }
}

/// The status counts as soon as it is there; a body that breaks off is only less to show.
async fn answer(response: Response<Incoming>) -> Answer {
    /// A receiver that has answered has no reason to keep anybody waiting for the rest.
    const BODY_TIMEOUT: Duration = Duration::from_secs(2);
    let (head, mut body) = response.into_parts();
    let mut read = Vec::new();
    let collect = async {
        while read.len() < ANSWER_BYTES_MAX
            && let Some(Ok(frame)) = body.frame().await
        {
            if let Ok(bytes) = frame.into_data() {
                read.extend_from_slice(&bytes);
            }
        }
    };
    // What has come by then is shown.
    drop(timeout(BODY_TIMEOUT, collect).await);
    Answer { status: head.status, text: presentable(&String::from_utf8_lossy(&read)) }
}

/// One line of at most so many characters that can be shown on any terminal.
fn presentable(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(SAID_MAX).collect()
}

async fn read(secret: &Secret) -> Result<Vec<u8>, CallError> {
    let path = match secret {
        Secret::Given(text) => return Ok(text.as_bytes().to_vec()),
        Secret::File(path) => Arc::clone(path),
    };
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        File::open(&*path)?.take(SECRET_BYTES_MAX).read_to_end(&mut bytes).map(|_| bytes)
    });
    let mut bytes = read.await.map_err(io::Error::other).flatten().map_err(CallError::Secret)?;
    // Editors end a file with a line end, which nobody means.
    let len = bytes.trim_ascii_end().len();
    bytes.truncate(len);
    if bytes.is_empty() { Err(CallError::NoSecret) } else { Ok(bytes) }
}

/// The error with its causes, fit to be shown.
pub(super) fn in_words(error: &CallError) -> String {
    let cause =
        error.source().and_then(StdError::source).map(|cause| format!(": {cause}")).unwrap_or_default();
    presentable(&format!("{error}{cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_shown_on_one_line() {
        assert_eq!(presentable(" no:\r\n\x1b[31mnot \u{0} yet\n"), "no: [31mnot yet");
        assert_eq!(presentable(&"é".repeat(1000)).chars().count(), SAID_MAX);
    }
}
