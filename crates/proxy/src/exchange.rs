//! One request from its first phase to its last byte: what is in flight because of it, and the record of how it went.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use cutover_core::time::Timestamp;
use cutover_core::traffic::InFlight;
use http::header::{HOST, REFERER, USER_AGENT};
use http::{HeaderValue, Method, StatusCode, Uri, Version, request};
use tokio::time::Instant;

use crate::access_log::{Record, Request, Upstream};
use crate::body::{BodyFault, RequestBody};
use crate::connection::Client;
use crate::pin::PinOutcome;
use crate::view::ServiceView;

/// What the access log says when the client was gone before there was an answer (nginx's number for it).
const CLIENT_GONE: u16 = 499;

/// A request under way. It moves from `serve` into the answer's body or the tunnel, and writes its record when it is dropped:
/// at the last byte, or when the client is gone.
pub(crate) struct Exchange {
    client: Rc<Client>,
    /// The wall clock, for the log, and the steady one, for times.
    at: Timestamp,
    began: Instant,
    asked: Asked,
    origin: IpAddr,
    request_id: HeaderValue,
    /// Whether a body follows the head.
    is_bodied: bool,
    /// The body, once somebody may read it.
    body: Option<Rc<RequestBody>>,
    decided: Option<Decided>,
    pin: Option<PinOutcome>,
    tries: Tries,
    /// `None` while there is no answer.
    status: Option<StatusCode>,
    sent: u64,
}

/// What the log says of the head. Clones of its fields, which share their bytes.
struct Asked {
    method: Method,
    uri: Uri,
    version: Version,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
}

struct Decided {
    service: Rc<ServiceView>,
    version: usize,
    in_flight: InFlight,
    is_tunnel: bool,
}

/// How backends were tried.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tries {
    /// The member that was tried last.
    pub(crate) member: Option<usize>,
    /// Time to open the connection; `None` when an open one was used.
    pub(crate) connect: Option<Duration>,
    /// From sending the request to the head of the answer.
    pub(crate) first_byte: Option<Duration>,
    /// Tries before the last one.
    pub(crate) retries: u32,
}

impl Exchange {
    /// A request begins, with a body to come or without one.
    pub(crate) fn begin(client: &Rc<Client>, head: &request::Parts, is_bodied: bool) -> Self {
        let field = |name| head.headers.get(name).cloned();
        let asked = Asked {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            host: field(HOST),
            user_agent: field(USER_AGENT),
            referer: field(REFERER),
        };
        Self {
            client: Rc::clone(client),
            at: client.worker.clock.now(),
            began: Instant::now(),
            asked,
            origin: client.peer.address(),
            request_id: HeaderValue::from_static(""),
            is_bodied,
            body: None,
            decided: None,
            pin: None,
            tries: Tries::default(),
            status: None,
            sent: 0,
        }
    }

    /// Where it comes from, and under which id it is known.
    pub(crate) fn identify(&mut self, origin: IpAddr, request_id: HeaderValue) {
        self.origin = origin;
        self.request_id = request_id;
    }

    /// The id under which the app and the client know it; `None` before it has one.
    pub(crate) fn request_id(&self) -> Option<&HeaderValue> {
        Some(&self.request_id).filter(|id| !id.is_empty())
    }

    /// It was decided for a version: a drain of that version waits for it from now on.
    pub(crate) fn decided(&mut self, service: &Rc<ServiceView>, version: usize) {
        let in_flight = InFlight::begin(&service.set.versions[version].traffic);
        self.decided = Some(Decided { service: Rc::clone(service), version, in_flight, is_tunnel: false });
    }

    /// It has this body.
    pub(crate) fn has_body(&mut self, body: &Rc<RequestBody>) {
        self.body = Some(Rc::clone(body));
    }

    /// How backends are tried, for noting it.
    pub(crate) const fn tries(&mut self) -> &mut Tries {
        &mut self.tries
    }

    /// There is an answer.
    pub(crate) const fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// This became of its pin.
    pub(crate) const fn pinned(&mut self, outcome: PinOutcome) {
        self.pin = Some(outcome);
    }

    /// It became a tunnel.
    pub(crate) fn becomes_tunnel(&mut self) {
        if let Some(decided) = &mut self.decided {
            decided.in_flight.becomes_tunnel();
            decided.is_tunnel = true;
            self.client.worker.metrics.tunnels.inc();
        }
    }

    /// So many bytes of the answer's body went to the client.
    pub(crate) const fn note_sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// What the client did wrong with its body, if it did.
    pub(crate) fn body_fault(&self) -> Option<BodyFault> {
        self.body.as_ref()?.fault()
    }

    /// The answer broke off where the end of the connection would look like its end: only a reset tells the client.
    pub(crate) fn reset_client(&self) {
        self.client.activity.reset();
    }

    fn count(&self, received: u64, took: Duration) {
        let Some(Decided { service, version, is_tunnel, .. }) = &self.decided else { return };
        let metrics = &service.metrics;
        if *is_tunnel {
            self.client.worker.metrics.tunnels.dec();
        }
        if let Some(status) = self.status {
            metrics.versions[*version].answered(status, took);
            // Streams and tunnels last as long as they like: how fast the version is shows at the head.
            let latency = self.tries.first_byte.unwrap_or(took);
            service.set.versions[*version].traffic.answers.note(status.is_server_error(), latency);
        }
        if let Some(outcome) = self.pin {
            metrics.pin(outcome);
        }
        metrics.retries.inc_by(self.tries.retries.into());
        metrics.received.inc_by(received);
        metrics.sent.inc_by(self.sent);
    }

    fn log(&self, received: u64, took: Duration) {
        let Some(log) = &self.client.worker.log else { return };
        let authority = self.asked.uri.authority().map(http::uri::Authority::as_str);
        let host = authority.or_else(|| self.asked.host.as_ref()?.to_str().ok()).unwrap_or_default();
        let set = self.decided.as_ref().map(|decided| &decided.service.set);
        let version = self.decided.as_ref().map(|decided| &decided.service.set.versions[decided.version]);
        let backend = version.zip(self.tries.member).map(|(version, member)| &version.members[member]);
        log.log(&Record {
            at: self.at,
            client: self.origin,
            request: Request {
                method: self.asked.method.as_str(),
                target: self.asked.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str),
                protocol: protocol(self.asked.version),
                host,
                user_agent: self.asked.user_agent.as_ref().map(HeaderValue::as_bytes),
                referer: self.asked.referer.as_ref().map(HeaderValue::as_bytes),
            },
            status: self.status.map_or(CLIENT_GONE, |status| status.as_u16()),
            received,
            sent: self.sent,
            took,
            service: set.map(|set| set.name.as_str()),
            version: version.map(|version| version.label.as_str()),
            epoch: set.map(|set| set.epoch),
            pin: self.pin.map(|pin| pin.as_str()),
            upstream: backend.map(|backend| Upstream {
                backend: backend.id.as_str(),
                connect: self.tries.connect,
                first_byte: self.tries.first_byte,
                retries: self.tries.retries,
            }),
            request_id: self.request_id.as_bytes(),
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let now = Instant::now();
        let took = now.duration_since(self.began);
        let received = self.body.as_ref().map_or(0, |body| body.received());
        self.count(received, took);
        self.log(received, took);
        // A request that is refused by its head has a body that nobody read.
        if self.body.as_ref().map_or(self.is_bodied, |body| !body.is_complete()) {
            self.client.activity.linger();
        }
        self.client.activity.end_request(now);
    }
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}
