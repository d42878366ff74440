//! When each client's bucket will be full again, in a table of atomic numbers: no lock, and no more memory for any number of clients.
//!
//! A client has its place in one small set of neighbours. When a set is full, the newcomer takes the place of the one whose bucket is
//! nearest to being full: that is mostly one who has not asked for so long that there is nothing to remember. Two workers that want the
//! same place at the same moment may get one request of one client wrong, in its favour or not, which is nobody's harm.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use cutover_core::client_key::ClientKey;
use governor::nanos::Nanos;
use governor::state::StateStore;

/// Neighbours: as many as fit into two cache lines.
const WAYS: usize = 8;
/// Sets that are allocated together, when the first of their clients comes.
const SETS: usize = 64;
/// With these there are places for 65,536 clients whose buckets are not full, in 1 MiB.
const CHUNKS: usize = 128;

/// The buckets of a service's clients.
#[derive(Debug)]
pub(super) struct Table {
    /// Seeded, so that nobody can choose addresses that meet in one set.
    hasher: RandomState,
    chunks: Box<[OnceLock<Box<[Set; SETS]>>]>,
}

type Set = [Bucket; WAYS];

/// One client's.
#[derive(Debug, Default)]
struct Bucket {
    /// The client's hash; 0 = nobody's.
    client: AtomicU64,
    /// When it will be full: nanoseconds since the limit was made.
    full_at: AtomicU64,
}

impl Default for Table {
    fn default() -> Self {
        Self { hasher: RandomState::new(), chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect() }
    }
}

impl StateStore for Table {
    type Key = ClientKey;

    fn measure_and_replace<T, F, E>(&self, client: &ClientKey, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let hash = self.hasher.hash_one(client).max(1);
        self.bucket(hash).measure(decide)
    }
}

impl Table {
    /// The bucket of the client with this hash, which is its own from now on.
    fn bucket(&self, hash: u64) -> &Bucket {
        let set = self.set(hash);
        if let Some(own) = set.iter().find(|bucket| bucket.client.load(Acquire) == hash) {
            return own;
        }
        let fullest = set.iter().min_by_key(|bucket| bucket.full_at.load(Relaxed)).unwrap_or(&set[0]);
        fullest.full_at.store(0, Relaxed);
        fullest.client.store(hash, Release);
        fullest
    }

    fn set(&self, hash: u64) -> &Set {
        let place = usize::try_from(hash % (CHUNKS * SETS) as u64).unwrap_or(0);
        let chunk =
            self.chunks[place / SETS].get_or_init(|| Box::new(std::array::from_fn(|_| Set::default())));
        &chunk[place % SETS]
    }
}

impl Bucket {
    fn measure<T, E>(&self, decide: impl Fn(Option<Nanos>) -> Result<(T, Nanos), E>) -> Result<T, E> {
        let mut before = self.full_at.load(Relaxed);
        loop {
            let (outcome, after) = decide((before > 0).then(|| before.into()))?;
            match self.full_at.compare_exchange_weak(before, after.as_u64(), Relaxed, Relaxed) {
                Ok(_) => return Ok(outcome),
                Err(now) => before = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Lets the client's bucket be full at `full_at`; answers when it was to be before.
    fn put(table: &Table, hash: u64, full_at: u64) -> Option<u64> {
        let measured: Result<_, Infallible> =
            table.bucket(hash).measure(|before| Ok((before.map(Nanos::as_u64), full_at.into())));
        measured.unwrap()
    }

    /// Hashes of one set.
    fn neighbours() -> impl Iterator<Item = u64> {
        (1..).map(|nth| nth * (CHUNKS * SETS) as u64)
    }

    #[test]
    fn each_client_has_a_bucket_of_its_own() {
        let table = Table::default();
        for hash in neighbours().take(WAYS) {
            assert_eq!(put(&table, hash, 100 + hash), None);
        }
        for hash in neighbours().take(WAYS) {
            assert_eq!(put(&table, hash, 1), Some(100 + hash));
        }
    }

    #[test]
    fn a_newcomer_takes_the_place_of_the_fullest() {
        let table = Table::default();
        let full_at = [50, 40, 10, 60, 30, 70, 20, 80];
        for (hash, full_at) in neighbours().zip(full_at) {
            put(&table, hash, full_at);
        }
        let newcomer = neighbours().nth(WAYS).unwrap();
        assert_eq!(put(&table, newcomer, 90), None, "nothing of the one before");
        let left: Vec<_> = neighbours().zip(full_at).filter(|(_, full_at)| *full_at != 10).collect();
        for (hash, full_at) in left {
            assert_eq!(put(&table, hash, full_at), Some(full_at));
        }
    }

    #[test]
    fn no_number_of_clients_makes_it_larger() {
        let table = Table::default();
        assert_eq!(table.chunks.iter().filter(|chunk| chunk.get().is_some()).count(), 0);
        for client in 0..200_000_u32 {
            let client = ClientKey::of(client.to_be_bytes().into());
            let one = |_| Ok::<_, Infallible>(((), 1.into()));
            table.measure_and_replace(&client, one).unwrap();
        }
        assert_eq!(table.chunks.iter().filter(|chunk| chunk.get().is_some()).count(), CHUNKS);
        assert_eq!(size_of::<Set>() * SETS * CHUNKS, 1 << 20);
    }

    #[test]
    fn workers_lose_no_request_of_a_client_that_is_known() {
        let table = Table::default();
        put(&table, 7, 1);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let more = |before: Option<Nanos>| {
                            Ok::<_, Infallible>(((), (before.map_or(0, Nanos::as_u64) + 1).into()))
                        };
                        table.bucket(7).measure(more).unwrap();
                    }
                });
            }
        });
        assert_eq!(put(&table, 7, 1), Some(40_001));
    }
}
