//! Whose fault a failed try is: what the client is told, whether another try may help, and what is noted about the backend.

use std::sync::Arc;
use std::time::Duration;

use cutover_core::policy::Policy;
use cutover_core::retry::{self, Failure, Replay};
use cutover_core::snapshot::BackendEntry;
use cutover_core::time::Millis;
use cutover_tls::client::HandshakeError;
use http::StatusCode;
use tokio::time::Instant;

use crate::error::Error;
use crate::serve::decide::Decided;
use crate::serve::exchange::Exchange;
use crate::serve::sighting::Answerer;
use crate::telemetry::metrics::{Fault, Mismatch, UpstreamFailure};
use crate::upstream::{ConnectError, Connection};
use crate::worker::Worker;

/// Why a try failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// How far it came; `None` when no other try can help.
    pub(crate) failure: Option<Failure>,
    /// Whether the backend may have seen something of the request.
    pub(crate) is_sent: bool,
}

impl Failed {
    /// The request was answered by another version or process than the one that was decided for.
    pub(crate) const fn by_another(is_sent: bool) -> Self {
        Self { error: Error::Unavailable, failure: Some(Failure::WrongVersion), is_sent }
    }

    /// Whether the request may be tried again after this.
    pub(crate) fn allows_retry(&self, exchange: &Exchange<'_>) -> bool {
        let replay = Replay {
            is_idempotent: exchange.scratch.asked.method.is_idempotent(),
            is_body_at_hand: exchange.scratch.upload.is_at_hand(),
            is_sent: self.is_sent,
        };
        self.failure.is_some_and(|failure| retry::may_retry(failure, replay))
    }
}

impl From<Error> for Failed {
    /// A failure that is not the backend's.
    fn from(error: Error) -> Self {
        Self { error, failure: None, is_sent: true }
    }
}

/// No connection could be opened.
pub(crate) fn not_connected(
    exchange: &Exchange<'_>,
    decided: &Decided,
    member: usize,
    error: &ConnectError,
) -> Failed {
    let (worker, entry) = (&exchange.client.worker, &decided.version_set().members[member]);
    tracing::debug!(backend = %entry.id, error = error as &dyn std::error::Error, "can't connect");
    // What we lack is not the backend's fault.
    if !matches!(error, ConnectError::Exhausted(_) | ConnectError::Tls(HandshakeError::Unusable(_))) {
        worker.note_error(&decided.service.set.policy, entry);
    }
    if matches!(error, ConnectError::Refused(_) | ConnectError::Tls(HandshakeError::Io(_))) {
        worker.note_lost(&decided.service.set.policy, entry);
    }
    let (error, how) = match error {
        ConnectError::Timeout => (Error::ConnectTimeout, UpstreamFailure::ConnectTimeout),
        ConnectError::Resolve(_)
        | ConnectError::Refused(_)
        | ConnectError::Exhausted(_)
        | ConnectError::Other(_) => (Error::NotConnected, UpstreamFailure::Connect),
        ConnectError::Tls(_) => (Error::NotConnected, UpstreamFailure::Tls),
        ConnectError::Http2(_) => (Error::NotConnected, UpstreamFailure::Http2),
    };
    decided.service.metrics.upstream_failed(how);
    Failed { error, failure: Some(Failure::NotConnected), is_sent: false }
}

/// The connection ended before the head of an answer was there.
pub(crate) fn no_answer(
    exchange: &Exchange<'_>,
    decided: &Decided,
    (member, connection): (usize, &mut Connection),
    has_begun: bool,
) -> Failed {
    let is_sent = exchange.scratch.upload.is_begun();
    if connection.is_alone_over() {
        return Failed { is_sent, ..failed(exchange, decided, member, Error::NoAnswer, Failure::NoAnswer) };
    }
    let policy = &decided.service.set.policy;
    let (worker, entry) = (&exchange.client.worker, &decided.version_set().members[member]);
    if let Some(age) = connection.idled.filter(|_| !has_begun) {
        // Closed or reset: a backend that gives up an idle connection while our request is on its way resets it. A process that ends
        // does the same.
        if decided.pool(member).is_early_end(connection.generation, age, &policy.upstream) {
            worker.note_lost(policy, entry);
        }
        return Failed { error: Error::NoAnswer, failure: Some(Failure::StaleConnection), is_sent };
    }
    // A backend may give up connections that idle; one that breaks a fresh one, or off in the middle, may be gone.
    worker.note_lost(policy, entry);
    Failed { is_sent, ..failed(exchange, decided, member, Error::NoAnswer, Failure::NoAnswer) }
}

/// The backend has refused the request unseen, as one does whose connection of HTTP/2 is to end (RFC 9113 section 8.7).
pub(crate) const fn refused() -> Failed {
    Failed { error: Error::NoAnswer, failure: Some(Failure::StaleConnection), is_sent: false }
}

/// An idle connection to the backend ended, as it does when the process ends. Nothing was sent.
pub(crate) fn ended(exchange: &Exchange<'_>, decided: &Decided, member: usize) {
    let entry = &decided.version_set().members[member];
    exchange.client.worker.note_lost(&decided.service.set.policy, entry);
}

/// Another version or process answered than the one that was decided for. `None`: its answer is what the client gets, because the
/// request can't be carried out again.
pub(crate) fn other_answerer(
    exchange: &Exchange<'_>,
    decided: &Decided,
    answerer: Answerer,
    is_sent: bool,
) -> Option<Failed> {
    let failed = Failed::by_another(is_sent);
    let is_replayed = failed.allows_retry(exchange);
    if answerer == Answerer::OtherVersion {
        decided.version_set().traffic.answers.note_mismatch();
        decided.service.metrics.versions[decided.choice.version].fault(Fault::Mismatch);
    }
    match answerer {
        Answerer::Expected => return None,
        Answerer::OtherVersion if is_replayed => decided.service.metrics.mismatch(Mismatch::Replayed),
        Answerer::OtherVersion => decided.service.metrics.mismatch(Mismatch::Forwarded),
        Answerer::OtherProcess => {}
    }
    is_replayed.then_some(failed)
}

/// The backend did not answer as it should.
pub(crate) fn failed(
    exchange: &Exchange<'_>,
    decided: &Decided,
    member: usize,
    error: Error,
    failure: Failure,
) -> Failed {
    let entry = &decided.version_set().members[member];
    exchange.client.worker.note_error(&decided.service.set.policy, entry);
    decided.service.metrics.upstream_failed(match failure {
        Failure::NotConnected => UpstreamFailure::Connect,
        Failure::StaleConnection | Failure::NoAnswer => UpstreamFailure::NoAnswer,
        Failure::Timeout => UpstreamFailure::AnswerTimeout,
        Failure::BrokenAnswer | Failure::WrongVersion => UpstreamFailure::BadAnswer,
    });
    Failed { error, failure: Some(failure), is_sent: true }
}

/// A process that dies in the middle of an answer may be another one at the next connection.
pub(crate) fn broke_off(
    exchange: &mut Exchange<'_>,
    decided: &Decided,
    (member, connection): (usize, &mut Connection),
) {
    exchange.failed(true);
    let entry = &decided.version_set().members[member];
    let worker: &Worker = &exchange.client.worker;
    decided.service.metrics.upstream_failed(UpstreamFailure::BrokenBody);
    worker.note_error(&decided.service.set.policy, entry);
    if !connection.is_alone_over() {
        worker.note_lost(&decided.service.set.policy, entry);
    }
}

/// The backend that carries a tunnel, which may outlast the view that it was chosen by.
pub(crate) struct Carrier {
    entry: Arc<BackendEntry>,
    policy: Arc<Policy>,
}

impl Carrier {
    pub(crate) fn of(decided: &Decided, member: usize) -> Self {
        let entry = Arc::clone(&decided.version_set().members[member]);
        Self { entry, policy: Arc::clone(&decided.service.set.policy) }
    }

    /// It broke the tunnel, as a process does that ends.
    pub(crate) fn broke(&self, worker: &Worker) {
        worker.note_lost(&self.policy, &self.entry);
    }
}

/// The backend answered, and took some time for it since it was asked.
pub(crate) fn answered(
    worker: &Worker,
    decided: &Decided,
    entry: &BackendEntry,
    status: StatusCode,
    (asked, took): (Instant, Duration),
) {
    let latency_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    // The clock knows the moment of asking already, as a rule.
    let now = worker.clock.at(asked) + Millis(latency_us / 1000);
    entry.traffic.note_latency(latency_us, now);
    let is_gateway_error = matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    );
    if is_gateway_error {
        worker.note_error(&decided.service.set.policy, entry);
    } else {
        entry.traffic.note_success();
    }
}
