//! One probe, from the question to what was answered.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cutover_core::address::Address;
use cutover_core::backend::Backend;
use cutover_core::id::VersionLabel;
use cutover_core::policy::{Policy, ProbeProtocol};
use cutover_core::service::Service;
use cutover_core::time::Timestamp;

use super::board::ProbeReport;
use super::connect::{Resolver, connect};
use super::http;
use super::target::Key;

/// What a backend is asked.
#[derive(Debug)]
pub struct Question {
    /// The backend.
    pub key: Key,
    /// The generation that is probed.
    pub generation: u32,
    /// Which of all questions it is.
    pub number: u64,
    pub(super) address: Address,
    pub(super) policy: Arc<Policy>,
    /// What the app is told about itself: `role=<role>; epoch=<n>; admin=<state>`.
    pub(super) state: String,
}

/// How a probe ended.
#[derive(Debug)]
pub struct Asked {
    /// The backend.
    pub key: Key,
    /// The generation that was probed.
    pub generation: u32,
    /// Which of all questions it was.
    pub number: u64,
    /// What was answered.
    pub outcome: Result<Answer, Failure>,
    /// Time from the question to the answer.
    pub took: Duration,
}

/// A good answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The version that it named, if it named one.
    pub version: Option<VersionLabel>,
    /// The process that it named, if it named one.
    pub boot_id: Option<String>,
    /// For people.
    pub detail: String,
}

/// A bad answer, or none.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// For people.
    pub detail: String,
    /// Whether it is a sign that the process which was there is gone: nobody listens, or the connection broke.
    pub is_process_gone: bool,
}

impl Question {
    pub(super) fn new(key: Key, number: u64, service: &Service, backend: &Backend) -> Self {
        let mut address = backend.address.clone();
        if let (Address::Tcp { port, .. }, Some(other)) = (&mut address, service.policy.health.port) {
            *port = other;
        }
        let version = backend.version.as_ref().and_then(|label| service.versions.get(label));
        let role = version.map_or("unknown", |version| version.role.as_str());
        let state = format!("role={role}; epoch={}; admin={}", service.epoch, backend.admin.state);
        let generation = backend.generation;
        Self { key, generation, number, address, policy: Arc::clone(&service.policy), state }
    }
}

/// Asks, and waits for the answer no longer than the policy says.
pub(super) async fn ask(question: Question, resolver: Arc<Resolver>) -> Asked {
    let began = Instant::now();
    let limit = question.policy.health.timeout;
    let outcome = match tokio::time::timeout(limit.into(), put(&question, &resolver)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::of(format!("no answer within {limit}"))),
    };
    let Question { key, generation, number, .. } = question;
    Asked { key, generation, number, outcome, took: began.elapsed() }
}

async fn put(question: &Question, resolver: &Resolver) -> Result<Answer, Failure> {
    let stream =
        connect(&question.address, resolver).await.map_err(|error| Failure::io("connect", &error))?;
    match question.policy.health.protocol {
        ProbeProtocol::Tcp | ProbeProtocol::Grpc => Ok(Answer { version: None, boot_id: None, detail: "connected".to_owned() }),
        ProbeProtocol::Http => http::ask(stream, question).await,
    }
}

impl Asked {
    pub(super) fn report(&self, at: Timestamp) -> ProbeReport {
        let detail = match &self.outcome {
            Ok(answer) => answer.detail.clone(),
            Err(failure) => failure.detail.clone(),
        };
        ProbeReport { at, is_ok: self.outcome.is_ok(), detail, latency: self.took }
    }
}

impl Failure {
    /// A failure that says nothing about the process.
    pub(super) fn of(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), is_process_gone: false }
    }

    pub(super) fn io(what: &str, error: &io::Error) -> Self {
        let detail = format!("{what}: {error}");
        Self { detail, is_process_gone: is_process_gone(error.kind()) }
    }
}

/// Whether the error is one that a process which ended, or is not there yet, causes at its peers.
pub(super) fn is_process_gone(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof,
    };
    // `NotFound` is a unix socket that was removed.
    matches!(
        kind,
        ConnectionRefused | ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof | NotFound
    )
}
