//! One probe, from the question to what was answered.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cutover_core::address::Address;
use cutover_core::backend::Backend;
use cutover_core::id::VersionLabel;
use cutover_core::policy::{Policy, ProbeProtocol};
use cutover_core::proxy_protocol;
use cutover_core::service::Service;
use cutover_core::time::Timestamp;
use cutover_resolve::Names;
use cutover_tls::client::{Connectors, HandshakeError};
use http::{Request, Uri, header, request};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::board::ProbeReport;
use super::connect::connect;
use super::target::Key;
use super::{grpc, http as http_probe};
use crate::causes::with_causes;

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

/// What asking takes that all probes share.
#[derive(Debug, Clone, Default)]
pub(super) struct Means {
    pub(super) names: Names,
    pub(super) connectors: Arc<Connectors>,
}

/// Asks, and waits for the answer no longer than the policy says.
pub(super) async fn ask(question: Question, means: Means) -> Asked {
    let began = Instant::now();
    let limit = question.policy.health.timeout;
    let outcome = match tokio::time::timeout(limit.into(), put(&question, &means)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::of(format!("no answer within {limit}"))),
    };
    let Question { key, generation, number, .. } = question;
    Asked { key, generation, number, outcome, took: began.elapsed() }
}

/// Puts the question, over what the service's backends are spoken with: their probes go where their requests go.
async fn put(question: &Question, means: &Means) -> Result<Answer, Failure> {
    let mut stream =
        connect(&question.address, &means.names).await.map_err(|error| Failure::io("connect", &error))?;
    let upstream = &question.policy.upstream;
    if let Some(version) = upstream.proxy_protocol {
        // It is nobody's but ours.
        let header = proxy_protocol::header(version, None);
        stream.write_all(&header).await.map_err(|error| Failure::io("PROXY header", &error))?;
    }
    if question.policy.health.protocol == ProbeProtocol::Tcp {
        return Ok(Answer { version: None, boot_id: None, detail: "connected".to_owned() });
    }
    if !upstream.protocol.is_tls() {
        return speak(stream, question).await;
    }
    let connector = means.connectors.connector(&upstream.tls, question.is_h2());
    let stream = connector.connect(stream, &question.address).await;
    speak(stream.map_err(|error| Failure::handshake(&error))?, question).await
}

async fn speak<S>(stream: S, question: &Question) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match question.policy.health.protocol {
        ProbeProtocol::Grpc => grpc::ask(stream, question).await,
        _ if question.is_h2() => http_probe::ask_h2(stream, question).await,
        ProbeProtocol::Http | ProbeProtocol::Tcp => http_probe::ask(stream, question).await,
    }
}

impl Question {
    /// Whether it is asked over HTTP/2.
    fn is_h2(&self) -> bool {
        self.policy.upstream.protocol.is_h2() || self.policy.health.protocol == ProbeProtocol::Grpc
    }

    /// Whom it is put to: what is configured, or the backend's address.
    pub(super) fn authority(&self) -> String {
        match (&self.address, self.policy.health.host.as_str()) {
            (Address::Tcp { .. }, "") => self.address.to_string(),
            (Address::Unix { .. }, "") => "localhost".to_owned(),
            (_, host) => host.to_owned(),
        }
    }

    /// The whole URI of a path, as HTTP/2 has it.
    pub(super) fn uri(&self, path: Uri) -> Result<Uri, Failure> {
        let mut parts = path.into_parts();
        let authority = self.authority();
        let scheme = if self.policy.upstream.protocol.is_tls() { "https" } else { "http" };
        parts.scheme = scheme.parse().ok();
        parts.authority =
            Some(authority.parse().map_err(|error| Failure::of(format!("host {authority:?}: {error}")))?);
        Uri::from_parts(parts).map_err(|error| Failure::of(format!("the probe makes no request: {error}")))
    }

    /// A request, with what every probe says about itself.
    pub(super) fn request(&self, request: request::Builder) -> Result<Request<()>, Failure> {
        request
            .header(header::USER_AGENT, "cutover-probe")
            .header("cutover-state", &self.state)
            .body(())
            .map_err(|error| Failure::of(format!("the probe makes no request: {error}")))
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

    fn handshake(error: &HandshakeError) -> Self {
        let is_process_gone = matches!(error, HandshakeError::Io(io) if is_process_gone(io.kind()));
        Self { detail: with_causes(error), is_process_gone }
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
