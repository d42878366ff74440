//! The answer on its way to the client, to its last byte, while what is left of the request may still be on its way to the backend.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::h1::framing::Framing;
use crate::io::relay::{Broken, Seam, Waits};
use crate::io::stream::Stream;
use crate::message::event_stream::{Events, is_event_stream};
use crate::own;
use crate::serve::Next;
use crate::serve::ask::HALF_CLOSED;
use crate::serve::blame::{self, Carrier};
use crate::serve::decide::Decided;
use crate::serve::exchange::Exchange;
use crate::serve::finish::Passing;
use crate::serve::forward::Backend;
use crate::serve::scratch::Scratch;
use crate::serve::term::Term;
use crate::serve::tunnel::{self, CUT_WITHIN};

/// Lets the two connections be a tunnel, until it is over.
pub(crate) async fn tunnel(exchange: &mut Exchange<'_>, decided: Decided, mut backend: Backend) -> Next {
    let worker = &exchange.client.worker;
    let term = Term::of(worker, &decided, backend.member);
    let idle = decided.service.set.policy.upstream.tunnel_idle_timeout.into();
    let carrier = Carrier::of(&decided, backend.member);
    // It may outlive many snapshots, and needs none of them.
    drop(decided);
    exchange.becomes_tunnel();
    let is_broken = tunnel::carry(exchange, &mut backend.connection.stream, idle, term).await;
    if is_broken && !backend.connection.is_alone_over() {
        carrier.broke(worker);
    }
    Next::Close
}

/// Sends the answer, and says what becomes of the two connections.
pub(crate) async fn pass(
    exchange: &mut Exchange<'_>,
    decided: &Decided,
    mut backend: Backend,
    passing: Passing,
) -> Next {
    let worker = &exchange.client.worker;
    let Scratch { asked, answer, .. } = &*exchange.scratch;
    let is_endless = matches!(backend.answer.framing, Framing::Chunked | Framing::UntilClose)
        && is_event_stream(asked, answer);
    let mut over = is_endless.then(|| Box::pin(Term::of(worker, decided, backend.member).over()));
    if is_endless {
        exchange.scratch.download.follow(Seam::Events(Events::default()));
    }
    let is_uploading = !exchange.scratch.upload.is_done();
    let mut pass = Pass {
        exchange,
        upstream: &mut backend.connection.stream,
        is_uploading,
        has_waited: false,
        since: backend.answer.at,
        progress: (0, Waits::Nobody, 0),
        half_closed: None,
        cut_by: None,
    };
    let passed = poll_fn(|cx| {
        if over.as_mut().is_some_and(|over| over.as_mut().poll(cx).is_ready()) {
            over = None;
            pass.leave();
        }
        pass.poll(cx)
    })
    .await;
    let since = pass.since;
    match passed {
        Passed::Whole => whole(exchange, decided, backend, since),
        Passed::Broken => {
            // An upload that the client broke may end the answer too. Blaming the backend for that would let any client take it
            // out of service.
            if exchange.scratch.upload.fault().is_none() {
                blame::broke_off(exchange, decided, (backend.member, &mut backend.connection));
            }
            // A head of HTTP/2 is on its way already: it goes beside the body.
            if exchange.scratch.download.wrote() == 0 && !exchange.stream.is_h2() {
                // The client has nothing of it, and need not guess.
                exchange.scratch.download.begin(Framing::None, false);
                let error = exchange.scratch.upload.fault().map_or(Error::BadAnswer, Error::from);
                return own::refuse(exchange, error).await;
            }
            match passing {
                // Without a length or chunks the end of the stream is the end of the body: only a reset says that it broke off.
                Passing::UntilClose => Next::Reset,
                Passing::Body | Passing::Tunnel => Next::Close,
            }
        }
        Passed::ClientGone => Next::Reset,
        // Behind half an event, a client that sees no end of the body connects again too.
        Passed::Unfinished => match passing {
            Passing::UntilClose => Next::Reset,
            Passing::Body | Passing::Tunnel => Next::Close,
        },
    }
}

/// The answer was sent to its end: the backend's connection may serve another request.
fn whole(exchange: &mut Exchange<'_>, decided: &Decided, backend: Backend, ended: Instant) -> Next {
    let Backend { connection, member, in_flight, answer } = backend;
    drop(in_flight);
    if let Some(copy) = exchange.copy.take() {
        copy.finish();
    }
    let Scratch { upload, download, from_client, from_upstream, .. } = &mut *exchange.scratch;
    // What comes behind an answer without being asked for would be taken for the answer to the next request.
    if answer.keeps_alive && upload.is_done() && !download.is_cut() && from_upstream.is_empty() {
        decided.pool(member).give_back(connection, &decided.service.set.policy.upstream, ended);
    }
    let is_all_read = upload.is_received() && from_client.is_empty();
    exchange.ended(ended);
    match exchange.closes {
        true if is_all_read => Next::Close,
        true => Next::Linger,
        false => Next::Again(ended),
    }
}

/// How it ended.
enum Passed {
    Whole,
    /// The backend broke off.
    Broken,
    /// The client is gone, or takes nothing.
    ClientGone,
    /// Its term was over, and no place came where it could end.
    Unfinished,
}

/// An answer under way.
struct Pass<'a, 'e> {
    exchange: &'a mut Exchange<'e>,
    upstream: &'a mut Stream,
    is_uploading: bool,
    /// Whether it had to wait for anything.
    has_waited: bool,
    /// Since when nothing moved.
    since: Instant,
    /// How far it was then, and the upload.
    progress: (u64, Waits, u64),
    /// When the client said that it sends no more.
    half_closed: Option<Instant>,
    /// Until when a stream has to end, once its term is over.
    cut_by: Option<Instant>,
}

impl Pass<'_, '_> {
    /// Its term is over: a stream ends behind its current event.
    fn leave(&mut self) {
        self.cut_by = Some(Instant::now() + CUT_WITHIN);
        self.exchange.scratch.download.cut(Vec::new());
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Passed> {
        let Exchange { stream, scratch, client, copy, .. } = &mut *self.exchange;
        let Scratch { upload, download, from_client, from_upstream, .. } = &mut **scratch;
        let buffers = &client.worker.buffers;
        if self.is_uploading {
            // Whatever goes wrong with it: the answer is what counts now, and both connections end with it.
            self.is_uploading = upload.poll((stream, from_client, buffers), self.upstream, cx).is_pending();
        }
        let watch = |data: &[u8]| {
            if let Some(copy) = copy {
                copy.take(data);
            }
            Ok::<(), std::convert::Infallible>(())
        };
        match download.poll((self.upstream, from_upstream, buffers), stream, cx, watch) {
            Poll::Ready(Ok(())) => {
                // What came whole with its head is over at the moment of that: the usual answer costs no other look at the clock.
                if self.has_waited {
                    self.since = Instant::now();
                }
                return Poll::Ready(Passed::Whole);
            }
            Poll::Ready(Err(Broken::SinkGone(_))) => return Poll::Ready(Passed::ClientGone),
            Poll::Ready(Err(Broken::SourceGone(_) | Broken::Chunks(_))) => {
                return Poll::Ready(Passed::Broken);
            }
            Poll::Ready(Err(Broken::Refused(never))) => match never {},
            Poll::Pending => self.has_waited = true,
        }
        let progress = (download.wrote(), download.waits(), upload.received());
        if self.progress != progress {
            (self.since, self.progress) = (Instant::now(), progress);
        }
        self.poll_time(cx)
    }

    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Passed> {
        let upload = &self.exchange.scratch.upload;
        let time: Option<Duration> = if self.progress.1 == Waits::Sink {
            Some(self.exchange.client.worker.limits.body_idle_timeout)
        } else if self.is_uploading && upload.waits() == Waits::Source {
            // Both wait for the client: the backend may need the rest of the request for the rest of its answer.
            Some(upload.idle())
        } else {
            None
        };
        // Nothing else shows that it is gone when its body is over, or came to no end. Over HTTP/2 it shows at any time.
        let is_silent = time.is_none() && (upload.is_received() || upload.fault().is_some());
        let is_watched = is_silent || self.exchange.stream.is_h2();
        if is_watched && self.exchange.watch_client(&mut self.half_closed, cx).is_err() {
            return Poll::Ready(Passed::ClientGone);
        }
        // A backend may be silent for as long as it likes, while somebody listens.
        let time = time.or(self.half_closed.map(|_| HALF_CLOSED));
        let since = self.half_closed.map_or(self.since, |at| at.max(self.since));
        let gone_at = time.map(|time| since + time);
        let first = [gone_at, self.cut_by].into_iter().flatten().min();
        let rung = self.exchange.alarm.poll(first, cx);
        rung.map(|()| if first == gone_at { Passed::ClientGone } else { Passed::Unfinished })
    }
}
