//! Connections to one backend, of one worker: those that idle, and those of HTTP/2, which carry many requests.

mod links;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use cutover_core::address::Address;
use cutover_core::id::VersionLabel;
use cutover_core::policy::UpstreamPolicy;
use cutover_core::proxy_protocol::Endpoints;
use cutover_core::snapshot::BackendEntry;
use cutover_core::time::Millis;
use cutover_core::traffic::BackendTraffic;
use cutover_resolve::Place;
use tokio::time::{Instant, timeout_at};

use self::links::{Links, Vacancy};
use crate::h2::client;
use crate::io::stream::Stream;
use crate::upstream::idle_limit::IdleLimit;
use crate::upstream::reach::Reach;
use crate::upstream::{self, ConnectError, Connection, Slot, Wire};

/// Connections to one backend. It lives as long as the backend is known, through all snapshots.
pub(crate) struct Pool {
    /// The backend's cells, by which it is recognised in the next snapshot.
    traffic: Arc<BackendTraffic>,
    address: Address,
    /// Where that is.
    place: Place,
    /// The process that is meant. Only connections that were opened to it are kept.
    generation: Cell<u32>,
    /// The version that it was last known to run.
    version: RefCell<Option<VersionLabel>>,
    /// What it called itself in its first answer that did.
    process: RefCell<Option<Process>>,
    limit: IdleLimit,
    /// The one that was used last is at the end, and taken first: the others may grow old and go.
    idle: RefCell<Vec<Idle>>,
    /// Those of HTTP/2.
    links: Links,
    /// What is spoken over all of them.
    wire: RefCell<Wire>,
    /// Whether it matters who answers, and so the end of an idle connection.
    is_strict: Cell<bool>,
    /// Whether no request comes any more but of those that are under way.
    is_retired: Cell<bool>,
    reach: Rc<Reach>,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

/// How long the youngest and the oldest of some connections had idled when they ended.
type Ages = (Duration, Duration);

/// The name of a process, as it was told under a generation.
struct Process {
    generation: u32,
    boot_id: Box<[u8]>,
}

/// Why no connection can be had.
#[derive(Debug)]
pub(crate) enum NoConnection {
    /// The backend has as many as it may have.
    Full,
    /// The process that was decided for is not the one that is meant now, or may be gone.
    Replaced,
    /// An idle connection to the process has ended, as it does when the process ends.
    Ended,
    /// It could not be opened.
    Failed(ConnectError),
}

impl Pool {
    pub(crate) fn new(entry: &BackendEntry, wire: &Wire, reach: &Rc<Reach>) -> Self {
        Self {
            traffic: Arc::clone(&entry.traffic),
            address: entry.address.clone(),
            place: Place::new(&entry.address, &reach.names),
            generation: Cell::new(entry.generation),
            version: RefCell::default(),
            process: RefCell::default(),
            limit: IdleLimit::default(),
            idle: RefCell::default(),
            links: Links::default(),
            wire: RefCell::new(wire.clone()),
            is_strict: Cell::new(false),
            is_retired: Cell::new(false),
            reach: Rc::clone(reach),
        }
    }

    /// Whether this is the pool of the backend behind `entry`, as far as its place goes.
    pub(crate) fn is_for(&self, entry: &BackendEntry) -> bool {
        Arc::ptr_eq(&self.traffic, &entry.traffic) && self.address == entry.address
    }

    /// From now on the process of `generation` is meant, and `wire` is spoken with it: connections to earlier ones, or of before, are
    /// closed. Idle ones are watched if it matters who answers.
    pub(crate) fn renew(&self, generation: u32, wire: &Wire, is_strict: bool) {
        let is_other_wire = *self.wire.borrow() != *wire;
        if is_other_wire {
            *self.wire.borrow_mut() = wire.clone();
        }
        if self.generation.replace(generation) != generation || is_other_wire {
            self.idle.take();
            self.links.leave();
        }
        self.is_strict.set(is_strict);
        if is_strict && !self.idle.borrow().is_empty() {
            self.reach.watch.call();
        }
    }

    /// The backend is not known under this address any more. What was decided before may go on, and hold on to this for as long as it
    /// lasts; nothing idles here meanwhile, because nobody sweeps it.
    pub(crate) fn retire(&self) {
        self.is_retired.set(true);
        self.idle.take();
        self.links.leave();
    }

    /// The process that is meant runs `version`.
    pub(crate) fn runs(&self, version: &VersionLabel) {
        let mut known = self.version.borrow_mut();
        if known.as_ref() != Some(version) {
            *known = Some(version.clone());
            self.limit.forget();
        }
    }

    /// An idle connection to the process of `generation`, or `None` when a new one has to be opened. Where connections begin by telling
    /// whose they are, only one that `told` of the same client will do.
    pub(crate) fn take(
        &self,
        generation: u32,
        told: Option<Endpoints>,
        idle_timeout: Millis,
        now: Instant,
    ) -> Result<Option<Box<Connection>>, NoConnection> {
        if !self.is_meant(generation) {
            return Err(NoConnection::Replaced);
        }
        if self.wire.borrow().is_h2() {
            return self.take_stream(generation, idle_timeout, now);
        }
        let mut idle = self.idle.borrow_mut();
        while let Some(at) = idle.iter().rposition(|idle| idle.connection.told == told) {
            let Idle { mut connection, since } = idle.remove(at);
            let age = now.duration_since(since);
            if age >= self.limit.usable(idle_timeout.into()) {
                // Whatever is below is older still.
                idle.drain(..at);
                break;
            }
            // One that has something to say without being asked is closed, or does not keep to HTTP (RFC 9112 section 9.2).
            if connection.stream.is_quiet() {
                connection.idled = Some(age);
                return Ok(Some(connection));
            }
            let ended = drop_ended(&mut idle, now, Stream::is_quiet);
            let ages = ended.map_or((age, age), |(youngest, oldest)| (age.min(youngest), age.max(oldest)));
            if self.is_strict.get() && self.is_sign(generation, ages, idle_timeout) {
                return Err(NoConnection::Ended);
            }
        }
        Ok(None)
    }

    /// Opens a connection to the process of `generation`, which is told whose it is where that is wanted.
    pub(crate) async fn open(
        &self,
        generation: u32,
        told: Option<Endpoints>,
        policy: &UpstreamPolicy,
    ) -> Result<Box<Connection>, NoConnection> {
        if !self.is_meant(generation) {
            return Err(NoConnection::Replaced);
        }
        let deadline = Instant::now() + policy.connect_timeout.into();
        let wire = self.wire.borrow().clone();
        if wire.is_h2() {
            // It is rarely needed, and would be part of everything that serves a connection.
            return Box::pin(self.open_stream(generation, policy, &wire, deadline)).await;
        }
        let slot = self.traffic.take_connection(policy.max_connections).ok_or(NoConnection::Full)?;
        let connected = upstream::connect(&self.place, &self.address, &wire, told, deadline).await;
        let (stream, peer) = connected.map_err(NoConnection::Failed)?;
        // Whoever listens now may be another one already.
        if !self.is_meant(generation) {
            return Err(NoConnection::Replaced);
        }
        Ok(Box::new(Connection { stream, peer, told, generation, idled: None, slot: Slot::Own(slot) }))
    }

    /// Takes a connection back whose answer was read to its end. It is kept if it can be used again.
    pub(crate) fn give_back(&self, connection: Box<Connection>, policy: &UpstreamPolicy, now: Instant) {
        // An idle connection of this worker would keep the backend's last places from requests of the others.
        let is_full = policy.max_connections > 0 && self.traffic.connections() >= policy.max_connections;
        let is_there = self.place.is_at(connection.peer);
        let is_kept = self.is_meant(connection.generation) && is_there && !self.is_retired.get() && !is_full;
        if connection.stream.is_h2() {
            drop(connection);
            // The others go on, and the sweep closes what is too much.
            return self.links.retain(now, |idled, _| idled.is_none() || (is_kept && policy.max_idle > 0));
        }
        if !is_kept {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        idle.push(Idle { connection, since: now });
        let most = policy.max_idle as usize;
        if idle.len() > most {
            let surplus = idle.len() - most;
            idle.drain(..surplus);
        }
        if self.is_strict.get() {
            self.reach.watch.call();
        }
    }

    /// Closes what has been idle for too long, was closed by the backend, or leads to a lost process or to an address that the name has
    /// no more.
    pub(crate) fn sweep(&self, idle_timeout: Millis, max_idle: u32, now: Instant) {
        let is_lost = !self.is_meant(self.generation.get());
        let usable = self.limit.usable(idle_timeout.into());
        let mut idle = 0;
        self.links.retain(now, |idled, peer| {
            idle += u32::from(idled.is_some());
            !is_lost && self.place.is_at(peer) && idled.is_none_or(|idled| idled < usable && idle <= max_idle)
        });
        self.idle.borrow_mut().retain_mut(|idle| {
            !is_lost
                && now.duration_since(idle.since) < usable
                && self.place.is_at(idle.connection.peer)
                // The others are noticed when they end.
                && (self.is_strict.get() || idle.connection.stream.is_quiet())
        });
    }

    /// Looks at what idles, and lets the task be woken when one of them ends. Answers whether some ended as they do when the process
    /// ends.
    pub(crate) fn look(&self, idle_timeout: Millis, now: Instant, cx: &mut Context<'_>) -> bool {
        let ended = drop_ended(&mut self.idle.borrow_mut(), now, |stream| stream.watch_quiet(cx));
        let ended = ended.or(self.links.drop_ended());
        ended.is_some_and(|ages| self.is_sign(self.generation.get(), ages, idle_timeout))
    }

    /// Whether the end of a connection that had idled for so long before its request means that the process may be gone, which nobody
    /// knew.
    pub(crate) fn is_early_end(&self, generation: u32, age: Duration, policy: &UpstreamPolicy) -> bool {
        self.is_sign(generation, (age, age), policy.idle_timeout)
    }

    /// What the backend says about how long it keeps connections.
    pub(crate) fn hear_limit(&self, value: &[u8]) {
        self.limit.hear(value);
    }

    /// Whether the process of `generation`, which calls itself `boot_id`, is the one that answered first under it.
    pub(crate) fn is_same_process(&self, generation: u32, boot_id: &[u8]) -> bool {
        let mut process = self.process.borrow_mut();
        match &*process {
            Some(known) if known.generation == generation => *known.boot_id == *boot_id,
            // A connection of before says nothing about the process that is meant now.
            Some(known) if known.generation > generation => true,
            _ => {
                *process = Some(Process { generation, boot_id: boot_id.into() });
                true
            }
        }
    }

    /// A stream of a connection to the process of `generation`, or `None` when another connection has to be opened.
    fn take_stream(
        &self,
        generation: u32,
        idle_timeout: Millis,
        now: Instant,
    ) -> Result<Option<Box<Connection>>, NoConnection> {
        if let Some(ages) = self.links.drop_ended()
            && self.is_strict.get()
            && self.is_sign(generation, ages, idle_timeout)
        {
            return Err(NoConnection::Ended);
        }
        let usable = self.limit.usable(idle_timeout.into());
        self.links.retain(now, |idled, _| idled.is_none_or(|idled| idled < usable));
        Ok(self.vacancy(generation, 0, now))
    }

    /// A stream of a connection that is opened now, by this request or by one of those that wait for the same.
    async fn open_stream(
        &self,
        generation: u32,
        policy: &UpstreamPolicy,
        wire: &Wire,
        deadline: Instant,
    ) -> Result<Box<Connection>, NoConnection> {
        let timeout = NoConnection::Failed(ConnectError::Timeout);
        let opened = self.links.opened();
        let Ok(_turn) = timeout_at(deadline, self.links.turn.lock()).await else { return Err(timeout) };
        let is_same = |pool: &Self| pool.is_meant(generation) && *pool.wire.borrow() == *wire;
        if !is_same(self) {
            return Err(NoConnection::Replaced);
        }
        if let Some(connection) = self.vacancy(generation, opened, Instant::now()) {
            return Ok(connection);
        }
        if self.links.is_shut(Instant::now()) {
            return Err(NoConnection::Full);
        }
        let slot = self.traffic.take_connection(policy.max_connections).ok_or(NoConnection::Full)?;
        let connected = upstream::connect(&self.place, &self.address, wire, None, deadline).await;
        let (stream, peer) = connected.map_err(NoConnection::Failed)?;
        let Ok(agreed) = timeout_at(deadline, client::agree(stream)).await else { return Err(timeout) };
        let agreed = agreed.map_err(|error| NoConnection::Failed(ConnectError::Http2(error)))?;
        // Whoever listens now may be another one already.
        if !is_same(self) {
            return Err(NoConnection::Replaced);
        }
        let reach = Rc::clone(&self.reach);
        self.links.add(agreed.start(slot, move || reach.watch.call()), peer);
        let connection = self.vacancy(generation, opened, Instant::now());
        if self.is_retired.get() {
            self.links.leave();
        }
        connection
            .map(|connection| Box::new(Connection { idled: None, ..*connection }))
            .ok_or(NoConnection::Full)
    }

    fn vacancy(&self, generation: u32, opened_after: u64, now: Instant) -> Option<Box<Connection>> {
        let Vacancy { stream, peer, idled, place } = self.links.vacancy(opened_after, now)?;
        let (stream, slot) = (Stream::H2(Box::new(stream)), Slot::Stream(place));
        Some(Box::new(Connection { stream, peer, told: None, generation, idled: Some(idled), slot }))
    }

    /// Whether connections to the process of `generation` that ended at these ages, youngest and oldest, show that it may be gone. A
    /// process that ends closes all its connections, and they may be seen to end one by one: the first one is the sign, and the others
    /// must not pass for a habit.
    fn is_sign(&self, generation: u32, ages: Ages, idle_timeout: Millis) -> bool {
        let is_news = self.is_meant(generation);
        if !is_news {
            self.limit.ended_too(ages);
        }
        is_news && !self.limit.explains(ages, idle_timeout.into())
    }

    /// Whether the process of `generation` is the one that is meant, and believed to be there.
    fn is_meant(&self, generation: u32) -> bool {
        self.generation.get() == generation && self.traffic.lost_generation() < generation
    }
}

/// Drops the connections that ended; answers the ages of the youngest and the oldest of them.
fn drop_ended(
    idle: &mut Vec<Idle>,
    now: Instant,
    mut is_quiet: impl FnMut(&mut Stream) -> bool,
) -> Option<Ages> {
    let mut ages: Option<Ages> = None;
    idle.retain_mut(|idle| {
        let is_quiet = is_quiet(&mut idle.connection.stream);
        if !is_quiet {
            let age = now.saturating_duration_since(idle.since);
            let (youngest, oldest) = ages.unwrap_or((age, age));
            ages = Some((youngest.min(age), oldest.max(age)));
        }
        is_quiet
    });
    ages
}

#[cfg(test)]
mod tests;
