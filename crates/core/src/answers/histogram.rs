//! Buckets of latencies, which grow with the latency: each tells it to an eighth, upwards.

/// Buckets of each power of two.
const STEPS: u64 = 8;
const STEP_BITS: u32 = STEPS.ilog2();
/// The longest latency in microseconds that is told from longer ones: over an hour.
pub(super) const LATENCY_MAX: u64 = (1 << 32) - 1;
pub(super) const BUCKETS: usize = bucket(LATENCY_MAX) + 1;

/// The bucket of a latency in microseconds: the first ones are a microsecond wide, then each power of two has as many steps.
#[expect(clippy::cast_possible_truncation, reason = "there are a few hundred buckets")]
pub(super) const fn bucket(latency: u64) -> usize {
    if latency < STEPS {
        return latency as usize;
    }
    let shift = latency.ilog2() - STEP_BITS;
    (shift as u64 * STEPS + (latency >> shift)) as usize
}

/// The longest latency in microseconds of a bucket.
pub(super) const fn end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    ((STEPS + bucket % STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_has_a_bucket_that_tells_it_to_an_eighth() {
        let latencies =
            (0..40_000).chain((0..32).flat_map(|bits| [(1 << bits) - 1, 1 << bits])).chain([LATENCY_MAX]);
        for latency in latencies {
            let told = end(bucket(latency));
            assert!(bucket(latency) < BUCKETS && told >= latency, "{latency} is told as {told}");
            assert!(told - latency <= latency / STEPS, "{latency} is told as {told}");
            assert!(bucket(told + 1) == bucket(latency) + 1, "{told} ends its bucket");
        }
    }
}
