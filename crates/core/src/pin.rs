//! The pin: what ties a session to a version of a service in an epoch. It is carried by the client and signed; there is
//! no session table.
//!
//! Layout of a token, integers in big endian:
//!
//! ```text
//! format 1 | key id 1 | epoch 8 | version hash 8 | born at 4 | issued at 4 | pin id 8 | [backend hash 8] | MAC 16
//! ```
//!
//! `issued at` is what `idle` counts from and moves with every refresh; `born at` is what `life` counts from and does not,
//! which is why both are in it. Both are rounded up to whole seconds, so that no pin ends before its time. The MAC is
//! HMAC-SHA256 (RFC 2104), truncated to 128 bits, over everything before it and the service's name; computing it is the
//! caller's business.

use crate::id::{Epoch, ServiceName, VersionLabel};
use crate::mix;
use crate::policy::PinPolicy;
use crate::time::Timestamp;

/// Bytes of a MAC.
pub const MAC_LEN: usize = 16;
/// Bytes of the longest token.
pub const TOKEN_MAX: usize = BODY_LEN + 8 + MAC_LEN;
/// A token that is dated further ahead than this many seconds is not from a clock that can be trusted.
pub const FUTURE_MAX_SECS: u64 = 300;

const BODY_LEN: usize = 34;
const FORMAT: u8 = 1;
const FORMAT_BACKEND: u8 = 2;

/// A key that signs pins.
#[derive(Clone, PartialEq, Eq)]
pub struct PinKey {
    /// Names the key inside tokens.
    pub id: u8,
    /// The secret.
    pub secret: [u8; 32],
    /// When it was made.
    pub made_at: Timestamp,
}

impl std::fmt::Debug for PinKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PinKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a session is tied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// The epoch in which the version was active when the session began.
    pub epoch: Epoch,
    /// The version, as [`version_hash`].
    pub version: u64,
    /// When the session was pinned, rounded up to whole seconds.
    pub born_at: Timestamp,
    /// When this token was handed out, rounded up to whole seconds.
    pub issued_at: Timestamp,
    /// 64 random bits.
    pub id: u64,
    /// The backend, as [`backend_hash`], where the session is tied to one.
    pub backend: Option<u64>,
}

/// Why a request has no valid pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPin {
    /// It carried none.
    Absent,
    /// It carried something that no proxy handed out: wrong length, format or alphabet.
    Malformed,
    /// It is signed by a key that is not (or no longer) known.
    UnknownKey,
    /// Its MAC is wrong.
    BadMac,
    /// It was not used for longer than `idle`, or is older than `life`.
    Expired,
    /// It is dated more than five minutes ahead.
    FutureDated,
}

impl NoPin {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::BadMac => "bad_mac",
            Self::Expired => "expired",
            Self::FutureDated => "future_dated",
        }
    }
}

/// The hash by which tokens name a version.
#[must_use]
pub fn version_hash(version: &VersionLabel) -> u64 {
    mix::hash(version.as_str().as_bytes())
}

/// The hash by which tokens name a backend.
#[must_use]
pub fn backend_hash(id: &str) -> u64 {
    mix::hash(id.as_bytes())
}

/// Signs: gets the key id and the bytes to sign, answers the first 16 bytes of the MAC, or `None` for an unknown key.
pub trait Sign: Fn(u8, &[&[u8]]) -> Option<[u8; MAC_LEN]> {}
impl<F: Fn(u8, &[&[u8]]) -> Option<[u8; MAC_LEN]>> Sign for F {}

impl Pin {
    /// The token of this pin, for `service`, signed by the key `key_id`; `None` when there is no such key.
    #[must_use]
    pub fn seal(&self, service: &ServiceName, key_id: u8, sign: impl Sign) -> Option<Token> {
        let mut token = Token { bytes: [0; TOKEN_MAX], len: 0 };
        token.push(&[if self.backend.is_some() { FORMAT_BACKEND } else { FORMAT }, key_id]);
        token.push(&self.epoch.0.to_be_bytes());
        token.push(&self.version.to_be_bytes());
        token.push(&seconds(self.born_at).to_be_bytes());
        token.push(&seconds(self.issued_at).to_be_bytes());
        token.push(&self.id.to_be_bytes());
        if let Some(backend) = self.backend {
            token.push(&backend.to_be_bytes());
        }
        let mac = sign(key_id, &[token.as_bytes(), service.as_str().as_bytes()])?;
        token.push(&mac);
        Some(token)
    }

    /// Reads a token and checks that it was sealed for `service`, in full and unchanged. Its dates are checked by
    /// [`check_dates`](Self::check_dates).
    ///
    /// # Errors
    /// [`NoPin::Malformed`], [`NoPin::UnknownKey`] or [`NoPin::BadMac`].
    pub fn open(token: &[u8], service: &ServiceName, sign: impl Sign) -> Result<Self, NoPin> {
        let body_len = match token.first() {
            Some(&FORMAT) => BODY_LEN,
            Some(&FORMAT_BACKEND) => BODY_LEN + 8,
            _ => return Err(NoPin::Malformed),
        };
        let (body, mac) = token.split_at_checked(body_len).ok_or(NoPin::Malformed)?;
        let mut fields = Fields(body);
        let [_, key_id] = fields.take()?;
        verify(mac, key_id, &[body, service.as_str().as_bytes()], sign)?;
        Ok(Self {
            epoch: Epoch(u64::from_be_bytes(fields.take()?)),
            version: u64::from_be_bytes(fields.take()?),
            born_at: Timestamp::from_secs(u64::from(u32::from_be_bytes(fields.take()?))),
            issued_at: Timestamp::from_secs(u64::from(u32::from_be_bytes(fields.take()?))),
            id: u64::from_be_bytes(fields.take()?),
            backend: if body_len > BODY_LEN { Some(u64::from_be_bytes(fields.take()?)) } else { None },
        })
    }

    /// Whether the pin is alive at `now`.
    ///
    /// # Errors
    /// [`NoPin::Expired`] or [`NoPin::FutureDated`].
    pub fn check_dates(&self, policy: &PinPolicy, now: Timestamp) -> Result<(), NoPin> {
        let latest = Timestamp::from_secs(now.as_secs() + FUTURE_MAX_SECS);
        if self.issued_at > latest || self.born_at > latest {
            return Err(NoPin::FutureDated);
        }
        if self.expires_at(policy) <= now { Err(NoPin::Expired) } else { Ok(()) }
    }

    /// When the pin ends unless it is refreshed.
    #[must_use]
    pub fn expires_at(&self, policy: &PinPolicy) -> Timestamp {
        (self.issued_at + policy.idle).min(self.born_at + policy.life)
    }

    /// Whether it is time to hand the pin out again, so that it does not go idle: after a quarter of `idle`.
    #[must_use]
    pub fn is_refresh_due(&self, policy: &PinPolicy, now: Timestamp) -> bool {
        now.since(self.issued_at).0 >= policy.idle.0 / 4
            && self.refreshed(now).expires_at(policy) > self.expires_at(policy)
    }

    /// The same pin, handed out now.
    #[must_use]
    pub fn refreshed(&self, now: Timestamp) -> Self {
        Self { issued_at: now.in_whole_secs(), ..*self }
    }
}

/// Whether `mac` is what the key `key_id` makes of `parts`.
///
/// # Errors
/// [`NoPin::Malformed`] when it has another length, [`NoPin::UnknownKey`] or [`NoPin::BadMac`].
pub(crate) fn verify(mac: &[u8], key_id: u8, parts: &[&[u8]], sign: impl Sign) -> Result<(), NoPin> {
    let mac: [u8; MAC_LEN] = mac.try_into().map_err(|_| NoPin::Malformed)?;
    let right = sign(key_id, parts).ok_or(NoPin::UnknownKey)?;
    // As one comparison of 128 bits: takes the same time wherever they differ.
    if u128::from_ne_bytes(mac) ^ u128::from_ne_bytes(right) == 0 { Ok(()) } else { Err(NoPin::BadMac) }
}

/// Seconds of a token. They last until 2106; a clock beyond that seals as if it were then.
pub(crate) fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_secs()).unwrap_or(u32::MAX)
}

/// The bytes of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    bytes: [u8; TOKEN_MAX],
    len: usize,
}

impl Token {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], NoPin> {
        let (field, rest) = self.0.split_first_chunk().ok_or(NoPin::Malformed)?;
        self.0 = rest;
        Ok(*field)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::Millis;

    /// Not a MAC, but sensitive to every bit of key and message, which is what tests of tokens need.
    pub(crate) fn sign(key_id: u8, parts: &[&[u8]]) -> Option<[u8; MAC_LEN]> {
        let message = [&[key_id], parts.concat().as_slice()].concat();
        let halves = [mix::hash(&message), mix::mix(mix::hash(&message) ^ 1)];
        (key_id < 4).then(|| std::array::from_fn(|at| halves[at / 8].to_be_bytes()[at % 8]))
    }

    fn web() -> ServiceName {
        ServiceName::parse("web").unwrap()
    }

    fn pin() -> impl Strategy<Value = Pin> {
        (any::<u64>(), any::<u64>(), any::<u32>(), any::<u32>(), any::<u64>(), any::<Option<u64>>()).prop_map(
            |(epoch, version, born_at, issued_at, id, backend)| Pin {
                epoch: Epoch(epoch),
                version,
                born_at: Timestamp::from_secs(u64::from(born_at)),
                issued_at: Timestamp::from_secs(u64::from(issued_at)),
                id,
                backend,
            },
        )
    }

    proptest! {
        #[test]
        fn tokens_round_trip(pin in pin(), key_id in 0_u8..4) {
            let token = pin.seal(&web(), key_id, sign).unwrap();
            prop_assert_eq!(Pin::open(token.as_bytes(), &web(), sign), Ok(pin));
        }

        #[test]
        fn any_flipped_bit_is_refused(pin in pin(), bit in any::<prop::sample::Index>()) {
            let token = pin.seal(&web(), 0, sign).unwrap();
            let mut bytes = token.as_bytes().to_vec();
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Pin::open(&bytes, &web(), sign).is_err());
        }

        #[test]
        fn other_lengths_and_garbage_are_refused(pin in pin(), len in 0..TOKEN_MAX, garbage: Vec<u8>) {
            let token = pin.seal(&web(), 0, sign).unwrap();
            let cut = &token.as_bytes()[..len.min(token.as_bytes().len() - 1)];
            prop_assert!(Pin::open(cut, &web(), sign).is_err());
            prop_assert!(Pin::open(&garbage, &web(), sign).is_err());
        }

        #[test]
        fn a_token_is_worth_nothing_for_another_service(pin in pin()) {
            let token = pin.seal(&web(), 0, sign).unwrap();
            let other = ServiceName::parse("shop").unwrap();
            prop_assert_eq!(Pin::open(token.as_bytes(), &other, sign), Err(NoPin::BadMac));
        }
    }

    fn aged(born_secs: u64, issued_secs: u64) -> Pin {
        let [born_at, issued_at] = [born_secs, issued_secs].map(Timestamp::from_secs);
        Pin { epoch: Epoch(1), version: 2, born_at, issued_at, id: 3, backend: None }
    }

    #[test]
    fn a_pin_ends_by_idleness_and_by_age() {
        let policy =
            PinPolicy { idle: Millis::from_secs(100), life: Millis::from_secs(1000), ..PinPolicy::default() };
        let check = |pin: Pin, now| pin.check_dates(&policy, Timestamp::from_secs(now));
        assert_eq!(check(aged(1000, 1000), 1099), Ok(()));
        assert_eq!(check(aged(1000, 1000), 1100), Err(NoPin::Expired));
        assert_eq!(check(aged(1000, 1990), 1999), Ok(()));
        assert_eq!(check(aged(1000, 1990), 2000), Err(NoPin::Expired));
        assert_eq!(check(aged(1000, 1300), 1000), Ok(()));
        assert_eq!(check(aged(1000, 1301), 1000), Err(NoPin::FutureDated));
    }

    #[test]
    fn a_pin_lives_on_while_visits_are_closer_than_three_quarters_of_idle() {
        let policy = PinPolicy { idle: Millis::from_secs(1), ..PinPolicy::default() };
        let at = |ms| Timestamp::from_secs(1000) + Millis(ms);
        let mut pin = aged(1000, 1000).refreshed(at(10));
        for visit in 1..100 {
            let now = at(10 + visit * 740);
            assert_eq!(pin.check_dates(&policy, now), Ok(()), "at visit {visit}");
            if pin.is_refresh_due(&policy, now) {
                pin = pin.refreshed(now);
            }
        }
    }

    #[test]
    fn a_pin_is_refreshed_after_a_quarter_of_idle_but_not_beyond_its_life() {
        let policy =
            PinPolicy { idle: Millis::from_secs(100), life: Millis::from_secs(1000), ..PinPolicy::default() };
        let is_due = |pin: Pin, now| pin.is_refresh_due(&policy, Timestamp::from_secs(now));
        assert!(!is_due(aged(1000, 1000), 1024));
        assert!(is_due(aged(1000, 1000), 1025));
        assert!(!is_due(aged(1000, 1950), 1990), "it ends at 2000 either way");
    }
}
