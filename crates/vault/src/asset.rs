//! One asset: how it was asked for, and what the answer was.

use std::sync::Arc;

/// How the bytes of an asset are coded (RFC 9110 section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Coding {
    /// They are what they are.
    Identity,
    /// `gzip`
    Gzip,
    /// `br`
    Br,
    /// `zstd`
    Zstd,
    /// `deflate`
    Deflate,
}

/// By what an asset is found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Path and query as clients ask for them, at most [`Key::TARGET_MAX`] bytes.
    pub target: Arc<str>,
    /// How its bytes are coded.
    pub coding: Coding,
}

/// An asset as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// By what it is found.
    pub key: Key,
    /// The version that answered with it.
    pub version: String,
    /// The last epoch in which that version was active; 0 = it never was. Of two with one key, that of the later epoch is kept.
    pub epoch: u64,
    /// When it was seen: milliseconds since 1970.
    pub stored_at: u64,
    /// Names and values of the answer's fields.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The answer's body.
    pub body: Vec<u8>,
}

impl Coding {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Identity, Self::Gzip, Self::Br, Self::Zstd, Self::Deflate];

    /// The word for it, as in `Content-Encoding`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Br => "br",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }

    /// The coding with this word, in any case.
    #[must_use]
    pub fn parse(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|coding| word.eq_ignore_ascii_case(coding.as_str().as_bytes()))
    }
}

impl Key {
    /// Bytes that a target may have.
    pub const TARGET_MAX: usize = 2048;
}

impl Asset {
    /// The value of the first field called `name`, in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let found = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }
}
