//! One request from its first phase to its last byte: what it needs on its way, what is in flight because of it, and the record of how it went.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cutover_core::answers::Outcome;
use cutover_core::snapshot::BackendEntry;
use cutover_core::traffic::InFlight;
use http::{StatusCode, Version};
use tokio::time::Instant;

use crate::assets::Transcript;
use crate::client::connection::{Client, Connection};
use crate::client::rate::Standing;
use crate::compress::Coding;
use crate::h1::framing::Framing;
use crate::io::alarm::Alarm;
use crate::io::stream::Stream;
use crate::message::forwarded::Origin;
use crate::message::name::Name;
use crate::pin::PinOutcome;
use crate::pin::preview;
use crate::serve::scratch::Scratch;
use crate::serve::upload::{BodyFault, BodyLimits};
use crate::telemetry::access_log::{Record, Request, Upstream};
use crate::telemetry::metrics::AssetOutcome;
use crate::telemetry::metrics::Fault;
use crate::telemetry::trace::{self, Trace};
use crate::worker::view::ServiceView;

/// What the access log says when the client was gone before there was an answer (nginx's number for it).
const CLIENT_GONE: u16 = 499;

/// A request under way. It writes its record when it is dropped: at the last byte, or when the client is gone.
pub(crate) struct Exchange<'a> {
    pub(crate) client: &'a Client,
    pub(crate) stream: &'a mut Stream,
    pub(crate) alarm: &'a mut Alarm,
    pub(crate) scratch: &'a mut Scratch,
    /// When its head was there.
    pub(crate) began: Instant,
    pub(crate) origin: Origin,
    /// How its client stands by the limit of the service, if that has one.
    pub(crate) standing: Option<Standing>,
    /// The coding in which its client wants the answer, if the service has any.
    pub(crate) wanted_coding: Option<Coding>,
    /// Whether the connection ends with it.
    pub(crate) closes: bool,
    /// Whether a body follows the head.
    pub(crate) is_bodied: bool,
    /// Whether the upload has that body.
    is_admitted: bool,
    pub(crate) tries: Tries,
    /// What a collector will be told, if one wants to know.
    pub(crate) trace: Option<Box<Trace>>,
    /// The backend that was tried last before it was decided anew.
    tried: Option<Arc<BackendEntry>>,
    /// The service that it is for.
    service: Option<Rc<ServiceView>>,
    decided: Option<Decided>,
    pin: Option<PinOutcome>,
    /// Where the file was found, if it is for one.
    asset: Option<AssetOutcome>,
    /// What is kept of the answer, if anything is.
    pub(crate) copy: Option<Box<Transcript>>,
    /// `None` while there is no answer.
    status: Option<StatusCode>,
    /// How the answer was, where its status does not tell.
    outcome: Option<Outcome>,
    /// Body bytes of an answer of ours.
    own_sent: u64,
    /// When it was over, if that is known already.
    ended: Option<Instant>,
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
    /// The member of the decided version that was tried last.
    pub(crate) member: Option<usize>,
    /// Time to open the connection; `None` when an open one was used.
    pub(crate) connect: Option<Duration>,
    /// From sending the request to the head of the answer.
    pub(crate) first_byte: Option<Duration>,
    /// Tries before the last one.
    pub(crate) retries: u32,
}

impl<'a> Exchange<'a> {
    /// A request begins, whose head was there at `began`.
    pub(crate) fn begin(connection: &'a mut Connection, scratch: &'a mut Scratch, began: Instant) -> Self {
        let Connection { client, stream, alarm, .. } = connection;
        scratch.begin();
        let worker = &client.worker;
        let wants_trace = worker.spans.is_some();
        let trace = wants_trace
            .then(|| Trace::begin(&mut scratch.asked.fields, &mut worker.entropy.borrow_mut()))
            .flatten();
        let origin = Origin { client: client.peer.address(), is_secure: false };
        Self {
            client,
            stream,
            alarm,
            scratch,
            began,
            origin,
            standing: None,
            wanted_coding: None,
            closes: false,
            is_bodied: false,
            is_admitted: false,
            tries: Tries::default(),
            trace,
            tried: None,
            service: None,
            decided: None,
            pin: None,
            asset: None,
            copy: None,
            status: None,
            outcome: None,
            own_sent: 0,
            ended: None,
        }
    }

    /// Its body goes through the upload from here on, and to the backend in chunks if it `is_chunking`.
    ///
    /// # Errors
    /// The body says that it is larger than it may be.
    pub(crate) fn admit(
        &mut self,
        framing: Framing,
        is_chunking: bool,
        limits: BodyLimits,
    ) -> Result<(), BodyFault> {
        self.is_admitted = true;
        if let Some(reserved) = &self.client.admission.front().reserved {
            self.scratch.upload.reserve(reserved);
        }
        self.scratch.upload.expect(framing, is_chunking, limits);
        self.scratch.upload.check()
    }

    /// Reads what the client sends behind its request, and notes in `half_closed` when it says that it sends no more.
    ///
    /// # Errors
    /// It has reset the connection.
    pub(crate) fn watch_client(
        &mut self,
        half_closed: &mut Option<Instant>,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        if let Some(stream) = self.stream.h2() {
            // What it has sent does not say whether it is still there.
            return if stream.poll_gone(cx).is_ready() {
                Err(io::ErrorKind::ConnectionReset.into())
            } else {
                Ok(())
            };
        }
        let from_client = &mut self.scratch.from_client;
        while half_closed.is_none() && !from_client.is_full() {
            // As a rule there is nothing, which a read finds out at greater length.
            if self.stream.poll_readable(cx).is_pending() {
                break;
            }
            match from_client.poll_fill(self.stream, cx) {
                Poll::Ready(Ok(0)) => *half_closed = Some(Instant::now()),
                Poll::Ready(read) => drop(read?),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Whether it becomes a tunnel when it is answered so (RFC 8441).
    pub(crate) const fn is_extended_connect(&self) -> bool {
        self.stream.is_extended_connect()
    }

    /// Whether some of its body has not been read.
    pub(crate) fn leaves_body(&self) -> bool {
        self.is_bodied && !(self.is_admitted && self.scratch.upload.is_received())
    }

    /// It is for this service.
    pub(crate) fn routed(&mut self, service: &Rc<ServiceView>) {
        self.service = Some(Rc::clone(service));
    }

    /// The service that it is for, as far as that is known.
    pub(crate) fn service(&self) -> Option<&Rc<ServiceView>> {
        self.service.as_ref()
    }

    /// It was decided for a version: a drain of that version waits for it from now on.
    pub(crate) fn decided(&mut self, service: &Rc<ServiceView>, version: usize) {
        let in_flight = InFlight::begin(&service.set.versions[version].traffic);
        let decided = Decided { service: Rc::clone(service), version, in_flight, is_tunnel: false };
        let before = self.decided.replace(decided);
        // A place among the members means nothing when it is decided anew.
        if let Some((before, member)) = before.zip(self.tries.member.take()) {
            self.tried = Some(Arc::clone(&before.service.set.versions[before.version].members[member]));
        }
    }

    /// There is an answer.
    pub(crate) const fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// The version owes the client an answer, or the rest of one, or what is wrong is none of its business.
    pub(crate) const fn failed(&mut self, is_owed: bool) {
        self.outcome = Some(if is_owed { Outcome::Reset } else { Outcome::Good });
    }

    /// This became of its pin.
    pub(crate) const fn pinned(&mut self, outcome: PinOutcome) {
        self.pin = Some(outcome);
    }

    /// The file that it is for was looked for.
    pub(crate) const fn found(&mut self, asset: AssetOutcome) {
        self.asset = Some(asset);
    }

    /// Whether it is for a file that a backend has.
    pub(crate) const fn is_asset_found(&self) -> bool {
        matches!(self.asset, Some(AssetOutcome::Hit | AssetOutcome::OtherVersion))
    }

    /// The body of our own answer went out.
    pub(crate) const fn sent_own(&mut self, bytes: usize) {
        self.own_sent = bytes as u64;
    }

    /// It was over at `moment`.
    pub(crate) const fn ended(&mut self, moment: Instant) {
        self.ended = Some(moment);
    }

    /// It became a tunnel.
    pub(crate) fn becomes_tunnel(&mut self) {
        if let Some(decided) = &mut self.decided {
            decided.in_flight.becomes_tunnel();
            decided.is_tunnel = true;
            self.client.worker.metrics.tunnels.inc();
        }
    }

    fn sent(&self) -> u64 {
        self.own_sent + self.scratch.download.moved()
    }

    fn count(&self, took: Duration) {
        if let Some((service, asset)) = self.service.as_ref().zip(self.asset) {
            service.metrics.asset(asset);
        }
        let Some(Decided { service, version, is_tunnel, .. }) = &self.decided else { return };
        let metrics = &service.metrics;
        if *is_tunnel {
            self.client.worker.metrics.tunnels.dec();
        }
        if let Some(status) = self.status {
            metrics.versions[*version].answered(status, took);
            // Streams and tunnels last as long as they like: how fast the version is shows at the head.
            let latency = self.tries.first_byte.unwrap_or(took);
            let by_status = if status.is_server_error() { Outcome::Failed } else { Outcome::Good };
            let outcome = self.outcome.unwrap_or(by_status);
            if outcome == Outcome::Reset {
                metrics.versions[*version].fault(Fault::Reset);
            }
            service.set.versions[*version].traffic.answers.note(outcome, latency);
        }
        if let Some(outcome) = self.pin {
            metrics.pin(outcome);
        }
        add(&metrics.retries, self.tries.retries.into());
        add(&metrics.received, self.scratch.upload.received());
        add(&metrics.sent, self.sent());
    }

    /// Tells the access log and the collector of traces how it went.
    fn tell(&mut self, took: Duration) {
        let (worker, trace) = (&self.client.worker, self.trace.take());
        if worker.log.is_none() && trace.is_none() {
            return;
        }
        let asked = &self.scratch.asked;
        let set = self.service.as_ref().map(|service| &service.set);
        let version = self.decided.as_ref().map(|decided| &decided.service.set.versions[decided.version]);
        let backend = version.zip(self.tries.member).map(|(version, member)| &version.members[member]);
        let backend = backend.or(self.tried.as_ref());
        let target = preview::redacted(asked.asked_text());
        let record = Record {
            at: worker.clock.at(self.began),
            client: self.origin.client,
            request: Request {
                method: asked.method_text(),
                target: &target,
                protocol: protocol(asked.version),
                host: &self.scratch.authority,
                user_agent: asked.fields.received(Name::UserAgent),
                referer: asked.fields.received(Name::Referer),
            },
            status: self.status.map_or(CLIENT_GONE, |status| status.as_u16()),
            received: self.scratch.upload.received(),
            sent: self.sent(),
            took,
            service: set.map(|set| set.name.as_str()),
            version: version.map(|version| version.label.as_str()),
            epoch: set.map(|set| set.epoch),
            pin: self.pin.map(|pin| pin.as_str()),
            asset: self.asset.map(|asset| asset.as_str()),
            upstream: backend.map(|backend| Upstream {
                backend: backend.id.as_str(),
                connect: self.tries.connect,
                first_byte: self.tries.first_byte,
                retries: self.tries.retries,
            }),
            request_id: asked.fields.first(Name::XRequestId).unwrap_or_default(),
        };
        if let Some(log) = &worker.log {
            log.log(&record);
        }
        if let Some((mut trace, sink)) = trace.zip(worker.spans.as_ref()) {
            let (method, is_secure) = (&asked.method, self.origin.is_secure);
            let is_answered = self.status.is_some();
            trace.finish(&record, &trace::Ended { began: self.began, method, is_secure, is_answered }, sink);
        }
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        let took = self.ended.unwrap_or_else(Instant::now).saturating_duration_since(self.began);
        self.count(took);
        self.tell(took);
    }
}

/// Adds what there is to add: an atomic addition costs more than a look.
fn add(counter: &prometheus::IntCounter, count: u64) {
    if count > 0 {
        counter.inc_by(count);
    }
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}
