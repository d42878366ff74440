//! What is counted about a vault.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why an asset was not stored that could have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Rejected {
    /// It is larger than an asset may be.
    TooLarge,
    /// There is no room in memory, or in the queue of those that are being written.
    Busy,
    /// A version of a later epoch has another file under its name.
    Older,
    /// It can't be written.
    Failed,
}

/// What a vault holds, and what happened to it since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes on disk.
    pub bytes: u64,
    /// Assets.
    pub entries: u64,
    /// Assets that were written.
    pub stored: u64,
    /// Assets that had to make room for others.
    pub evicted: u64,
    /// Files that were not what was written, and were dropped.
    pub corrupt: u64,
    /// Assets that were not stored, in the order of [`Rejected::ALL`].
    pub rejected: [u64; Rejected::ALL.len()],
}

/// The cells of a vault.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    bytes: AtomicU64,
    entries: AtomicU64,
    stored: AtomicU64,
    evicted: AtomicU64,
    corrupt: AtomicU64,
    rejected: [AtomicU64; Rejected::ALL.len()],
}

impl Rejected {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::TooLarge, Self::Busy, Self::Older, Self::Failed];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Busy => "busy",
            Self::Older => "older",
            Self::Failed => "failed",
        }
    }
}

impl Counts {
    pub(crate) fn holds(&self, bytes: u64, entries: u64) {
        self.bytes.store(bytes, Relaxed);
        self.entries.store(entries, Relaxed);
    }

    pub(crate) fn stored(&self) {
        self.stored.fetch_add(1, Relaxed);
    }

    pub(crate) fn evicted(&self) {
        self.evicted.fetch_add(1, Relaxed);
    }

    pub(crate) fn corrupt(&self) {
        self.corrupt.fetch_add(1, Relaxed);
    }

    pub(crate) fn rejected(&self, why: Rejected) {
        self.rejected[why as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> Stats {
        Stats {
            bytes: self.bytes.load(Relaxed),
            entries: self.entries.load(Relaxed),
            stored: self.stored.load(Relaxed),
            evicted: self.evicted.load(Relaxed),
            corrupt: self.corrupt.load(Relaxed),
            rejected: std::array::from_fn(|at| self.rejected[at].load(Relaxed)),
        }
    }
}
