//! The single task in which the [`Controller`] runs: brings it requests, findings and time, and answers when every worker serves the change.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cutover_core::command::{Command, Found};
use cutover_core::id::Revision;
use cutover_core::pin::PinKey;
use cutover_core::publish::Publisher;
use cutover_core::time::{Millis, Timestamp};
use cutover_resolve::Names;
use cutover_tls::client::Connectors;
use prometheus::Registry;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::clock::{self, Clock, SkewWatch};
use crate::controller::{Controller, Parts};
use crate::error::{StartError, SubmitError};
use crate::handle::{About, Call, Control, Current, Done, REQUESTS_MAX, Request, Shared};
use crate::handover::{self, Order};
use crate::hooks::{Dispatcher, Means};
use crate::limited_store::LimitedStore;
use crate::metrics::Metrics;
use crate::pin_dates::{DatesFile, Keeper, PinDates};
use crate::probe::{ProbeBoard, Prober};
use crate::state_metrics;
use crate::store::record::ReadPolicy;
use crate::store::{OperationId, Store};
use crate::timeline::Actor;

/// Time between ticks while nothing urgent happens.
const TICK: Duration = Duration::from_millis(100);
/// Time between ticks while something urgent happens all the time. Workers stop using a lost backend by themselves; this long, they wait
/// to learn what else follows.
const TICK_URGENT: Duration = Duration::from_millis(5);
/// How long an answer may wait for a worker that does not take over a snapshot. It takes microseconds unless the worker hangs.
const SERVED_MAX: Duration = Duration::from_secs(5);
/// Answers that may wait for workers at a time; further requests stay in their queue.
const AWAITING_MAX: usize = 1024;
/// Findings that may wait. What finds no room is found again by the next probe.
const FINDINGS_MAX: usize = 4096;
/// Findings that are taken in at a time: many come up together after a start, and one step is cheaper than many.
const FINDINGS_BATCH: usize = 64;
/// Orders that may wait.
const ORDERS_MAX: usize = 16;
/// How long a call of the store may take.
const STORE_MAX: Duration = Duration::from_secs(5);

/// What the control plane needs to start.
pub struct Settings {
    /// The node's name.
    pub node: String,
    /// Where the state is kept.
    pub store: Arc<dyn Store>,
    /// The kind of store, for people: `embedded` or `memory`.
    pub store_kind: &'static str,
    /// Where the latest date of pins is kept: where the store is. A store that starts empty needs none.
    pub state_dir: Option<PathBuf>,
    /// Where snapshots go.
    pub publisher: Publisher,
    /// Notified by the publisher's `wake_publisher`: `Box::new(move || wake.notify_one())`.
    pub wake: Arc<Notify>,
    /// The time.
    pub clock: Clock,
    /// How the documents of services are read back.
    pub read_policy: ReadPolicy,
    /// Where metrics are registered.
    pub registry: Registry,
    /// How backends are asked over TLS.
    pub connectors: Arc<Connectors>,
    /// Names of backends.
    pub names: Names,
}

/// A control plane that runs.
#[derive(Debug)]
pub struct Running {
    control: Control,
    stop: Arc<Notify>,
    controller: JoinHandle<()>,
    prober: JoinHandle<()>,
}

/// Loads the stored state and starts the tasks, on the current tokio runtime. Nothing is served, and the handle is not ready, before the
/// first [`Command::Configure`] is submitted.
///
/// # Errors
/// See [`StartError`].
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    let Settings { store, publisher, connectors, names, clock, read_policy, registry, .. } = settings;
    let metrics = Metrics::register(&registry).map_err(registered_before)?;
    let store = Arc::new(LimitedStore::new(store, STORE_MAX, metrics.clone()));
    let draw_operation = Box::new(draw_operation);
    let file = settings.state_dir.map(|dir| DatesFile::in_dir(&dir));
    let latest_pin = file.as_ref().and_then(latest_pin);
    let parts = Parts { store, publisher, read_policy, draw_operation, metrics: metrics.clone(), latest_pin };
    let mut controller = Controller::load(parts, clock.now()).await?;
    let keeper = keep_pin_dates(file.clone(), clock.now() + controller.state().ahead).await;
    add_first_key(&mut controller, clock).await?;

    let (calls, calls_in) = mpsc::channel(REQUESTS_MAX);
    let (orders, orders_in) = mpsc::channel(ORDERS_MAX);
    let (findings, findings_in) = mpsc::channel(FINDINGS_MAX);
    let suspicion = Arc::new(Notify::new());
    let stop = Arc::new(Notify::new());
    let is_ready = Arc::new(AtomicBool::new(false));
    let probes = Arc::new(ProbeBoard::default());
    let means = Means::new(&connectors, &names, &settings.node);
    let current = follow(&controller, &registry)?;
    let control = Control::new(Shared {
        calls,
        orders,
        elder: Arc::clone(controller.elder()),
        served: watch::Sender::new(Revision::default()),
        current: current.clone(),
        events: Arc::clone(controller.events()),
        probes: Arc::clone(&probes),
        verdicts: Arc::clone(controller.verdicts()),
        means: means.clone(),
        is_ready: Arc::clone(&is_ready),
        is_leaving: AtomicBool::new(false),
        about: About { node: settings.node, store: settings.store_kind, started_at: clock.began() },
    });
    let prober = Prober {
        current,
        findings,
        suspicion: Arc::clone(&suspicion),
        board: probes,
        metrics,
        connectors,
        names,
        clock,
    };
    let inner = Loop {
        controller,
        clock,
        skew: SkewWatch::default(),
        phase: Phase::Leading,
        chores: Chores::start(control.clone(), means, file, keeper),
        calls: calls_in,
        orders: orders_in,
        findings: findings_in,
        wake: settings.wake,
        suspicion,
        stop: Arc::clone(&stop),
        is_ready,
        awaiting: VecDeque::new(),
        last_tick: Instant::now(),
        next_tick: Instant::now(),
    };
    let prober = tokio::spawn(prober.run());
    let controller = tokio::spawn(inner.run());
    Ok(Running { control, stop, controller, prober })
}

/// What tasks and scrapes follow.
fn follow(controller: &Controller, registry: &Registry) -> Result<watch::Receiver<Current>, StartError> {
    let current = controller.watch();
    state_metrics::register(registry, current.clone()).map_err(registered_before)?;
    Ok(current)
}

fn registered_before(error: prometheus::Error) -> StartError {
    StartError::Metrics(error.into())
}

impl Running {
    /// A handle.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Waits until the control plane ends, which it only does by itself when it has a bug. The data plane goes on with what it has.
    pub async fn ended(&mut self) {
        if let Err(error) = (&mut self.controller).await {
            tracing::error!(%error, "the control plane broke");
        }
    }

    /// Finishes what was begun, answers it, and ends. Requests that wait are answered [`SubmitError::Stopped`] and change nothing.
    pub async fn stop(mut self) {
        self.stop.notify_one();
        self.ended().await;
        self.prober.abort();
    }

    /// Asks no backend any more, after the state was [released](Control::release) for good.
    pub fn retire(&self) {
        self.prober.abort();
    }
}

/// The latest date that a pin of an earlier process may carry, if one kept it.
fn latest_pin(file: &DatesFile) -> Option<Timestamp> {
    let kept = file.read().unwrap_or_else(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(%error, cause, "nobody knows how pins were dated");
        None
    });
    let now = clock::moment();
    let latest = kept?.latest_by(&now);
    if latest > now.wall + Millis::from_secs(1) {
        let ahead = latest.since(now.wall);
        tracing::warn!(%ahead, "the clock was set back; pins may be alive for so much longer, and drains wait for them");
    }
    Some(latest)
}

/// Keeps from now on how pins are dated, which may be up to `latest` already.
async fn keep_pin_dates(file: Option<DatesFile>, latest: Timestamp) -> Option<Keeper> {
    Some(Keeper::start(file?, PinDates::new(latest, clock::moment())).await)
}

/// Pins are signed from the first request on, so there is always a key.
async fn add_first_key(controller: &mut Controller, clock: Clock) -> Result<(), StartError> {
    if !controller.state().pin_keys.is_empty() {
        return Ok(());
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| StartError::Entropy(error.into()))?;
    let now = clock.now();
    let key = PinKey { id: 1, secret, made_at: now };
    let request = Request::new(Command::AddPinKey(key), Actor::cutover());
    controller.handle(request, now).await.map(drop).map_err(StartError::FirstKey)
}

/// Ids of commits need to be unique, not secret. Without random bytes from the system, which `start` has just had, time does.
fn draw_operation() -> OperationId {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        return OperationId(since_epoch.as_nanos());
    }
    OperationId(u128::from_ne_bytes(bytes))
}

/// What is done beside the loop only by the process that has the state.
struct Chores {
    control: Control,
    means: Means,
    file: Option<DatesFile>,
    dispatcher: Option<JoinHandle<()>>,
    keeper: Option<Keeper>,
}

/// Whose the state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// This process commits.
    Leading,
    /// Another process may have the store, and this one only follows what that has committed.
    Released,
}

struct Loop {
    controller: Controller,
    phase: Phase,
    chores: Chores,
    orders: mpsc::Receiver<Order>,
    clock: Clock,
    skew: SkewWatch,
    calls: mpsc::Receiver<Call>,
    findings: mpsc::Receiver<Found>,
    wake: Arc<Notify>,
    suspicion: Arc<Notify>,
    stop: Arc<Notify>,
    is_ready: Arc<AtomicBool>,
    /// Oldest first: generations and deadlines grow together.
    awaiting: VecDeque<Awaiting>,
    last_tick: Instant,
    next_tick: Instant,
}

impl Chores {
    fn start(control: Control, means: Means, file: Option<DatesFile>, keeper: Option<Keeper>) -> Self {
        let mut chores = Self { control, means, file, dispatcher: None, keeper };
        chores.dispatch();
        chores
    }

    fn dispatch(&mut self) {
        let dispatcher = Dispatcher { control: self.control.clone(), means: self.means.clone() };
        self.dispatcher = Some(tokio::spawn(dispatcher.run()));
    }

    async fn pause(&mut self) {
        if let Some(dispatcher) = self.dispatcher.take() {
            // What it had under way is owed still, and is called again by the next process.
            dispatcher.abort();
        }
        if let Some(keeper) = self.keeper.take() {
            keeper.stop().await;
        }
    }

    /// Goes on, given the latest date that pins may carry.
    async fn resume(&mut self, latest: Timestamp) {
        let latest = self.file.as_ref().and_then(latest_pin).unwrap_or(latest).max(latest);
        self.keeper = keep_pin_dates(self.file.clone(), latest).await;
        self.dispatch();
    }
}

impl Drop for Chores {
    fn drop(&mut self) {
        self.dispatcher.iter().for_each(JoinHandle::abort);
    }
}

/// An answer that waits until every worker serves the change.
struct Awaiting {
    until: Instant,
    done: Done,
    reply: oneshot::Sender<Result<Done, SubmitError>>,
}

impl Loop {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(FINDINGS_BATCH);
        let elder = Arc::clone(self.controller.elder());
        loop {
            let overdue = self.awaiting.front().map(|first| first.until);
            tokio::select! {
                () = self.stop.notified() => break,
                Some(order) = self.orders.recv() => self.obey(order).await,
                Some(call) = self.calls.recv(), if self.awaiting.len() < AWAITING_MAX => self.handle(call).await,
                1.. = self.findings.recv_many(&mut batch, FINDINGS_BATCH) => {
                    let found = batch.split_off(0);
                    if self.phase == Phase::Leading {
                        self.controller.found(found, self.clock.now()).await;
                    }
                }
                () = elder.news() => {}
                () = self.wake.notified() => {
                    if self.controller.take_alarm() {
                        self.hurry();
                    }
                }
                () = self.suspicion.notified() => self.hurry(),
                () = sleep_until(self.next_tick) => self.tick().await,
                () = sleep_until(overdue.unwrap_or(self.next_tick)), if overdue.is_some() => {}
            }
            self.answer();
        }
        self.finish().await;
    }

    async fn obey(&mut self, order: Order) {
        let now = self.clock.now();
        match order {
            Order::Release(reply) => {
                self.phase = Phase::Released;
                self.chores.pause().await;
                // If nobody waits for it any more, whoever asked takes the state back.
                drop(reply.send(handover::known(self.controller.state())));
            }
            Order::Resume => {
                self.controller.doubt();
                self.chores.resume(now + self.controller.state().ahead).await;
                self.phase = Phase::Leading;
            }
            Order::Follow(loaded, reply) => drop(reply.send(self.controller.follow(&loaded, now))),
            Order::Believe(known) => {
                self.controller.found(handover::found(self.controller.state(), known), now).await;
            }
            Order::Ping(reply) => drop(reply.send(())),
        }
    }

    async fn handle(&mut self, Call { request, reply }: Call) {
        if self.phase == Phase::Released {
            return drop(reply.send(Err(SubmitError::Upgrading)));
        }
        match self.controller.handle(request, self.clock.now()).await {
            Ok(done) => {
                let until = Instant::now() + SERVED_MAX;
                self.awaiting.push_back(Awaiting { until, done, reply });
            }
            // Nobody may wait for it any more, which is fine.
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    async fn tick(&mut self) {
        if self.phase == Phase::Leading {
            let now = self.clock.now();
            self.controller.note_skew(self.skew.see(now, clock::wall()));
            self.controller.tick(now).await;
        }
        self.last_tick = Instant::now();
        self.next_tick = self.last_tick + TICK;
    }

    /// Ticks soon, but not more often than the loop can bear.
    fn hurry(&mut self) {
        self.next_tick = self.next_tick.min(self.last_tick + TICK_URGENT);
    }

    /// Answers what every worker serves, and what has waited too long.
    fn answer(&mut self) {
        let now = Instant::now();
        while let Some(first) = self.awaiting.front() {
            let is_served = self.controller.is_served(first.done.generation)
                && self.controller.elder().has_seen(first.done.revision);
            if !is_served && first.until > now {
                break;
            }
            let Some(Awaiting { done, reply, .. }) = self.awaiting.pop_front() else { break };
            let answer =
                if is_served { Ok(done) } else { Err(SubmitError::NotServed { revision: done.revision }) };
            drop(reply.send(answer));
        }
        self.note_served();
    }

    /// Says by which revision all workers decide.
    fn note_served(&mut self) {
        let (revision, generation) = (self.controller.revision(), self.controller.generation());
        if !self.controller.is_configured() || !self.controller.is_served(generation) {
            return;
        }
        self.is_ready.store(true, Ordering::Release);
        if self.controller.elder().has_seen(revision) {
            let served = &self.chores.control.shared().served;
            served.send_if_modified(|served| std::mem::replace(served, revision) != revision);
        }
    }

    /// Answers what was carried out already; the rest was not begun.
    async fn finish(mut self) {
        self.calls.close();
        while let Some(first) = self.awaiting.front() {
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep_until(first.until) => {}
            }
            self.answer();
        }
        self.controller.events().close();
        self.chores.pause().await;
        tracing::info!(revision = %self.controller.revision(), "the control plane has stopped");
    }
}
