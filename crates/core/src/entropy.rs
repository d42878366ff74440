//! Randomness as an argument: a stream of words that the caller seeds.

use crate::mix::{mix, unit};

/// A stream of 64-bit words (`SplitMix64`). Not for secrets: what it draws is authenticated or harmless.
#[derive(Debug, Clone)]
pub struct Entropy(u64);

impl Entropy {
    /// A stream that is determined by `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next word.
    pub const fn word(&mut self) -> u64 {
        let word = mix(self.0);
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        word
    }

    /// A number below `bound`; 0 when `bound` is 0. The bias is below `bound` / 2^64.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.word() as u128 * bound as u128) >> 64) as u64
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        unit(self.word())
    }
}
