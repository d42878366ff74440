//! The record of an answer that is kept for the next request with the same key.

use cutover_core::id::Revision;
use cutover_core::time::Timestamp;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Key;
use crate::reply::{Digest, KeptReply, Reply};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplyRecord {
    at_ms: u64,
    fingerprint: String,
    status: u16,
    revision: u64,
    body: String,
}

/// The name of an answer's record.
pub(super) fn key(id: Digest) -> Key {
    Key::new("reply").child(&id.to_string())
}

impl ReplyRecord {
    pub(super) fn of(kept: &KeptReply) -> Self {
        Self {
            at_ms: kept.at.0,
            fingerprint: kept.fingerprint.to_string(),
            status: kept.reply.status.as_u16(),
            revision: kept.reply.revision.0,
            body: kept.reply.body.to_string(),
        }
    }

    pub(super) fn reply(self) -> Result<KeptReply, String> {
        let fingerprint = self.fingerprint.parse().map_err(|error| format!("the fingerprint {error}"))?;
        let status =
            StatusCode::from_u16(self.status).map_err(|_| format!("there is no status {}", self.status))?;
        let reply = Reply { status, revision: Revision(self.revision), body: self.body.into() };
        Ok(KeptReply { at: Timestamp(self.at_ms), fingerprint, reply })
    }
}
