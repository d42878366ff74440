//! One worker: a thread with an event loop, its listening sockets, its view of the latest snapshot, its connections.

pub(crate) mod clock;
#[cfg(test)]
pub(crate) mod fleet;
pub(crate) mod shutdown;
pub(crate) mod view;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use cutover_core::entropy::Entropy;
use cutover_core::policy::Policy;
use cutover_core::publish::SnapshotReader;
use cutover_core::snapshot::BackendEntry;
use cutover_core::traffic::Sighting;
use cutover_resolve::Names;
use cutover_tls::challenge::Tokens;
use cutover_tls::client::Connectors;
use cutover_vault::Vaults;
use tokio::runtime::LocalOptions;
use tokio::sync::{Notify, watch as channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::clock::Clock;
use self::shutdown::{Stop, Stopping};
use self::view::View;
use crate::assets::Reads;
use crate::client::accept::{self, Front};
use crate::client::connection::Connections;
use crate::client::listener::Bound;
use crate::client::rate::Limiters;
use crate::compress::Encoders;
use crate::config::Limits;
use crate::io::buffer::Buffers;
use crate::message::date::{self, Date};
use crate::own::pages::{self, Pages};
use crate::serve::queue::Queue;
use crate::serve::server::Server;
use crate::telemetry::access_log::Sink;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::SpanSink;
use crate::upstream::reach::Reach;
use crate::upstream::watch::watch;

/// How often idle upstream connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Servers that are kept. More are in use only in a burst.
const SERVERS_MAX: usize = 256;

/// What the tasks of one worker share. Nothing of it is shared with another worker but the snapshot, the cells and counters.
pub(crate) struct Worker {
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) entropy: RefCell<Entropy>,
    pub(crate) queue: Queue,
    pub(crate) stop: Stop,
    pub(crate) connections: Connections,
    pub(crate) buffers: Buffers,
    pub(crate) encoders: Encoders,
    pub(crate) metrics: Arc<Metrics>,
    /// This worker's end of the access log, if there is one.
    pub(crate) log: Option<Sink>,
    /// Where spans go, if anybody wants them.
    pub(crate) spans: Option<SpanSink>,
    /// The error pages of all services.
    pub(crate) pages: Arc<Pages>,
    /// The answers to challenges of authorities.
    pub(crate) tokens: Arc<Tokens>,
    /// Assets that are being read from the vault.
    pub(crate) vault_reads: Reads,
    reader: SnapshotReader,
    view: RefCell<Rc<View>>,
    /// Told when there is another view.
    changed: Notify,
    /// What requests were served with, for the next ones.
    servers: RefCell<Vec<Server>>,
    date: RefCell<Date>,
}

/// What a worker is started with.
pub(crate) struct Start {
    pub(crate) limits: Limits,
    pub(crate) names: Names,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) connectors: Arc<Connectors>,
    pub(crate) limiters: Arc<Limiters>,
    pub(crate) vaults: Arc<Vaults>,
    pub(crate) sockets: Vec<Bound>,
    pub(crate) fronts: Arc<[Front]>,
    pub(crate) reader: SnapshotReader,
    pub(crate) wake: Arc<Notify>,
    pub(crate) stop: channel::Receiver<Option<Stopping>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Option<Sink>,
    pub(crate) spans: Option<SpanSink>,
    pub(crate) pages: Arc<Pages>,
    /// Whether it reads the error pages, for all workers.
    pub(crate) keeps_pages: bool,
    pub(crate) seed: u64,
}

impl Worker {
    pub(crate) fn new(
        limits: Limits,
        reach: Reach,
        reader: SnapshotReader,
        metrics: Arc<Metrics>,
        log: Option<Sink>,
        seed: u64,
    ) -> Self {
        let worker = Self {
            limits,
            clock: Clock::default(),
            entropy: RefCell::new(Entropy::new(seed)),
            queue: Queue::new(metrics.queue_waiting.clone()),
            stop: Stop::default(),
            connections: Connections::default(),
            buffers: Buffers::default(),
            encoders: Encoders::default(),
            metrics,
            log,
            spans: None,
            pages: Arc::default(),
            tokens: Arc::default(),
            vault_reads: Reads::default(),
            reader,
            view: RefCell::new(Rc::new(View::empty(reach))),
            changed: Notify::new(),
            servers: RefCell::default(),
            date: RefCell::default(),
        };
        worker.refresh();
        worker
    }

    /// What a busy connection is served with.
    pub(crate) fn take_server(&self) -> Server {
        self.servers.borrow_mut().pop().unwrap_or_default()
    }

    /// It is not needed any more.
    pub(crate) fn give_back(&self, server: Server) {
        let mut servers = self.servers.borrow_mut();
        if servers.len() < SERVERS_MAX {
            servers.push(server);
        }
    }

    /// The date at `moment`, as messages have it (RFC 9110 section 5.6.7).
    pub(crate) fn date(&self, moment: Instant) -> [u8; date::LEN] {
        self.date.borrow_mut().at(self.clock.at(moment))
    }

    /// The view of the latest snapshot. One atomic load when nothing changed.
    pub(crate) fn view(&self) -> Rc<View> {
        if self.reader.generation() > self.view.borrow().snapshot.generation {
            self.refresh();
        }
        Rc::clone(&self.view.borrow())
    }

    /// Waits until there may be a newer view, or until `deadline`.
    pub(crate) async fn changed(&self, deadline: Instant) {
        // Whether it was the one or the other, the request is decided again.
        let _ = tokio::time::timeout_at(deadline, self.changed.notified()).await;
    }

    /// Takes up the latest snapshot and says so. From here on nothing is decided by an older one.
    fn refresh(&self) {
        let snapshot = self.reader.load();
        let generation = snapshot.generation;
        let view = View::build(snapshot, &self.view.borrow(), &self.metrics, self.clock.now());
        let previous = self.view.replace(Rc::new(view));
        self.reader.serve(generation);
        self.changed.notify_waiters();
        // Pools of backends that are gone close their connections here, after the answer to the control plane.
        drop(previous);
    }

    /// Counts a gateway error of the backend. The control plane decides about its ejection, at once when it is due.
    pub(crate) fn note_error(&self, policy: &Policy, entry: &BackendEntry) {
        let in_a_row = entry.traffic.note_error();
        if policy.outlier.consecutive_errors > 0 && in_a_row == policy.outlier.consecutive_errors {
            self.reader.alarm();
        }
    }

    /// Says that the process behind the backend may be another one now, if the service cares.
    pub(crate) fn note_lost(&self, policy: &Policy, entry: &BackendEntry) {
        let is_strict = policy.identity.source.is_strict();
        if is_strict && entry.traffic.note_identity_lost(entry.generation) {
            self.reader.alarm();
        }
    }

    /// Says that another version or process answered than the one that is known.
    pub(crate) fn note_sighting(&self, entry: &BackendEntry, sighting: Sighting) {
        if entry.traffic.note_sighting(sighting) {
            self.reader.alarm();
        }
    }

    /// Looks at all idle connections to backends, and lets the task be woken when one of them ends.
    pub(crate) fn look(&self, cx: &mut Context<'_>) {
        self.view().look(Instant::now(), cx, |policy, entry| self.note_lost(policy, entry));
    }
}

/// Runs a worker on this thread until it is told to stop; answers how many connections it had to cut off.
pub(crate) fn run(start: Start) -> io::Result<u64> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(work(start))
}

async fn work(start: Start) -> io::Result<u64> {
    let Start {
        limits,
        names,
        tokens,
        connectors,
        limiters,
        vaults,
        sockets,
        fronts,
        reader,
        wake,
        mut stop,
        metrics,
        log,
        spans,
        pages,
        keeps_pages,
        seed,
    } = start;
    let reach = Reach { names, connectors, limiters, vaults, ..Reach::default() };
    let worker =
        Rc::new(Worker { pages, tokens, spans, ..Worker::new(limits, reach, reader, metrics, log, seed) });
    let mut accepting = JoinSet::new();
    for bound in sockets {
        accept::spawn(&mut accepting, &worker, bound, &fronts)?;
    }
    let mut chores = JoinSet::new();
    chores.spawn_local(follow(Rc::clone(&worker), wake));
    chores.spawn_local(sweep(Rc::clone(&worker)));
    chores.spawn_local(watch(Rc::clone(&worker)));
    if keeps_pages {
        chores.spawn_local(pages::keep(Rc::clone(&worker)));
    }

    let is_told = tokio::select! {
        // The sender is gone when nobody holds the handle any more: that ends the worker at once.
        told = stop.wait_for(Option::is_some) => told.is_ok(),
        // These end only by a panic. A worker that listens and does not accept, or never takes up a flip, is worse than none.
        _ = accepting.join_next(), if !accepting.is_empty() => return Err(io::Error::other("it does not accept any more")),
        _ = chores.join_next() => return Err(io::Error::other("it does not follow the control plane any more")),
    };
    if is_told {
        worker.stop.begin(stop.borrow().is_some_and(|stopping| stopping.is_replaced));
        worker.connections.wake_all();
        // Until the queues of all sockets are empty, nobody knows which connections are left.
        while accepting.join_next().await.is_some() {}
        end(&worker, stop).await;
    }
    Ok(worker.connections.open())
}

/// Waits until the last connection ended, or the time for it.
async fn end(worker: &Worker, mut stop: channel::Receiver<Option<Stopping>>) {
    loop {
        let Some(Stopping { deadline, is_replaced }) = *stop.borrow_and_update() else { return };
        worker.stop.begin(is_replaced);
        tokio::select! {
            () = worker.connections.none_left() => return,
            () = sleep_until(deadline) => return,
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}

/// Takes up new snapshots at once also when no request comes: a flip waits for every worker.
async fn follow(worker: Rc<Worker>, wake: Arc<Notify>) {
    loop {
        wake.notified().await;
        worker.view();
    }
}

async fn sweep(worker: Rc<Worker>) {
    let mut ticks = interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = ticks.tick().await;
        worker.clock.follow();
        let view = worker.view();
        view.sweep(now);
    }
}
