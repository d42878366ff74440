//! WebSockets: each says which version it began on, echoes for a while, and is closed by its visitor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::deck::Dice;
use super::run::Run;
use super::trace::{Failure, Kind, Seen, Visit, Visitor};
use super::visit::websocket;
use super::wire::connect_tls;

/// For one message, or a handshake.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long one lasts, in milliseconds.
const LIFE_MS: (u64, u64) = (1_000, 12_000);
/// One in so many lasts longer than a drain, which is then over by its deadline and not by proof.
const LONG_ONE_IN: u64 = 300;
const LONG_MS: u64 = 55_000;
/// Between two messages.
const PACE: Duration = Duration::from_millis(200);

/// One WebSocket from its handshake to its end; by TLS, if there is a configuration for that.
pub(crate) async fn visit(run: &Run, tls: Option<&Arc<ClientConfig>>, dice: &mut Dice) -> Visit {
    let protocol = if tls.is_some() { "WebSocket by TLS" } else { "WebSocket" };
    let mut visit = Visit::new(Visitor::Tunnel, protocol);
    let usual = dice.between(LIFE_MS.0, LIFE_MS.1);
    let life = Duration::from_millis(if dice.one_in(LONG_ONE_IN) { LONG_MS } else { usual });
    let opened = Instant::now();
    let ended = match tls {
        None => match TcpStream::connect(run.plain).await {
            Ok(stream) => talk(run, stream, "ws", life, &mut visit).await,
            Err(error) => Err((Kind::NoAnswer, error.to_string())),
        },
        Some(roots) => match connect_tls(run.tls, roots, "http/1.1").await {
            Ok(stream) => talk(run, stream, "wss", life, &mut visit).await,
            Err(error) => Err((Kind::NoAnswer, error.to_string())),
        },
    };
    if let Err((kind, what)) = ended {
        let what = format!("a tunnel after {:.1?}: {what}", opened.elapsed());
        visit.failures.push(Failure {
            what,
            kind,
            is_safe: visit.answers.is_empty(),
            sent: opened,
            failed: Instant::now(),
        });
        visit.requests = visit.requests.max(1);
    }
    visit
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    run: &Run,
    stream: S,
    scheme: &str,
    life: Duration,
    visit: &mut Visit,
) -> Result<(), (Kind, String)> {
    let sent = Instant::now();
    visit.requests += 1;
    let handshake =
        tokio::time::timeout(PATIENCE, tokio_tungstenite::client_async(websocket(scheme), stream)).await;
    let (mut socket, _) = handshake
        .map_err(|_| (Kind::NoAnswer, "no handshake".to_owned()))?
        .map_err(|error| (Kind::NoAnswer, error.to_string()))?;
    let greeting = hear(&mut socket).await?;
    let seen = Seen { version: greeting, pin: None, is_safe: false, sent, answered: Instant::now() };
    visit.answers.push(seen.clone());
    let mut number = 0;
    while sent.elapsed() < life && !run.is_closed() {
        tokio::time::sleep(PACE).await;
        let (asked, message) = (Instant::now(), format!("message {number}"));
        visit.requests += 1;
        socket.send(Message::text(message.clone())).await.map_err(|error| (Kind::Cut, error.to_string()))?;
        let echo = hear(&mut socket).await?;
        if echo != message {
            return Err((Kind::Wrong, format!("{echo:?} instead of {message:?}")));
        }
        let last = Seen { sent: asked, answered: Instant::now(), ..seen.clone() };
        // Only the first and the last are of interest to anybody.
        visit.answers.truncate(1);
        visit.answers.push(last);
        number += 1;
    }
    // A goodbye that crosses with another one is one too.
    let _ = tokio::time::timeout(PATIENCE, socket.close(None)).await;
    Ok(())
}

async fn hear<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
) -> Result<String, (Kind, String)> {
    loop {
        let heard = tokio::time::timeout(PATIENCE, socket.next()).await;
        match heard.map_err(|_| (Kind::Cut, "no message".to_owned()))? {
            Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
            Some(Ok(Message::Close(close))) => {
                let code = close.map(|CloseFrame { code, .. }| u16::from(code));
                let is_goodbye = matches!(code, Some(1001 | 1012));
                return Err((
                    if is_goodbye { Kind::Goodbye } else { Kind::Cut },
                    format!("closed with {code:?}"),
                ));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err((Kind::Cut, error.to_string())),
            None => return Err((Kind::Cut, "the end of the connection".to_owned())),
        }
    }
}
