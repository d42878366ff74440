//! The app server's connections: accept, serve, finish.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
};

use super::{App, Socket, routes};

/// Connections served at once; further ones wait in the listen queue.
const CONNECTIONS_MAX: usize = 8192;
/// Pause after a failed accept (out of descriptors, usually), so that the loop doesn't spin on it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Accepts connections until `stop` resolves. Those that are open then go on in tasks that hold the app.
pub(super) async fn accept(socket: Socket, app: Arc<App>, stop: impl Future<Output = ()>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stop = pin!(stop);
    loop {
        // The semaphore is never closed, so a failed acquire can only mean that the loop should end.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let accepted = tokio::select! {
            biased;
            () = &mut stop => return,
            accepted = next(&socket) => accepted,
        };
        let app = Arc::clone(&app);
        match accepted {
            Ok(Stream::Tcp(stream)) => tokio::spawn(async move {
                let _slot = slot;
                connection(stream, app).await;
            }),
            Ok(Stream::Unix(stream)) => tokio::spawn(async move {
                let _slot = slot;
                connection(stream, app).await;
            }),
            Err(_) => {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
    }
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn next(socket: &Socket) -> std::io::Result<Stream> {
    match socket {
        Socket::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
        Socket::Unix(listener, _) => Ok(Stream::Unix(listener.accept().await?.0)),
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, app: Arc<App>) {
    let mut builder = http1::Builder::new();
    if let Some(idle_ms) = app.options.idle_timeout_ms {
        builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_millis(idle_ms));
    }
    let service = service_fn(|request| routes::answer(Arc::clone(&app), request));
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    tokio::select! {
        // How a peer ends its connection is no concern of the app.
        _ = served.as_mut() => return,
        () = app.stopped() => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}
