//! Who a connection comes from, as a trusted proxy tells by a PROXY header where the listener wants one, and whether that client may
//! have one more.
//!
//! The address that is told takes the place of the peer's everywhere: in limits, logs and forwarding headers, and also where it is judged
//! whose forwarding headers are believed. A sender of PROXY headers vouches for where connections come from, not for what is said over
//! them: it passes that on unread, so that a client could claim anything in its name. Behind one, claims are believed of clients that are
//! trusted proxies themselves, and of nobody where the sender does not know the client.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use cutover_core::client_key::ClientKey;
use cutover_core::policy::UpstreamPolicy;
use cutover_core::proxy_protocol::Endpoints;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::accept::Front;
use crate::metrics::Unserved;
use crate::per_client::Place;
use crate::proxy_protocol::{Refused, Told, claims, receive};
use crate::worker::Worker;

/// When the worker stops, a header that is on its way may use this time: what comes behind it is answered.
const LAST_HEADER_WITHIN: Duration = Duration::from_millis(500);

/// A connection that may be served.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The client's end of it, and ours or that of the proxy before this one.
    pub(crate) ends: Endpoints,
    /// Whether the client is known: else the address is that of a proxy, and nobody's claims are believed.
    pub(crate) is_known: bool,
    #[expect(dead_code, reason = "it is held, not read")]
    place: Option<Place>,
}

impl Arrival {
    /// What backends are told of it, if they are told anything: the client of the request, as it is in logs and limits, and where it went.
    pub(crate) fn told(&self, policy: &UpstreamPolicy, client: IpAddr) -> Option<Endpoints> {
        policy.proxy_protocol?;
        let Endpoints { source, destination } = self.ends;
        // The port of a client that another proxy speaks for is not known.
        let port = if source.ip().to_canonical() == client { source.port() } else { 0 };
        Some(Endpoints { source: SocketAddr::new(client, port), destination })
    }

    /// A connection of `peer` of which nothing else is known.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of(peer: IpAddr) -> Self {
        let source = SocketAddr::new(peer, 0);
        Self { ends: Endpoints { source, destination: source }, is_known: true, place: None }
    }
}

/// A connection of `peer` that comes without a header. `None`: it has too many, which is counted.
pub(crate) fn direct(
    worker: &Worker,
    stream: &TcpStream,
    peer: SocketAddr,
    front: &Front,
) -> Option<Arrival> {
    admit(worker, front, ends(stream, peer), true)
}

/// The same on a listener that wants a header: trusted proxies have to send one, others must not. `None`: it is refused, which is
/// counted, or over.
pub(crate) async fn told(
    worker: &Worker,
    stream: &mut TcpStream,
    peer: SocketAddr,
    front: &Front,
) -> Option<Arrival> {
    if !is_trusted(front, peer.ip()) {
        return untold(worker, stream, peer, front).await;
    }
    let own = ends(stream, peer);
    let header = tokio::select! {
        header = timeout(worker.limits.header_timeout, receive(stream)) => header,
        () = stop(worker) => return None,
    };
    match header {
        Err(_) => refuse(worker, peer, Unserved::HeaderTimeout),
        Ok(Err(Refused::Header(error))) => {
            tracing::debug!(%peer, %error, "a trusted proxy sent no PROXY header");
            refuse(worker, peer, Unserved::Header)
        }
        Ok(Err(Refused::Broken(_))) => None,
        Ok(Ok(Told::Client(ends))) => admit(worker, front, ends, true),
        Ok(Ok(Told::Local)) => admit(worker, front, own, true),
        Ok(Ok(Told::Unknown)) => admit(worker, front, own, false),
    }
}

/// A connection of one who may not tell.
async fn untold(worker: &Worker, stream: &TcpStream, peer: SocketAddr, front: &Front) -> Option<Arrival> {
    let arrival = direct(worker, stream, peer, front)?;
    tokio::select! {
        // It is idle, as any connection before its first request may be.
        claimed = timeout(worker.limits.keepalive_timeout, claims(stream)) => match claimed {
            Err(_) => None,
            Ok(true) => refuse(worker, peer, Unserved::UntrustedProxy),
            Ok(false) => Some(arrival),
        },
        () = stop(worker) => None,
    }
}

/// Counts a connection of `ends.source`. Trusted proxies may have any number: they stand for many clients.
fn admit(worker: &Worker, front: &Front, ends: Endpoints, is_known: bool) -> Option<Arrival> {
    let source = ends.source.ip();
    let place = match &front.per_client {
        Some(counts) if !is_trusted(front, source) => match counts.take(ClientKey::of(source)) {
            Some(place) => Some(place),
            None => return refuse(worker, ends.source, Unserved::TooMany),
        },
        _ => None,
    };
    Some(Arrival { ends, is_known, place })
}

fn refuse<T>(worker: &Worker, peer: SocketAddr, why: Unserved) -> Option<T> {
    tracing::debug!(%peer, why = why.as_str(), "a connection is refused");
    worker.metrics.refused(why);
    None
}

fn ends(stream: &TcpStream, peer: SocketAddr) -> Endpoints {
    // What has no address any more is over.
    let nowhere = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
    Endpoints { source: peer, destination: stream.local_addr().unwrap_or(nowhere) }
}

fn is_trusted(front: &Front, address: IpAddr) -> bool {
    front.trusted_proxies.iter().any(|network| network.contains(address))
}

/// Waits until the worker has stopped for so long that no header need be awaited any more.
async fn stop(worker: &Worker) {
    worker.stop.begun().await;
    sleep(LAST_HEADER_WITHIN).await;
}
