//! How many connections each client has open, so that none can have all of them.
//!
//! All workers share the counts, behind locks: connections come seldom beside requests, a lock is held for one look into a table, and of
//! the several that there are two workers hardly ever want the same. No request touches them.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cutover_core::client_key::ClientKey;

/// More than there are workers on any machine of today, next to each of which the counts are small.
const SHARDS: usize = 64;

/// The connections of one listener, by client. It knows those only that have one: there are no more of them than connections.
#[derive(Debug)]
pub(crate) struct PerClient {
    most: NonZeroU32,
    /// Seeded, so that nobody can choose addresses that meet in one place.
    hasher: RandomState,
    shards: Box<[Mutex<HashMap<ClientKey, u32, RandomState>>]>,
}

/// One of a client's connections; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    of: Arc<PerClient>,
    client: ClientKey,
}

impl PerClient {
    /// Each client may have so many.
    pub(crate) fn new(most: NonZeroU32) -> Self {
        let hasher = RandomState::new();
        let shards = (0..SHARDS).map(|_| Mutex::new(HashMap::with_hasher(hasher.clone()))).collect();
        Self { most, hasher, shards }
    }

    /// One more connection for `client`; `None` when it has as many as it may have.
    pub(crate) fn take(self: &Arc<Self>, client: ClientKey) -> Option<Place> {
        let mut counts = self.shard(client);
        let count = counts.entry(client).or_default();
        if *count >= self.most.get() {
            return None;
        }
        *count += 1;
        Some(Place { of: Arc::clone(self), client })
    }

    fn shard(&self, client: ClientKey) -> MutexGuard<'_, HashMap<ClientKey, u32, RandomState>> {
        // The table has the low bits.
        let hash = self.hasher.hash_one(client).rotate_right(32);
        let at = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.of.shard(self.client);
        if let Entry::Occupied(mut entry) = counts.entry(self.client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(most: u32) -> Arc<PerClient> {
        Arc::new(PerClient::new(NonZeroU32::new(most).unwrap()))
    }

    fn client(last: u8) -> ClientKey {
        ClientKey::of([192, 0, 2, last].into())
    }

    fn known(counts: &PerClient) -> usize {
        counts.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    #[test]
    fn a_client_has_so_many_and_gets_them_back() {
        let counts = of(2);
        let (first, _second) = (counts.take(client(1)).unwrap(), counts.take(client(1)).unwrap());
        assert!(counts.take(client(1)).is_none());
        assert!(counts.take(client(2)).is_some(), "another one is not concerned");
        drop(first);
        assert!(counts.take(client(1)).is_some());
    }

    #[test]
    fn clients_are_forgotten_with_their_last_connection() {
        let counts = of(3);
        let places: Vec<_> =
            (0..100).flat_map(|last| [counts.take(client(last)), counts.take(client(last))]).collect();
        assert_eq!(known(&counts), 100);
        drop(places);
        assert_eq!(known(&counts), 0);
    }

    proptest! {
        #[test]
        fn a_client_never_has_more(steps in proptest::collection::vec((0..3u8, any::<bool>()), 0..64)) {
            let counts = of(4);
            let mut places: [Vec<Place>; 3] = Default::default();
            for (who, comes) in steps {
                let own = &mut places[usize::from(who)];
                if comes {
                    let place = counts.take(client(who));
                    prop_assert_eq!(place.is_some(), own.len() < 4);
                    own.extend(place);
                } else {
                    own.pop();
                }
            }
            prop_assert_eq!(known(&counts), places.iter().filter(|own| !own.is_empty()).count());
        }
    }
}
