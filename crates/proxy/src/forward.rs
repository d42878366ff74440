//! Sends a request to a backend of its version: one try, and, where that is safe, another one inside the same version.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use cutover_core::decide::Facts;
use cutover_core::entropy::Entropy;
use cutover_core::retry::{self, Failure, Replay};
use cutover_core::snapshot::{BackendEntry, VersionSet};
use cutover_core::traffic::BackendInFlight;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::TrySendError;
use tokio::time::{Instant, sleep, sleep_until};

use crate::body::{RequestBody, Upload};
use crate::check::is_framing_known;
use crate::error::Error;
use crate::exchange::Tries;
use crate::metrics::UpstreamFailure;
use crate::pool::{NoConnection, Pool};
use crate::upstream::{ConnectError, Connection};
use crate::view::ServiceView;
use crate::worker::Worker;

/// How often a request looks again whether a backend that has all its connections in use has one to spare.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// A request that was decided, and what it takes to send it.
pub(crate) struct Outgoing<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) service: &'a ServiceView,
    /// The place of its version.
    pub(crate) version: usize,
    /// What it was decided by, for choosing again.
    pub(crate) facts: Facts<'a>,
    pub(crate) method: &'a Method,
    pub(crate) target: &'a Uri,
    /// The head, as the backend gets it.
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Rc<RequestBody>,
    /// Whether the head asks for a tunnel.
    pub(crate) wants_upgrade: bool,
    /// Whether the backend is to say `100` before it gets the body.
    pub(crate) awaits_continue: bool,
    /// Until when it may wait for a connection that is in use.
    pub(crate) wait_until: Instant,
}

/// What a backend answered.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    /// The connection it comes over.
    pub(crate) connection: Connection,
    /// The place of the backend among the version's members.
    pub(crate) member: usize,
    pub(crate) in_flight: BackendInFlight,
}

/// Why a try failed.
struct Failed {
    error: Error,
    /// How far it came; `None` when no other try can help.
    failure: Option<Failure>,
    is_sent: bool,
}

/// Sends the request: first to `member`, then to others of its version for as long as that is safe.
pub(crate) async fn forward(
    outgoing: &Outgoing<'_>,
    first: usize,
    tries: &mut Tries,
) -> Result<Answer, Error> {
    let mut course = Course { outgoing, tried: Vec::new(), busy: Vec::new(), retries: 0, wants_fresh: false };
    let mut member = first;
    let policy = &outgoing.service.set.policy.upstream;
    outgoing.service.budget.borrow_mut().earn(policy.retry_budget);
    loop {
        let entry = &outgoing.version_set().members[member];
        let in_flight = BackendInFlight::begin(&entry.traffic);
        *tries = Tries { member: Some(member), connect: None, first_byte: None, retries: course.retries };
        let began = Instant::now();
        let connection = outgoing.connection(member, course.wants_fresh).await;
        tries.connect = connection.as_ref().is_ok_and(|new| !new.is_reused).then(|| began.elapsed());
        member = match connection {
            Err(NoConnection::Full) => course.after_full(member).await?,
            Err(NoConnection::Replaced) => course.next(member, Error::Unavailable)?,
            Err(NoConnection::Failed(error)) => {
                let failed = outgoing.not_connected(entry, &error);
                course.after_failure(member, &failed)?
            }
            Ok(connection) => match outgoing.send(member, connection).await {
                Ok((response, connection)) => {
                    tries.first_byte =
                        Some(began.elapsed().saturating_sub(tries.connect.unwrap_or_default()));
                    return Ok(Answer { response, connection, member, in_flight });
                }
                Err(failed) => course.after_failure(member, &failed)?,
            },
        };
    }
}

/// What was tried so far.
struct Course<'a> {
    outgoing: &'a Outgoing<'a>,
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
    fn after_failure(&mut self, member: usize, failed: &Failed) -> Result<usize, Error> {
        let outgoing = self.outgoing;
        let Some(failure) = failed.failure else { return Err(failed.error) };
        let replay = Replay {
            is_idempotent: outgoing.method.is_idempotent(),
            is_body_at_hand: outgoing.body.is_at_hand(),
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
        let policy = &outgoing.service.set.policy.upstream;
        if self.retries >= policy.retries
            || !outgoing.service.budget.borrow_mut().spend(outgoing.worker.clock.now())
        {
            return Err(failed.error);
        }
        self.retries += 1;
        self.next(member, failed.error)
    }

    /// Another member than `member` and those that failed before.
    fn next(&mut self, member: usize, otherwise: Error) -> Result<usize, Error> {
        self.tried.push(member);
        self.busy.clear();
        self.outgoing.choose(&self.tried).ok_or(otherwise)
    }

    /// Another member than those that are full, or, after a pause, any again.
    async fn after_full(&mut self, member: usize) -> Result<usize, Error> {
        self.busy.push(member);
        let taken: Vec<usize> = self.tried.iter().chain(&self.busy).copied().collect();
        if let Some(member) = self.outgoing.choose(&taken) {
            return Ok(member);
        }
        if Instant::now() >= self.outgoing.wait_until {
            return Err(Error::Unavailable);
        }
        let _place = self.outgoing.worker.queue.enter().ok_or(Error::Overloaded)?;
        sleep(FULL_PAUSE).await;
        self.busy.clear();
        self.outgoing.choose(&self.tried).ok_or(Error::Unavailable)
    }
}

impl Outgoing<'_> {
    fn version_set(&self) -> &VersionSet {
        &self.service.set.versions[self.version]
    }

    fn pool(&self, member: usize) -> &Rc<Pool> {
        &self.service.versions[self.version].pools[member]
    }

    /// A member of the version that was not tried.
    fn choose(&self, tried: &[usize]) -> Option<usize> {
        let entropy: &RefCell<Entropy> = &self.worker.entropy;
        self.service.set.choose_again(self.version_set(), tried, &self.facts, &mut entropy.borrow_mut())
    }

    /// A connection to the member: an idle one, unless only a fresh one will do, or a new one.
    async fn connection(&self, member: usize, wants_fresh: bool) -> Result<Connection, NoConnection> {
        let policy = &self.service.set.policy.upstream;
        let generation = self.version_set().members[member].generation;
        let pool = self.pool(member);
        let idle =
            if wants_fresh { None } else { pool.take(generation, policy.idle_timeout, Instant::now()) };
        match idle {
            Some(connection) => Ok(connection),
            None => pool.open(generation, policy).await,
        }
    }

    /// Sends the request over `connection` and waits for the head of the answer.
    async fn send(
        &self,
        member: usize,
        mut connection: Connection,
    ) -> Result<(Response<Incoming>, Connection), Failed> {
        let entry = &self.version_set().members[member];
        let begun = Instant::now();
        let request = self.request(begun);
        let answered = {
            let mut answer = std::pin::pin!(connection.sender.try_send_request(request));
            tokio::select! {
                biased;
                answered = &mut answer => Some(answered),
                () = self.timed_out() => None,
            }
        };
        let response = match answered {
            None => return Err(self.failed(entry, Error::AnswerTimeout, Failure::Timeout)),
            Some(Err(error)) => return Err(self.no_answer(entry, &connection, error)),
            Some(Ok(response)) => response,
        };
        self.body.stop_keeping();
        let is_unasked = response.status() == StatusCode::SWITCHING_PROTOCOLS && !self.wants_upgrade;
        if is_unasked || !is_framing_known(response.headers()) {
            return Err(self.failed(entry, Error::BadAnswer, Failure::BrokenAnswer));
        }
        self.note_answer(entry, response.status(), begun);
        Ok((response, connection))
    }

    fn request(&self, now: Instant) -> Request<Upload> {
        let (upload, leave) = self.body.upload(now, self.awaits_continue);
        let needs_chunks = !upload.is_end_stream() && self.body.length().is_none();
        let mut request = Request::new(upload);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        if needs_chunks {
            // Said here because hyper takes it that a GET without a length has no body.
            request.headers_mut().remove(CONTENT_LENGTH);
            request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if let Some(leave) = leave {
            hyper::ext::on_informational(&mut request, move |interim| {
                if interim.status() == StatusCode::CONTINUE {
                    leave.give();
                }
            });
        }
        request
    }

    /// Ends when the backend has had the request for `response_timeout` and has not answered. While the client is still sending, the backend is not to blame.
    async fn timed_out(&self) {
        let timeout: Duration = self.service.set.policy.upstream.response_timeout.into();
        loop {
            let since = self.body.waiting_since().unwrap_or_else(Instant::now);
            let deadline = since + timeout;
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }

    fn note_answer(&self, entry: &BackendEntry, status: StatusCode, begun: Instant) {
        let latency_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        entry.traffic.note_latency(latency_us, self.worker.clock.now());
        let is_gateway_error = matches!(
            status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        );
        if is_gateway_error {
            self.note_error(entry);
        } else {
            entry.traffic.note_success();
        }
    }

    fn note_error(&self, entry: &BackendEntry) {
        self.worker.note_error(&self.service.set.policy, entry);
    }

    /// The process behind `entry` may be gone.
    fn note_lost(&self, entry: &BackendEntry) {
        self.worker.note_lost(&self.service.set.policy, entry);
    }

    fn not_connected(&self, entry: &BackendEntry, error: &ConnectError) -> Failed {
        tracing::debug!(backend = %entry.id, error = error as &dyn std::error::Error, "can't connect");
        if !matches!(error, ConnectError::Exhausted(_)) {
            self.note_error(entry);
        }
        if matches!(error, ConnectError::Refused(_)) {
            self.note_lost(entry);
        }
        let (error, how) = match error {
            ConnectError::Timeout => (Error::ConnectTimeout, UpstreamFailure::ConnectTimeout),
            ConnectError::Resolve(_)
            | ConnectError::Refused(_)
            | ConnectError::Exhausted(_)
            | ConnectError::Other(_) => (Error::NotConnected, UpstreamFailure::Connect),
        };
        self.service.metrics.upstream_failed(how);
        Failed { error, failure: Some(Failure::NotConnected), is_sent: false }
    }

    fn no_answer(
        &self,
        entry: &BackendEntry,
        connection: &Connection,
        mut error: TrySendError<Request<Upload>>,
    ) -> Failed {
        if let Some(fault) = self.body.fault() {
            return Failed { error: Error::Body(fault), failure: None, is_sent: true };
        }
        let is_sent = error.take_message().is_none();
        let error = error.into_error();
        tracing::debug!(backend = %entry.id, %error, is_sent, "no answer");
        if error.is_parse() {
            return self.failed(entry, Error::BadAnswer, Failure::BrokenAnswer);
        }
        if connection.is_reused {
            // Closed or reset: a backend that gives up an idle connection while our request is on its way resets it.
            return Failed { error: Error::NoAnswer, failure: Some(Failure::StaleConnection), is_sent };
        }
        // A backend may give up connections that idle; one that breaks a fresh one may be gone.
        self.note_lost(entry);
        Failed { is_sent, ..self.failed(entry, Error::NoAnswer, Failure::NoAnswer) }
    }

    fn failed(&self, entry: &BackendEntry, error: Error, failure: Failure) -> Failed {
        self.note_error(entry);
        self.service.metrics.upstream_failed(match failure {
            Failure::NotConnected => UpstreamFailure::Connect,
            Failure::StaleConnection | Failure::NoAnswer => UpstreamFailure::NoAnswer,
            Failure::Timeout => UpstreamFailure::AnswerTimeout,
            Failure::BrokenAnswer => UpstreamFailure::BadAnswer,
        });
        Failed { error, failure: Some(failure), is_sent: true }
    }
}
