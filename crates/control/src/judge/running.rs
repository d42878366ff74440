//! The watch over the new version of one service, while it goes on.

use cutover_core::answers::Tally;
use cutover_core::bake;
use cutover_core::canary::Canary;
use cutover_core::id::{ServiceName, VersionLabel};
use cutover_core::judge::{Baseline, Kind, Standing, Verdict, Watch};
use cutover_core::service::Service;
use cutover_core::snapshot::Snapshot;
use cutover_core::time::{Millis, Timestamp};

use super::tally;
use super::window::{Window, lately};

/// Time between two looks at the cells.
const SECOND: Millis = Millis::from_secs(1);

/// What is to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watched {
    version: VersionLabel,
    against: VersionLabel,
    since: Timestamp,
    period: Period,
}

/// The time in which a version is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Period {
    /// Its bake. It is compared with how the replaced version answered until the flip.
    Bake { ends_at: Timestamp, baseline: Baseline },
    /// Its time as a canary. It is compared with how the active version answered before, and answers meanwhile.
    Canary,
}

/// What a service wants to be watched.
pub(super) fn watched(service: &Service) -> impl Iterator<Item = Watched> {
    let bake = service.bake.as_ref().filter(|bake| bake.state == bake::State::Running);
    let bake = bake.map(|bake| Watched {
        version: bake.version.clone(),
        against: bake.from.clone(),
        since: bake.began_at,
        period: Period::Bake { ends_at: bake.ends_at, baseline: bake.baseline },
    });
    let canary = service.canary.as_ref().filter(|canary| !canary.is_failed);
    let canary = canary.zip(service.active.as_ref()).map(|(canary, active)| Watched {
        version: canary.version.clone(),
        against: active.clone(),
        since: canary.began_at,
        period: Period::Canary,
    });
    bake.into_iter().chain(canary)
}

impl Watched {
    pub(super) const fn kind(&self) -> Kind {
        match self.period {
            Period::Bake { .. } => Kind::Bake,
            Period::Canary => Kind::Canary,
        }
    }

    /// Whether a version that is not bad by now is good.
    fn is_over(&self, service: &Service, now: Timestamp) -> bool {
        match self.period {
            Period::Bake { ends_at, .. } => ends_at <= now,
            Period::Canary => service.canary.as_ref().is_some_and(Canary::is_complete),
        }
    }
}

/// The watch over one version.
#[derive(Debug)]
pub(super) struct Running {
    watched: Watched,
    watch: Watch,
    baseline: Baseline,
    /// What the cells of the version said at the last look.
    seen: Tally,
    /// What those of the other version said at the first one.
    first: Tally,
    /// How the other version answered before.
    before: Baseline,
    looked_at: Timestamp,
    /// What is bad about it, since that is known.
    fault: Option<String>,
}

/// What the cells of the two versions say.
#[derive(Debug)]
struct Seen {
    version: Tally,
    against: Tally,
}

impl Running {
    /// Begins to watch, unless the data plane does not know the version yet. `window` is how the active version answered lately.
    pub(super) fn begin(
        watched: Watched,
        (snapshot, window): (&Snapshot, Option<&Window>),
        service: &ServiceName,
        now: Timestamp,
    ) -> Option<Self> {
        let seen = see(&watched, snapshot, service)?;
        let before = match watched.period {
            Period::Bake { baseline, .. } => baseline,
            Period::Canary => lately(window, &watched.against, &seen.against),
        };
        let Seen { version: seen, against: first } = seen;
        let (watch, baseline) = (Watch::default(), before);
        Some(Self { watched, watch, baseline, seen, first, before, looked_at: now, fault: None })
    }

    /// Whether this is what the service wants to be watched.
    pub(super) fn is_of(&self, service: &Service) -> bool {
        watched(service).any(|watched| watched == self.watched)
    }

    /// Looks at the cells, if a second is over, and answers what is thought.
    pub(super) fn look(&mut self, service: &Service, snapshot: &Snapshot, now: Timestamp) -> Verdict {
        let is_over = self.watched.is_over(service, now);
        let is_due = now.since(self.looked_at) >= SECOND || is_over;
        if is_due && self.fault.is_none() {
            self.observe(service, snapshot);
            self.looked_at = now;
        }
        let (standing, reason) = match &self.fault {
            Some(fault) => (Standing::Bad, fault.clone()),
            None if is_over => (Standing::Good, self.watch.praise(&self.baseline, &self.watched.against)),
            None => (Standing::Watching, String::new()),
        };
        let kind = self.watched.kind();
        let numbers = self.watch.numbers(&self.baseline);
        let Watched { version, against, since, .. } = self.watched.clone();
        Verdict { kind, version, against, since, standing, reason, numbers }
    }

    fn observe(&mut self, service: &Service, snapshot: &Snapshot) {
        let Some(seen) = see(&self.watched, snapshot, &service.name) else { return };
        if self.watched.period == Period::Canary {
            let meanwhile = &seen.against.since(&self.first);
            self.baseline = Baseline::at_worst(self.before, meanwhile.into());
        }
        let second = seen.version.since(&self.seen);
        self.seen = seen.version;
        let fault = self.watch.observe(&second, &self.baseline, &service.policy.bake);
        self.fault =
            fault.map(|fault| fault.told(&self.watch.numbers(&self.baseline), &self.watched.against));
    }
}

/// What the cells say; `None` when the data plane does not know the version. One that is gone has answered nothing.
fn see(watched: &Watched, snapshot: &Snapshot, service: &ServiceName) -> Option<Seen> {
    let version = tally(snapshot, service, &watched.version)?;
    Some(Seen { version, against: tally(snapshot, service, &watched.against).unwrap_or_default() })
}
