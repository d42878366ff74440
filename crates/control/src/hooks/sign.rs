//! The signature of a call, by which its receiver knows that it comes from cutover and is no repetition of an old one.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::hex;

/// `v1=` and the HMAC-SHA256 (RFC 2104) over the time, a dot, and the body, in hex. `None` never happens: every secret is a key.
pub(super) fn signature(secret: &[u8], timestamp_secs: u64, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(timestamp_secs.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    Some(format!("v1={}", hex::write(&mac.finalize().into_bytes().into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `printf '%s' '1700000000.{"event":"drained"}' | openssl dgst -sha256 -hmac s3cret`.
    #[test]
    fn it_is_what_openssl_makes() {
        assert_eq!(
            signature(b"s3cret", 1_700_000_000, br#"{"event":"drained"}"#).as_deref(),
            Some("v1=a0aeda9667074e3ac3a29457205b697e861d1adaf439f13cc3c35a9d63b46dd8")
        );
    }
}
