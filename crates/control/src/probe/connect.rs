//! Connections for probes, and the addresses behind host names.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use cutover_core::address::Address;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// How long addresses are used before they are looked up again, while they go on being used.
const FRESH: Duration = Duration::from_secs(5);
/// How long addresses that nobody asks for are kept.
const UNUSED: Duration = Duration::from_secs(300);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// A connection to a backend.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Connects to the first of the address's endpoints that accepts.
pub(super) async fn connect(address: &Address, resolver: &Resolver) -> io::Result<Stream> {
    let (host, port) = match address {
        Address::Unix { path } => return UnixStream::connect(path).await.map(Stream::Unix),
        Address::Tcp { host, port } => (host, *port),
    };
    let addresses = match address.ip() {
        Some(ip) => vec![SocketAddr::new(ip, port)],
        None => resolver.addresses(host, port).await?,
    };
    let mut refusal = io::Error::new(io::ErrorKind::HostUnreachable, format!("{host} has no address"));
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(Stream::Tcp(stream)),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Remembers the addresses behind host names. Only the first probe of a name waits for a lookup; later ones use what is known while it
/// is looked up again, and go on with that when the lookup fails.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    known: Arc<Mutex<BTreeMap<(String, u16), Known>>>,
}

#[derive(Debug)]
struct Known {
    addresses: Vec<SocketAddr>,
    looked_up_at: Instant,
    asked_at: Instant,
}

impl Resolver {
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let name = (host.to_owned(), port);
        let now = Instant::now();
        let known = lock(&self.known).get_mut(&name).map(|known| {
            known.asked_at = now;
            let is_stale = now.saturating_duration_since(known.looked_up_at) >= FRESH;
            if is_stale {
                // One lookup at a time: the others believe that it has succeeded.
                known.looked_up_at = now;
            }
            (known.addresses.clone(), is_stale)
        });
        match known {
            Some((addresses, false)) => Ok(addresses),
            Some((addresses, true)) => {
                let known = Arc::clone(&self.known);
                tokio::spawn(async move { look_up(&known, name).await });
                Ok(addresses)
            }
            None => look_up(&self.known, name).await,
        }
    }
}

async fn look_up(
    known: &Mutex<BTreeMap<(String, u16), Known>>,
    name: (String, u16),
) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((name.0.as_str(), name.1)).await?.take(ADDRESSES_MAX).collect();
    let now = Instant::now();
    let mut known = lock(known);
    // Lookups are rare, so this is where forgetting costs least.
    known.retain(|_, known| now.saturating_duration_since(known.asked_at) < UNUSED);
    known.insert(name, Known { addresses: addresses.clone(), looked_up_at: now, asked_at: now });
    Ok(addresses)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Held for map operations, never across an await.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
