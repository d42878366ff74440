//! The record of a key that signs pins.

use cutover_core::pin::PinKey;
use cutover_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hex;

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
        Self { place, secret: hex::write(&key.secret), made_at_ms: key.made_at.0 }
    }

    /// The key and its place. Errors don't quote the secret.
    pub(super) fn pin_key(&self, id: u8) -> Result<(usize, PinKey), String> {
        let secret = hex::read(&self.secret).map_err(|cause| format!("the secret {cause}"))?;
        Ok((self.place, PinKey { id, secret, made_at: Timestamp(self.made_at_ms) }))
    }
}
