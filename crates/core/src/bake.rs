//! The watch after a flip: when it begins, how it ends, and what becomes of a version that is judged bad.

use crate::canary;
use crate::command::{Judgement, Rollback, Ruling, Sessions};
use crate::id::{Epoch, VersionLabel};
use crate::judge::{Baseline, Kind, Standing, Verdict};
use crate::rejected::{Code, Rejected};
use crate::rollback;
use crate::service::Service;
use crate::time::Timestamp;

/// The watch over a version that a flip made active in place of another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Bake {
    /// The version that is watched.
    pub version: VersionLabel,
    /// The version that it replaced.
    pub from: VersionLabel,
    /// The epoch that the flip began.
    pub epoch: Epoch,
    /// When it was flipped to.
    pub began_at: Timestamp,
    /// When it has passed, unless it is judged bad before.
    pub ends_at: Timestamp,
    /// How it goes.
    pub state: State,
    /// How the replaced version answered before the flip.
    pub baseline: Baseline,
}

/// How a bake goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It goes on.
    Running,
    /// It came to its end, and the version was not judged bad.
    Passed,
    /// The version was judged bad, and stayed.
    Failed,
    /// The version was rolled back.
    RolledBack,
    /// Another version became active.
    Superseded,
}

/// Whether the active version has stood its bake, or has none to stand in this epoch.
#[must_use]
pub fn is_baked(service: &Service) -> bool {
    let stands = |bake: &Bake| bake.epoch != service.epoch || bake.state == State::Passed;
    service.bake.as_ref().is_none_or(stands)
}

/// Begins the bake of the active version, which was flipped to just now, unless the policy wants none. It ends the one before.
pub(crate) fn begin(service: &mut Service, from: Option<VersionLabel>, now: Timestamp) {
    end(service, State::Superseded);
    let duration = service.policy.bake.duration;
    let (Some(from), Some(version)) = (from, service.active.clone()) else { return };
    if duration.is_zero() {
        return;
    }
    service.bake = Some(Bake {
        version,
        from,
        epoch: service.epoch,
        began_at: now,
        ends_at: now + duration,
        state: State::Running,
        baseline: Baseline::default(),
    });
}

/// The version was rolled back. A bake that it had passed before remains passed.
pub(crate) fn roll_back(service: &mut Service) {
    end(service, State::RolledBack);
}

/// Takes in what the judge found out about the service. What is about another period than the one that runs is outdated, and ignored.
pub(crate) fn judged(service: &mut Service, judgement: &Judgement, now: Timestamp) {
    match &judgement.ruling {
        Ruling::Baseline(baseline) => {
            if let Some(bake) = running(service).filter(|bake| bake.epoch == judgement.epoch) {
                bake.baseline = *baseline;
            }
        }
        Ruling::Verdict(verdict) => match verdict.kind {
            Kind::Bake => baked(service, judgement.epoch, verdict, now),
            Kind::Canary => canary::judged(service, verdict, now),
        },
    }
}

fn baked(service: &mut Service, epoch: Epoch, verdict: &Verdict, now: Timestamp) {
    let is_asked = |bake: &&mut Bake| bake.epoch == epoch && bake.version == verdict.version;
    let Some(bake) = running(service).filter(is_asked) else { return };
    match verdict.standing {
        Standing::Watching => {}
        Standing::Good if now < bake.ends_at => {}
        Standing::Good => {
            bake.state = State::Passed;
            service.verdict = Some(verdict.clone());
        }
        Standing::Bad => {
            bake.state = State::Failed;
            let from = bake.from.clone();
            let mut verdict = verdict.clone();
            if service.policy.bake.rollback
                && let Err(rejected) = back(service, &from, &verdict, now)
            {
                verdict.reason = format!("{}; not rolled back: {rejected}", verdict.reason);
            }
            service.verdict = Some(verdict);
        }
    }
}

/// Goes back to the version that the bad one was compared with, and to no other.
fn back(
    service: &mut Service,
    from: &VersionLabel,
    verdict: &Verdict,
    now: Timestamp,
) -> Result<(), Rejected> {
    if let Some(other) = rollback::target(service).filter(|target| target.label != *from) {
        let detail = format!("that would be to {}, and {from} is what it was compared with", other.label);
        return Err(Rejected::because(Code::NothingToRollBackTo, detail));
    }
    let reason = format!("judged bad: {}", verdict.reason);
    rollback::rollback(service, &Rollback { if_epoch: None, sessions: Sessions::Move, reason }, now)
}

fn running(service: &mut Service) -> Option<&mut Bake> {
    service.bake.as_mut().filter(|bake| bake.state == State::Running)
}

/// Ends a bake that has not been passed, in which the active version is or was.
fn end(service: &mut Service, state: State) {
    if let Some(bake) = service.bake.as_mut() {
        match (bake.state, state) {
            (State::Running, _) | (State::Failed, State::RolledBack) => bake.state = state,
            _ => {}
        }
    }
}

impl State {
    /// All that there are.
    pub const ALL: [Self; 5] =
        [Self::Running, Self::Passed, Self::Failed, Self::RolledBack, Self::Superseded];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Superseded => "superseded",
        }
    }
}
