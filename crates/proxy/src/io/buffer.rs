//! Bytes that were read and not used yet.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::task::{Context, Poll};

use crate::io::splice::Pipes;
use crate::io::stream::Stream;

/// Bytes of a buffer: whole heads and most bodies in one read, with room to spare, so that the read empties the socket.
pub(crate) const SMALL: usize = 16 << 10;
/// Bytes of a buffer for bodies that are larger than that: eight times fewer system calls.
pub(crate) const LARGE: usize = 128 << 10;
/// Buffers of each size that are kept for the next request. More are in use only in a burst.
const KEPT_MAX: usize = 64;

/// Bytes from a stream, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    filled: Range<usize>,
}

impl Buffer {
    /// A buffer with room for `size` bytes.
    pub(crate) fn new(size: usize) -> Self {
        Self { bytes: vec![0; size], filled: 0..0 }
    }

    /// What was read and not used.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.filled.clone()]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }

    /// Whether nothing more can be read before something was used.
    pub(crate) fn is_full(&self) -> bool {
        self.filled.len() == self.bytes.len()
    }

    /// Bytes that it has room for.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// The first `count` bytes were used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.filled.start += count;
        if self.filled.is_empty() {
            self.filled = 0..0;
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.filled = 0..0;
    }

    /// Reads behind what is there. Answers how many bytes came; 0 = the other side will send no more. The buffer must not be full.
    pub(crate) fn poll_fill(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.filled.end == self.bytes.len() {
            self.bytes.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        debug_assert!(self.filled.end < self.bytes.len(), "a full buffer reads as the end of the stream");
        let polled = stream.poll_read_into(&mut self.bytes[self.filled.end..], cx);
        if let Poll::Ready(Ok(read)) = polled {
            self.filled.end += read;
        }
        polled
    }

    /// Makes room for `size` bytes.
    pub(crate) fn grow(&mut self, size: usize) {
        if size > self.bytes.len() {
            self.bytes.resize(size, 0);
        }
    }
}

/// Buffers of one worker that nobody uses right now, and its pipes.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) pipes: Pipes,
    large: RefCell<Vec<Buffer>>,
}

impl Buffers {
    /// Lets `buffer` go on as a large one, with what is in it.
    pub(crate) fn enlarge(&self, buffer: &mut Buffer) {
        let mut large = self.large.borrow_mut().pop().unwrap_or_else(|| Buffer::new(LARGE));
        let count = buffer.filled().len();
        large.bytes[..count].copy_from_slice(buffer.filled());
        large.filled = 0..count;
        *buffer = large;
    }

    /// Lets `buffer` be a small one again, unless there is something in it.
    pub(crate) fn reduce(&self, buffer: &mut Buffer) {
        if buffer.capacity() == SMALL || !buffer.is_empty() {
            return;
        }
        let mut large = std::mem::replace(buffer, Buffer::new(SMALL));
        let mut kept = self.large.borrow_mut();
        if large.capacity() == LARGE && kept.len() < KEPT_MAX {
            large.clear();
            kept.push(large);
        }
    }
}
