//! Where the two planes meet: the control plane publishes snapshots, workers read them and say which one they serve.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::snapshot::Snapshot;

/// Called to wake somebody on the other side. Must not block.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// Says that a worker is gone, and with it whatever it served.
const GONE: u64 = u64::MAX;

struct Shared {
    current: ArcSwap<Snapshot>,
    generation: AtomicU64,
    served: Box<[AtomicU64]>,
    wake_readers: Box<[Wake]>,
    wake_publisher: Wake,
    wake_for_facts: AtomicU64,
}

/// The writing side. There is one, and the controller owns it.
pub struct Publisher(Arc<Shared>);

/// The reading side of one worker.
pub struct SnapshotReader {
    shared: Arc<Shared>,
    index: usize,
}

/// Makes a publisher and a reader for each of `wake_readers`, which is called after every publication.
/// `wake_publisher` is called whenever a reader serves a newer snapshot, ends, or has facts to report.
#[must_use]
pub fn channel(
    initial: Snapshot,
    wake_readers: Vec<Wake>,
    wake_publisher: Wake,
) -> (Publisher, Vec<SnapshotReader>) {
    let generation = initial.generation;
    let shared = Arc::new(Shared {
        current: ArcSwap::from_pointee(initial),
        generation: AtomicU64::new(generation),
        served: wake_readers.iter().map(|_| AtomicU64::new(generation)).collect(),
        wake_readers: wake_readers.into(),
        wake_publisher,
        wake_for_facts: AtomicU64::new(0),
    });
    let readers =
        (0..shared.served.len()).map(|index| SnapshotReader { shared: Arc::clone(&shared), index }).collect();
    (Publisher(shared), readers)
}

impl Publisher {
    /// Publishes a snapshot. Its generation must be newer than the last one's.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let generation = snapshot.generation;
        debug_assert!(generation > self.0.generation.load(Ordering::Relaxed), "generations only grow");
        self.0.current.store(snapshot);
        self.0.generation.store(generation, Ordering::Release);
        self.0.wake_readers.iter().for_each(|wake| wake());
    }

    /// The last published snapshot.
    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        self.0.current.load_full()
    }

    /// Whether every live worker serves snapshots of `generation` or newer only: nothing will be decided by an older one.
    #[must_use]
    pub fn is_served(&self, generation: u64) -> bool {
        self.0.served.iter().all(|served| served.load(Ordering::Acquire) >= generation)
    }

    /// Whether a worker has reported since the last call that something needs a decision at once.
    #[must_use]
    pub fn take_alarm(&self) -> bool {
        self.0.wake_for_facts.swap(0, Ordering::AcqRel) > 0
    }
}

impl SnapshotReader {
    /// The generation of the latest snapshot; one atomic load.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// The latest snapshot.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        self.shared.current.load_full()
    }

    /// Says that from now on this worker decides by `generation` or newer.
    pub fn serve(&self, generation: u64) {
        if self.shared.served[self.index].fetch_max(generation, Ordering::AcqRel) < generation {
            (self.shared.wake_publisher)();
        }
    }

    /// Says that something in the cells needs a decision at once.
    pub fn alarm(&self) {
        if self.shared.wake_for_facts.fetch_add(1, Ordering::AcqRel) == 0 {
            (self.shared.wake_publisher)();
        }
    }
}

impl Drop for SnapshotReader {
    fn drop(&mut self) {
        self.shared.served[self.index].store(GONE, Ordering::Release);
        (self.shared.wake_publisher)();
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("generation", &self.0.generation).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SnapshotReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotReader").field("index", &self.index).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(generation: u64) -> Arc<Snapshot> {
        Arc::new(Snapshot { generation, ..Snapshot::default() })
    }

    fn pair(workers: usize) -> (Publisher, Vec<SnapshotReader>) {
        let wakes = (0..workers).map(|_| -> Wake { Box::new(|| {}) }).collect();
        channel(Snapshot::default(), wakes, Box::new(|| {}))
    }

    #[test]
    fn a_snapshot_is_served_when_every_worker_says_so() {
        let (publisher, readers) = pair(2);
        publisher.publish(snapshot(1));
        readers[0].serve(1);
        assert!(!publisher.is_served(1));
        readers[1].serve(readers[1].load().generation);
        assert!(publisher.is_served(1) && !publisher.is_served(2));
    }

    #[test]
    fn a_worker_that_ended_is_not_waited_for() {
        let (publisher, mut readers) = pair(2);
        publisher.publish(snapshot(1));
        readers[0].serve(1);
        readers.pop();
        assert!(publisher.is_served(1));
    }

    #[test]
    fn an_alarm_is_taken_once() {
        let (publisher, readers) = pair(1);
        readers[0].alarm();
        readers[0].alarm();
        assert!(publisher.take_alarm() && !publisher.take_alarm());
    }
}
