//! The preview: a signed, expiring credential that names one version of a service, whatever part that plays. Whoever has it is served by
//! that version: people who look at a staged one, and tests that run against it.
//!
//! Layout of a token, integers in big endian:
//!
//! ```text
//! format 1 | key id 1 | version hash 8 | expires at 4 | MAC 16
//! ```
//!
//! The MAC is HMAC-SHA256 (RFC 2104), truncated to 128 bits, with the keys that sign pins, over [`DOMAIN`], everything before the MAC, and the
//! service's name; computing it is the caller's business. What is signed for a pin begins with the number of its format, and so never with
//! the domain: no pin is a preview, nor the other way round.

use crate::command::Preview as Request;
use crate::contract;
use crate::gate::known;
use crate::id::ServiceName;
use crate::pin::{MAC_LEN, NoPin, Sign, seconds, verify};
use crate::rejected::{Code, Reason, Rejected};
use crate::service::Service;
use crate::time::{Millis, Timestamp};
use crate::version::{Previewed, Role, Version};

/// Bytes of a token.
pub const TOKEN_LEN: usize = BODY_LEN + MAC_LEN;
/// The shortest time for which a preview may be made.
pub const TTL_MIN: Millis = Millis::from_secs(10);
/// The longest: what is passed around in chats and tickets must not open a version for ever.
pub const TTL_MAX: Millis = Millis::from_secs(7 * 24 * 3600);
/// Tells what is signed for previews from everything else that the same keys sign.
pub const DOMAIN: &[u8] = b"cutover preview\0";

const BODY_LEN: usize = 14;
const FORMAT: u8 = 1;

/// Leave to be served by one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preview {
    /// The version, as [`version_hash`](crate::pin::version_hash).
    pub version: u64,
    /// When the leave ends, in whole seconds.
    pub expires_at: Timestamp,
}

/// The bytes of a token.
pub type Token = [u8; TOKEN_LEN];

impl Preview {
    /// The token of this preview, for `service`, signed by the key `key_id`; `None` when there is no such key.
    #[must_use]
    pub fn seal(&self, service: &ServiceName, key_id: u8, sign: impl Sign) -> Option<Token> {
        let mut token = [0; TOKEN_LEN];
        let (body, mac) = token.split_at_mut(BODY_LEN);
        body[..2].copy_from_slice(&[FORMAT, key_id]);
        body[2..10].copy_from_slice(&self.version.to_be_bytes());
        body[10..].copy_from_slice(&seconds(self.expires_at).to_be_bytes());
        mac.copy_from_slice(&sign(key_id, &[DOMAIN, body, service.as_str().as_bytes()])?);
        Some(token)
    }

    /// Reads a token, and checks that it was sealed for `service`, in full and unchanged, and has not expired by `now`.
    ///
    /// # Errors
    /// [`NoPin::Malformed`], [`NoPin::UnknownKey`], [`NoPin::BadMac`] or [`NoPin::Expired`]. What has expired was authentic.
    pub fn open(token: &[u8], service: &ServiceName, now: Timestamp, sign: impl Sign) -> Result<Self, NoPin> {
        let token: &Token = token.try_into().map_err(|_| NoPin::Malformed)?;
        let (body, mac) = token.split_at(BODY_LEN);
        let &[FORMAT, key_id, ref fields @ ..] = body else { return Err(NoPin::Malformed) };
        verify(mac, key_id, &[DOMAIN, body, service.as_str().as_bytes()], sign)?;
        let (version, rest) = fields.split_first_chunk().ok_or(NoPin::Malformed)?;
        let expires_at: &[u8; 4] = rest.try_into().map_err(|_| NoPin::Malformed)?;
        let expires_at = Timestamp::from_secs(u32::from_be_bytes(*expires_at).into());
        if expires_at <= now {
            return Err(NoPin::Expired);
        }
        Ok(Self { version: u64::from_be_bytes(*version), expires_at })
    }
}

/// When a preview ends that is made `now`: rounded up to whole seconds, so that none ends before its time.
#[must_use]
pub fn expires_at(ttl: Millis, now: Timestamp) -> Timestamp {
    (now + ttl).in_whole_secs()
}

/// Whether a version may be tried out: a rejected one too, so that people can look at what is wrong with it. Of one that is drained nothing
/// may begin again, and the database is nothing any more for one behind the rollback floor.
#[must_use]
pub fn is_possible(service: &Service, version: &Version) -> bool {
    let is_live = match version.role {
        Role::Draining => !version.is_sealed,
        Role::Staged | Role::Canary | Role::Active | Role::Rejected | Role::Superseded => true,
        Role::Drained | Role::Retired => false,
    };
    is_live && contract::below_floor(service, version).is_none()
}

/// Notes that a preview is made of a version.
pub(crate) fn make(service: &mut Service, request: &Request, now: Timestamp) -> Result<(), Rejected> {
    if let Some(version) = service.versions.get(&request.version) {
        Rejected::if_any(obstacles(service, version))?;
    }
    note(known(service, &request.version)?, request, now);
    Ok(())
}

/// Everything that stands in the way of a preview.
fn obstacles(service: &Service, version: &Version) -> Vec<Reason> {
    let label = &version.label;
    let mut reasons = Vec::new();
    if version.role == Role::Drained {
        let detail = format!("version {label} is drained; nothing of it may begin again");
        reasons.push(Reason::new(Code::WrongRole, detail));
    }
    if service.capacity(label).registered == 0 {
        reasons.push(Reason::new(Code::Retired, format!("version {label} has no backend any more")));
    }
    reasons.extend(contract::below_floor(service, version));
    reasons
}

fn note(version: &mut Version, request: &Request, now: Timestamp) {
    let before = version.previewed.as_ref();
    let made = before.map_or(0, |before| before.made).saturating_add(1);
    let ends = expires_at(request.ttl, now);
    let until = before.map_or(ends, |before| before.until.max(ends));
    version.previewed = Some(Previewed { made, until, by: request.by.clone(), ttl: request.ttl });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::Epoch;
    use crate::pin::Pin;
    use crate::pin::tests::sign;

    fn web() -> ServiceName {
        ServiceName::parse("web").unwrap()
    }

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn preview() -> impl Strategy<Value = Preview> {
        let expires_at = 1_700_000_001_u32..;
        (any::<u64>(), expires_at).prop_map(|(version, expires_at)| Preview {
            version,
            expires_at: Timestamp::from_secs(expires_at.into()),
        })
    }

    proptest! {
        #[test]
        fn tokens_round_trip(preview in preview(), key_id in 0_u8..4) {
            let token = preview.seal(&web(), key_id, sign).unwrap();
            prop_assert_eq!(Preview::open(&token, &web(), NOW, sign), Ok(preview));
        }

        #[test]
        fn any_flipped_bit_is_refused(preview in preview(), bit in 0..TOKEN_LEN * 8) {
            let mut token = preview.seal(&web(), 0, sign).unwrap();
            token[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Preview::open(&token, &web(), NOW, sign).is_err());
        }

        #[test]
        fn other_lengths_and_garbage_are_refused(preview in preview(), len in 0..TOKEN_LEN, garbage: Vec<u8>) {
            let token = preview.seal(&web(), 0, sign).unwrap();
            prop_assert_eq!(Preview::open(&token[..len], &web(), NOW, sign), Err(NoPin::Malformed));
            let longer = [&token[..], &[0]].concat();
            prop_assert_eq!(Preview::open(&longer, &web(), NOW, sign), Err(NoPin::Malformed));
            prop_assert!(Preview::open(&garbage, &web(), NOW, sign).is_err());
        }
    }

    fn until(secs: u64) -> Preview {
        Preview { version: 7, expires_at: Timestamp::from_secs(secs) }
    }

    #[test]
    fn a_token_is_worth_nothing_for_another_service_or_without_its_key() {
        let token = until(2_000_000_000).seal(&web(), 1, sign).unwrap();
        let other = ServiceName::parse("shop").unwrap();
        assert_eq!(Preview::open(&token, &other, NOW, sign), Err(NoPin::BadMac));
        let without = |id: u8, parts: &[&[u8]]| sign(id, parts).filter(|_| id != 1);
        assert_eq!(Preview::open(&token, &web(), NOW, without), Err(NoPin::UnknownKey));
        assert_eq!(until(2_000_000_000).seal(&web(), 1, without), None);
    }

    #[test]
    fn a_preview_ends_at_its_time_to_the_second() {
        let token = until(1_700_000_010).seal(&web(), 0, sign).unwrap();
        let at = |ms| Preview::open(&token, &web(), Timestamp(ms), sign);
        assert_eq!(at(1_700_000_009_999), Ok(until(1_700_000_010)));
        assert_eq!(at(1_700_000_010_000), Err(NoPin::Expired));
        assert_eq!(expires_at(Millis(10_000), Timestamp(1)), Timestamp(11_000));
    }

    #[test]
    fn no_pin_is_a_preview_nor_the_other_way_round() {
        let pin = Pin { epoch: Epoch(1), version: 7, born_at: NOW, issued_at: NOW, id: 1, backend: None };
        let pin = pin.seal(&web(), 0, sign).unwrap();
        assert_eq!(Preview::open(pin.as_bytes(), &web(), NOW, sign), Err(NoPin::Malformed));
        let body = &until(2_000_000_000).seal(&web(), 0, sign).unwrap()[..BODY_LEN];
        // Signed by the same key, but not for previews.
        let mac = sign(0, &[body, web().as_str().as_bytes()]).unwrap();
        assert_eq!(Preview::open(&[body, &mac].concat(), &web(), NOW, sign), Err(NoPin::BadMac));
        let preview = until(2_000_000_000).seal(&web(), 0, sign).unwrap();
        assert_eq!(Pin::open(&preview, &web(), sign), Err(NoPin::Malformed));
    }
}
