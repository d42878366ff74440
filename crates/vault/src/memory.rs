//! Memory for assets that are on their way between clients and the disk, for all vaults together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of assets that are in memory at once, over all services and workers.
const BYTES_MAX: u64 = 64 << 20;

/// How much is in use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<AtomicU64>);

/// A part of it; dropping it gives it back.
#[derive(Debug)]
pub struct Room {
    memory: Memory,
    bytes: u64,
}

impl Memory {
    /// Takes room for so many bytes; `None` when there is none.
    pub(crate) fn take(&self, bytes: u64) -> Option<Room> {
        let mut room = Room { memory: self.clone(), bytes: 0 };
        room.grow(bytes).then_some(room)
    }
}

impl Room {
    /// Makes it large enough for so many bytes in all, and twice as large as it was at least. `false` when there is no room for them.
    #[must_use]
    pub fn hold(&mut self, bytes: u64) -> bool {
        bytes <= self.bytes || self.grow(bytes.max(2 * self.bytes) - self.bytes)
    }

    fn grow(&mut self, bytes: u64) -> bool {
        let used = &self.memory.0;
        if used.fetch_add(bytes, Relaxed).saturating_add(bytes) > BYTES_MAX {
            used.fetch_sub(bytes, Relaxed);
            return false;
        }
        self.bytes += bytes;
        true
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_much_and_it_comes_back() {
        let memory = Memory::default();
        let mut first = memory.take(BYTES_MAX - 10).unwrap();
        assert!(memory.take(11).is_none() && !first.grow(11) && first.grow(10) && memory.take(1).is_none());
        drop(first);
        let mut second = memory.take(10).unwrap();
        assert!(second.hold(11) && memory.take(BYTES_MAX - 19).is_none() && second.hold(20));
        drop(second);
        assert!(memory.take(BYTES_MAX).is_some());
    }
}
