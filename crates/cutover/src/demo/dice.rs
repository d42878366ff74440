//! Random numbers for the demo: think times, lengths of visits, work times.

use std::sync::atomic::{AtomicU64, Ordering};

/// A SplitMix64 generator (Steele, Lea and Flood 2014) that many tasks may share. Not for secrets.
#[derive(Debug)]
pub(super) struct Dice {
    state: AtomicU64,
}

impl Dice {
    pub(super) fn from_entropy() -> std::io::Result<Self> {
        Ok(Self { state: AtomicU64::new(getrandom::u64()?) })
    }

    /// 64 random bits.
    pub(super) fn roll(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut bits = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number of `low..=high`.
    pub(super) fn between(&self, low: u64, high: u64) -> u64 {
        // The bias of the remainder is far below anything that the demo shows.
        low + self.roll() % (high - low).saturating_add(1)
    }

    /// True with the given probability.
    pub(super) fn chance(&self, share: f64) -> bool {
        ((self.roll() >> 11) as f64) < share * (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_in_their_range_and_chances_are_kept() {
        let dice = Dice { state: AtomicU64::new(7) };

        assert!((0..10_000).map(|_| dice.between(3, 5)).all(|number| (3..=5).contains(&number)));
        let heads = (0..10_000).filter(|_| dice.chance(0.3)).count();
        assert!((2_800..3_200).contains(&heads), "{heads}");
        assert!(!dice.chance(0.0) && dice.chance(1.0));
    }
}
