//! The handshake of TLS with a client, in the task of its connection, within its time.

use cutover_tls::server::{Accepted, HandshakeError, ServerTls};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::io::socket::Socket;
use crate::telemetry::metrics::Handshake;
use crate::worker::Worker;

/// Shakes hands. `None` when it failed, which is counted.
pub(crate) async fn shake(worker: &Worker, tls: &ServerTls, stream: TcpStream) -> Option<Accepted<Socket>> {
    let within = worker.limits.handshake_timeout;
    let shaken = tokio::select! {
        shaken = timeout(within, tls.accept(Socket::from(stream))) => shaken,
        // What comes behind it is answered, if it comes soon.
        () = worker.stop.lapsed() => return count(worker, Handshake::Gone, None),
    };
    match shaken {
        Err(_) => count(worker, Handshake::Timeout, None),
        Ok(Err(error)) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "a client's TLS handshake failed");
            count(worker, how(&error), None)
        }
        Ok(Ok(accepted)) if accepted.is_resumed => count(worker, Handshake::Resumed, Some(accepted)),
        Ok(Ok(accepted)) => count(worker, Handshake::Full, Some(accepted)),
    }
}

fn count<T>(worker: &Worker, handshake: Handshake, accepted: Option<T>) -> Option<T> {
    worker.metrics.handshake(handshake);
    accepted
}

const fn how(error: &HandshakeError) -> Handshake {
    match error {
        HandshakeError::NotTls(_) => Handshake::NotTls,
        HandshakeError::Incompatible(_) => Handshake::Incompatible,
        HandshakeError::Certificate(_) => Handshake::Certificate,
        HandshakeError::Refused(_) => Handshake::Refused,
        HandshakeError::Protocol(_) => Handshake::Protocol,
        HandshakeError::Io(_) => Handshake::Gone,
    }
}
