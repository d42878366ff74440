//! What a vault has seen already: so that workers know without a lock which answers are not worth a copy.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::asset::Coding;

/// Assets that are remembered. One that takes another's place costs a copy of that one, which is then thrown away.
const PLACES: usize = 1 << 14;

/// Hashes of keys with the epoch under which they were seen.
#[derive(Debug)]
pub(crate) struct Known {
    /// Seeded, so that nobody can choose names that meet in one place.
    hasher: RandomState,
    places: Box<[AtomicU64]>,
}

impl Default for Known {
    fn default() -> Self {
        Self { hasher: RandomState::new(), places: (0..PLACES).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Known {
    /// By what an asset is known. Never 0.
    pub(crate) fn hash(&self, target: &str, coding: Coding, epoch: u64) -> u64 {
        self.hasher.hash_one((target, coding, epoch)).max(1)
    }

    pub(crate) fn has(&self, hash: u64) -> bool {
        self.place(hash).load(Relaxed) == hash
    }

    pub(crate) fn add(&self, hash: u64) {
        self.place(hash).store(hash, Relaxed);
    }

    pub(crate) fn forget(&self, hash: u64) {
        // Another one may have taken its place meanwhile.
        let _ = self.place(hash).compare_exchange(hash, 0, Relaxed, Relaxed);
    }

    pub(crate) fn forget_all(&self) {
        self.places.iter().for_each(|place| place.store(0, Relaxed));
    }

    fn place(&self, hash: u64) -> &AtomicU64 {
        &self.places[usize::try_from(hash % PLACES as u64).unwrap_or(0)]
    }
}
