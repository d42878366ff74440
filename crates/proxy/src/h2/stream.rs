//! One stream of an HTTP/2 connection with a client or a backend (RFC 9113 section 5): the bytes of a body, with its heads, ends and trailers beside them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::server::Leaving;
use super::switch::Switch;
use super::translate;
use crate::h1::framing::{self, Framing, FramingError};
use crate::h1::head::{AnswerHead, HeadError, HeadLimits, RequestHead};
use crate::message::fields::Fields;

/// One stream.
#[derive(Debug)]
pub(crate) struct H2Stream {
    side: Side,
    /// Where the other side's body comes from, once its head was there.
    receive: Option<RecvStream>,
    /// What of it came, and was not read.
    piece: Bytes,
    trailers: Option<HeaderMap>,
    /// Whether all of it came.
    is_received: bool,
    /// Where ours goes, once our head went out.
    send: Option<SendStream<Bytes>>,
    /// Whether our last frame went out.
    is_ended: bool,
}

/// Who is at the other end.
#[derive(Debug)]
enum Side {
    Client {
        respond: SendResponse<Bytes>,
        /// The head of its request, until it is read.
        asked: Option<Box<Parts>>,
        /// Whether the stream becomes a tunnel when it is answered so.
        is_extended_connect: bool,
        leaving: Rc<Leaving>,
    },
    Backend {
        /// Ready for one request.
        sender: SendRequest<Bytes>,
        is_tls: bool,
        answer: Option<ResponseFuture>,
        /// What the request wants to change to, if it does.
        switch: Option<Switch>,
    },
}

/// What came of waiting for the head of an answer.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The head of an answer, or of one before it.
    Head,
    /// What is no answer.
    Garbage,
    /// The backend has not looked at the request, and will not (RFC 9113 section 8.7).
    Refused,
    /// The backend does not change to other protocols.
    NoSwitch,
    /// The stream, or its connection, ended.
    End,
}

impl H2Stream {
    /// A stream that a client opened.
    pub(crate) fn of_client(
        request: http::Request<RecvStream>,
        respond: SendResponse<Bytes>,
        leaving: Rc<Leaving>,
    ) -> Self {
        let (parts, receive) = request.into_parts();
        let is_extended_connect = parts.extensions.get::<h2::ext::Protocol>().is_some();
        let asked = Some(Box::new(parts));
        Self::new(Side::Client { respond, asked, is_extended_connect, leaving }, Some(receive))
    }

    /// A stream that is going to be opened to a backend. `sender` is ready for it.
    pub(crate) fn to_backend(sender: SendRequest<Bytes>, is_tls: bool) -> Self {
        Self::new(Side::Backend { sender, is_tls, answer: None, switch: None }, None)
    }

    fn new(side: Side, receive: Option<RecvStream>) -> Self {
        Self {
            side,
            is_received: receive.as_ref().is_some_and(RecvStream::is_end_stream),
            receive,
            piece: Bytes::new(),
            trailers: None,
            send: None,
            is_ended: false,
        }
    }

    /// Reads the head of the client's request, as if it had come over HTTP/1.1. `text` is memory for it, `nonce` is random.
    pub(crate) fn read_request(
        &mut self,
        asked: &mut RequestHead,
        limits: &HeadLimits,
        text: &mut Vec<u8>,
        nonce: impl FnOnce() -> [u8; 16],
    ) -> Result<(), HeadError> {
        let Side::Client { asked: parts, .. } = &mut self.side else { return Ok(()) };
        let Some(parts) = parts.take() else { return Ok(()) };
        translate::read_request(&parts, asked, limits, text, nonce)
    }

    /// How the body of the client's request is framed: by frames, and a `Content-Length` that the `h2` crate holds them to (section 8.1.1).
    pub(crate) fn framing(&self, asked: &RequestHead) -> Result<Framing, FramingError> {
        let declared = framing::request(asked.version, &asked.fields)?;
        if self.is_extended_connect() {
            // What comes is the tunnel's (RFC 9110 section 9.3.6). A backend that waits for a body, and opens no tunnel, would take the
            // next request of its connection for it.
            return match declared {
                Framing::None | Framing::Length(0) => Ok(declared),
                _ => Err(FramingError::TunnelBody),
            };
        }
        Ok(match declared {
            Framing::Length(1..) if self.is_received => return Err(FramingError::BadLength),
            Framing::None if !self.is_received => Framing::UntilClose,
            framing => framing,
        })
    }

    /// Whether it becomes a tunnel when it is answered so (RFC 8441).
    pub(crate) const fn is_extended_connect(&self) -> bool {
        matches!(self.side, Side::Client { is_extended_connect: true, .. })
    }

    /// Sends the head of the answer, or of one before it. What fails shows at the next byte.
    pub(crate) fn answer(&mut self, status: StatusCode, fields: &Fields, is_last: bool) {
        let Side::Client { respond, is_extended_connect, .. } = &mut self.side else { return };
        // RFC 8441 section 5: what is switched to by a 101 in HTTP/1.1 is by a 200 here.
        let is_switch = status == StatusCode::SWITCHING_PROTOCOLS && *is_extended_connect;
        let status = if is_switch { StatusCode::OK } else { status };
        let Some(head) = translate::answer(status, fields, is_switch) else { return };
        if status.is_informational() {
            let _ = respond.send_informational(head);
        } else if let Ok(send) = respond.send_response(head, is_last) {
            (self.send, self.is_ended) = (Some(send), is_last);
        }
    }

    /// Sends the head of a request. What fails shows at the answer.
    pub(crate) fn ask(&mut self, asked: &RequestHead, is_last: bool) {
        let Side::Backend { sender, is_tls, answer, switch } = &mut self.side else { return };
        *switch = Switch::of(asked);
        // RFC 8441 section 3: nobody asks for a tunnel who was not told that there are any.
        if switch.is_some() && !sender.is_extended_connect_protocol_enabled() {
            return;
        }
        let Some(head) = translate::request(asked, *is_tls, switch.as_ref()) else { return };
        let is_last = is_last && switch.is_none();
        if let Ok((response, send)) = sender.send_request(head, is_last) {
            *answer = Some(response);
            (self.send, self.is_ended) = (Some(send), is_last);
        }
    }

    /// Reads the head of the backend's answer, or of one before it. `text` is memory for it.
    pub(crate) fn poll_answer(
        &mut self,
        head: &mut AnswerHead,
        limits: &HeadLimits,
        text: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Heard> {
        let Side::Backend { sender, answer, switch, .. } = &mut self.side else {
            return Poll::Ready(Heard::End);
        };
        // It could not be sent.
        let Some(response) = answer else {
            let may_switch = switch.is_none() || sender.is_extended_connect_protocol_enabled();
            return Poll::Ready(if may_switch { Heard::Refused } else { Heard::NoSwitch });
        };
        let parts = match response.poll_informational(cx) {
            Poll::Ready(Some(Ok(interim))) => interim.into_parts().0,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Heard::of(&error)),
            Poll::Ready(None) | Poll::Pending => match ready!(Pin::new(response).poll(cx)) {
                Ok(found) => {
                    let (parts, receive) = found.into_parts();
                    self.is_received = receive.is_end_stream();
                    self.receive = Some(receive);
                    *answer = None;
                    parts
                }
                Err(error) => return Poll::Ready(Heard::of(&error)),
            },
        };
        let is_tunnel_refused = switch.is_some() && answer.is_none() && !parts.status.is_success();
        let read = translate::read_answer(&parts, switch.as_ref(), head, limits, text);
        if is_tunnel_refused {
            self.finish(None);
        }
        Poll::Ready(if read.is_ok() { Heard::Head } else { Heard::Garbage })
    }

    /// Whether the other side has sent all of its body.
    pub(crate) const fn is_received(&self) -> bool {
        self.is_received
    }

    /// Reads some of the body. 0 = it is over; its trailers are there then.
    pub(crate) fn poll_read(&mut self, buffer: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let Some(receive) = &mut self.receive else { return Poll::Ready(Ok(0)) };
            if !self.piece.is_empty() {
                let count = self.piece.len().min(buffer.len());
                self.piece.copy_to_slice(&mut buffer[..count]);
                // From here on the buffer is what is full, not the window.
                receive.flow_control().release_capacity(count).map_err(broken)?;
                return Poll::Ready(Ok(count));
            }
            if self.is_received {
                return Poll::Ready(Ok(0));
            }
            match ready!(receive.poll_data(cx)) {
                Some(piece) => self.piece = piece.map_err(broken)?,
                None => {
                    self.trailers = ready!(receive.poll_trailers(cx)).map_err(broken)?;
                    self.is_received = true;
                }
            }
        }
    }

    /// The trailers of the body that was read to its end.
    pub(crate) fn take_trailers(&mut self) -> Option<Fields> {
        self.trailers.take().map(|trailers| translate::trailers(&trailers))
    }

    /// Writes some of `slices`, which are the last ones if `is_last`.
    pub(crate) fn poll_write(
        &mut self,
        slices: &[IoSlice<'_>],
        is_last: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(send) = self.send.as_mut().filter(|_| !self.is_ended) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if total == 0 {
            return Poll::Ready(Ok(0));
        }
        send.reserve_capacity(total);
        let mut room = send.capacity();
        while room == 0 {
            room = match ready!(send.poll_capacity(cx)) {
                Some(room) => room.map_err(broken)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let count = total.min(room);
        let mut piece = BytesMut::with_capacity(count);
        for slice in slices {
            let left = count - piece.len();
            piece.extend_from_slice(&slice[..slice.len().min(left)]);
        }
        self.is_ended = is_last && count == total;
        send.send_data(piece.freeze(), self.is_ended).map_err(broken)?;
        Poll::Ready(Ok(count))
    }

    /// Ends our body, with its trailers. What fails has no other end any more. A request that may open a tunnel has no end before it is
    /// answered: its body would be what is said in the tunnel (RFC 8441 section 5).
    pub(crate) fn finish(&mut self, trailers: Option<&Fields>) {
        if self.is_opening_tunnel() || std::mem::replace(&mut self.is_ended, true) {
            return;
        }
        let Some(send) = &mut self.send else { return };
        let trailers = trailers.and_then(translate::trailer_map).filter(|trailers| !trailers.is_empty());
        let _ = match trailers {
            Some(trailers) => send.send_trailers(trailers),
            None => send.send_data(Bytes::new(), true),
        };
    }

    /// Whether it may become a tunnel to the backend, which has not answered yet.
    const fn is_opening_tunnel(&self) -> bool {
        matches!(self.side, Side::Backend { answer: Some(_), switch: Some(_), .. })
    }

    /// Ready when the other side has given up on the stream.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = match (&mut self.side, &mut self.send) {
            (_, Some(send)) if !self.is_ended => send.poll_reset(cx),
            (Side::Client { respond, .. }, None) => respond.poll_reset(cx),
            _ => return Poll::Pending,
        };
        polled.map(drop)
    }

    /// Whether the other side has ended it, or broken it off, and not its connection.
    pub(crate) fn is_alone_over(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.is_received
            || self.send.as_mut().is_some_and(|send| matches!(send.poll_reset(&mut cx), Poll::Ready(Ok(_))))
    }

    /// Breaks it off, so that nobody takes what was sent for complete.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.is_ended = true;
        match (&mut self.side, &mut self.send) {
            (_, Some(send)) => send.send_reset(reason),
            (Side::Client { respond, .. }, None) => respond.send_reset(reason),
            (Side::Backend { .. }, None) => {}
        }
    }

    /// It was served. What was not sent to its end is broken off.
    pub(crate) fn close(&mut self) {
        if !self.is_ended {
            self.reset(Reason::INTERNAL_ERROR);
        }
    }

    /// Lets the client open no more streams on its connection: the next ones come over another.
    pub(crate) fn leave(&self) {
        if let Side::Client { leaving, .. } = &self.side {
            leaving.begin();
        }
    }
}

impl Heard {
    fn of(error: &h2::Error) -> Self {
        let is_refused = error.reason() == Some(Reason::REFUSED_STREAM)
            // Streams above the last one of a GOAWAY (RFC 9113 section 6.8) were not looked at; the `h2` crate ends them with its reason.
            // With an error for a reason it ends those that were looked at no differently.
            || (error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR));
        if is_refused { Self::Refused } else { Self::End }
    }
}

/// The end of a stream, as the request path knows it.
fn broken(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
