//! `X-Request-Id`: kept when the client sent a sane one, else made; told to the app, the client and the log.

use cutover_core::entropy::Entropy;
use wide::u8x16;

use crate::message::fields::Fields;
use crate::message::name::Name;

/// Longest id that is taken from a client.
const LEN_MAX: usize = 128;

/// Sees to it that `fields` has exactly one `X-Request-Id` line.
///
/// An id is taken over when there is exactly one and it is 1–128 bytes of visible ASCII; else 128 bits from `entropy` are, in hex.
pub(crate) fn ensure(fields: &mut Fields, entropy: &mut Entropy) {
    if !matches!(fields.single(Name::XRequestId), Ok(Some(given)) if is_sane(given)) {
        fields.remove(Name::XRequestId);
        fields.append_line(Name::XRequestId, &line(make(entropy)));
    }
}

/// A line with an id.
fn line(id: [u8; 32]) -> [u8; 48] {
    let mut line = *b"X-Request-Id: 00000000000000000000000000000000\r\n";
    line[14..46].copy_from_slice(&id);
    line
}

fn is_sane(id: &[u8]) -> bool {
    (1..=LEN_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

fn make(entropy: &mut Entropy) -> [u8; 32] {
    const LOW: u128 = u128::from_ne_bytes([0x0f; 16]);
    let id = u128::from(entropy.word()) << 64 | u128::from(entropy.word());
    let (high, low) = (digits(id >> 4 & LOW), digits(id & LOW));
    let halves = [u8x16::unpack_low(high, low), u8x16::unpack_high(high, low)];
    let mut text = [0; 32];
    for (half, place) in halves.into_iter().zip(text.as_chunks_mut().0) {
        *place = half.to_array();
    }
    text
}

/// One hex digit per byte, for its value.
fn digits(values: u128) -> u8x16 {
    let values = u8x16::from(values.to_be_bytes());
    let is_letter = values.max(u8x16::splat(10)).simd_eq(values);
    values + u8x16::splat(b'0') + (is_letter & u8x16::splat(b'a' - b'0' - 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ensured(given: &[&[u8]]) -> Fields {
        let mut fields: Fields = given.iter().map(|id| ("x-request-id", id)).collect();
        ensure(&mut fields, &mut Entropy::new(1));
        fields
    }

    #[test]
    fn a_sane_id_is_kept() {
        for id in ["x", "5f1c-9e/ab:==", &"x".repeat(128)] {
            let fields = ensured(&[id.as_bytes()]);
            assert_eq!(fields.values(Name::XRequestId).collect::<Vec<_>>(), [id.as_bytes()]);
        }
    }

    #[test]
    fn anything_else_is_replaced_by_a_made_one() {
        let long = [b'x'; 129];
        let cases: [&[&[u8]]; 6] = [&[], &[b""], &[b"a b"], &[b"\xe9"], &[&long], &[b"one", b"two"]];
        for given in cases {
            let fields = ensured(given);
            let [id] = fields.values(Name::XRequestId).collect::<Vec<_>>()[..] else { panic!("{fields:?}") };
            assert_eq!(id.len(), 32);
            assert!(id.iter().all(u8::is_ascii_hexdigit));
        }
    }

    #[test]
    fn made_ids_differ() {
        let mut entropy = Entropy::new(1);
        assert_ne!(make(&mut entropy), make(&mut entropy));
    }
}
