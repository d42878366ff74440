//! Files of the asset vault: no bytes make the reader panic, what it takes for an asset is written and read as the same, and no field of it
//! can begin another one.
#![no_main]

use std::sync::Arc;

use cutover_vault::file::{self, Head};
use cutover_vault::{Asset, Coding, Key};
use libfuzzer_sys::fuzz_target;

const BODY_MAX: u64 = 1 << 16;

fuzz_target!(|data: &[u8]| {
    check(data);
    // With sums that are right, so that what is behind them is read too.
    let Some((split, rest)) = data.split_first_chunk::<2>() else { return };
    let (head, body) = rest.split_at(usize::from(u16::from_le_bytes(*split)).min(rest.len()));
    check(&whole(head, body));
});

fn check(bytes: &[u8]) {
    let Some(found) = read(bytes) else { return };
    let asset = found.asset;
    assert!(asset.key.target.starts_with('/') && file::is_name(&file::name(&asset.key)));
    for (name, value) in &asset.fields {
        assert!(!name.is_empty() && !name.bytes().any(|byte| byte == b':' || byte.is_ascii_whitespace()));
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
    let written = [file::front(&asset, &file::sum(&asset.body)), asset.body.clone()].concat();
    assert_eq!(read(&written).map(|head| head.asset), Some(asset));
}

fn read(mut bytes: &[u8]) -> Option<Head> {
    let length = bytes.len() as u64;
    file::read(&mut bytes, length, BODY_MAX).ok()
}

/// A file with this head and body.
fn whole(head: &[u8], body: &[u8]) -> Vec<u8> {
    let key = Key { target: Arc::from("/"), coding: Coding::Identity };
    let any =
        Asset { key, version: String::new(), epoch: 0, stored_at: 0, fields: Vec::new(), body: Vec::new() };
    let mut bytes = file::front(&any, &[0; 32])[..8].to_vec();
    bytes.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&file::sum(head));
    bytes.extend_from_slice(&file::sum(body));
    [&bytes, head, body].concat()
}
