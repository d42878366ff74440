//! A body on its way: read from one side, understood, framed anew for the other side, written.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;

use crate::buffer::{Buffer, Buffers};
use crate::h1::chunked::{self, ChunkError, Decoder, Step};
use crate::h1::framing::Framing;
use crate::headers;
use crate::splice::{self, Pipe, Pipes};
use crate::stream::Stream;

/// Bytes of a body that are copied behind the head, so that both go out in one piece. Copying more costs more than a second slice.
const COPY_MAX: usize = 4 << 10;
/// Bytes that are framed before they are written.
const OUT_MAX: usize = 64 << 10;
/// Capacity that an output keeps for the next message.
const OUT_KEPT: usize = 16 << 10;

/// One body, or the next one: it is reused. A message's head goes out through it too, in front of the body.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    source: Source,
    decoder: Decoder,
    /// Whether the receiver gets chunks.
    is_chunking: bool,
    /// What is framed and goes out before anything else.
    out: Vec<u8>,
    written: usize,
    /// Bytes at the front of the buffer that go out as they are, behind `out`.
    raw: usize,
    /// A part of the body that goes out inside the kernel, behind all that.
    pipe: Option<Pipe>,
    /// Whether every piece of the body is looked at on its way.
    is_watched: bool,
    /// Whether some of the body went through a pipe.
    is_spliced: bool,
    /// Whether the body has to wait, while the head may go.
    is_held: bool,
    waits: Waits,
    moved: u64,
    wrote: u64,
}

/// What is left to come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Source {
    #[default]
    Over,
    Length(u64),
    Chunked,
    UntilClose,
}

/// Whom a body waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Waits {
    /// Nobody: it is over, or has not begun.
    #[default]
    Nobody,
    /// The one that sends it.
    Source,
    /// The one that gets it.
    Sink,
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken<E> {
    /// The sender's connection ended, or broke, before the body was over.
    #[error("the sender is gone")]
    SourceGone(#[source] io::Error),
    /// The sender's chunks are broken.
    #[error(transparent)]
    Chunks(#[from] ChunkError),
    /// The receiver's connection broke.
    #[error("the receiver is gone")]
    SinkGone(#[source] io::Error),
    /// What watches the body forbids it.
    #[error("the body is refused")]
    Refused(E),
}

impl Relay {
    /// Begins with the next body.
    pub(crate) fn begin(&mut self, framing: Framing, is_chunking: bool) {
        self.source = match framing {
            Framing::None | Framing::Length(0) => Source::Over,
            Framing::Length(length) => Source::Length(length),
            Framing::Chunked => Source::Chunked,
            Framing::UntilClose => Source::UntilClose,
        };
        self.decoder = Decoder::default();
        self.is_chunking = is_chunking;
        self.out.clear();
        if self.out.capacity() > OUT_KEPT {
            self.out = Vec::new();
        }
        (self.written, self.raw, self.is_held) = (0, 0, false);
        (self.pipe, self.is_watched, self.is_spliced) = (None, false, false);
        (self.waits, self.moved, self.wrote) = (Waits::Nobody, 0, 0);
    }

    /// Where the head of the message is written to.
    pub(crate) const fn head(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Lets every piece of the body be watched, also of one whose length is known.
    pub(crate) const fn watch(&mut self) {
        self.is_watched = true;
    }

    /// Nobody takes the body any more: what of it is still in `buffer`, received and not sent, goes.
    pub(crate) fn abandon(&mut self, buffer: &mut Buffer) {
        buffer.consume(self.raw);
        self.out.clear();
        (self.written, self.raw, self.pipe) = (0, 0, None);
    }

    /// Forgets what is under way: nobody waits for it any more.
    pub(crate) fn rest(&mut self) {
        self.pipe = None;
    }

    /// Keeps the body back, or lets it go.
    pub(crate) const fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    /// Whether the body is kept back.
    pub(crate) const fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether the sender has sent all of it.
    pub(crate) fn is_received(&self) -> bool {
        self.source == Source::Over
    }

    /// Whether all of it, with its head, was written.
    pub(crate) fn is_done(&self) -> bool {
        self.is_received() && !self.has_output()
    }

    /// Whom it waits for, since it was polled last.
    pub(crate) const fn waits(&self) -> Waits {
        self.waits
    }

    /// Bytes of the body that went through, without their framing.
    pub(crate) const fn moved(&self) -> u64 {
        self.moved
    }

    /// Bytes that were written, with head and framing: it grows while there is progress.
    pub(crate) const fn wrote(&self) -> u64 {
        self.wrote
    }

    /// Sends what `data` has once more, to another receiver: what is under way to the one before is forgotten, and
    /// everything of the body that was taken from `buffer` so far must be in `data`.
    pub(crate) fn restart(&mut self, head: impl FnOnce(&mut Vec<u8>), data: &[u8], buffer: &mut Buffer) {
        buffer.consume(self.raw);
        self.out.clear();
        (self.written, self.raw, self.waits, self.wrote) = (0, 0, Waits::Nobody, 0);
        self.pipe = None;
        head(&mut self.out);
        if !data.is_empty() {
            self.put(data);
        }
        if self.is_received() {
            self.put_end();
        }
    }

    /// Carries on. `watch` sees every piece of the body before it goes out; of a body with a length, only what passes through the
    /// buffer, unless it [is watched](Self::watch).
    pub(crate) fn poll<E>(
        &mut self,
        (from, buffer, buffers): (&mut Stream, &mut Buffer, &Buffers),
        to: &mut Stream,
        cx: &mut Context<'_>,
        mut watch: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Poll<Result<(), Broken<E>>> {
        loop {
            while self.can_frame() && self.frame(buffer, &mut watch)? {}
            if self.has_output() {
                self.waits = Waits::Sink;
                ready!(self.poll_write((buffer, buffers), to, cx)).map_err(Broken::SinkGone)?;
                continue;
            }
            if self.is_held {
                self.waits = Waits::Nobody;
                return Poll::Pending;
            }
            if self.is_received() {
                self.waits = Waits::Nobody;
                return Poll::Ready(Ok(()));
            }
            self.waits = Waits::Source;
            if let Some((from, left)) = self.splices(from, buffer, to)
                && ready!(self.poll_splice(from, left, &buffers.pipes, cx)).map_err(Broken::SourceGone)?
            {
                continue;
            }
            if ready!(buffer.poll_fill(from, cx)).map_err(Broken::SourceGone)? == 0 {
                self.source_ended()?;
            } else if buffer.is_full() && buffer.capacity() < crate::buffer::LARGE {
                // It fills buffers: fewer and larger steps from here on.
                buffers.enlarge(buffer);
            }
        }
    }

    fn has_output(&self) -> bool {
        self.written < self.out.len() || self.raw > 0 || self.pipe.is_some()
    }

    fn can_frame(&self) -> bool {
        !self.is_held && !self.is_received() && self.raw == 0 && self.out.len() < OUT_MAX
    }

    /// Frames what is at hand. Answers whether there may be more.
    fn frame<E>(
        &mut self,
        buffer: &mut Buffer,
        watch: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<bool, Broken<E>> {
        let at_hand = buffer.filled();
        if at_hand.is_empty() {
            return Ok(false);
        }
        let count = match &mut self.source {
            Source::Over => return Ok(false),
            Source::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(at_hand.len());
                *left -= count as u64;
                if *left == 0 {
                    self.source = Source::Over;
                }
                count
            }
            Source::UntilClose => at_hand.len(),
            Source::Chunked => match self.decoder.step(at_hand)? {
                Step::More => return Ok(false),
                Step::Framing(count) => {
                    buffer.consume(count);
                    return Ok(true);
                }
                Step::End(count) => {
                    buffer.consume(count);
                    self.source = Source::Over;
                    if let Some(trailers) = self.decoder.trailers() {
                        headers::prepare_trailers(trailers);
                    }
                    self.put_end();
                    return Ok(false);
                }
                Step::Data(count) => count,
            },
        };
        let data = &at_hand[..count];
        watch(data).map_err(Broken::Refused)?;
        self.moved += count as u64;
        let is_raw = !self.is_chunking && (self.source != Source::Chunked) && count > COPY_MAX;
        if is_raw {
            self.raw = count;
            return Ok(false);
        }
        self.put(data);
        buffer.consume(count);
        Ok(true)
    }

    /// Frames `data`.
    fn put(&mut self, data: &[u8]) {
        if !self.is_chunking {
            self.out.extend_from_slice(data);
            return;
        }
        let mut line = [0; chunked::SIZE_LINE_MAX];
        self.out.extend_from_slice(chunked::size_line(data.len(), &mut line));
        self.out.extend_from_slice(data);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Frames the end of the body.
    fn put_end(&mut self) {
        if self.is_chunking {
            chunked::write_end(&mut self.out, self.decoder.trailers().as_deref());
        }
    }

    fn source_ended<E>(&mut self) -> Result<(), Broken<E>> {
        if self.source != Source::UntilClose {
            return Err(Broken::SourceGone(io::ErrorKind::UnexpectedEof.into()));
        }
        self.source = Source::Over;
        self.put_end();
        Ok(())
    }

    /// Where the body comes from and how much is left of it, if it can pass inside the kernel from here on.
    fn splices<'a>(&self, from: &'a Stream, buffer: &Buffer, to: &Stream) -> Option<(&'a TcpStream, u64)> {
        let Source::Length(left) = self.source else { return None };
        let is_worth_it = self.is_spliced || left >= splice::LEFT_MIN;
        if !is_worth_it || !buffer.is_empty() || self.is_watched || self.is_chunking || to.tcp().is_none() {
            return None;
        }
        Some((from.tcp()?, left))
    }

    /// Takes a part of the body into a pipe. `false` when it has to go another way.
    fn poll_splice(
        &mut self,
        from: &TcpStream,
        left: u64,
        pipes: &Pipes,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        let Some(mut pipe) = pipes.take() else { return Poll::Ready(Ok(false)) };
        let polled = pipe.poll_fill(from, left, cx);
        if let Poll::Ready(Ok(count @ 1..)) = polled {
            self.source = match left - count as u64 {
                0 => Source::Over,
                left => Source::Length(left),
            };
            self.moved += count as u64;
            (self.pipe, self.is_spliced) = (Some(pipe), true);
            return Poll::Ready(Ok(true));
        }
        pipes.give_back(pipe);
        match ready!(polled) {
            Err(error) if pipes.note(&error) => Poll::Ready(Ok(false)),
            Err(error) => Poll::Ready(Err(error)),
            Ok(_) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Gives what is in the pipe to the receiver.
    fn poll_drain(&mut self, to: &Stream, pipes: &Pipes, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (Some(pipe), Some(to)) = (&mut self.pipe, to.tcp()) else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        let wrote = ready!(pipe.poll_drain(to, cx))?;
        if wrote == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.wrote += wrote as u64;
        if let Some(empty) = self.pipe.take_if(|pipe| pipe.is_empty()) {
            pipes.give_back(empty);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        (buffer, buffers): (&mut Buffer, &Buffers),
        to: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.pipe.is_some() {
            return self.poll_drain(to, &buffers.pipes, cx);
        }
        let framed = &self.out[self.written..];
        let raw = &buffer.filled()[..self.raw];
        let wrote = match (framed.is_empty(), raw.is_empty()) {
            (_, true) => ready!(to.poll_write_some(framed, cx))?,
            (true, false) => ready!(to.poll_write_some(raw, cx))?,
            (false, false) => {
                let slices = [IoSlice::new(framed), IoSlice::new(raw)];
                ready!(to.poll_write_slices(&slices, cx))?
            }
        };
        if wrote == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.wrote += wrote as u64;
        let of_framed = wrote.min(framed.len());
        self.written += of_framed;
        self.raw -= wrote - of_framed;
        buffer.consume(wrote - of_framed);
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
        Poll::Ready(Ok(()))
    }
}
