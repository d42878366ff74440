//! The trace of one request: what it is part of, and the times that backends were asked.

use std::sync::Arc;
use std::time::SystemTime;

use cutover_core::address::Address;
use cutover_core::entropy::Entropy;
use cutover_core::retry::Failure;
use cutover_core::snapshot::BackendEntry;
use http::{Method, StatusCode};
use tokio::time::Instant;

use super::context::Context;
use super::sink::SpanSink;
use super::span::{Kind, Parent, Span, Value};
use crate::message::fields::Fields;
use crate::telemetry::access_log::Record;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// A request whose spans are wanted.
#[derive(Debug)]
pub(crate) struct Trace {
    trace: u128,
    parent: Option<u64>,
    /// The span of the request.
    id: u64,
    attempts: Vec<Attempt>,
}

/// One time that a backend was asked.
#[derive(Debug)]
struct Attempt {
    id: u64,
    backend: Arc<BackendEntry>,
    began: Instant,
    ended: Instant,
    /// `None` while it is under way.
    outcome: Option<Result<StatusCode, &'static str>>,
}

/// How a request went, beside what its record says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended<'a> {
    pub(crate) began: Instant,
    pub(crate) method: &'a Method,
    pub(crate) is_secure: bool,
    /// Whether there was an answer.
    pub(crate) is_answered: bool,
}

impl Trace {
    /// A request with these fields begins. `None` if its caller says that nobody records it: then its context is passed on as it is.
    pub(crate) fn begin(fields: &mut Fields, entropy: &mut Entropy) -> Option<Box<Self>> {
        let context = context(fields);
        if context.is_some_and(|context| !context.is_sampled) {
            return None;
        }
        if context.is_none() {
            // What it says is about a trace that nobody can tell (section 3.4).
            fields.remove_where(|_, name| name.eq_ignore_ascii_case(TRACESTATE.as_bytes()));
        }
        let trace = context.map_or_else(|| new_trace(entropy), |context| context.trace);
        let parent = context.map(|context| context.parent);
        Some(Box::new(Self { trace, parent, id: new_id(entropy), attempts: Vec::new() }))
    }

    /// A backend is asked: it is told by which span.
    pub(crate) fn ask(&mut self, backend: &Arc<BackendEntry>, fields: &mut Fields, entropy: &mut Entropy) {
        let (id, now) = (new_id(entropy), Instant::now());
        fields.remove_where(|_, name| name.eq_ignore_ascii_case(TRACEPARENT.as_bytes()));
        fields.append_other(TRACEPARENT, Context::write(self.trace, id).as_bytes());
        let backend = Arc::clone(backend);
        self.attempts.push(Attempt { id, backend, began: now, ended: now, outcome: None });
    }

    /// The backend that was asked last has sent the head of its answer.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.end(Ok(status));
    }

    /// It did not answer. `None` when that is the client's fault.
    pub(crate) fn failed(&mut self, failure: Option<Failure>) {
        self.end(Err(match failure {
            Some(Failure::WrongVersion) => "wrong_version",
            Some(Failure::NotConnected) => "not_connected",
            Some(Failure::StaleConnection) => "stale_connection",
            Some(Failure::NoAnswer) => "no_answer",
            Some(Failure::Timeout) => "timeout",
            Some(Failure::BrokenAnswer) => "broken_answer",
            None => "client",
        }));
    }

    /// It was not asked after all.
    pub(crate) fn unasked(&mut self) {
        self.attempts.pop();
    }

    fn end(&mut self, outcome: Result<StatusCode, &'static str>) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.ended = Instant::now();
            attempt.outcome = Some(outcome);
        }
    }

    /// The request is over: its spans go out.
    pub(crate) fn finish(&mut self, record: &Record<'_>, ended: &Ended<'_>, sink: &SpanSink) {
        let (wall, now) = (SystemTime::now(), Instant::now());
        let at = |moment: Instant| wall - now.saturating_duration_since(moment);
        let method = method(ended.method);
        for (resends, attempt) in std::mem::take(&mut self.attempts).into_iter().enumerate() {
            sink.send(Span {
                trace: self.trace,
                id: attempt.id,
                parent: Some(Parent { id: self.id, is_remote: false }),
                kind: Kind::Client,
                name: method.unwrap_or("HTTP"),
                began: at(attempt.began),
                // What was under way when the client went ended with it.
                ended: attempt.outcome.map_or(wall, |_| at(attempt.ended)),
                is_failed: !matches!(attempt.outcome, Some(Ok(status)) if status.as_u16() < 400),
                attributes: of_attempt(record, ended.method, &attempt, resends),
            });
        }
        sink.send(Span {
            trace: self.trace,
            id: self.id,
            parent: self.parent.map(|id| Parent { id, is_remote: true }),
            kind: Kind::Server,
            name: method.unwrap_or("HTTP"),
            began: at(ended.began),
            ended: at(ended.began) + record.took,
            is_failed: !ended.is_answered || record.status >= 500,
            attributes: of_request(record, ended),
        });
    }
}

/// What the only `traceparent` says: of several, none is the caller's.
fn context(fields: &Fields) -> Option<Context> {
    let mut values = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(TRACEPARENT.as_bytes()));
    let (_, value) = values.next().filter(|_| values.next().is_none())?;
    Context::parse(value)
}

/// What is known of a request (Semantic Conventions for HTTP, "HTTP server").
fn of_request(record: &Record<'_>, ended: &Ended<'_>) -> Vec<(&'static str, Value)> {
    let request = &record.request;
    let mut all = of_method(ended.method);
    let (path, query) = split_target(request.target);
    all.push(("url.scheme", if ended.is_secure { "https" } else { "http" }.into()));
    all.push(("url.path", Value::cut(path.as_bytes())));
    all.extend(query.map(|query| ("url.query", Value::cut(query.as_bytes()))));
    let (host, port) = split_authority(request.host);
    all.push(("server.address", Value::cut(host.as_bytes())));
    all.extend(port.map(|port| ("server.port", port.into())));
    all.push(("client.address", Value::Text(record.client.to_string())));
    let version = request.protocol.trim_start_matches("HTTP/");
    all.push(("network.protocol.version", if version == "2.0" { "2" } else { version }.into()));
    all.extend(request.user_agent.map(|agent| ("user_agent.original", Value::cut(agent))));
    if ended.is_answered {
        all.push(("http.response.status_code", record.status.into()));
        if record.status >= 500 {
            all.push(("error.type", Value::Text(record.status.to_string())));
        }
    } else {
        all.push(("error.type", "client".into()));
    }
    all.extend(of_decision(record));
    all.extend(record.pin.map(|pin| ("cutover.pin", pin.into())));
    all.push(("cutover.request_id", Value::cut(record.request_id)));
    all
}

/// What is known of one time that a backend was asked ("HTTP client").
fn of_attempt(
    record: &Record<'_>,
    method: &Method,
    attempt: &Attempt,
    resends: usize,
) -> Vec<(&'static str, Value)> {
    let mut all = of_method(method);
    match &attempt.backend.address {
        Address::Tcp { host, port } => {
            all.push(("server.address", host.as_str().into()));
            all.push(("server.port", (*port).into()));
        }
        Address::Unix { path } => all.push(("server.address", path.as_str().into())),
    }
    match attempt.outcome {
        Some(Ok(status)) => {
            all.push(("http.response.status_code", status.as_u16().into()));
            if status.as_u16() >= 400 {
                all.push(("error.type", status.as_str().into()));
            }
        }
        Some(Err(error)) => all.push(("error.type", error.into())),
        None => all.push(("error.type", "client".into())),
    }
    if resends > 0 {
        all.push(("http.request.resend_count", Value::Number(i64::try_from(resends).unwrap_or(i64::MAX))));
    }
    all.extend(of_decision(record));
    all.push(("cutover.backend", attempt.backend.id.as_str().into()));
    all
}

fn of_method(asked: &Method) -> Vec<(&'static str, Value)> {
    match method(asked) {
        Some(known) => vec![("http.request.method", known.into())],
        None => vec![
            ("http.request.method", "_OTHER".into()),
            ("http.request.method_original", Value::cut(asked.as_str().as_bytes())),
        ],
    }
}

fn of_decision(record: &Record<'_>) -> impl Iterator<Item = (&'static str, Value)> {
    let service = record.service.map(|service| ("cutover.service", service.into()));
    let version = record.version.map(|version| ("cutover.version", version.into()));
    let epoch = record
        .epoch
        .map(|epoch| ("cutover.epoch", Value::Number(i64::try_from(epoch.0).unwrap_or(i64::MAX))));
    [service, version, epoch].into_iter().flatten()
}

/// The methods that everybody knows. A client can make up any number of others.
fn method(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}

fn split_target(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

/// Host and port; an IPv6 address has colons of its own.
fn split_authority(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

fn new_trace(entropy: &mut Entropy) -> u128 {
    (u128::from(entropy.word()) << 64 | u128::from(entropy.word())).max(1)
}

fn new_id(entropy: &mut Entropy) -> u64 {
    entropy.word().max(1)
}
