//! The file of an asset: a prelude of fixed size, a head, the body. Each part is checked by what is in the prelude.
//!
//! ```text
//! 8 bytes   "cutvlt" and the version of the format, two bytes
//! 4 bytes   length of the head
//! 8 bytes   length of the body
//! 32 bytes  SHA-256 of the head
//! 32 bytes  SHA-256 of the body
//! ```
//!
//! Numbers are little-endian. The file ends with its body: one that is cut off anywhere, or has anything behind it, is broken.

use std::io::{self, Read};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::asset::{Asset, Coding, Key};

/// Bytes of the prelude.
pub const PRELUDE: usize = 84;
/// Bytes of a head. The heads of answers are limited far below.
const HEAD_MAX: usize = 128 << 10;
const MAGIC: [u8; 8] = *b"cutvlt\x00\x01";

/// Why bytes are no asset.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// It can't be read.
    #[error("the file can't be read")]
    Io(#[from] io::Error),
    /// It is none of ours, or of a format of later.
    #[error("the file has no format that is known")]
    Format,
    /// It is shorter or longer than it says.
    #[error("the file has another length than was written")]
    Length,
    /// Other bytes come out than went in.
    #[error("the file has other bytes than were written")]
    Checksum,
}

/// What a file says of itself before its body.
#[derive(Debug)]
pub struct Head {
    /// The asset, without its body.
    pub asset: Asset,
    /// Bytes of the body.
    pub body_len: u64,
    /// SHA-256 of the body.
    pub body_sum: [u8; 32],
    /// Bytes of the whole file.
    pub file_len: u64,
}

/// The name of the file of an asset. Whatever the asset is called, it is nothing but digits.
#[must_use]
pub fn name(key: &Key) -> String {
    let sum = Sha256::new().chain_update([key.coding as u8]).chain_update(key.target.as_bytes()).finalize();
    let mut name: String = sum.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    name.push_str(".asset");
    name
}

/// Whether a file of this name may be that of an asset.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let digits = name.strip_suffix(".asset").unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// SHA-256 of a body.
#[must_use]
pub fn sum(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// What stands in front of the body, whose checksum is `body_sum`.
#[must_use]
pub fn front(asset: &Asset, body_sum: &[u8; 32]) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    put(&mut head, asset.key.target.as_bytes());
    head.push(asset.key.coding as u8);
    put(&mut head, asset.version.as_bytes());
    head.extend_from_slice(&asset.epoch.to_le_bytes());
    head.extend_from_slice(&asset.stored_at.to_le_bytes());
    for (name, value) in &asset.fields {
        put(&mut head, name.as_bytes());
        put(&mut head, value);
    }
    let mut front = Vec::with_capacity(PRELUDE + head.len());
    front.extend_from_slice(&MAGIC);
    front.extend_from_slice(&length(&head).to_le_bytes());
    front.extend_from_slice(&(asset.body.len() as u64).to_le_bytes());
    front.extend_from_slice(&sum(&head));
    front.extend_from_slice(body_sum);
    front.extend_from_slice(&head);
    front
}

/// Reads what stands in front of the body of a file that has `file_len` bytes.
///
/// # Errors
/// [`Broken`].
pub fn read_head(from: &mut impl Read, file_len: u64) -> Result<Head, Broken> {
    let mut prelude = [0; PRELUDE];
    if file_len < PRELUDE as u64 {
        return Err(Broken::Length);
    }
    from.read_exact(&mut prelude)?;
    let mut at = Cursor(&prelude);
    if at.array()? != MAGIC {
        return Err(Broken::Format);
    }
    let (head_len, body_len) = (u32::from_le_bytes(at.array()?), u64::from_le_bytes(at.array()?));
    let (head_sum, body_sum): ([u8; 32], [u8; 32]) = (at.array()?, at.array()?);
    let written = (PRELUDE as u64 + u64::from(head_len)).checked_add(body_len);
    let head_len = usize::try_from(head_len).unwrap_or(usize::MAX);
    if written != Some(file_len) || head_len > HEAD_MAX {
        return Err(Broken::Length);
    }
    let mut head = vec![0; head_len];
    from.read_exact(&mut head)?;
    if sum(&head) != head_sum {
        return Err(Broken::Checksum);
    }
    Ok(Head { asset: parse(&head)?, body_len, body_sum, file_len })
}

/// Reads a whole file of `file_len` bytes.
///
/// # Errors
/// [`Broken`].
pub fn read(from: &mut impl Read, file_len: u64, body_max: u64) -> Result<Head, Broken> {
    let mut head = read_head(from, file_len)?;
    if head.body_len > body_max {
        return Err(Broken::Length);
    }
    let mut body = vec![0; usize::try_from(head.body_len).map_err(|_| Broken::Length)?];
    from.read_exact(&mut body)?;
    if sum(&body) != head.body_sum {
        return Err(Broken::Checksum);
    }
    head.asset.body = body;
    Ok(head)
}

fn parse(head: &[u8]) -> Result<Asset, Broken> {
    let mut at = Cursor(head);
    let target = at.text()?;
    let [coding] = at.array()?;
    let coding = Coding::ALL.get(usize::from(coding)).ok_or(Broken::Format)?;
    if target.len() > Key::TARGET_MAX || !target.starts_with('/') {
        return Err(Broken::Format);
    }
    let version = at.text()?.to_owned();
    let (epoch, stored_at) = (u64::from_le_bytes(at.array()?), u64::from_le_bytes(at.array()?));
    let mut fields = Vec::new();
    while !at.0.is_empty() {
        let (name, value) = (at.text()?, at.slice()?);
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        // A value that has a line end would be another field to whoever reads it.
        let is_value = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
        if !is_name || !is_value {
            return Err(Broken::Format);
        }
        fields.push((name.to_owned(), value.to_owned()));
    }
    let key = Key { target: Arc::from(target), coding: *coding };
    Ok(Asset { key, version, epoch, stored_at, fields, body: Vec::new() })
}

/// A piece that says how long it is.
fn put(out: &mut Vec<u8>, piece: &[u8]) {
    out.extend_from_slice(&length(piece).to_le_bytes());
    out.extend_from_slice(piece);
}

/// What is written has limits far below 4 GiB.
fn length(piece: &[u8]) -> u32 {
    u32::try_from(piece.len()).unwrap_or(u32::MAX)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Broken::Format)?;
        self.0 = rest;
        Ok(*array)
    }

    fn slice(&mut self) -> Result<&'a [u8], Broken> {
        let length = usize::try_from(u32::from_le_bytes(self.array()?)).map_err(|_| Broken::Format)?;
        let (slice, rest) = self.0.split_at_checked(length).ok_or(Broken::Format)?;
        self.0 = rest;
        Ok(slice)
    }

    fn text(&mut self) -> Result<&'a str, Broken> {
        std::str::from_utf8(self.slice()?).map_err(|_| Broken::Format)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(asset: &Asset) -> Vec<u8> {
        [front(asset, &sum(&asset.body)), asset.body.clone()].concat()
    }

    fn read_all(bytes: &[u8]) -> Result<Asset, Broken> {
        read(&mut &bytes[..], bytes.len() as u64, 1 << 20).map(|head| head.asset)
    }

    fn asset() -> impl Strategy<Value = Asset> {
        let target = "/[a-z0-9/?=._-]{0,40}".prop_map(Arc::from);
        let fields =
            prop::collection::vec(("[a-z-]{1,12}", "[ -~]{0,20}".prop_map(String::into_bytes)), 0..5);
        let body = prop::collection::vec(any::<u8>(), 0..300);
        (target, 0..Coding::ALL.len(), "[a-z0-9.]{1,9}", any::<(u64, u64)>(), fields, body).prop_map(
            |(target, coding, version, (epoch, stored_at), fields, body)| {
                let key = Key { target, coding: Coding::ALL[coding] };
                Asset { key, version, epoch, stored_at, fields, body }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(asset in asset()) {
            prop_assert_eq!(read_all(&written(&asset)).unwrap(), asset);
        }

        #[test]
        fn a_file_that_is_cut_off_or_changed_anywhere_is_broken(asset in asset(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let whole = written(&asset);
            let at = at.index(whole.len());
            let mut changed = whole.clone();
            changed[at] ^= 1_u8 << bit;
            prop_assert!(read_all(&changed).is_err());
            prop_assert!(read_all(&whole[..at]).is_err());
            prop_assert!(read_all(&[&whole[..], b"x"].concat()).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), has_magic in any::<bool>()) {
            if has_magic && bytes.len() >= MAGIC.len() {
                bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
            }
            prop_assert!(read_all(&bytes).is_err());
        }
    }

    #[test]
    fn a_name_is_nothing_but_digits_whatever_the_asset_is_called() {
        for target in ["/../../etc/passwd", "/a\0b", "/", "/a/b?c=/../d"] {
            for coding in Coding::ALL {
                assert!(is_name(&name(&Key { target: Arc::from(target), coding })));
            }
        }
        for other in [
            "..",
            "a.asset",
            "../0123456789abcdef0123456789abcdef.asset",
            "0123456789ABCDEF0123456789abcdef.asset",
        ] {
            assert!(!is_name(other), "{other}");
        }
    }

    #[test]
    fn a_field_can_not_begin_another_one() {
        let key = Key { target: Arc::from("/a"), coding: Coding::Identity };
        let asset = |name: &str, value: &[u8]| Asset {
            key: key.clone(),
            version: "v1".to_owned(),
            epoch: 1,
            stored_at: 1,
            fields: vec![(name.to_owned(), value.to_owned())],
            body: Vec::new(),
        };
        for (name, value) in [("a", &b"b\r\nc: d"[..]), ("a: b", b"c"), ("a\r\n", b""), ("", b"b")] {
            assert!(matches!(read_all(&written(&asset(name, value))), Err(Broken::Format)), "{name}");
        }
    }
}
