//! A request's body on its way to a backend: streamed, limited, and kept as long as it is small, so that it can be sent again.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::headers;

/// A backend that has said nothing about the body for so long gets it anyway: many don't know `Expect`.
const CONTINUE_WITHIN: Duration = Duration::from_secs(1);

/// Chunks of a body that are kept. Each costs more than its bytes, and a client decides how small they are.
const KEPT_CHUNKS_MAX: usize = 256;

/// The place after the last chunk and the trailers.
const OVER: usize = usize::MAX;

/// What may happen to a request's body that is the client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    /// It has more bytes than it may have.
    #[error("the request body is too large")]
    TooLarge,
    /// No byte of it came for too long.
    #[error("the request body stalled")]
    Stalled,
    /// It ended early, or its framing is broken.
    #[error("the request body broke off")]
    Broken,
    /// Another try of the same request reads it now.
    #[error("the request is sent elsewhere")]
    Abandoned,
}

/// Limits of one request body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// Bytes it may have.
    pub(crate) bytes: Option<u64>,
    /// Time without a byte.
    pub(crate) idle: Duration,
    /// Bytes up to which it is kept to be sent again.
    pub(crate) replay: u64,
}

/// A request's body. It belongs to the request; each try to send it reads it through an [`Upload`].
pub(crate) struct RequestBody<B = Incoming> {
    source: RefCell<Pin<Box<B>>>,
    limits: BodyLimits,
    /// Bytes that it will have, if that is known.
    length: Option<u64>,
    kept: RefCell<Kept>,
    is_keeping: Cell<bool>,
    trailers: RefCell<Option<HeaderMap>>,
    received: Cell<u64>,
    is_complete: Cell<bool>,
    fault: Cell<Option<BodyFault>>,
    /// The try that may read it.
    turn: Cell<u32>,
    /// Since when the backend has been waited for; `None` while it is the client that has to send.
    waiting_since: Cell<Option<Instant>>,
}

/// What was received, as long as all of it is at hand.
struct Kept {
    chunks: Vec<Bytes>,
    is_whole: bool,
}

impl<B: Body<Data = Bytes>> RequestBody<B> {
    /// A body that has not been read.
    pub(crate) fn new(source: B, limits: BodyLimits, now: Instant) -> Rc<Self> {
        Rc::new(Self {
            limits,
            length: source.size_hint().exact(),
            is_complete: Cell::new(source.is_end_stream()),
            source: RefCell::new(Box::pin(source)),
            kept: RefCell::new(Kept { chunks: Vec::new(), is_whole: true }),
            is_keeping: Cell::new(true),
            trailers: RefCell::new(None),
            received: Cell::new(0),
            fault: Cell::new(None),
            turn: Cell::new(0),
            waiting_since: Cell::new(Some(now)),
        })
    }

    /// The body for the next try, from its first byte. Earlier tries can't read it any more.
    ///
    /// With `awaits_continue` nothing is handed out before the backend gave its leave, or a second has passed.
    pub(crate) fn upload(
        self: &Rc<Self>,
        now: Instant,
        awaits_continue: bool,
    ) -> (Upload<B>, Option<Arc<Leave>>) {
        self.turn.set(self.turn.get() + 1);
        self.waiting_since.set(Some(now));
        let leave = awaits_continue.then(Arc::<Leave>::default);
        let gate = leave.as_ref().map(|leave| Gate {
            leave: Arc::clone(leave),
            patience: Box::pin(tokio::time::sleep_until(now + CONTINUE_WITHIN)),
        });
        let body = Rc::clone(self);
        (Upload { body, turn: self.turn.get(), next: 0, sent: 0, stall: None, gate }, leave)
    }

    /// Whether all of it was received.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete.get()
    }

    /// Bytes that it will have, if that is known.
    pub(crate) const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether everything that was received is still at hand.
    pub(crate) fn is_at_hand(&self) -> bool {
        self.kept.borrow().is_whole
    }

    /// Stops keeping what comes: the request will not be sent again.
    pub(crate) fn stop_keeping(&self) {
        // What was kept stays: the current try may not have read all of it yet.
        self.is_keeping.set(false);
    }

    /// Bytes that came from the client.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// What went wrong with it, if it is the client's fault.
    pub(crate) fn fault(&self) -> Option<BodyFault> {
        self.fault.get()
    }

    /// Since when the backend has had everything that the client has sent, or has not taken what there is. `None` while the client is waited for.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since.get()
    }

    fn receive(&self, data: &Bytes) -> Result<(), BodyFault> {
        let received = self.received.get() + data.len() as u64;
        self.received.set(received);
        if self.limits.bytes.is_some_and(|limit| received > limit) {
            return Err(self.fail(BodyFault::TooLarge));
        }
        let mut kept = self.kept.borrow_mut();
        let has_room = received <= self.limits.replay && kept.chunks.len() < KEPT_CHUNKS_MAX;
        if kept.is_whole && self.is_keeping.get() && has_room {
            kept.chunks.push(data.clone());
        } else {
            *kept = Kept { chunks: Vec::new(), is_whole: false };
        }
        Ok(())
    }

    fn fail(&self, fault: BodyFault) -> BodyFault {
        self.fault.set(Some(fault));
        fault
    }
}

/// One try to send a [`RequestBody`].
pub(crate) struct Upload<B = Incoming> {
    body: Rc<RequestBody<B>>,
    turn: u32,
    /// The next chunk of what was kept.
    next: usize,
    sent: u64,
    /// Ends a body that stalls. Made when the client is waited for the first time, and then moved, not made anew.
    stall: Option<Stall>,
    /// Keeps the body back until the backend wants it.
    gate: Option<Gate>,
}

/// A backend's leave to send the body: its `100` (RFC 9110 section 10.1.1).
///
/// It is given and looked at by the task of one connection, which reads before it writes; an atomic only because hyper wants
/// what it calls to be `Send`.
#[derive(Debug, Default)]
pub(crate) struct Leave(AtomicBool);

impl Leave {
    /// The backend wants the body.
    pub(crate) fn give(&self) {
        self.0.store(true, Relaxed);
    }
}

struct Gate {
    leave: Arc<Leave>,
    patience: Pin<Box<Sleep>>,
}

struct Stall {
    sleep: Pin<Box<Sleep>>,
    is_armed: bool,
}

impl<B: Body<Data = Bytes>> Upload<B> {
    /// The next chunk that an earlier try has received already.
    fn replay(&mut self) -> Option<Bytes> {
        let chunk = self.body.kept.borrow().chunks.get(self.next).cloned()?;
        self.next += 1;
        Some(chunk)
    }

    fn hand_out(&mut self, data: Bytes) -> Frame<Bytes> {
        self.sent += data.len() as u64;
        self.body.waiting_since.set(Some(Instant::now()));
        Frame::data(data)
    }

    /// Reads on, from the client.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let body = Rc::clone(&self.body);
        let polled = body.source.borrow_mut().as_mut().poll_frame(cx);
        let frame = match polled {
            Poll::Pending => return self.poll_stall(cx),
            Poll::Ready(None) => {
                body.is_complete.set(true);
                body.waiting_since.set(Some(Instant::now()));
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(Err(body.fail(BodyFault::Broken)))),
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        if let Some(stall) = &mut self.stall {
            stall.is_armed = false;
        }
        body.is_complete.set(body.source.borrow().is_end_stream());
        match frame.into_data() {
            Ok(data) => {
                body.receive(&data)?;
                self.next = body.kept.borrow().chunks.len();
                Poll::Ready(Some(Ok(self.hand_out(data))))
            }
            Err(frame) => {
                body.is_complete.set(true);
                body.waiting_since.set(Some(Instant::now()));
                let mut trailers = frame.into_trailers().ok();
                trailers.as_mut().map(headers::prepare_trailers);
                *body.trailers.borrow_mut() = trailers;
                self.next = OVER;
                Poll::Ready(self.trailers())
            }
        }
    }

    fn trailers(&self) -> Option<Result<Frame<Bytes>, BodyFault>> {
        self.body.trailers.borrow().clone().map(|trailers| Ok(Frame::trailers(trailers)))
    }

    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.body.waiting_since.set(None);
        let idle = self.body.limits.idle;
        let stall = self
            .stall
            .get_or_insert_with(|| Stall { sleep: Box::pin(tokio::time::sleep(idle)), is_armed: true });
        if !stall.is_armed {
            stall.is_armed = true;
            stall.sleep.as_mut().reset(Instant::now() + idle);
        }
        match stall.sleep.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Some(Err(self.body.fail(BodyFault::Stalled)))),
        }
    }
}

impl<B: Body<Data = Bytes>> Body for Upload<B> {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = self.get_mut();
        if this.turn != this.body.turn.get() {
            return Poll::Ready(Some(Err(BodyFault::Abandoned)));
        }
        if let Some(gate) = &mut this.gate {
            if !gate.leave.0.load(Relaxed) && gate.patience.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.gate = None;
        }
        if let Some(chunk) = this.replay() {
            return Poll::Ready(Some(Ok(this.hand_out(chunk))));
        }
        if !this.body.is_complete.get() {
            return this.poll_client(cx);
        }
        let is_over = std::mem::replace(&mut this.next, OVER) == OVER;
        Poll::Ready(if is_over { None } else { this.trailers() })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_complete.get()
            && self.body.trailers.borrow().is_none()
            && self.next >= self.body.kept.borrow().chunks.len()
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .length
            .map_or_else(SizeHint::default, |length| SizeHint::with_exact(length.saturating_sub(self.sent)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use super::*;

    /// A body of these chunks; one that is empty stands for a client that does not send.
    struct Chunks(VecDeque<&'static str>);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some("") => {
                    cx.waker().wake_by_ref();
                    self.0.push_front("");
                    Poll::Pending
                }
                Some("trailers") => {
                    let mut trailers = HeaderMap::new();
                    trailers.insert("x-sum", http::HeaderValue::from_static("1"));
                    Poll::Ready(Some(Ok(Frame::trailers(trailers))))
                }
                Some(chunk) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(chunk.as_bytes()))))),
            }
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn body(chunks: &[&'static str], bytes: Option<u64>) -> Rc<RequestBody<Chunks>> {
        let limits = BodyLimits { bytes, idle: Duration::from_millis(20), replay: 6 };
        RequestBody::new(Chunks(chunks.iter().copied().collect()), limits, Instant::now())
    }

    /// Reads until the end or a fault; trailers are shown by a full stop.
    async fn read(upload: &mut Upload<Chunks>) -> Result<String, BodyFault> {
        let mut text = String::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut *upload).poll_frame(cx)).await {
            match frame?.into_data() {
                Ok(data) => text.push_str(std::str::from_utf8(&data).unwrap()),
                Err(_) => text.push('.'),
            }
        }
        Ok(text)
    }

    fn upload(body: &Rc<RequestBody<Chunks>>) -> Upload<Chunks> {
        body.upload(Instant::now(), false).0
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn a_small_body_is_sent_again_from_its_first_byte() {
        run(async {
            let body = body(&["ab", "cd", "trailers"], None);
            let mut first = upload(&body);
            let _ = std::future::poll_fn(|cx| Pin::new(&mut first).poll_frame(cx)).await;
            assert!(body.is_at_hand());
            let mut second = upload(&body);
            assert_eq!(read(&mut second).await.unwrap(), "abcd.");
            assert_eq!(read(&mut first).await, Err(BodyFault::Abandoned));
            assert_eq!(read(&mut upload(&body)).await.unwrap(), "abcd.");
        });
    }

    #[test]
    fn a_body_that_outgrows_the_replay_limit_is_not_kept() {
        run(async {
            let body = body(&["abcd", "efgh"], None);
            assert_eq!(read(&mut upload(&body)).await.unwrap(), "abcdefgh");
            assert!(!body.is_at_hand());
            assert!(body.kept.borrow().chunks.is_empty());
        });
    }

    #[test]
    fn a_body_in_crumbs_is_not_kept() {
        run(async {
            let limits = BodyLimits { bytes: None, idle: Duration::from_secs(1), replay: 64 << 10 };
            let crumbs = Chunks(std::iter::repeat_n("a", KEPT_CHUNKS_MAX + 1).collect());
            let body = RequestBody::new(crumbs, limits, Instant::now());
            assert_eq!(read(&mut upload(&body)).await.unwrap().len(), KEPT_CHUNKS_MAX + 1);
            assert!(!body.is_at_hand());
        });
    }

    #[test]
    fn what_was_kept_is_read_to_its_end_when_the_answer_comes_early() {
        run(async {
            let body = body(&["ab", "cd", "ef"], None);
            let mut first = upload(&body);
            for _ in 0..2 {
                let _ = std::future::poll_fn(|cx| Pin::new(&mut first).poll_frame(cx)).await;
            }
            let mut second = upload(&body);
            body.stop_keeping();
            assert_eq!(read(&mut second).await.unwrap(), "abcdef");
            assert!(!body.is_at_hand());
        });
    }

    #[test]
    fn a_body_beyond_the_limit_is_refused_when_it_is_exceeded() {
        run(async {
            let body = body(&["abc", "def"], Some(5));
            assert_eq!(read(&mut upload(&body)).await, Err(BodyFault::TooLarge));
            assert_eq!(body.fault(), Some(BodyFault::TooLarge));
        });
    }

    #[test]
    fn a_body_that_stalls_ends() {
        run(async {
            let body = body(&["abc", ""], None);
            assert_eq!(read(&mut upload(&body)).await, Err(BodyFault::Stalled));
            assert!(body.waiting_since().is_none(), "it was the client that did not send");
        });
    }

    #[test]
    fn an_empty_body_is_always_at_hand() {
        let body = body(&[], Some(0));
        assert!(body.is_complete() && body.is_at_hand() && upload(&body).is_end_stream());
    }
}
