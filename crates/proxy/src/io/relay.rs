//! A body on its way: read from one side, understood, framed anew for the other side, written.

mod coded;
mod output;
mod seam;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;

use self::output::Output;
pub(crate) use self::seam::Seam;
use crate::client::client_subject::SubjectFields;
use crate::compress::{self, Encoder};
use crate::h1::chunked::{self, ChunkError, Decoder, Step};
use crate::h1::framing::Framing;
use crate::h2::H2Stream;
use crate::io::buffer::{Buffer, Buffers};
use crate::io::splice::{self, Pipes};
use crate::io::stream::Stream;
use crate::message::fields::Fields;
use crate::message::headers::{self, IdentityFields};

/// Bytes of a body that are copied behind the head, so that both go out in one piece. Copying more costs more than a second slice.
const COPY_MAX: usize = 4 << 10;
/// Bytes that are framed before they are written.
const OUT_MAX: usize = 64 << 10;
/// Bytes of a chunk that stay where they are. Smaller ones are copied, so that many of them go out in one piece.
const CHUNK_RAW_MIN: usize = 32 << 10;
/// Bytes that one body may write at a time, while other connections wait for their turn.
const TURN_MAX: u64 = 1 << 20;

/// One body, or the next one: it is reused. A message's head goes out through it too, in front of the body.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    source: Source,
    decoder: Decoder,
    /// Whether the receiver gets chunks.
    is_chunking: bool,
    output: Output,
    /// Whether every piece of the body is looked at on its way.
    is_watched: bool,
    /// Whether some of the body went through a pipe.
    is_spliced: bool,
    /// Whether the body has to wait, while the head may go.
    is_held: bool,
    /// Where it may be cut.
    seam: Seam,
    /// What goes out behind the place where it is cut, once it shall be.
    cut: Option<Vec<u8>>,
    is_cut: bool,
    /// What the receiver does not get to know by the trailers.
    secret: Option<Rc<IdentityFields>>,
    /// What the sender may not say by the trailers.
    reserved: Option<Arc<SubjectFields>>,
    /// What the body goes through, if it is compressed.
    encoder: Option<Encoder>,
    /// Bytes that went through it in this turn.
    coded: usize,
    /// Trailers that came beside the body.
    tail: Option<Box<Fields>>,
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
        self.clear();
        self.expect(framing, is_chunking);
    }

    /// Forgets the last body.
    pub(crate) fn clear(&mut self) {
        (self.source, self.decoder, self.is_chunking) = (Source::Over, Decoder::default(), false);
        self.output.clear();
        (self.is_held, self.is_watched, self.is_spliced) = (false, false, false);
        (self.seam, self.cut, self.is_cut) = (Seam::Pause, None, false);
        (self.secret, self.reserved, self.tail) = (None, None, None);
        (self.encoder, self.coded) = (None, 0);
        (self.waits, self.moved, self.wrote) = (Waits::Nobody, 0, 0);
    }

    /// Says how the next body is framed. The last one is [forgotten](Self::clear).
    pub(crate) const fn expect(&mut self, framing: Framing, is_chunking: bool) {
        self.source = match framing {
            Framing::None | Framing::Length(0) => Source::Over,
            Framing::Length(length) => Source::Length(length),
            Framing::Chunked => Source::Chunked,
            Framing::UntilClose => Source::UntilClose,
        };
        self.is_chunking = is_chunking;
    }

    /// Where the head of the message is written to.
    pub(crate) const fn head(&mut self) -> &mut Vec<u8> {
        &mut self.output.framed
    }

    /// Lets every piece of the body be watched, also of one whose length is known.
    pub(crate) const fn watch(&mut self) {
        self.is_watched = true;
    }

    /// Lets what tells about the app's processes be taken out of the trailers too.
    pub(crate) fn hide(&mut self, secret: &Rc<IdentityFields>) {
        self.secret = Some(Rc::clone(secret));
    }

    /// Lets what its sender may not say be taken out of the trailers.
    pub(crate) fn reserve(&mut self, reserved: &Arc<SubjectFields>) {
        self.reserved = Some(Arc::clone(reserved));
    }

    /// Lets the body be cut at such places only. It goes through the buffer then, where they are looked for.
    pub(crate) const fn follow(&mut self, seam: Seam) {
        self.seam = seam;
    }

    /// Ends the body at its next seam, whatever its sender still has to say, with `last` behind it, unless the sender has said its last
    /// word already. What was taken of it before goes out.
    pub(crate) fn cut(&mut self, last: Vec<u8>) {
        self.cut.get_or_insert(last);
    }

    /// Whether the body was ended by [`cut`](Self::cut), and not by its sender.
    pub(crate) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether the sender has said its last word, where there is one.
    pub(crate) const fn is_last(&self) -> bool {
        self.seam.is_last()
    }

    /// Reads on behind a cut, for nobody, until the sender has said its last word, or is gone.
    pub(crate) fn poll_rest(
        &mut self,
        from: &mut Stream,
        buffer: &mut Buffer,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            self.seam.pass(buffer.filled(), false);
            buffer.clear();
            if self.is_last() {
                return Poll::Ready(());
            }
            if !matches!(ready!(buffer.poll_fill(from, cx)), Ok(1..)) {
                return Poll::Ready(());
            }
        }
    }

    /// Nobody takes the body any more: what of it is still in `buffer`, received and not sent, goes.
    pub(crate) fn abandon(&mut self, buffer: &mut Buffer) {
        self.output.abandon(buffer);
    }

    /// Forgets what is under way: nobody waits for it any more.
    pub(crate) fn rest(&mut self) {
        self.output.clear();
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
        self.is_received() && self.output.is_empty()
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
        self.output.abandon(buffer);
        (self.waits, self.wrote) = (Waits::Nobody, 0);
        head(&mut self.output.framed);
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
        let end_of_turn = self.wrote + TURN_MAX;
        self.coded = 0;
        loop {
            while self.can_frame() && self.frame(buffer, &mut watch)? {}
            if !self.output.is_empty() {
                self.waits = Waits::Sink;
                if self.wrote >= end_of_turn {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let is_last = self.is_received() && !self.has_trailers();
                let wrote = ready!(self.output.poll_write((buffer, buffers), to, is_last, cx));
                self.wrote += wrote.map_err(Broken::SinkGone)? as u64;
                continue;
            }
            if self.is_held {
                self.waits = Waits::Nobody;
                return Poll::Pending;
            }
            if self.is_received() {
                if let Some(stream) = to.h2() {
                    stream.finish(self.trailers().as_deref());
                }
                self.waits = Waits::Sink;
                ready!(to.poll_flush(cx)).map_err(Broken::SinkGone)?;
                self.waits = Waits::Nobody;
                return Poll::Ready(Ok(()));
            }
            self.waits = Waits::Source;
            if self.is_coding_for_long() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Poll::Ready(Err(error)) = to.poll_flush(cx) {
                return Poll::Ready(Err(Broken::SinkGone(error)));
            }
            if let Some((from, left)) = self.splices(from, buffer, to)
                && ready!(self.poll_splice(from, left, &buffers.pipes, cx)).map_err(Broken::SourceGone)?
            {
                continue;
            }
            let Poll::Ready(filled) = buffer.poll_fill(from, cx) else {
                if self.cut.is_some() && self.seam.is_here(true) {
                    self.put_cut();
                    continue;
                }
                if self.put_pause().map_err(Broken::SinkGone)? {
                    continue;
                }
                return Poll::Pending;
            };
            if filled.map_err(Broken::SourceGone)? == 0 {
                self.source_ended(from)?;
            } else if buffer.is_full() && buffer.capacity() < crate::io::buffer::LARGE {
                // It fills buffers: fewer and larger steps from here on.
                buffers.enlarge(buffer);
            }
        }
    }

    fn can_frame(&self) -> bool {
        !self.is_held
            && !self.is_received()
            && !self.output.has_pieces()
            && self.output.framed.len() < OUT_MAX
            && !self.is_coding_for_long()
    }

    /// Frames what is at hand. Answers whether there may be more.
    fn frame<E>(
        &mut self,
        buffer: &mut Buffer,
        watch: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<bool, Broken<E>> {
        if self.cut.is_some() && self.seam.is_here(false) {
            self.put_cut();
            return Ok(false);
        }
        let at_hand = self.step(buffer.filled());
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
                    self.prepare_trailers();
                    self.put_last().map_err(Broken::SinkGone)?;
                    return Ok(false);
                }
                Step::Data(count) => count,
            },
        };
        // What is behind the seam where the body is cut is not framed any more.
        let count = self.seam.pass(&at_hand[..count], self.cut.is_some());
        let data = &at_hand[..count];
        watch(data).map_err(Broken::Refused)?;
        if self.encoder.is_some() {
            self.put_coded(data).map_err(Broken::SinkGone)?;
            buffer.consume(count);
            return Ok(true);
        }
        self.moved += count as u64;
        if self.is_chunking && count >= CHUNK_RAW_MIN {
            self.put_size(count);
            self.output.put_raw(count, b"\r\n");
        } else if !self.is_chunking && self.source != Source::Chunked && count > COPY_MAX {
            self.output.put_raw(count, b"");
        } else {
            self.put(data);
            buffer.consume(count);
        }
        Ok(true)
    }

    /// Frames `data`.
    fn put(&mut self, data: &[u8]) {
        if self.is_chunking {
            self.put_size(data.len());
        }
        self.output.framed.extend_from_slice(data);
        if self.is_chunking {
            self.output.framed.extend_from_slice(b"\r\n");
        }
    }

    /// Begins a chunk.
    fn put_size(&mut self, size: usize) {
        let mut line = [0; chunked::SIZE_LINE_MAX];
        self.output.framed.extend_from_slice(chunked::size_line(size, &mut line));
    }

    /// Frames the end of the body.
    fn put_end(&mut self) {
        if self.is_chunking {
            let trailers = self.decoder.trailers().or(self.tail.as_deref_mut());
            chunked::write_end(&mut self.output.framed, trailers.as_deref());
        }
    }

    /// The trailers that came, however they did.
    fn trailers(&mut self) -> Option<&mut Fields> {
        self.decoder.trailers().or(self.tail.as_deref_mut())
    }

    const fn has_trailers(&self) -> bool {
        self.decoder.has_trailers() || self.tail.is_some()
    }

    /// Makes the trailers that came fit to go on.
    fn prepare_trailers(&mut self) {
        let Some(trailers) = self.decoder.trailers().or(self.tail.as_deref_mut()) else { return };
        headers::prepare_trailers(trailers);
        if self.encoder.is_some() {
            compress::forget_digests(trailers);
        }
        if let Some(secret) = &self.secret {
            secret.hide_in(trailers);
        }
        if let Some(reserved) = &self.reserved {
            reserved.remove_from(trailers);
        }
    }

    /// Frames the end of a body that is cut here.
    fn put_cut(&mut self) {
        let last = self.cut.take().filter(|_| !self.is_last()).unwrap_or_default();
        if !last.is_empty() {
            self.put(&last);
        }
        (self.source, self.is_cut) = (Source::Over, true);
        if self.is_chunking {
            // Its trailers were not read.
            chunked::write_end(&mut self.output.framed, None);
        }
    }

    fn source_ended<E>(&mut self, from: &mut Stream) -> Result<(), Broken<E>> {
        if self.source != Source::UntilClose {
            return Err(Broken::SourceGone(io::ErrorKind::UnexpectedEof.into()));
        }
        self.source = Source::Over;
        self.tail = from.h2().and_then(H2Stream::take_trailers).map(Box::new);
        self.prepare_trailers();
        self.put_last().map_err(Broken::SinkGone)
    }

    /// Where the body comes from and how much is left of it, if it can pass inside the kernel from here on.
    fn splices<'a>(&self, from: &'a Stream, buffer: &Buffer, to: &Stream) -> Option<(&'a TcpStream, u64)> {
        let Source::Length(left) = self.source else { return None };
        let is_worth_it = self.is_spliced || left >= splice::LEFT_MIN;
        let is_read = self.is_watched || self.is_chunking || self.encoder.is_some();
        if !is_worth_it || !buffer.is_empty() || is_read || to.tcp().is_none() {
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
            (self.output.pipe, self.is_spliced) = (Some(pipe), true);
            return Poll::Ready(Ok(true));
        }
        pipes.give_back(pipe);
        match ready!(polled) {
            Err(error) if pipes.note(&error) => Poll::Ready(Ok(false)),
            Err(error) => Poll::Ready(Err(error)),
            Ok(_) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

#[cfg(test)]
mod tests;
