//! Idle connections to one backend, of one worker.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

use cutover_core::address::Address;
use cutover_core::policy::UpstreamPolicy;
use cutover_core::snapshot::BackendEntry;
use cutover_core::time::Millis;
use cutover_core::traffic::BackendTraffic;
use tokio::time::Instant;

use crate::resolve::Resolver;
use crate::upstream::{self, ConnectError, Connection};

/// Connections to one backend. It lives as long as the backend is known, through all snapshots.
pub(crate) struct Pool {
    /// The backend's cells, by which it is recognised in the next snapshot.
    traffic: Arc<BackendTraffic>,
    address: Address,
    resolver: Resolver,
    /// The process that is meant. Only connections that were opened to it are kept.
    generation: Cell<u32>,
    /// The one that was used last is at the back, and taken first: the others may grow old and go.
    idle: RefCell<VecDeque<Idle>>,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

/// Why no connection can be had.
#[derive(Debug)]
pub(crate) enum NoConnection {
    /// The backend has as many as it may have.
    Full,
    /// The process that was decided for is not the one that is meant now.
    Replaced,
    /// It could not be opened.
    Failed(ConnectError),
}

impl Pool {
    pub(crate) fn new(entry: &BackendEntry) -> Self {
        Self {
            traffic: Arc::clone(&entry.traffic),
            address: entry.address.clone(),
            resolver: Resolver::default(),
            generation: Cell::new(entry.generation),
            idle: RefCell::default(),
        }
    }

    /// Whether this is the pool of the backend behind `entry`, as far as its place goes.
    pub(crate) fn is_for(&self, entry: &BackendEntry) -> bool {
        Arc::ptr_eq(&self.traffic, &entry.traffic) && self.address == entry.address
    }

    /// From now on the process of `generation` is meant: connections to earlier ones are closed.
    pub(crate) fn renew(&self, generation: u32) {
        if self.generation.replace(generation) != generation {
            self.idle.take();
        }
    }

    /// An idle connection to the process of `generation`.
    pub(crate) fn take(
        &self,
        generation: u32,
        idle_timeout: Millis,
        now: Instant,
    ) -> Option<Box<Connection>> {
        if self.generation.get() != generation {
            return None;
        }
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { connection, since }) = idle.pop_back() {
            // A request may have begun before the last one ended, and with a timeout of zero none is kept for it either.
            if idle_timeout.is_zero() || now >= since + idle_timeout.into() {
                // Whatever is below is older still.
                idle.clear();
                return None;
            }
            // One that has something to say without being asked is closed, or does not keep to HTTP (RFC 9112 section 9.2).
            if connection.stream.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Opens a connection to the process of `generation`.
    pub(crate) async fn open(
        &self,
        generation: u32,
        policy: &UpstreamPolicy,
    ) -> Result<Box<Connection>, NoConnection> {
        let slot = self.traffic.take_connection(policy.max_connections).ok_or(NoConnection::Full)?;
        let deadline = Instant::now() + policy.connect_timeout.into();
        let stream = upstream::connect(&self.address, &self.resolver, deadline).await;
        let stream = stream.map_err(NoConnection::Failed)?;
        if self.generation.get() != generation {
            return Err(NoConnection::Replaced);
        }
        Ok(Box::new(Connection { stream, generation, is_reused: false, slot }))
    }

    /// Takes a connection back whose answer was read to its end. It is kept if it can be used again.
    pub(crate) fn give_back(&self, mut connection: Box<Connection>, policy: &UpstreamPolicy, now: Instant) {
        let is_current = connection.generation == self.generation.get()
            && self.traffic.lost_generation() < connection.generation;
        // An idle connection of this worker would keep the backend's last places from requests of the others.
        let is_full = policy.max_connections > 0 && self.traffic.connections() >= policy.max_connections;
        if !is_current || is_full {
            return;
        }
        connection.is_reused = true;
        let mut idle = self.idle.borrow_mut();
        idle.push_back(Idle { connection, since: now });
        while idle.len() > policy.max_idle as usize {
            idle.pop_front();
        }
    }

    /// Closes what has been idle for too long, was closed by the backend, or leads to a lost process.
    pub(crate) fn sweep(&self, idle_timeout: Millis, now: Instant) {
        let is_lost = self.traffic.lost_generation() >= self.generation.get();
        self.idle.borrow_mut().retain(|idle| {
            !is_lost
                && now.duration_since(idle.since) < idle_timeout.into()
                && idle.connection.stream.is_quiet()
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::UnixStream;
    use tokio::task::LocalSet;

    use super::*;
    use crate::stream::Stream;

    const IDLE: Millis = Millis::from_secs(60);

    /// Runs a test with a pool of generation 1.
    fn with_pool<F: Future<Output = ()>>(test: impl FnOnce(Pool) -> F) {
        let entry = BackendEntry {
            id: cutover_core::id::BackendId::parse("a").unwrap(),
            hash: 1,
            address: "127.0.0.1:1".parse().unwrap(),
            weight: 1,
            generation: 1,
            up_since: None,
            eviction: None,
            traffic: Arc::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, test(Pool::new(&entry)));
    }

    /// A connection that is ready, and its other end.
    async fn connection(pool: &Pool, generation: u32) -> (Box<Connection>, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        let slot = pool.traffic.take_connection(0).unwrap();
        (Box::new(Connection { stream: Stream::Unix(near), generation, is_reused: false, slot }), far)
    }

    #[test]
    fn the_connection_used_last_is_taken_first() {
        with_pool(async |pool| {
            let (now, mut far) = (Instant::now(), Vec::new());
            for age in [3, 2, 1] {
                let (mut connection, end) = connection(&pool, 1).await;
                connection.generation = 1;
                let policy = UpstreamPolicy { max_idle: 2, ..UpstreamPolicy::default() };
                pool.give_back(connection, &policy, now - Duration::from_secs(age));
                far.push(end);
            }
            assert_eq!(pool.traffic.connections(), 2, "the oldest had to go");
            assert!(pool.take(1, Millis::from_secs(2), now).is_some());
            assert!(pool.take(1, Millis::from_secs(2), now).is_none(), "two seconds old is too old");
            assert_eq!(pool.traffic.connections(), 0);
        });
    }

    #[test]
    fn connections_to_an_earlier_process_are_closed() {
        with_pool(async |pool| {
            let (idle, _far) = connection(&pool, 1).await;
            let (busy, _far2) = connection(&pool, 1).await;
            pool.give_back(idle, &UpstreamPolicy::default(), Instant::now());
            pool.renew(2);
            pool.give_back(busy, &UpstreamPolicy::default(), Instant::now());
            assert_eq!(pool.traffic.connections(), 0);
            assert!(pool.take(1, IDLE, Instant::now()).is_none());
        });
    }

    #[test]
    fn what_the_backend_closed_is_swept() {
        with_pool(async |pool| {
            let (idle, far) = connection(&pool, 1).await;
            pool.give_back(idle, &UpstreamPolicy::default(), Instant::now());
            pool.sweep(IDLE, Instant::now());
            assert_eq!(pool.traffic.connections(), 1);
            drop(far);
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
            pool.sweep(IDLE, Instant::now());
            assert_eq!(pool.traffic.connections(), 0);
        });
    }

    #[test]
    fn a_lost_process_gets_nothing_back() {
        with_pool(async |pool| {
            let (busy, _far) = connection(&pool, 1).await;
            pool.traffic.note_identity_lost(1);
            pool.give_back(busy, &UpstreamPolicy::default(), Instant::now());
            assert!(pool.take(1, IDLE, Instant::now()).is_none());
        });
    }
}
