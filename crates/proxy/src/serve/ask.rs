//! One try: the request goes to the backend, and the head of the answer comes. Both may happen at the same time, and the client
//! may be told something meanwhile, or go away.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use cutover_core::retry::Failure;
use http::StatusCode;
use tokio::time::Instant;

use crate::error::Error;
use crate::h1::framing::{self, Framing};
use crate::h1::head::HeadLimits;
use crate::h2;
use crate::io::relay::Waits;
use crate::io::stream::Stream;
use crate::message::fields::Fields;
use crate::message::headers;
use crate::message::name::Name;
use crate::own;
use crate::serve::blame::{self, Failed};
use crate::serve::check::keeps_alive;
use crate::serve::decide::Decided;
use crate::serve::exchange::Exchange;
use crate::serve::forward::Outgoing;
use crate::serve::scratch::Scratch;
use crate::serve::sighting::{self, Answerer};
use crate::serve::upload;
use crate::upstream::Connection;

/// A backend that has said nothing about the body for so long gets it anyway: many don't know `Expect`.
const CONTINUE_WITHIN: Duration = Duration::from_secs(1);
/// Answers before the answer (RFC 9110 section 15.2). A backend that sends more will not come to an end.
const INTERIMS_MAX: u32 = 32;
/// How large the head of an answer may be.
const LIMITS: HeadLimits = HeadLimits { line: 8 << 10, fields: 64 << 10, count: 200 };

/// How long a client that sends no more is believed to be still there, without a byte that goes to it. Most have gone, and what they
/// asked for is worth nobody's work; a few have only closed their sending half.
pub(crate) const HALF_CLOSED: Duration = Duration::from_secs(1);

/// What the client expects before it sends its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// Nothing.
    None,
    /// A `100`, and has begun nevertheless.
    Begun,
    /// A `100`, and waits for it.
    Waits,
}

/// What is known of an answer by its head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) framing: Framing,
    /// Whether the connection can serve another request after this one.
    pub(crate) keeps_alive: bool,
    /// When it was there.
    pub(crate) at: Instant,
}

/// Sends the request and waits for the head of the answer, which is left in the scratch.
pub(crate) async fn ask(
    exchange: &mut Exchange<'_>,
    decided: &Decided,
    outgoing: &Outgoing,
    (member, mut connection): (usize, Box<Connection>),
    began: Instant,
) -> Result<(Box<Connection>, Answer), Failed> {
    begin(exchange, &mut connection.stream);
    let is_held = exchange.scratch.upload.is_held();
    let policy = &decided.service.set.policy;
    let mut asking = Asking {
        exchange,
        upstream: &mut connection.stream,
        decided,
        is_http11: outgoing.is_http11,
        answer_within: policy.upstream.response_timeout.into(),
        since: began,
        progress: (0, 0, Waits::Nobody),
        patience: is_held.then(|| began + CONTINUE_WITHIN),
        is_uploading: true,
        interims: 0,
        told: 0,
        half_closed: None,
    };
    let heard = poll_fn(|cx| asking.poll(cx)).await;
    let (at, told) = (Instant::now(), asking.told);
    // What the client has of an answer before the answer, it has; the rest goes out before anything else.
    exchange.scratch.interim.drain(..told);
    let is_sent = !(matches!(heard, Heard::OtherVersion) && only_wants_body(exchange));
    match heard {
        Heard::Answer | Heard::OtherVersion => {}
        Heard::Client(error) => return Err(error.into()),
        Heard::End { has_begun } => {
            return Err(blame::no_answer(exchange, decided, (member, &mut connection), has_begun));
        }
        Heard::Refused => return Err(blame::refused()),
        Heard::Timeout => {
            connection.doubt();
            return Err(blame::failed(exchange, decided, member, Error::AnswerTimeout, Failure::Timeout));
        }
        Heard::Garbage => return Err(bad_answer(exchange, decided, member)),
    }
    let worker = &exchange.client.worker;
    let fields = &exchange.scratch.answer.fields;
    let answerer = sighting::see(worker, decided, (member, &connection), fields);
    if answerer != Answerer::Expected
        && let Some(failed) = blame::other_answerer(exchange, decided, answerer, is_sent)
    {
        return Err(failed);
    }
    // It will not be sent again.
    exchange.scratch.upload.stop_keeping();
    let Some((framing, keeps_alive)) = read(exchange, outgoing, &mut connection.stream) else {
        return Err(bad_answer(exchange, decided, member));
    };
    if let Some(limit) = exchange.scratch.answer.fields.first(Name::KeepAlive) {
        decided.pool(member).hear_limit(limit);
    }
    let status = exchange.scratch.answer.status;
    if status.is_success() && exchange.is_extended_connect() {
        // RFC 8441 section 5: the client would take any success for the beginning of the tunnel, and what follows for what is said in it.
        return Err(Error::NoSwitch.into());
    }
    let worker = &exchange.client.worker;
    let entry = &decided.version_set().members[member];
    let took = at.saturating_duration_since(began);
    blame::answered(worker, decided, entry, exchange.scratch.answer.status, (began, took));
    exchange.tries.first_byte = Some(took);
    Ok((connection, Answer { framing, keeps_alive, at }))
}

/// Writes the head, in front of the body.
fn begin(exchange: &mut Exchange<'_>, upstream: &mut Stream) {
    let Scratch { asked, answer, upload, from_client, from_upstream, .. } = &mut *exchange.scratch;
    answer.clear();
    from_upstream.clear();
    if let Some(stream) = upstream.h2() {
        let is_last = upload.send_beside(from_client);
        return stream.ask(asked, is_last);
    }
    upload.send(|out| asked.write(out), from_client);
}

/// How the answer goes on; `None` when it is none to this request.
fn read(exchange: &mut Exchange<'_>, outgoing: &Outgoing, upstream: &mut Stream) -> Option<(Framing, bool)> {
    let Scratch { asked, answer, .. } = &mut *exchange.scratch;
    if answer.status == StatusCode::SWITCHING_PROTOCOLS {
        // RFC 9110 section 7.8: a server may change to what it was asked for, and to nothing else.
        let is_asked = match (answer.fields.first(Name::Upgrade), asked.fields.first(Name::Upgrade)) {
            (Some(found), Some(wanted)) => found.eq_ignore_ascii_case(wanted),
            _ => false,
        };
        return (outgoing.wants_upgrade && is_asked).then_some((Framing::UntilClose, false));
    }
    let mut framing = framing::response(&asked.method, answer.status, answer.version, &answer.fields).ok()?;
    if framing == Framing::UntilClose && upstream.h2().is_some_and(|stream| stream.is_received()) {
        // Nothing follows its head, which only HTTP/2 can say without a length.
        framing = Framing::Length(0);
        if !exchange.stream.is_h2() {
            answer.fields.append(Name::ContentLength, &[b"0"]);
        }
    }
    // A backend that frames a body where there is none may be about to send it.
    let is_doubtful = answer.status == StatusCode::NO_CONTENT
        && (answer.fields.contains(Name::TransferEncoding)
            || answer.fields.first(Name::ContentLength).is_some_and(|length| length != b"0"));
    let keeps_alive =
        framing != Framing::UntilClose && !is_doubtful && keeps_alive(answer.version, &answer.fields);
    Some((framing, keeps_alive))
}

fn bad_answer(exchange: &Exchange<'_>, decided: &Decided, member: usize) -> Failed {
    blame::failed(exchange, decided, member, Error::BadAnswer, Failure::BrokenAnswer)
}

/// Whether an answer before the answer says that the backend wants the body, of which it has nothing yet: it can't have carried out the
/// request. Who says anything else may have begun to.
fn only_wants_body(exchange: &Exchange<'_>) -> bool {
    exchange.scratch.upload.is_held() && exchange.scratch.answer.status == StatusCode::CONTINUE
}

/// What was heard.
enum Heard {
    /// The head of an answer.
    Answer,
    /// What is no answer.
    Garbage,
    /// An answer before the answer, of another version than the one that was decided for.
    OtherVersion,
    /// The end of the connection, before the head of an answer was whole.
    End {
        /// Whether something of an answer was there.
        has_begun: bool,
    },
    /// That the backend has not looked at the request.
    Refused,
    /// Nothing in time.
    Timeout,
    /// The client, which does not want the answer, or does not deserve it.
    Client(Error),
}

/// A try under way.
struct Asking<'a, 'e> {
    exchange: &'a mut Exchange<'e>,
    upstream: &'a mut Stream,
    decided: &'a Decided,
    is_http11: bool,
    answer_within: Duration,
    /// Since when whoever is waited for is waited for.
    since: Instant,
    /// How far the upload was then.
    progress: (u64, u64, Waits),
    /// Until when the backend may say that it wants the body.
    patience: Option<Instant>,
    is_uploading: bool,
    /// Answers before the answer.
    interims: u32,
    /// Bytes of them that the client has.
    told: usize,
    /// When the client said that it sends no more.
    half_closed: Option<Instant>,
}

impl Asking<'_, '_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        let is_h2 = self.exchange.stream.is_h2();
        // Over HTTP/2 it shows at any time, whoever the body waits for.
        if is_h2 && self.is_client_gone(cx) {
            return Poll::Ready(Heard::Client(Error::ClientGone));
        }
        if self.is_uploading
            && let Err(error) = self.upload(cx)
        {
            return Poll::Ready(Heard::Client(error));
        }
        if let Poll::Ready(heard) = self.poll_answer(cx) {
            return Poll::Ready(heard);
        }
        let is_held = self.exchange.scratch.upload.is_held();
        let is_watched = !is_h2 && (is_held || self.exchange.scratch.upload.is_received());
        if is_watched && self.is_client_gone(cx) {
            return Poll::Ready(Heard::Client(Error::ClientGone));
        }
        if is_held && !self.exchange.scratch.from_client.is_empty() {
            // It does not wait after all.
            self.let_go(cx);
        }
        self.poll_time(cx)
    }

    fn is_client_gone(&mut self, cx: &mut Context<'_>) -> bool {
        self.exchange.watch_client(&mut self.half_closed, cx).is_err()
    }

    /// Sends on. A backend that takes no more may have answered.
    fn upload(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let Exchange { stream, scratch, client, .. } = &mut *self.exchange;
        let Scratch { upload, from_client, .. } = &mut **scratch;
        let polled = upload.poll((stream, from_client, &client.worker.buffers), self.upstream, cx);
        match polled {
            Poll::Ready(Ok(()) | Err(upload::Failed::Backend)) => self.is_uploading = false,
            Poll::Ready(Err(upload::Failed::Client(fault))) => return Err(fault.into()),
            Poll::Pending => {}
        }
        let progress = (upload.wrote(), upload.received(), upload.waits());
        if self.progress != progress {
            if self.progress.0 > 0 || polled.is_pending() {
                self.since = Instant::now();
            }
            self.progress = progress;
        }
        Ok(())
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        loop {
            match self.poll_tell(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(heard)) => return Poll::Ready(heard),
                Poll::Pending => return Poll::Pending,
            }
            if let Err(heard) = ready!(self.poll_head(cx)) {
                return Poll::Ready(heard);
            }
            let status = self.exchange.scratch.answer.status;
            if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                return Poll::Ready(Heard::Answer);
            }
            if self.may_refuse_interim() {
                return Poll::Ready(Heard::OtherVersion);
            }
            if self.interims == INTERIMS_MAX {
                return Poll::Ready(Heard::Garbage);
            }
            self.interim(cx);
        }
    }

    /// Reads the head of an answer, or of one before it.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Heard>> {
        let Scratch { answer, from_upstream, text, .. } = &mut *self.exchange.scratch;
        let has_begun = self.interims > 0;
        if let Some(stream) = self.upstream.h2() {
            return stream.poll_answer(answer, &LIMITS, text, cx).map(|heard| match heard {
                h2::Heard::Head => Ok(()),
                h2::Heard::Garbage => Err(Heard::Garbage),
                h2::Heard::Refused => Err(Heard::Refused),
                h2::Heard::NoSwitch => Err(Heard::Client(Error::NoSwitch)),
                h2::Heard::End => Err(Heard::End { has_begun }),
            });
        }
        loop {
            if !from_upstream.is_empty() {
                match answer.parse(from_upstream.filled(), &LIMITS) {
                    Err(_) => return Poll::Ready(Err(Heard::Garbage)),
                    Ok(None) => {}
                    Ok(Some(len)) => {
                        from_upstream.consume(len);
                        return Poll::Ready(Ok(()));
                    }
                }
            }
            if from_upstream.is_full() {
                from_upstream.grow(2 * from_upstream.capacity());
            }
            if !matches!(ready!(from_upstream.poll_fill(self.upstream, cx)), Ok(1..)) {
                let has_begun = has_begun || !from_upstream.is_empty();
                return Poll::Ready(Err(Heard::End { has_begun }));
            }
        }
    }

    /// Whether an answer before the answer shows that the wrong version is at work, while the right one can still be asked instead.
    fn may_refuse_interim(&self) -> bool {
        let fields = &self.exchange.scratch.answer.fields;
        sighting::is_other_version(self.decided, fields)
            && Failed::by_another(!only_wants_body(self.exchange)).allows_retry(self.exchange)
    }

    /// An answer before the answer goes on to clients that understand it, a `100` to those that wait for it.
    fn interim(&mut self, cx: &mut Context<'_>) {
        self.interims += 1;
        let Scratch { answer, upload, interim, .. } = &mut *self.exchange.scratch;
        let is_continue = answer.status == StatusCode::CONTINUE;
        if if is_continue { upload.is_held() } else { self.is_http11 } {
            headers::prepare_answer(
                answer.status,
                answer.version,
                &mut answer.fields,
                &self.decided.service.identity,
            );
            answer.fields.remove(Name::ContentLength);
            let head = (answer.status, answer.reason());
            own::write_head(self.exchange.stream, interim, head, &answer.fields, false);
        }
        answer.clear();
        if is_continue && upload.is_held() {
            self.let_go(cx);
        }
    }

    /// The body may come.
    fn let_go(&mut self, cx: &mut Context<'_>) {
        self.patience = None;
        self.exchange.scratch.upload.hold(false);
        self.since = Instant::now();
        // The upload has its turn before the answer.
        cx.waker().wake_by_ref();
    }

    /// Tells the client what it gets before the answer.
    fn poll_tell(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Heard>> {
        let Exchange { stream, scratch, .. } = &mut *self.exchange;
        while self.told < scratch.interim.len() {
            match stream.poll_write_some(&scratch.interim[self.told..], cx) {
                Poll::Ready(Ok(count @ 1..)) => {
                    self.told += count;
                    self.since = Instant::now();
                }
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Heard::Client(Error::ClientGone))),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.told > 0 && ready!(stream.poll_flush(cx)).is_err() {
            return Poll::Ready(Err(Heard::Client(Error::ClientGone)));
        }
        scratch.interim.clear();
        self.told = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        loop {
            let Scratch { upload, interim, .. } = &*self.exchange.scratch;
            let is_telling = !interim.is_empty();
            let waits_for_client = self.is_uploading && upload.waits() == Waits::Source;
            let time = match waits_for_client {
                true => upload.idle(),
                false if is_telling => self.exchange.client.worker.limits.body_idle_timeout,
                false => self.answer_within,
            };
            let deadline = self.since + time;
            let gone = self.half_closed.map(|at| at + HALF_CLOSED);
            let first = [Some(deadline), self.patience, gone].into_iter().flatten().min();
            if self.exchange.alarm.poll(first, cx).is_pending() {
                return Poll::Pending;
            }
            if first == gone || (first != self.patience && is_telling) {
                return Poll::Ready(Heard::Client(Error::ClientGone));
            }
            if first != self.patience {
                return Poll::Ready(if waits_for_client {
                    Heard::Client(self.exchange.scratch.upload.stalled().into())
                } else {
                    Heard::Timeout
                });
            }
            let Exchange { stream, scratch, .. } = &mut *self.exchange;
            let head = (StatusCode::CONTINUE, &b"Continue"[..]);
            own::write_head(stream, &mut scratch.interim, head, &Fields::default(), false);
            self.let_go(cx);
        }
    }
}
