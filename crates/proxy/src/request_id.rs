//! `X-Request-Id`: kept when the client sent a sane one, else made; told to the app, the client and the log.

use cutover_core::entropy::Entropy;

use crate::fields::Fields;
use crate::name::Name;

/// Longest id that is taken from a client.
const LEN_MAX: usize = 128;

/// Sees to it that `fields` has exactly one `X-Request-Id` line.
///
/// An id is taken over when there is exactly one and it is 1–128 bytes of visible ASCII; else 128 bits from `entropy` are, in hex.
pub fn ensure(fields: &mut Fields, entropy: &mut Entropy) {
    if !matches!(fields.single(Name::XRequestId), Ok(Some(given)) if is_sane(given)) {
        fields.set(Name::XRequestId, &[&make(entropy)]);
    }
}

fn is_sane(id: &[u8]) -> bool {
    (1..=LEN_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

fn make(entropy: &mut Entropy) -> [u8; 32] {
    let words = [entropy.word(), entropy.word()].map(u64::to_be_bytes);
    let mut id = [0; 32];
    for (digits, byte) in id.as_chunks_mut::<2>().0.iter_mut().zip(words.as_flattened()) {
        *digits = HEX[usize::from(*byte)];
    }
    id
}

/// Every byte in hex.
static HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [DIGITS[byte >> 4], DIGITS[byte & 0xf]];
        byte += 1;
    }
    table
};

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
