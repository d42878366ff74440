//! The watch over the new version of one service, while it goes on.

use cutover_core::answers::Tally;
use cutover_core::bake;
use cutover_core::id::{ServiceName, VersionLabel};
use cutover_core::judge::{Baseline, Kind, Standing, Verdict, Watch};
use cutover_core::service::Service;
use cutover_core::snapshot::Snapshot;
use cutover_core::time::{Millis, Timestamp};

use super::tally;

/// Time between two looks at the cells.
const SECOND: Millis = Millis::from_secs(1);

/// What is to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watched {
    kind: Kind,
    version: VersionLabel,
    against: VersionLabel,
    since: Timestamp,
    ends_at: Option<Timestamp>,
    baseline: Baseline,
}

/// What a service wants to be watched, if it does.
pub(super) fn watched(service: &Service) -> Option<Watched> {
    let bake = service.bake.as_ref().filter(|bake| bake.state == bake::State::Running)?;
    Some(Watched {
        kind: Kind::Bake,
        version: bake.version.clone(),
        against: bake.from.clone(),
        since: bake.began_at,
        ends_at: Some(bake.ends_at),
        baseline: bake.baseline,
    })
}

/// The watch over one version.
#[derive(Debug)]
pub(super) struct Running {
    watched: Watched,
    watch: Watch,
    /// What the cells said at the last look.
    seen: Tally,
    looked_at: Timestamp,
    /// What is bad about it, since that is known.
    fault: Option<String>,
}

impl Running {
    /// Begins to watch, unless the data plane does not know the version yet.
    pub(super) fn begin(
        watched: Watched,
        snapshot: &Snapshot,
        service: &ServiceName,
        now: Timestamp,
    ) -> Option<Self> {
        let seen = tally(snapshot, service, &watched.version)?;
        Some(Self { watched, watch: Watch::default(), seen, looked_at: now, fault: None })
    }

    /// Whether this is what the service wants to be watched.
    pub(super) fn is_of(&self, service: &Service) -> bool {
        watched(service).as_ref() == Some(&self.watched)
    }

    /// Whether there is a verdict that something follows from.
    pub(super) fn is_decided(&self, now: Timestamp) -> bool {
        self.fault.is_some() || self.is_over(now)
    }

    /// Looks at the cells, if a second is over, and answers what is thought.
    pub(super) fn look(&mut self, service: &Service, snapshot: &Snapshot, now: Timestamp) -> Verdict {
        let is_due = now.since(self.looked_at) >= SECOND || self.is_over(now);
        if is_due && self.fault.is_none() {
            self.observe(service, snapshot);
            self.looked_at = now;
        }
        let Watched { kind, version, against, since, baseline, .. } = self.watched.clone();
        let standing = match () {
            () if self.fault.is_some() => Standing::Bad,
            () if self.is_over(now) => Standing::Good,
            () => Standing::Watching,
        };
        let reason = match (&self.fault, standing) {
            (Some(fault), _) => fault.clone(),
            (None, Standing::Good) => self.watch.praise(&baseline, &against),
            (None, _) => String::new(),
        };
        let numbers = self.watch.numbers(&baseline);
        Verdict { kind, version, against, since, standing, reason, numbers }
    }

    fn observe(&mut self, service: &Service, snapshot: &Snapshot) {
        let Watched { version, against, baseline, .. } = &self.watched;
        let Some(seen) = tally(snapshot, &service.name, version) else { return };
        let second = seen.since(&self.seen);
        self.seen = seen;
        let fault = self.watch.observe(&second, baseline, &service.policy.bake);
        self.fault = fault.map(|fault| fault.told(&self.watch.numbers(baseline), against));
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.watched.ends_at.is_some_and(|ends_at| ends_at <= now)
    }
}
