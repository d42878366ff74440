//! Sends a request to a backend of its version: one try, and, where that is safe, another one inside the same version.

use std::rc::Rc;
use std::sync::Arc;

use cutover_core::proxy_protocol::Endpoints;
use cutover_core::retry::Failure;
use cutover_core::snapshot::{BackendEntry, VersionSet};
use cutover_core::traffic::BackendInFlight;
use tokio::time::{Instant, sleep};

use crate::error::Error;
use crate::serve::again::{self, Prospect, Tried};
use crate::serve::ask::{self, Expectation};
use crate::serve::blame::{self, Failed};
use crate::serve::decide::Decided;
use crate::serve::exchange::{Exchange, Tries};
use crate::upstream::Connection;
use crate::upstream::pool::{NoConnection, Pool};

/// How often a request looks again whether a backend that has all its connections in use has one to spare.
const FULL_PAUSE: std::time::Duration = std::time::Duration::from_millis(5);
/// How often a request goes on to another process, whatever for: more than any fleet loses in the time of one request.
const MOVES_MAX: u32 = 16;

/// What sending a request depends on, beside its head and body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing {
    /// Whether the head asks for a tunnel.
    pub(crate) wants_upgrade: bool,
    pub(crate) expectation: Expectation,
    /// Whether the client understands answers before the answer.
    pub(crate) is_http11: bool,
    /// Until when it may wait for a connection that is in use.
    pub(crate) wait_until: Instant,
}

/// A backend that answers: the head of its answer is in the scratch.
pub(crate) struct Backend {
    /// The connection that the answer comes over.
    pub(crate) connection: Box<Connection>,
    /// The place of the backend among the version's members.
    pub(crate) member: usize,
    pub(crate) in_flight: BackendInFlight,
    /// What is known of the answer by its head.
    pub(crate) answer: ask::Answer,
}

/// Sends the request: first to the member that was chosen, then to others of its version for as long as that is safe.
pub(crate) async fn forward(
    exchange: &mut Exchange<'_>,
    decided: &mut Decided,
    outgoing: &Outgoing,
) -> Result<Backend, Error> {
    let mut course = Course::new(outgoing);
    let mut member = decided.choice.member;
    let mut began = decided.at;
    // Whom it is told that it may send its body, it is told once, whatever becomes of the backend that said so.
    exchange.scratch.upload.hold(outgoing.expectation == Expectation::Waits);
    let policy = &decided.service.set.policy.upstream;
    if !decided.is_search {
        decided.service.budget.borrow_mut().earn(policy.retry_budget);
    }
    loop {
        exchange.tries =
            Tries { member: Some(member), connect: None, first_byte: None, retries: course.retries };
        exchange.asks(&decided.version_set().members[member]);
        let setback = match attempt(exchange, decided, outgoing, (member, course.wants_fresh), began).await {
            Ok(backend) => {
                exchange.has_asked(Ok(()));
                return Ok(backend);
            }
            Err(setback) => setback,
        };
        exchange.has_asked(Err(&setback));
        // What it takes to go on is large, rarely needed, and would be part of everything that serves a connection.
        member = Box::pin(course.after(exchange, decided, member, &setback)).await?;
        began = Instant::now();
    }
}

/// One try.
async fn attempt(
    exchange: &mut Exchange<'_>,
    decided: &Decided,
    outgoing: &Outgoing,
    (member, wants_fresh): (usize, bool),
    mut began: Instant,
) -> Result<Backend, Setback> {
    let in_flight = BackendInFlight::begin(&decided.version_set().members[member].traffic);
    let policy = &decided.service.set.policy.upstream;
    let told = exchange.client.arrival.told(policy, exchange.origin.client, exchange.stream.tcp());
    let connection = match decided.idle_connection(member, wants_fresh, told, began) {
        // What it takes to open one is large, and rarely needed.
        Ok(None) => Box::pin(decided.open_connection(member, told)).await,
        Ok(Some(connection)) => Ok(connection),
        Err(none) => Err(none),
    };
    let connection = match connection {
        Ok(connection) => connection,
        Err(NoConnection::Full) => return Err(Setback::Full),
        Err(NoConnection::Replaced) => return Err(Setback::Replaced),
        Err(NoConnection::Ended) => {
            blame::ended(exchange, decided, member);
            return Err(Setback::Replaced);
        }
        Err(NoConnection::Failed(error)) => {
            return Err(Setback::Failed(blame::not_connected(exchange, decided, member, &error)));
        }
    };
    if connection.idled.is_none() {
        let now = Instant::now();
        exchange.tries.connect = Some(now.duration_since(began));
        began = now;
    }
    let asked = ask::ask(exchange, decided, outgoing, (member, connection), began).await;
    let (connection, answer) = asked.map_err(Setback::Failed)?;
    Ok(Backend { connection, member, in_flight, answer })
}

/// Why a try came to nothing.
enum Setback {
    /// The backend has no connection to spare.
    Full,
    /// The process that was decided for may be gone. Nothing was sent.
    Replaced,
    Failed(Failed),
}

/// What was tried so far.
struct Course {
    /// Processes that failed.
    tried: Vec<Tried>,
    /// Those that have no connection to spare right now.
    busy: Vec<Tried>,
    /// Tries that count against the limits of the service.
    retries: u32,
    /// All tries beyond the first.
    moves: u32,
    /// Whether a kept connection turned out to be stale: the others may be so too.
    wants_fresh: bool,
    /// Whether one to a process that may be gone did.
    was_stale: bool,
    /// Until when it may wait for a connection that is in use.
    wait_until: Instant,
    /// Until when it may wait for another backend.
    until: Option<Instant>,
}

impl Course {
    const fn new(outgoing: &Outgoing) -> Self {
        Self {
            tried: Vec::new(),
            busy: Vec::new(),
            retries: 0,
            moves: 0,
            wants_fresh: false,
            was_stale: false,
            wait_until: outgoing.wait_until,
            until: None,
        }
    }

    /// The member for the next try after a setback, or why there is none.
    async fn after(
        &mut self,
        exchange: &mut Exchange<'_>,
        decided: &mut Decided,
        member: usize,
        setback: &Setback,
    ) -> Result<usize, Error> {
        let failed = match setback {
            Setback::Full => return self.after_full(exchange, decided, member).await,
            Setback::Replaced => return self.elsewhere(exchange, decided, member, Error::Unavailable).await,
            Setback::Failed(failed) => failed,
        };
        let Some(failure) = failed.failure.filter(|_| failed.allows_retry(exchange)) else {
            return Err(failed.error);
        };
        let is_gone = !decided.version_set().members[member].is_sendable();
        if failure == Failure::StaleConnection && !is_gone && !std::mem::replace(&mut self.wants_fresh, true)
        {
            // The backend is not at fault. A fresh connection can't be stale, but a backend may refuse what comes over it again.
            return Ok(member);
        }
        if !self.is_free(failure, is_gone) && !self.charge(exchange, decided) {
            return Err(failed.error);
        }
        self.elsewhere(exchange, decided, member, failed.error).await
    }

    /// Whether another try costs nothing: the backend is not at fault, and gets nothing more until it was asked who it is, so that such
    /// tries can't multiply an outage. A request that was sent counts from the second time on: it may be what ends the processes.
    fn is_free(&mut self, failure: Failure, is_gone: bool) -> bool {
        match failure {
            Failure::WrongVersion => true,
            Failure::NotConnected => is_gone,
            Failure::StaleConnection => !std::mem::replace(&mut self.was_stale, true),
            Failure::NoAnswer | Failure::Timeout | Failure::BrokenAnswer => false,
        }
    }

    /// Takes a retry of what the service allows.
    fn charge(&mut self, exchange: &Exchange<'_>, decided: &Decided) -> bool {
        let service = &decided.service;
        let is_allowed = self.retries < service.set.policy.upstream.retries
            && service.budget.borrow_mut().spend(exchange.client.worker.clock.now());
        self.retries += u32::from(is_allowed);
        is_allowed
    }

    /// Another process than that of `member` and those that failed before.
    async fn elsewhere(
        &mut self,
        exchange: &mut Exchange<'_>,
        decided: &mut Decided,
        member: usize,
        otherwise: Error,
    ) -> Result<usize, Error> {
        self.moves += 1;
        if self.moves > MOVES_MAX {
            return Err(otherwise);
        }
        self.tried.push(decided.process(member));
        self.busy.clear();
        let queue_timeout = decided.service.set.policy.queue_timeout.into();
        let until = *self.until.get_or_insert_with(|| Instant::now() + queue_timeout);
        again::choose(exchange, decided, &self.tried, until, otherwise).await
    }

    /// Another member than those that are full, or, after a pause, any again.
    async fn after_full(
        &mut self,
        exchange: &mut Exchange<'_>,
        decided: &mut Decided,
        member: usize,
    ) -> Result<usize, Error> {
        self.busy.push(decided.process(member));
        let taken: Vec<Tried> = self.tried.iter().chain(&self.busy).copied().collect();
        if let Prospect::Member(member) = decided.look(exchange, &taken) {
            return Ok(member);
        }
        if Instant::now() >= self.wait_until {
            return Err(Error::Unavailable);
        }
        let _place = exchange.client.worker.queue.enter().ok_or(Error::Overloaded)?;
        sleep(FULL_PAUSE).await;
        self.busy.clear();
        again::choose(exchange, decided, &self.tried, self.wait_until, Error::Unavailable).await
    }
}

/// What a trace says about tries.
impl Exchange<'_> {
    fn asks(&mut self, backend: &Arc<BackendEntry>) {
        if let Some(trace) = &mut self.trace {
            trace.ask(backend, &mut self.scratch.asked.fields, &mut self.client.worker.entropy.borrow_mut());
        }
    }

    fn has_asked(&mut self, outcome: Result<(), &Setback>) {
        let Some(trace) = &mut self.trace else { return };
        match outcome {
            Ok(()) => trace.answered(self.scratch.answer.status),
            Err(Setback::Failed(failed)) => trace.failed(failed.failure),
            Err(Setback::Full | Setback::Replaced) => trace.unasked(),
        }
    }
}

impl Decided {
    /// The version that was decided for.
    pub(crate) fn version_set(&self) -> &VersionSet {
        &self.service.set.versions[self.choice.version]
    }

    /// The connections to one of its members.
    pub(crate) fn pool(&self, member: usize) -> &Rc<Pool> {
        &self.service.versions[self.choice.version].pools[member]
    }

    /// An idle connection to the member, unless only a fresh one will do.
    fn idle_connection(
        &self,
        member: usize,
        wants_fresh: bool,
        told: Option<Endpoints>,
        now: Instant,
    ) -> Result<Option<Box<Connection>>, NoConnection> {
        if wants_fresh {
            return Ok(None);
        }
        let generation = self.version_set().members[member].generation;
        let idle_timeout = self.service.set.policy.upstream.idle_timeout;
        self.pool(member).take(generation, told, idle_timeout, now)
    }

    /// A new connection to the member.
    async fn open_connection(
        &self,
        member: usize,
        told: Option<Endpoints>,
    ) -> Result<Box<Connection>, NoConnection> {
        let generation = self.version_set().members[member].generation;
        self.pool(member).open(generation, told, &self.service.set.policy.upstream).await
    }
}
