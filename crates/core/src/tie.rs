//! What lasts on a version and a backend, beyond the request that began it, and when it has to go: tunnels, and answers without an end.

use crate::drain;
use crate::id::{BackendId, ServiceName, VersionLabel};
use crate::snapshot::Snapshot;
use crate::time::Timestamp;
use crate::version::Role;

/// What ties something that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tie {
    /// The service.
    pub service: ServiceName,
    /// The version that it was decided for.
    pub version: VersionLabel,
    /// The backend that has the other end.
    pub backend: BackendId,
    /// The id of the session's pin, by which it is evicted together with the session; any number if it has none.
    pub id: u64,
    /// Whether it was begun to try the version out. That goes on while a version that was rolled back is looked at.
    pub is_preview: bool,
}

/// How long something may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// For as long as it likes, as far as is known.
    Open,
    /// Until then.
    Until(Timestamp),
    /// Its version or its backend is not to be used any more.
    Over,
}

impl Tie {
    /// How long it may last, as `snapshot` has it: a newer one than that by which it began, or it would never end.
    #[must_use]
    pub fn term(&self, snapshot: &Snapshot) -> Term {
        let Some(service) = snapshot.service(&self.service) else { return Term::Over };
        let version = service.version(self.version.as_str());
        let backend = service.backends.binary_search_by(|entry| entry.id.cmp(&self.backend));
        let (Some(version), Ok(backend)) = (version, backend) else { return Term::Over };
        let is_over = match self.is_preview {
            true => matches!(version.role, Role::Drained | Role::Retired),
            false => version.is_over(),
        };
        if is_over {
            return Term::Over;
        }
        let windows = [version.eviction, service.backends[backend].eviction].into_iter().flatten();
        let first = windows.map(|window| drain::evicted_at(self.id, window)).min();
        first.map_or(Term::Open, Term::Until)
    }
}
