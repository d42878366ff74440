//! Finds bytes in messages, sixteen at a time. What is looked for in a head is near: a search made for long texts sets up more than it saves.

use wide::u8x16;

/// The place of the first byte of `bytes`, at `from` or behind it, that `is_it` marks with ones; their number if there is none. `from` is
/// not behind the end.
#[inline]
pub(crate) fn first(bytes: &[u8], from: usize, is_it: impl Fn(u8x16) -> u8x16) -> usize {
    let mut rest = &bytes[from..];
    while let Some((chunk, behind)) = rest.split_first_chunk::<16>() {
        match is_it(u8x16::from(*chunk)).to_bitmask() {
            0 => rest = behind,
            found => return bytes.len() - rest.len() + found.trailing_zeros() as usize,
        }
    }
    let found = match bytes.last_chunk::<16>() {
        // Some of them were looked at before.
        Some(last) => is_it(u8x16::from(*last)).to_bitmask() >> (16 - rest.len()),
        None => {
            let mut padded = [0; 16];
            padded[..rest.len()].copy_from_slice(rest);
            is_it(u8x16::from(padded)).to_bitmask()
        }
    };
    // What was marked behind the end is padding.
    bytes.len() - rest.len() + rest.len().min(found.trailing_zeros() as usize)
}

/// The place of the first `byte`.
#[inline]
pub(crate) fn byte(bytes: &[u8], byte: u8) -> Option<usize> {
    let at = first(bytes, 0, |chunk| chunk.simd_eq(u8x16::splat(byte)));
    (at < bytes.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sixteen_at_a_time_finds_what_one_at_a_time_finds(text in "[ab\0]{0,70}", from in 0_usize..70) {
            let text = text.as_bytes();
            let from = from.min(text.len());
            for wanted in [b'a', b'\0'] {
                let one_by_one = text[from..].iter().position(|&byte| byte == wanted);
                let expected = one_by_one.map_or(text.len(), |at| from + at);
                prop_assert_eq!(first(text, from, |chunk| chunk.simd_eq(u8x16::splat(wanted))), expected);
                prop_assert_eq!(byte(&text[from..], wanted), one_by_one);
            }
        }
    }
}
