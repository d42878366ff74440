//! Who a connection comes from, as a trusted proxy tells by a PROXY header where the listener wants one, and whether that client may
//! have one more.
//!
//! The address that is told takes the place of the peer's everywhere: in limits, logs and forwarding headers, and also where it is judged
//! whose forwarding headers are believed. A sender of PROXY headers vouches for where connections come from, not for what is said over
//! them: it passes that on unread, so that a client could claim anything in its name. Behind one, claims are believed of clients that are
//! trusted proxies themselves, and of nobody where the sender does not know the client.

use std::cell::OnceCell;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use cutover_core::client_key::ClientKey;
use cutover_core::policy::UpstreamPolicy;
use cutover_core::proxy_protocol::Endpoints;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::accept::Front;
use crate::client::per_client::Place;
use crate::client::proxy_protocol::{Refused, Told, claims, receive};
use crate::telemetry::metrics::Unserved;
use crate::worker::Worker;

/// A connection that may be served.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The client's end of it.
    pub(crate) source: SocketAddr,
    /// Our end, or that of the proxy before this one. Few ask for it, and the system has to be asked.
    destination: OnceCell<SocketAddr>,
    /// Whether the client is known: else the address is that of a proxy, and nobody's claims are believed.
    pub(crate) is_known: bool,
    #[expect(dead_code, reason = "it is held, not read")]
    place: Option<Place>,
}

impl Arrival {
    /// What backends are told of it, if they are told anything: the client of the request, as it is in logs and limits, and where it went.
    pub(crate) fn told(
        &self,
        policy: &UpstreamPolicy,
        client: IpAddr,
        stream: Option<&TcpStream>,
    ) -> Option<Endpoints> {
        policy.proxy_protocol?;
        // The port of a client that another proxy speaks for is not known.
        let port = if self.source.ip().to_canonical() == client { self.source.port() } else { 0 };
        let destination = self.destination(stream);
        Some(Endpoints { source: SocketAddr::new(client, port), destination })
    }

    /// Where the connection went, of which `stream` is at hand now, if it still is.
    pub(crate) fn destination(&self, stream: Option<&TcpStream>) -> SocketAddr {
        // What has no address any more is over.
        let nowhere = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        *self
            .destination
            .get_or_init(|| stream.and_then(|stream| stream.local_addr().ok()).unwrap_or(nowhere))
    }

    /// A connection of `peer` of which nothing else is known.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of(peer: IpAddr) -> Self {
        let source = SocketAddr::new(peer, 0);
        Self { source, destination: source.into(), is_known: true, place: None }
    }
}

/// A connection of `peer` that comes without a header. `None`: it has too many, which is counted.
pub(crate) fn direct(worker: &Worker, peer: SocketAddr, front: &Front) -> Option<Arrival> {
    admit(worker, front, (peer, None), true)
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
    let header = tokio::select! {
        header = timeout(worker.limits.header_timeout, receive(stream)) => header,
        () = worker.stop.lapsed() => return None,
    };
    match header {
        Err(_) => refuse(worker, peer, Unserved::HeaderTimeout),
        Ok(Err(Refused::Header(error))) => {
            tracing::debug!(%peer, %error, "a trusted proxy sent no PROXY header");
            refuse(worker, peer, Unserved::Header)
        }
        Ok(Err(Refused::Broken(_))) => None,
        Ok(Ok(Told::Client(Endpoints { source, destination }))) => {
            admit(worker, front, (source, Some(destination)), true)
        }
        Ok(Ok(Told::Local)) => admit(worker, front, (peer, None), true),
        Ok(Ok(Told::Unknown)) => admit(worker, front, (peer, None), false),
    }
}

/// A connection of one who may not tell.
async fn untold(worker: &Worker, stream: &TcpStream, peer: SocketAddr, front: &Front) -> Option<Arrival> {
    let arrival = direct(worker, peer, front)?;
    tokio::select! {
        // It is idle, as any connection before its first request may be.
        claimed = timeout(worker.limits.keepalive_timeout, claims(stream)) => match claimed {
            Err(_) => None,
            Ok(true) => refuse(worker, peer, Unserved::UntrustedProxy),
            Ok(false) => Some(arrival),
        },
        () = worker.stop.lapsed() => None,
    }
}

/// Counts a connection of `source`, and where it went, if that was told. Trusted proxies may have any number: they stand for many clients.
fn admit(
    worker: &Worker,
    front: &Front,
    (source, destination): (SocketAddr, Option<SocketAddr>),
    is_known: bool,
) -> Option<Arrival> {
    let place = match &front.per_client {
        Some(counts) if !is_trusted(front, source.ip()) => match counts.take(ClientKey::of(source.ip())) {
            Some(place) => Some(place),
            None => return refuse(worker, source, Unserved::TooMany),
        },
        _ => None,
    };
    let destination = destination.map(OnceCell::from).unwrap_or_default();
    Some(Arrival { source, destination, is_known, place })
}

fn refuse<T>(worker: &Worker, peer: SocketAddr, why: Unserved) -> Option<T> {
    tracing::debug!(%peer, why = why.as_str(), "a connection is refused");
    worker.metrics.refused(why);
    None
}

fn is_trusted(front: &Front, address: IpAddr) -> bool {
    front.trusted_proxies.iter().any(|network| network.contains(address))
}
