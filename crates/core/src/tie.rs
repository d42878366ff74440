//! What lasts on a version and a backend, beyond the request that began it, and when it has to go: tunnels, and answers without an end.

use crate::canary;
use crate::drain;
use crate::id::{BackendId, Epoch, ServiceName, VersionLabel};
use crate::policy::Share;
use crate::snapshot::{ServiceSet, Snapshot, VersionSet};
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
    /// The epoch in which it was decided.
    pub epoch: Epoch,
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
            false => version.is_over() || self.went_back(service, version),
        };
        if is_over {
            return Term::Over;
        }
        let windows = [version.eviction, service.backends[backend].eviction].into_iter().flatten();
        let first = windows.map(|window| drain::evicted_at(self.id, window)).min();
        first.map_or(Term::Open, Term::Until)
    }

    /// Whether its session went back to the active version, because the version is no canary any more or one with a smaller share.
    fn went_back(&self, service: &ServiceSet, version: &VersionSet) -> bool {
        let share = match version.role {
            Role::Canary => service.canary.map_or(Share::NONE, |canary| canary.share),
            Role::Staged | Role::Superseded | Role::Rejected => Share::NONE,
            _ => return false,
        };
        self.epoch < service.epoch && !canary::includes(self.id, share)
    }
}
