//! Pin tokens: no bytes make `open` panic, what was sealed opens to the same pin, and one flipped bit is refused.
#![no_main]

use cutover_core::id::{Epoch, ServiceName};
use cutover_core::mix;
use cutover_core::pin::{MAC_LEN, NoPin, Pin};
use cutover_core::policy::PinPolicy;
use cutover_core::time::Timestamp;
use libfuzzer_sys::fuzz_target;

const KEY_ID: u8 = 7;

fuzz_target!(|data: &[u8]| {
    let Ok(service) = ServiceName::parse("web") else { return };
    _ = Pin::open(data, &service, sign);
    let Some((pin, now, rest)) = pin_from(data) else { return };
    let Some(token) = pin.seal(&service, KEY_ID, sign) else { panic!("the key is known") };
    assert_eq!(Pin::open(token.as_bytes(), &service, sign), Ok(pin));

    let policy = PinPolicy::default();
    if pin.check_dates(&policy, now).is_ok() {
        assert!(pin.expires_at(&policy) > now);
        assert!(pin.refreshed(now).expires_at(&policy) >= pin.expires_at(&policy) || pin.issued_at > now);
    }

    let mut bytes = token.as_bytes().to_vec();
    let flipped = usize::from(rest) % (bytes.len() * 8);
    bytes[flipped / 8] ^= 1 << (flipped % 8);
    let opened = Pin::open(&bytes, &service, sign);
    assert!(
        matches!(opened, Err(NoPin::Malformed | NoPin::UnknownKey | NoPin::BadMac)),
        "bit {flipped}: {opened:?}"
    );
});

/// A stand-in for the MAC, which is the caller's: the core only has to compare it with the right one.
fn sign(key_id: u8, parts: &[&[u8]]) -> Option<[u8; MAC_LEN]> {
    let mut message = parts.concat();
    message.push(1);
    let left = mix::hash(&message);
    message.push(2);
    let right = mix::hash(&message);
    let both = (u128::from(left) << 64) | u128::from(right);
    (key_id == KEY_ID).then(|| both.to_be_bytes())
}

/// A pin, a time to look at it, and which bit to flip.
fn pin_from(data: &[u8]) -> Option<(Pin, Timestamp, u16)> {
    let (epoch, data) = data.split_first_chunk()?;
    let (version, data) = data.split_first_chunk()?;
    let (id, data) = data.split_first_chunk()?;
    let (born_at, data) = data.split_first_chunk()?;
    let (issued_at, data) = data.split_first_chunk()?;
    let (now, data) = data.split_first_chunk()?;
    let (flipped, data) = data.split_first_chunk()?;
    let seconds = |bytes: &[u8; 4]| Timestamp::from_secs(u64::from(u32::from_be_bytes(*bytes)));
    let pin = Pin {
        epoch: Epoch(u64::from_be_bytes(*epoch)),
        version: u64::from_be_bytes(*version),
        born_at: seconds(born_at),
        issued_at: seconds(issued_at),
        id: u64::from_be_bytes(*id),
        backend: data.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)),
    };
    Some((pin, seconds(now), u16::from_be_bytes(*flipped)))
}
