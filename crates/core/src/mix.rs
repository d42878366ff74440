//! A hash that is the same on every release and platform: pins in browsers outlive both.

/// Spreads the bits of `value` over the whole word (the finalizer of `SplitMix64`, Steele et al., 2014).
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Hashes `bytes`: FNV-1a, finished by [`mix`] so that every output bit depends on every input bit.
#[must_use]
pub const fn hash(bytes: &[u8]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        state = (state ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    mix(state)
}

/// Where `value` falls in [0, 1), by its upper 53 bits.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
pub fn unit(value: u64) -> f64 {
    (value >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes() {
        // Pins handed out by older releases carry these numbers.
        assert_eq!(hash(b""), 0xc381_7c01_6ba4_ff30);
        assert_eq!(hash(b"v1"), 0xc069_f3b9_f066_80f7);
        assert_eq!(mix(1), 0x910a_2dec_8902_5cc1);
    }
}
