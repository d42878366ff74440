//! A disk that fails now and then, by a seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cutover_control::store::{Fault, FaultyStore, MemoryStore, Store};
use cutover_core::entropy::Entropy;

/// What survives a crash.
pub(crate) struct Disk {
    inner: Arc<MemoryStore>,
    is_failing: Arc<AtomicBool>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::new(MemoryStore::new()), is_failing: Arc::new(AtomicBool::new(true)) }
    }

    /// The store as a process sees it that starts now.
    pub(crate) fn open(&self, seed: u64) -> Arc<dyn Store> {
        let (mut dice, is_failing) = (Entropy::new(seed), Arc::clone(&self.is_failing));
        let inner: Arc<dyn Store> = Arc::<MemoryStore>::clone(&self.inner);
        Arc::new(FaultyStore::new(inner, move || {
            if !is_failing.load(Ordering::Relaxed) {
                return Fault::None;
            }
            match dice.below(20) {
                0 => Fault::Unavailable,
                1 => Fault::AnswerLost,
                2 => Fault::RequestLost,
                3..6 => Fault::Slow { before: dice.below(3) as u32, after: dice.below(3) as u32 },
                _ => Fault::None,
            }
        }))
    }

    /// From now on nothing fails.
    pub(crate) fn heal(&self) {
        self.is_failing.store(false, Ordering::Relaxed);
    }
}
