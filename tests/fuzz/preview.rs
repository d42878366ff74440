//! Preview tokens: no bytes make `open` panic, what was sealed opens to the same preview until its end, one flipped bit is refused, and no pin
//! is a preview.
#![no_main]

use cutover_core::id::ServiceName;
use cutover_core::mix;
use cutover_core::pin::{MAC_LEN, NoPin, Pin};
use cutover_core::preview::{Preview, TOKEN_LEN};
use cutover_core::time::Timestamp;
use libfuzzer_sys::fuzz_target;

const KEY_ID: u8 = 7;

fuzz_target!(|data: &[u8]| {
    let Ok(service) = ServiceName::parse("web") else { return };
    let Some((preview, now, rest)) = preview_from(data) else { return };
    if Preview::open(data, &service, now, sign).is_ok() {
        assert!(Pin::open(data, &service, sign).is_err());
    }
    let Some(mut token) = preview.seal(&service, KEY_ID, sign) else { panic!("the key is known") };
    let is_alive = preview.expires_at > now;
    let expected = if is_alive { Ok(preview) } else { Err(NoPin::Expired) };
    assert_eq!(Preview::open(&token, &service, now, sign), expected);
    assert!(Pin::open(&token, &service, sign).is_err());

    let flipped = usize::from(rest) % (TOKEN_LEN * 8);
    token[flipped / 8] ^= 1 << (flipped % 8);
    let opened = Preview::open(&token, &service, now, sign);
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

/// A preview, a time to look at it, and which bit to flip.
fn preview_from(data: &[u8]) -> Option<(Preview, Timestamp, u16)> {
    let (version, data) = data.split_first_chunk()?;
    let (expires_at, data) = data.split_first_chunk()?;
    let (now, data) = data.split_first_chunk()?;
    let flipped = data.first_chunk()?;
    let seconds = |bytes: &[u8; 4]| Timestamp::from_secs(u64::from(u32::from_be_bytes(*bytes)));
    let preview = Preview { version: u64::from_be_bytes(*version), expires_at: seconds(expires_at) };
    Some((preview, seconds(now), u16::from_be_bytes(*flipped)))
}
