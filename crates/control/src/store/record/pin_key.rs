//! The record of a key that signs pins.

use cutover_core::pin::PinKey;
use cutover_core::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinKeyRecord {
    /// Place in the order of keys, the oldest first. Clocks may be set back, so the time does not tell.
    place: usize,
    secret: String,
    made_at_ms: u64,
}

impl PinKeyRecord {
    pub(super) fn of(key: &PinKey, place: usize) -> Self {
        let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
        let secret = key.secret.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect();
        Self { place, secret, made_at_ms: key.made_at.0 }
    }

    /// The key and its place. Errors don't quote the secret.
    pub(super) fn pin_key(&self, id: u8) -> Result<(usize, PinKey), String> {
        let digits = self.secret.as_bytes();
        let mut secret = [0; 32];
        if digits.len() != 2 * secret.len() {
            return Err(format!("the secret has {} hexadecimal digits, not 64", digits.len()));
        }
        for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
            let digit =
                |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                return Err("the secret has something else than hexadecimal digits".to_owned());
            };
            *byte = high << 4 | low;
        }
        Ok((self.place, PinKey { id, secret, made_at: Timestamp(self.made_at_ms) }))
    }
}
