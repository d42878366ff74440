//! A body that is compressed on its way.

use std::io;

use super::Relay;
use crate::compress::Encoder;

/// Bytes that are compressed at a time.
const STEP_MAX: usize = 16 << 10;
/// Bytes that are compressed while other connections wait for their turn: a millisecond or two of work.
const TURN_MAX: usize = 64 << 10;

impl Relay {
    /// Lets the body go through `encoder`.
    pub(crate) fn compress(&mut self, encoder: Encoder) {
        self.encoder = Some(encoder);
    }

    /// Whether others have waited for long enough.
    pub(super) const fn is_coding_for_long(&self) -> bool {
        self.coded >= TURN_MAX
    }

    /// As much of what is at hand as is framed at a time.
    pub(super) fn step<'a>(&self, at_hand: &'a [u8]) -> &'a [u8] {
        let most = if self.encoder.is_some() { STEP_MAX } else { usize::MAX };
        &at_hand[..at_hand.len().min(most)]
    }

    /// Frames what becomes of `data`, and the end where nothing says so but the length.
    pub(super) fn put_coded(&mut self, data: &[u8]) -> io::Result<()> {
        self.coded += data.len();
        self.through(|encoder| encoder.push(data))?;
        if self.is_received() { self.put_last() } else { Ok(()) }
    }

    /// Frames what is held back of a body whose sender pauses: its receiver may be waiting for it. Answers whether there was anything.
    pub(super) fn put_pause(&mut self) -> io::Result<bool> {
        self.through(Encoder::flush)
    }

    /// Frames the end of the body, with what was held back of it.
    pub(super) fn put_last(&mut self) -> io::Result<()> {
        self.through(Encoder::finish)?;
        self.put_end();
        Ok(())
    }

    /// Lets the coder do something, and frames what comes of it.
    fn through<T: Default>(&mut self, step: impl FnOnce(&mut Encoder) -> io::Result<T>) -> io::Result<T> {
        let Some(mut encoder) = self.encoder.take() else { return Ok(T::default()) };
        let done = step(&mut encoder);
        let coded = encoder.coded();
        if !coded.is_empty() {
            self.moved += coded.len() as u64;
            self.put(coded);
            coded.clear();
        }
        self.encoder = Some(encoder);
        done
    }
}
