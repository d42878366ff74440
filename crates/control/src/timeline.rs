//! What happened, to which service, by whom and why: one entry for each event.

use std::borrow::Cow;
use std::fmt;

use cutover_core::id::{BackendId, Epoch, Revision, ServiceName, VersionLabel};
use cutover_core::time::Timestamp;

/// Names an entry. Ids grow, over restarts too, and are close to microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u64);

impl EventId {
    /// The id of the next entry at `now`: later than this one, and than every one of an earlier run unless the clock was set back since.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Self {
        Self(self.0.saturating_add(1).max(now.0.saturating_mul(1000)))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who asked for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The name of a token, `config`, or `cutover` for what happens by itself.
    pub name: String,
    /// Where the request came from.
    pub remote: Option<String>,
}

impl Actor {
    /// Cutover itself.
    #[must_use]
    pub fn cutover() -> Self {
        Self { name: "cutover".to_owned(), remote: None }
    }

    /// The configuration file.
    #[must_use]
    pub fn config() -> Self {
        Self { name: "config".to_owned(), remote: None }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// To which service.
    pub service: ServiceName,
    /// What kind of thing, for programs: [`Event::kind`](cutover_core::effect::Event::kind).
    pub kind: Cow<'static, str>,
    /// What exactly, for people.
    pub text: String,
    /// Who asked for it.
    pub actor: Actor,
    /// Why, as they said.
    pub reason: Option<String>,
    /// Whether rules were overridden.
    pub is_forced: bool,
    /// The revision that it is part of; of a volatile event (health, identity), the one that it happened after.
    pub revision: Revision,
    /// The version that it is about.
    pub version: Option<VersionLabel>,
    /// The backend that it is about.
    pub backend: Option<BackendId>,
    /// The epoch that began.
    pub epoch: Option<Epoch>,
}
