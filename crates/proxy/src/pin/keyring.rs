//! The keys that sign pins, ready to use: HMAC-SHA256 (RFC 2104) with the key already absorbed, and the text form of a token.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cutover_core::id::ServiceName;
use cutover_core::pin::{MAC_LEN, NoPin, Pin, PinKey, TOKEN_MAX};
use cutover_core::preview::{self, Preview};
use cutover_core::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Characters of the longest token in base64url without padding (RFC 4648 section 5).
pub const TEXT_MAX: usize = (TOKEN_MAX * 4).div_ceil(3);

/// All keys of a snapshot. Built once per snapshot; opening or sealing a pin allocates nothing.
#[derive(Clone, Default)]
pub struct Keyring {
    /// Oldest first; the last one signs.
    keys: Vec<(u8, Hmac<Sha256>)>,
}

/// Reads tokens.
pub trait Opener {
    /// Reads a token from its text. Its dates are not checked.
    ///
    /// # Errors
    /// [`NoPin::Malformed`], [`NoPin::UnknownKey`] or [`NoPin::BadMac`].
    fn open(&self, text: &[u8], service: &ServiceName) -> Result<Pin, NoPin>;

    /// Reads the text of a preview that has not expired.
    ///
    /// # Errors
    /// Those of [`Preview::open`].
    fn open_preview(&self, text: &[u8], service: &ServiceName, now: Timestamp) -> Result<Preview, NoPin>;
}

/// The token that a connection brought last. Its next request brings the same one, as a rule, and what was authentic then is so still
/// while the keys are the same.
#[derive(Debug, Default)]
pub struct Known(RefCell<Option<Box<Token>>>);

#[derive(Debug)]
struct Token {
    keyring: Rc<Keyring>,
    service: ServiceName,
    text: TokenText,
    pin: Pin,
}

/// A keyring that does not verify again what is known.
#[derive(Debug, Clone, Copy)]
pub struct Remembering<'a> {
    /// The keys.
    pub keyring: &'a Rc<Keyring>,
    /// What is known.
    pub known: &'a Known,
}

/// A token as text, as it stands in the cookie.
#[derive(Debug, Clone, Copy)]
pub struct TokenText {
    bytes: [u8; TEXT_MAX],
    len: usize,
}

impl Keyring {
    /// The keyring of `keys`, oldest first.
    #[must_use]
    pub fn new(keys: &[PinKey]) -> Self {
        let ready = |key: &PinKey| Some((key.id, Hmac::new_from_slice(&key.secret).ok()?));
        Self { keys: keys.iter().filter_map(ready).collect() }
    }

    /// Reads a token from its text. Its dates are not checked.
    ///
    /// # Errors
    /// [`NoPin::Malformed`], [`NoPin::UnknownKey`] or [`NoPin::BadMac`]. Text is refused as malformed unless it is exactly what
    /// [`seal`](Self::seal) writes: no padding, and no bits left over.
    pub fn open(&self, text: &[u8], service: &ServiceName) -> Result<Pin, NoPin> {
        if text.len() > TEXT_MAX {
            return Err(NoPin::Malformed);
        }
        let mut token = [0; TOKEN_MAX];
        let len = URL_SAFE_NO_PAD.decode_slice(text, &mut token).map_err(|_| NoPin::Malformed)?;
        Pin::open(&token[..len], service, |id, parts| self.sign(id, parts))
    }

    /// The token of `pin` for `service`, signed by the newest key; `None` when there is no key.
    #[must_use]
    pub fn seal(&self, pin: &Pin, service: &ServiceName) -> Option<TokenText> {
        let (newest, _) = self.keys.last()?;
        let token = pin.seal(service, *newest, |id, parts| self.sign(id, parts))?;
        let mut bytes = [0; TEXT_MAX];
        let len = URL_SAFE_NO_PAD.encode_slice(token.as_bytes(), &mut bytes).ok()?;
        Some(TokenText { bytes, len })
    }

    /// The text of `preview` for `service`, signed by the newest key; `None` when there is no key.
    #[must_use]
    pub fn seal_preview(&self, preview: &Preview, service: &ServiceName) -> Option<String> {
        let (newest, _) = self.keys.last()?;
        let token = preview.seal(service, *newest, |id, parts| self.sign(id, parts))?;
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    fn sign(&self, id: u8, parts: &[&[u8]]) -> Option<[u8; MAC_LEN]> {
        // Two or three keys at most times: a scan is the fastest map. The newest one is the likeliest.
        let (_, ready) = self.keys.iter().rev().find(|(known, _)| *known == id)?;
        let mut mac = ready.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().first_chunk().copied()
    }
}

impl Opener for Keyring {
    fn open(&self, text: &[u8], service: &ServiceName) -> Result<Pin, NoPin> {
        Self::open(self, text, service)
    }

    fn open_preview(&self, text: &[u8], service: &ServiceName, now: Timestamp) -> Result<Preview, NoPin> {
        let mut token = [0; preview::TOKEN_LEN];
        let len = URL_SAFE_NO_PAD.decode_slice(text, &mut token).map_err(|_| NoPin::Malformed)?;
        Preview::open(&token[..len], service, now, |id, parts| self.sign(id, parts))
    }
}

impl Opener for Remembering<'_> {
    fn open(&self, text: &[u8], service: &ServiceName) -> Result<Pin, NoPin> {
        let mut known = self.known.0.borrow_mut();
        if let Some(known) = &*known
            && known.text.as_bytes() == text
            && Rc::ptr_eq(&known.keyring, self.keyring)
            && known.service == *service
        {
            return Ok(known.pin);
        }
        let pin = self.keyring.open(text, service)?;
        if let Some(text) = TokenText::of(text) {
            let token = Token { keyring: Rc::clone(self.keyring), service: service.clone(), text, pin };
            match &mut *known {
                Some(known) => **known = token,
                none => *none = Some(Box::new(token)),
            }
        }
        Ok(pin)
    }

    fn open_preview(&self, text: &[u8], service: &ServiceName, now: Timestamp) -> Result<Preview, NoPin> {
        self.keyring.open_preview(text, service, now)
    }
}

impl TokenText {
    fn of(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; TEXT_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self { bytes, len: text.len() })
    }

    /// The text: letters, digits, `-` and `_`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use cutover_core::id::Epoch;
    use proptest::prelude::*;

    use super::*;

    fn key(id: u8) -> PinKey {
        PinKey { id, secret: [id; 32], made_at: Timestamp(0) }
    }

    fn web() -> ServiceName {
        ServiceName::parse("web").unwrap()
    }

    fn pin(backend: Option<u64>) -> Pin {
        let at = Timestamp::from_secs(1_700_000_000);
        Pin { epoch: Epoch(7), version: 0xfeed, born_at: at, issued_at: at, id: 42, backend }
    }

    #[test]
    fn a_token_is_opened_by_any_known_key_and_sealed_by_the_newest() {
        let (old, both, new) =
            (Keyring::new(&[key(1)]), Keyring::new(&[key(1), key(2)]), Keyring::new(&[key(2)]));
        let by_old = old.seal(&pin(None), &web()).unwrap();
        let by_both = both.seal(&pin(None), &web()).unwrap();
        assert_eq!(both.open(by_old.as_bytes(), &web()), Ok(pin(None)));
        assert_eq!(new.open(by_both.as_bytes(), &web()), Ok(pin(None)));
        assert_eq!(new.open(by_old.as_bytes(), &web()), Err(NoPin::UnknownKey));
    }

    #[test]
    fn the_mac_is_hmac_sha256() {
        // RFC 4231, test case 2.
        let ring = Keyring { keys: vec![(1, Hmac::new_from_slice(b"Jefe").unwrap())] };
        let mac = ring.sign(1, &[b"what do ya want ", b"for nothing?"]).unwrap();
        assert_eq!(u128::from_be_bytes(mac), 0x5bdc_c146_bf60_754e_6a04_2426_0895_75c7);
    }

    #[test]
    fn a_preview_outlives_the_key_that_is_newest_and_not_its_own() {
        let now = Timestamp::from_secs(1_700_000_000);
        let preview = Preview { version: 7, expires_at: Timestamp::from_secs(1_700_000_001) };
        let old = Keyring::new(&[key(1)]);
        let text = old.seal_preview(&preview, &web()).unwrap();
        assert_eq!(text.len(), 40, "it goes into links");
        let open = |keyring: &Keyring| keyring.open_preview(text.as_bytes(), &web(), now);
        assert_eq!(open(&Keyring::new(&[key(1), key(2)])), Ok(preview));
        assert_eq!(open(&Keyring::new(&[key(2)])), Err(NoPin::UnknownKey));
        assert_eq!(old.open(text.as_bytes(), &web()), Err(NoPin::Malformed), "it is no pin");
        let pin = old.seal(&pin(None), &web()).unwrap();
        assert_eq!(old.open_preview(pin.as_bytes(), &web(), now), Err(NoPin::Malformed));
        let padded = format!("{text}==");
        assert_eq!(old.open_preview(padded.as_bytes(), &web(), now), Err(NoPin::Malformed));
    }

    #[test]
    fn without_a_key_nothing_is_sealed() {
        let preview = Preview { version: 7, expires_at: Timestamp::from_secs(1) };
        assert!(Keyring::default().seal_preview(&preview, &web()).is_none());
        assert!(Keyring::default().seal(&pin(None), &web()).is_none());
    }

    #[test]
    fn only_canonical_text_is_read() {
        let ring = Keyring::new(&[key(1)]);
        // 58 bytes make 78 characters, of which the last carries four bits that must be zero.
        let text = ring.seal(&pin(Some(9)), &web()).unwrap().as_bytes().to_vec();
        assert_eq!(text.len(), TEXT_MAX);
        assert_eq!(ring.open(&text, &web()), Ok(pin(Some(9))));
        let last = text[TEXT_MAX - 1];
        for other in (b'0'..=b'z').filter(|&other| other != last) {
            let changed = [&text[..TEXT_MAX - 1], &[other]].concat();
            assert!(ring.open(&changed, &web()).is_err(), "{}", char::from(other));
        }
        assert_eq!(ring.open(&[&text[..], b"=="].concat(), &web()), Err(NoPin::Malformed));
    }

    proptest! {
        #[test]
        fn garbage_is_refused(text: Vec<u8>) {
            let ring = Keyring::new(&[key(1)]);
            prop_assert!(ring.open(&text, &web()).is_err());
            prop_assert!(ring.open_preview(&text, &web(), Timestamp(0)).is_err());
        }
    }

    #[test]
    fn what_is_known_is_believed_for_its_keys_and_its_service_only() {
        let (known, keyring) = (Known::default(), Rc::new(Keyring::new(&[key(1)])));
        let text = keyring.seal(&pin(None), &web()).unwrap();
        let open = |keyring: &Rc<Keyring>, service: &ServiceName, text: &[u8]| {
            Remembering { keyring, known: &known }.open(text, service)
        };
        for _ in 0..2 {
            assert_eq!(open(&keyring, &web(), text.as_bytes()), Ok(pin(None)));
        }
        let other = ServiceName::parse("other").unwrap();
        assert_eq!(open(&keyring, &other, text.as_bytes()), Err(NoPin::BadMac));
        assert_eq!(open(&Rc::new(Keyring::new(&[key(2)])), &web(), text.as_bytes()), Err(NoPin::UnknownKey));
        assert_eq!(open(&keyring, &web(), &text.as_bytes()[1..]), Err(NoPin::Malformed));
        assert_eq!(open(&keyring, &web(), text.as_bytes()), Ok(pin(None)));
    }
}
