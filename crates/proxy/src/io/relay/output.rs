//! What of a message is on its way out: its head, its body in pieces that were framed, copied, or left where they are.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use crate::io::buffer::{Buffer, Buffers};
use crate::io::splice::Pipe;
use crate::io::stream::Stream;

/// Capacity that is kept for the next message.
const KEPT_MAX: usize = 16 << 10;

/// Bytes in the order of the fields.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// What was copied: heads, the lines of chunks, small pieces.
    pub(super) framed: Vec<u8>,
    /// How much of that is written.
    written: usize,
    /// Bytes at the front of the buffer that go out as they are.
    raw: usize,
    /// What follows them.
    end: &'static [u8],
    /// A part of the body that goes out inside the kernel.
    pub(super) pipe: Option<Pipe>,
}

impl Output {
    /// Begins with another message.
    pub(super) fn clear(&mut self) {
        self.framed.clear();
        if self.framed.capacity() > KEPT_MAX {
            self.framed = Vec::new();
        }
        (self.written, self.raw, self.end, self.pipe) = (0, 0, b"", None);
    }

    /// Begins with another message, while the body goes on: what of it is in `buffer` and was to go out is used.
    pub(super) fn abandon(&mut self, buffer: &mut Buffer) {
        buffer.consume(self.raw);
        self.clear();
    }

    pub(super) const fn is_empty(&self) -> bool {
        // What is written is cleared at once.
        self.framed.is_empty() && !self.has_pieces()
    }

    /// Whether something goes out behind what was framed, so that nothing can be framed behind it yet.
    pub(super) const fn has_pieces(&self) -> bool {
        self.raw > 0 || !self.end.is_empty() || self.pipe.is_some()
    }

    /// Lets `count` bytes at the front of the buffer go out as they are, and `end` behind them.
    pub(super) const fn put_raw(&mut self, count: usize, end: &'static [u8]) {
        (self.raw, self.end) = (count, end);
    }

    /// Writes some of it, behind which nothing comes if `is_last`. Answers how many bytes, which is never 0.
    pub(super) fn poll_write(
        &mut self,
        (buffer, buffers): (&mut Buffer, &Buffers),
        to: &mut Stream,
        is_last: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if !self.has_pieces() && !to.is_h2() {
            return self.poll_write_framed(to, cx);
        }
        let wrote = match (&mut self.pipe, to.tcp()) {
            (Some(pipe), Some(to)) => ready!(pipe.poll_drain(to, cx))?,
            (Some(_), None) => return Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
            (None, _) => ready!(self.poll_write_slices(buffer, to, is_last, cx))?,
        };
        if wrote == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        if let Some(empty) = self.pipe.take_if(|pipe| pipe.is_empty()) {
            buffers.pipes.give_back(empty);
        }
        Poll::Ready(Ok(wrote))
    }

    /// What was framed, with nothing behind it.
    fn poll_write_framed(&mut self, to: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let wrote = ready!(to.poll_write_some(&self.framed[self.written..], cx))?;
        self.written += wrote;
        if self.written == self.framed.len() {
            self.framed.clear();
            self.written = 0;
        }
        Poll::Ready(if wrote > 0 { Ok(wrote) } else { Err(io::ErrorKind::WriteZero.into()) })
    }

    fn poll_write_slices(
        &mut self,
        buffer: &mut Buffer,
        to: &mut Stream,
        is_last: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let framed = &self.framed[self.written..];
        let raw = &buffer.filled()[..self.raw];
        let count = match (framed, raw, self.end) {
            (framed, raw, end) if to.is_h2() => {
                let slices = [IoSlice::new(framed), IoSlice::new(raw), IoSlice::new(end)];
                ready!(to.poll_write_body(&slices, is_last, cx))?
            }
            ([], raw, []) => ready!(to.poll_write_some(raw, cx))?,
            (framed, raw, end) => {
                let slices = [IoSlice::new(framed), IoSlice::new(raw), IoSlice::new(end)];
                ready!(to.poll_write_slices(&slices, cx))?
            }
        };
        let of_framed = count.min(framed.len());
        let of_raw = raw.len().min(count - of_framed);
        self.end = &self.end[count - of_framed - of_raw..];
        self.raw -= of_raw;
        buffer.consume(of_raw);
        self.written += of_framed;
        if self.written == self.framed.len() {
            self.framed.clear();
            self.written = 0;
        }
        Poll::Ready(Ok(count))
    }
}
