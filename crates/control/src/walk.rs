//! What differs between two maps that share most of their values.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One difference: the key, what was there, and what is.
pub(crate) type Differing<'a, K, V> = (&'a K, Option<&'a Arc<V>>, Option<&'a Arc<V>>);

/// Every key under which `old` and `new` don't hold the very same value, in order. What they share costs a comparison of pointers, no look-up:
/// the same value stands under the same key.
pub(crate) fn differences<'a, K: Ord, V>(
    old: &'a BTreeMap<K, Arc<V>>,
    new: &'a BTreeMap<K, Arc<V>>,
) -> impl Iterator<Item = Differing<'a, K, V>> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    std::iter::from_fn(move || {
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some((_, a)), Some((_, b))) if Arc::ptr_eq(a, b) => {
                    old.next();
                    new.next();
                    continue;
                }
                (Some((a, _)), Some((b, _))) => a.cmp(b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return None,
            };
            return match order {
                Ordering::Less => old.next().map(|(key, old)| (key, Some(old), None)),
                Ordering::Greater => new.next().map(|(key, new)| (key, None, Some(new))),
                Ordering::Equal => {
                    old.next().zip(new.next()).map(|((key, old), (_, new))| (key, Some(old), Some(new)))
                }
            };
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_visited_in_order() {
        let shared: Vec<Arc<u8>> = (0..4).map(Arc::new).collect();
        let share = |keys: &[u8]| -> BTreeMap<u8, Arc<u8>> {
            keys.iter().map(|&key| (key, Arc::clone(&shared[usize::from(key)]))).collect()
        };
        let old = share(&[0, 1, 3]);
        let mut new = share(&[1, 2, 3]);
        new.insert(1, Arc::new(9));
        let visited: Vec<_> = differences(&old, &new)
            .map(|(key, old, new)| (*key, old.map(|v| **v), new.map(|v| **v)))
            .collect();
        assert_eq!(visited, [(0, Some(0), None), (1, Some(1), Some(9)), (2, None, Some(2))]);
    }
}
