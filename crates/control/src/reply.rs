//! Requests that are carried out once however often they are sent, and what was answered to them.
//!
//! The answer is committed together with the change that it tells of: whoever lost it, to a broken connection or a crash of cutover, sends
//! the request again under the same key and gets the same answer. A request that changed nothing is not kept: to refuse it again is harmless.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use cutover_core::id::Revision;
use cutover_core::time::Timestamp;
use http::StatusCode;
use sha2::{Digest as _, Sha256};

use crate::handle::Done;
use crate::hex;

/// SHA-256 of a list of texts: names a key of its owner, or tells one request from another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Asks that a request be carried out once.
#[derive(Clone)]
pub struct Once {
    /// The key and whose it is: callers can't see each other's answers.
    pub id: Digest,
    /// What is asked for. Another request under the same key is refused.
    pub fingerprint: Digest,
    /// Writes the answer.
    pub answer: WriteAnswer,
}

/// Writes the answer to a command just before the commit that it becomes part of; without one, nothing is kept. What it is told is as it
/// will be, except for the generation, which is the one before. It runs in the controller's task: it neither blocks nor panics.
pub type WriteAnswer = Arc<dyn Fn(&Done) -> Option<Reply> + Send + Sync>;

/// An answer of the admin API, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// The revision that it speaks of.
    pub revision: Revision,
    /// Its JSON text.
    pub body: Arc<str>,
}

/// An answer that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReply {
    /// When it was given.
    pub at: Timestamp,
    /// What was asked for.
    pub fingerprint: Digest,
    /// What was answered.
    pub reply: Reply,
}

impl Digest {
    /// The digest of `parts`. Where one ends and the next begins makes a difference.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::write(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        hex::read(text).map(Self)
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_where_its_parts_end() {
        assert_ne!(Digest::of(&[b"ab", b"c"]), Digest::of(&[b"a", b"bc"]));
        assert_ne!(Digest::of(&[b"", b"a"]), Digest::of(&[b"a", b""]));
    }
}
