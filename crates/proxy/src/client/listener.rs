//! Listening sockets: every worker has its own for every address, by `SO_REUSEPORT`.
//!
//! The kernel spreads connections over the sockets of an address by a hash. The other way, one socket that all workers accept
//! from, wakes every idle worker for every connection, and lets the first one take a whole burst: with few, long-lived
//! connections that leaves cores idle. The price of own sockets is that a closed one takes its queue with it, so they are
//! closed only when the whole proxy ends, after their queues were emptied.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::ProxyConfig;
use crate::io::keepalive::keepalive;

/// Connections that the kernel keeps for a worker that is busy.
const BACKLOG: i32 = 4096;

/// Why the proxy can't listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The configuration has no listener, or one without addresses.
    #[error("a listener has no address")]
    NoAddress,
    /// The system refused.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Listening sockets that were open before this process began: of the process that it replaces, or of the supervisor.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(SocketAddr, TcpListener)>);

impl Inherited {
    /// Each with the address that was asked for, whose port may be 0, in the order of the workers that have served them.
    #[must_use]
    pub const fn new(sockets: Vec<(SocketAddr, TcpListener)>) -> Self {
        Self(sockets)
    }

    /// Opens the sockets of these addresses for so many workers, ahead of a proxy and for it: by a process that may not do so later. Those that are
    /// open already stay what they are.
    ///
    /// # Errors
    /// The system refused.
    pub fn open(&mut self, addresses: &[SocketAddr], workers: NonZeroUsize) -> Result<(), BindError> {
        for &address in addresses {
            if self.0.iter().any(|(asked, _)| *asked == address) {
                continue;
            }
            let refused = |source| BindError::Listen { address, source };
            let opened = bind_all(address, Vec::new(), workers.get()).map_err(refused)?;
            self.0.extend(opened.into_iter().map(|socket| (address, socket)));
        }
        Ok(())
    }

    /// The addresses that nobody has taken.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().map(|(address, _)| *address)
    }

    /// Those of one address.
    pub fn take(&mut self, address: SocketAddr) -> Vec<TcpListener> {
        let taken = self.0.extract_if(.., |(asked, _)| *asked == address);
        taken.map(|(_, socket)| socket).collect()
    }
}

/// A listening socket of one worker.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The place of its listener in the configuration.
    pub(crate) listener: usize,
    /// The address that was asked for.
    pub(crate) asked: SocketAddr,
    /// The socket, non-blocking.
    pub(crate) socket: TcpListener,
}

/// All sockets, per worker.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// One list per worker.
    pub(crate) of_workers: Vec<Vec<Bound>>,
    /// The addresses, in the order of the configuration, with real ports.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// Binds every address of every listener, for every worker, as far as its sockets are not inherited.
pub(crate) fn bind(config: &ProxyConfig, inherited: &mut Inherited) -> Result<Sockets, BindError> {
    let mut sockets = Sockets {
        of_workers: (0..config.workers.get()).map(|_| Vec::new()).collect(),
        addresses: Vec::new(),
    };
    if config.listeners.is_empty() {
        return Err(BindError::NoAddress);
    }
    for (listener, spec) in config.listeners.iter().enumerate() {
        if spec.addresses.is_empty() {
            return Err(BindError::NoAddress);
        }
        for &address in &spec.addresses {
            let refused = |source| BindError::Listen { address, source };
            let open = inherited.take(address);
            let own = bind_all(address, open, sockets.of_workers.len()).map_err(refused)?;
            let real = own.first().map_or(Ok(address), TcpListener::local_addr).map_err(refused)?;
            let workers = sockets.of_workers.len();
            for (place, socket) in own.into_iter().enumerate() {
                sockets.of_workers[place % workers].push(Bound { listener, asked: address, socket });
            }
            sockets.addresses.push(real);
        }
    }
    Ok(sockets)
}

/// A socket of the address for each worker, beginning with those that are `open` already. Where more are open than there are workers,
/// all of them have to be served: the system goes on queueing connections for each.
fn bind_all(address: SocketAddr, open: Vec<TcpListener>, workers: usize) -> io::Result<Vec<TcpListener>> {
    use io::ErrorKind::{AddrInUse, PermissionDenied};
    for socket in &open {
        adopt(socket)?;
    }
    if open.is_empty() {
        refuse_if_taken(address)?;
    }
    let mut own = open;
    while own.len() < workers {
        let socket = match own.first() {
            None => listen(address)?,
            Some(first) => match listen(first.local_addr()?) {
                // It was opened by somebody who did not mean it to be shared by port, or who had a right that this process lacks, such
                // as to open ports below 1024: workers take turns on the one.
                Err(error) if matches!(error.kind(), AddrInUse | PermissionDenied) => first.try_clone()?,
                other => other?,
            },
        };
        own.push(socket);
    }
    Ok(own)
}

/// Makes an inherited socket like one of ours.
fn adopt(socket: &TcpListener) -> io::Result<()> {
    let socket = socket2::SockRef::from(socket);
    socket.set_nonblocking(true)?;
    pass_on(&socket)
}

/// Sets what connections that are accepted inherit, so that nothing need be set for each.
fn pass_on(socket: &Socket) -> io::Result<()> {
    // What is written is meant to go out: heads and bodies are put together first.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive())
}

/// With `SO_REUSEPORT` a second proxy on the same address would silently share the traffic. Binding once without it tells.
fn refuse_if_taken(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    open(address)?.bind(&address.into())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address)?;
    socket.set_reuse_port(true)?;
    pass_on(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Connections of an earlier process that linger in TIME_WAIT must not keep the address.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // "[::]:80" and "0.0.0.0:80" are two addresses, on every system.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Limits, ListenerConfig};

    fn config(address: &str, workers: usize) -> ProxyConfig {
        let listener =
            ListenerConfig { addresses: vec![address.parse().unwrap()], ..ListenerConfig::default() };
        let workers = NonZeroUsize::new(workers).unwrap();
        ProxyConfig {
            workers,
            listeners: vec![listener],
            limits: Limits::default(),
            connectors: Arc::default(),
            names: cutover_resolve::Names::default(),
            tokens: Arc::default(),
            vaults: Arc::default(),
        }
    }

    #[test]
    fn workers_share_a_free_port() {
        let sockets = bind(&config("127.0.0.1:0", 3), &mut Inherited::default()).unwrap();
        let ports: Vec<_> =
            sockets.of_workers.iter().map(|own| own[0].socket.local_addr().unwrap()).collect();
        assert_eq!(ports, [sockets.addresses[0]; 3]);
        assert_ne!(sockets.addresses[0].port(), 0);
    }

    #[test]
    fn accepted_connections_hold_nothing_back_and_notice_that_their_peer_is_gone() {
        let sockets = bind(&config("127.0.0.1:0", 1), &mut Inherited::default()).unwrap();
        let _client = std::net::TcpStream::connect(sockets.addresses[0]).unwrap();
        let accepted = loop {
            // The socket does not block.
            match sockets.of_workers[0][0].socket.accept() {
                Ok((accepted, _)) => break accepted,
                Err(_) => std::thread::yield_now(),
            }
        };
        let accepted = socket2::SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap() && accepted.tcp_nodelay().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), std::time::Duration::from_secs(60));
    }

    #[test]
    fn a_second_proxy_does_not_share_the_address() {
        let first = bind(&config("127.0.0.1:0", 1), &mut Inherited::default()).unwrap();
        let error = bind(&config(&first.addresses[0].to_string(), 1), &mut Inherited::default()).unwrap_err();
        assert!(
            matches!(error, BindError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
        );
    }

    /// What a process that served `address` with so many workers hands over.
    fn open(address: &str, workers: usize) -> (SocketAddr, Inherited) {
        let first = bind(&config(address, workers), &mut Inherited::default()).unwrap();
        let sockets = first.of_workers.into_iter().flatten().map(|bound| (bound.asked, bound.socket));
        (first.addresses[0], Inherited::new(sockets.collect()))
    }

    #[test]
    fn inherited_sockets_are_served_by_however_many_workers() {
        for (before, after) in [(2, 2), (1, 3), (3, 2)] {
            let (address, mut inherited) = open("127.0.0.1:0", before);
            let sockets = bind(&config("127.0.0.1:0", after), &mut inherited).unwrap();
            assert_eq!(sockets.addresses, [address]);
            let own: Vec<usize> = sockets.of_workers.iter().map(Vec::len).collect();
            assert!(
                own.iter().all(|&own| own >= 1) && own.iter().sum::<usize>() == before.max(after),
                "{own:?}"
            );
            assert_eq!(inherited.addresses().count(), 0);
        }
    }

    #[test]
    fn sockets_that_were_opened_ahead_are_those_of_the_workers() {
        let any = "127.0.0.1:0".parse().unwrap();
        let mut ahead = Inherited::default();
        for _ in 0..2 {
            ahead.open(&[any], NonZeroUsize::new(2).unwrap()).unwrap();
            assert_eq!(ahead.addresses().collect::<Vec<_>>(), [any, any]);
        }

        let sockets = bind(&config("127.0.0.1:0", 2), &mut ahead).unwrap();

        assert_eq!(ahead.addresses().count(), 0);
        assert!(sockets.of_workers.iter().all(|own| own.len() == 1));
        let taken = sockets.addresses[0];
        let error = Inherited::default().open(&[taken], NonZeroUsize::MIN).unwrap_err();
        assert!(matches!(error, BindError::Listen { address, .. } if address == taken));
    }

    #[test]
    fn a_socket_that_can_not_be_shared_by_port_is_shared_by_workers() {
        let single = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = single.local_addr().unwrap();
        let mut inherited = Inherited::new(vec![(address, single)]);
        let sockets = bind(&config(&address.to_string(), 2), &mut inherited).unwrap();
        assert_eq!(sockets.addresses, [address]);
        assert!(sockets.of_workers.iter().all(|own| own.len() == 1));
    }

    #[test]
    fn sockets_of_other_addresses_stay_with_whoever_brought_them() {
        let (_, mut inherited) = open("127.0.0.1:0", 1);
        bind(&config("[::1]:0", 1), &mut inherited).unwrap();
        assert_eq!(inherited.addresses().count(), 1);
    }
}
