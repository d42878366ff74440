//! Where one worker's lines wait for the writer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

use prometheus::IntCounter;

use super::record::{Format, Record};
use super::{combined, jsonl};

/// Bytes that may wait per worker. A writer that is so far behind is stuck: what comes on top is dropped.
const WAITING_MAX: usize = 1 << 20;
/// Bytes at which the writer is woken before its time.
const WAKE_AT: usize = WAITING_MAX / 4;

/// Bytes of a line, at most.
const LINE_MAX: usize = 16 << 10;

/// Lines of one worker that wait to be written. Its lock is shared by that worker and the writer, which holds it to swap two pointers.
#[derive(Debug)]
pub(super) struct Waiting(Mutex<Vec<u8>>);

/// One worker's end of the access log.
#[derive(Debug)]
pub struct Sink {
    format: Format,
    waiting: Arc<Waiting>,
    writer: Thread,
    dropped: IntCounter,
}

impl Sink {
    pub(super) const fn new(
        format: Format,
        waiting: Arc<Waiting>,
        writer: Thread,
        dropped: IntCounter,
    ) -> Self {
        Self { format, waiting, writer, dropped }
    }

    /// Writes a line, or drops and counts it when too many wait. Neither blocks nor allocates in steady state.
    pub fn log(&self, record: &Record<'_>) {
        let mut waiting = self.waiting.lock();
        let before = waiting.len();
        if before >= WAITING_MAX {
            drop(waiting);
            self.dropped.inc();
            return;
        }
        match self.format {
            Format::Combined => combined::write(&mut waiting, record),
            Format::Json => jsonl::write(&mut waiting, record),
        }
        let after = waiting.len();
        drop(waiting);
        if before < WAKE_AT && after >= WAKE_AT {
            self.writer.unpark();
        }
    }
}

/// Room for what waits while the writer keeps up, so that no request has to make more. Memory that is never used costs nothing.
pub(super) fn room() -> Vec<u8> {
    Vec::with_capacity(WAKE_AT + LINE_MAX)
}

impl Default for Waiting {
    fn default() -> Self {
        Self(Mutex::new(room()))
    }
}

impl Waiting {
    /// Gives what waits for `empty`.
    pub(super) fn swap(&self, empty: &mut Vec<u8>) {
        std::mem::swap(&mut *self.lock(), empty);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
