//! The record of a timeline entry.

use std::borrow::Cow;

use cutover_core::id::{BackendId, Epoch, Revision, ServiceName, VersionLabel};
use cutover_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::Key;
use crate::timeline::{Actor, Entry, EventId};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryRecord {
    at_ms: u64,
    kind: String,
    text: String,
    actor: String,
    remote: Option<String>,
    reason: Option<String>,
    is_forced: bool,
    revision: u64,
    version: Option<String>,
    backend: Option<String>,
    epoch: Option<u64>,
}

/// The name of an entry's record. Ids have a fixed width, so that records are in the order of time.
pub(super) fn key(entry: &Entry) -> Key {
    Key::new("timeline").child(entry.service.as_str()).child(&format!("{:020}", entry.id.0))
}

impl EntryRecord {
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            at_ms: entry.at.0,
            kind: entry.kind.to_string(),
            text: entry.text.clone(),
            actor: entry.actor.name.clone(),
            remote: entry.actor.remote.clone(),
            reason: entry.reason.clone(),
            is_forced: entry.is_forced,
            revision: entry.revision.0,
            version: entry.version.as_ref().map(ToString::to_string),
            backend: entry.backend.as_ref().map(ToString::to_string),
            epoch: entry.epoch.map(|epoch| epoch.0),
        }
    }

    pub(super) fn entry(self, service: ServiceName, id: EventId) -> Result<Entry, String> {
        let version = self.version.map(|label| VersionLabel::parse(&label)).transpose();
        let backend = self.backend.map(|id| BackendId::parse(&id)).transpose();
        Ok(Entry {
            id,
            at: Timestamp(self.at_ms),
            service,
            kind: Cow::Owned(self.kind),
            text: self.text,
            actor: Actor { name: self.actor, remote: self.remote },
            reason: self.reason,
            is_forced: self.is_forced,
            revision: Revision(self.revision),
            version: version.map_err(|error| format!("version {error}"))?,
            backend: backend.map_err(|error| format!("backend {error}"))?,
            epoch: self.epoch.map(Epoch),
        })
    }
}
