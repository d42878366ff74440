//! What happened, as the API shows it: in the timeline of a service and in the stream of events.

use serde::Serialize;
use utoipa::ToSchema;

use super::time;
use crate::timeline::Entry;

/// A page of what happened to a service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Timeline {
    /// The latest first.
    pub entries: Vec<EntryView>,
    /// Ask for entries `before` this one for the next page; `null` on the last page.
    pub next: Option<u64>,
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Entry")]
pub struct EntryView {
    /// Names it; grows.
    pub id: u64,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// To which service.
    pub service: String,
    /// What kind of thing, for programs.
    #[schema(example = "activated")]
    pub kind: String,
    /// What exactly, for people.
    #[schema(example = "switched from v1 to v2 in epoch 2")]
    pub text: String,
    /// Who: the name of a token, `config`, or `cutover` for what happens by itself.
    #[schema(example = "deploy")]
    pub actor: String,
    /// Where the request came from.
    #[schema(example = "127.0.0.1")]
    pub remote: Option<String>,
    /// Why, as they said.
    pub reason: Option<String>,
    /// Whether rules were overridden.
    pub forced: bool,
    /// The revision that it is part of, or happened after.
    pub revision: u64,
    /// The version that it is about.
    pub version: Option<String>,
    /// The backend that it is about.
    pub backend: Option<String>,
    /// The epoch that began.
    pub epoch: Option<u64>,
}

impl EntryView {
    /// The entry as text.
    #[must_use]
    pub fn new(entry: &Entry) -> Self {
        Self {
            id: entry.id.0,
            at: time::write(entry.at),
            service: entry.service.to_string(),
            kind: entry.kind.to_string(),
            text: entry.text.clone(),
            actor: entry.actor.name.clone(),
            remote: entry.actor.remote.clone(),
            reason: entry.reason.clone(),
            forced: entry.is_forced,
            revision: entry.revision.0,
            version: entry.version.as_ref().map(ToString::to_string),
            backend: entry.backend.as_ref().map(ToString::to_string),
            epoch: entry.epoch.map(|epoch| epoch.0),
        }
    }
}
