//! Sends a request to a backend of its version: one try, and, where that is safe, another one inside the same version.

use std::cell::RefCell;
use std::rc::Rc;

use cutover_core::decide::Facts;
use cutover_core::entropy::Entropy;
use cutover_core::pin::NoPin;
use cutover_core::retry::{self, Failure, Replay};
use cutover_core::snapshot::VersionSet;
use cutover_core::traffic::BackendInFlight;
use tokio::time::{Instant, sleep};

use crate::ask::{self, Expectation};
use crate::blame::{self, Failed};
use crate::decide::Decided;
use crate::error::Error;
use crate::exchange::{Exchange, Tries};
use crate::pool::{NoConnection, Pool};
use crate::upstream::Connection;

/// How often a request looks again whether a backend that has all its connections in use has one to spare.
const FULL_PAUSE: std::time::Duration = std::time::Duration::from_millis(5);

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
    decided: &Decided,
    outgoing: &Outgoing,
) -> Result<Backend, Error> {
    let mut course = Course { decided, tried: Vec::new(), busy: Vec::new(), retries: 0, wants_fresh: false };
    let mut member = decided.choice.member;
    let mut began = decided.at;
    // Whom it is told that it may send its body, it is told once, whatever becomes of the backend that said so.
    exchange.scratch.upload.hold(outgoing.expectation == Expectation::Waits);
    let policy = &decided.service.set.policy.upstream;
    decided.service.budget.borrow_mut().earn(policy.retry_budget);
    loop {
        let in_flight = BackendInFlight::begin(&decided.version_set().members[member].traffic);
        exchange.tries =
            Tries { member: Some(member), connect: None, first_byte: None, retries: course.retries };
        let connection = decided.connection(member, course.wants_fresh, began).await;
        if connection.as_ref().is_ok_and(|new| !new.is_reused) {
            let now = Instant::now();
            exchange.tries.connect = Some(now.duration_since(began));
            began = now;
        }
        member = match connection {
            Err(NoConnection::Full) => course.after_full(exchange, outgoing, member).await?,
            Err(NoConnection::Replaced) => course.next(exchange, member, Error::Unavailable)?,
            Err(NoConnection::Failed(error)) => {
                let failed = blame::not_connected(exchange, decided, member, &error);
                course.after_failure(exchange, member, &failed)?
            }
            Ok(connection) => {
                match ask::ask(exchange, decided, outgoing, (member, connection), began).await {
                    Ok((connection, answer)) => {
                        return Ok(Backend { connection, member, in_flight, answer });
                    }
                    Err(failed) => course.after_failure(exchange, member, &failed)?,
                }
            }
        };
        began = Instant::now();
    }
}

/// What was tried so far.
struct Course<'a> {
    decided: &'a Decided,
    /// Members that failed.
    tried: Vec<usize>,
    /// Members that have no connection to spare right now.
    busy: Vec<usize>,
    retries: u32,
    /// Whether a kept connection turned out to be stale: the others may be so too.
    wants_fresh: bool,
}

impl Course<'_> {
    /// The member for the next try after `failed`, or why there is none.
    fn after_failure(
        &mut self,
        exchange: &Exchange<'_>,
        member: usize,
        failed: &Failed,
    ) -> Result<usize, Error> {
        let Some(failure) = failed.failure else { return Err(failed.error) };
        let replay = Replay {
            is_idempotent: exchange.scratch.asked.method.is_idempotent(),
            is_body_at_hand: exchange.scratch.upload.is_at_hand(),
            is_sent: failed.is_sent,
        };
        if !retry::may_retry(failure, replay) {
            return Err(failed.error);
        }
        if failure == Failure::StaleConnection {
            // The backend is not at fault; a fresh connection can't be stale, so this happens once.
            self.wants_fresh = true;
            return Ok(member);
        }
        let service = &self.decided.service;
        if self.retries >= service.set.policy.upstream.retries
            || !service.budget.borrow_mut().spend(exchange.client.worker.clock.now())
        {
            return Err(failed.error);
        }
        self.retries += 1;
        self.next(exchange, member, failed.error)
    }

    /// Another member than `member` and those that failed before.
    fn next(&mut self, exchange: &Exchange<'_>, member: usize, otherwise: Error) -> Result<usize, Error> {
        self.tried.push(member);
        self.busy.clear();
        self.decided.choose(exchange, &self.tried).ok_or(otherwise)
    }

    /// Another member than those that are full, or, after a pause, any again.
    async fn after_full(
        &mut self,
        exchange: &Exchange<'_>,
        outgoing: &Outgoing,
        member: usize,
    ) -> Result<usize, Error> {
        self.busy.push(member);
        let taken: Vec<usize> = self.tried.iter().chain(&self.busy).copied().collect();
        if let Some(member) = self.decided.choose(exchange, &taken) {
            return Ok(member);
        }
        if Instant::now() >= outgoing.wait_until {
            return Err(Error::Unavailable);
        }
        let _place = exchange.client.worker.queue.enter().ok_or(Error::Overloaded)?;
        sleep(FULL_PAUSE).await;
        self.busy.clear();
        self.decided.choose(exchange, &self.tried).ok_or(Error::Unavailable)
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

    /// A member of the version that was not tried.
    fn choose(&self, exchange: &Exchange<'_>, tried: &[usize]) -> Option<usize> {
        let worker = &exchange.client.worker;
        let entropy: &RefCell<Entropy> = &worker.entropy;
        let facts = Facts {
            service: 0,
            explicit: None,
            pin: Err(NoPin::Absent),
            hash_key: self.hash_key,
            may_wait: false,
            now: worker.clock.now(),
        };
        self.service.set.choose_again(self.version_set(), tried, &facts, &mut entropy.borrow_mut())
    }

    /// A connection to the member: an idle one, unless only a fresh one will do, or a new one.
    async fn connection(
        &self,
        member: usize,
        wants_fresh: bool,
        now: Instant,
    ) -> Result<Box<Connection>, NoConnection> {
        let policy = &self.service.set.policy.upstream;
        let generation = self.version_set().members[member].generation;
        let pool = self.pool(member);
        let idle = if wants_fresh { None } else { pool.take(generation, policy.idle_timeout, now) };
        match idle {
            Some(connection) => Ok(connection),
            None => pool.open(generation, policy).await,
        }
    }
}
