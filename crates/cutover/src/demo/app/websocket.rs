//! `/ws`: a WebSocket (RFC 6455) that echoes every frame; `?greet=1` makes it say its version first.

use std::{io, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
};
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{App, body::Body, query, routes};

/// What the server appends to the client's key to show that it understood (RFC 6455 section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Largest payload of one frame, in bytes.
const PAYLOAD_BYTES_MAX: u64 = 1 << 20;
/// First byte of the frames that we start ourselves: FIN and the opcode (RFC 6455 section 5.2).
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PONG: u8 = 0x8a;
/// Close code "going away" (RFC 6455 section 7.4.1).
const GOING_AWAY: [u8; 2] = 1001_u16.to_be_bytes();

/// Answers 101 and echoes on the upgraded connection; 426 if the request asks for no WebSocket.
pub(super) fn upgrade(app: Arc<App>, mut request: Request<Incoming>) -> Response<Body> {
    let is_websocket =
        request.headers().get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let (true, Some(key)) = (is_websocket, request.headers().get(SEC_WEBSOCKET_KEY)) else {
        return routes::refuse(&app, StatusCode::UPGRADE_REQUIRED, "this is a WebSocket");
    };
    let digest = Sha1::new_with_prefix(key).chain_update(GUID).finalize();
    let Ok(accept) = HeaderValue::from_str(&BASE64_STANDARD.encode(digest)) else {
        return routes::refuse(&app, StatusCode::BAD_REQUEST, "unusable Sec-WebSocket-Key");
    };
    let greeting = (query::number(request.uri(), "greet") == Some(1)).then(|| app.version().to_owned());
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(stream) = upgraded.await {
            // A peer that leaves without a close frame is nothing to report.
            let _ = echo(TokioIo::new(stream), greeting, &app).await;
        }
    });
    let mut response = Response::new(Body::whole(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

async fn echo(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    greeting: Option<String>,
    app: &App,
) -> io::Result<()> {
    if let Some(greeting) = greeting {
        write_frame(&mut stream, TEXT, greeting.as_bytes()).await?;
    }
    loop {
        let frame = tokio::select! {
            frame = read_frame(&mut stream) => frame?,
            () = app.stopped() => return write_frame(&mut stream, CLOSE, &GOING_AWAY).await,
        };
        match frame.first & 0x0f {
            0x8 => return write_frame(&mut stream, CLOSE, &frame.payload).await,
            0x9 => write_frame(&mut stream, PONG, &frame.payload).await?,
            0xa => {}
            // Data frames go back with their own FIN bit and opcode, so that fragments stay fragments.
            _ => write_frame(&mut stream, frame.first, &frame.payload).await?,
        }
    }
}

struct Frame {
    first: u8,
    payload: Vec<u8>,
}

/// One frame of a client, which is always masked (RFC 6455 section 5.3).
async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let first = stream.read_u8().await?;
    let second = stream.read_u8().await?;
    let length = match second & 0x7f {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        short => u64::from(short),
    };
    let length = usize::try_from(length.min(PAYLOAD_BYTES_MAX + 1)).unwrap_or(usize::MAX);
    if second & 0x80 == 0 || length as u64 > PAYLOAD_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "unmasked or too large"));
    }
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok(Frame { first, payload })
}

async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), first: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(u8::try_from(short).unwrap_or(125)),
        medium => match u16::try_from(medium) {
            Ok(medium) => frame.extend([126].into_iter().chain(medium.to_be_bytes())),
            Err(_) => frame.extend([127].into_iter().chain((medium as u64).to_be_bytes())),
        },
    }
    frame.extend_from_slice(payload);
    stream.write_all(&frame).await?;
    stream.flush().await
}
