//! How a canary begins, goes by its steps, and ends.

use super::{Canary, Pace, not_now, obstacles};
use crate::command::SetCanary;
use crate::gate;
use crate::id::VersionLabel;
use crate::judge::{Standing, Verdict};
use crate::policy::{CanaryPolicy, Share};
use crate::rejected::Rejected;
use crate::service::Service;
use crate::time::{Millis, Timestamp};
use crate::version::Role;

/// Begins, changes or ends a canary, if nothing stands in the way.
pub(crate) fn set(service: &mut Service, request: &SetCanary, now: Timestamp) -> Result<(), Rejected> {
    Rejected::if_any(obstacles(service, request))?;
    if request.share == Some(Share::NONE) {
        end(service);
        return Ok(());
    }
    if service.canary.is_none() {
        begin(service, &request.to, request.share, now);
    } else if let Some(share) = request.share {
        hold(service, share, now);
    } else if let Some(canary) = &mut service.canary {
        walk(canary, &service.policy.canary, request.paused, now);
    }
    if let (Some(true), Some(canary)) = (request.paused, &mut service.canary) {
        pause(canary, now);
    }
    Ok(())
}

/// Begins a canary with this share, or with the first configured step.
pub(crate) fn begin(service: &mut Service, to: &VersionLabel, share: Option<Share>, now: Timestamp) {
    let canary = Canary {
        version: to.clone(),
        share: share.unwrap_or(Share::NONE),
        began_at: now,
        since: now,
        pace: Pace::Held,
        is_starved: false,
        is_failed: false,
    };
    let canary = service.canary.insert(canary);
    if share.is_none() {
        next(canary, &service.policy.canary, now);
    }
    if let Some(version) = service.version_mut(to) {
        version.role = Role::Canary;
        version.was_canary = true;
    }
}

/// A flip ends a canary, whichever version it is to: what goes back goes to the new epoch's version.
pub(crate) fn give_up(service: &mut Service) {
    let Some(canary) = service.canary.take() else { return };
    if let Some(version) = service.version_mut(&canary.version).filter(|version| version.role == Role::Canary)
    {
        version.role = Role::Staged;
    }
}

/// Ends a canary whose version is none any more: its last backend left, or it was judged bad.
pub(crate) fn follow(service: &mut Service) {
    let Some(canary) = &service.canary else { return };
    let role = service.versions.get(&canary.version).map(|version| version.role);
    if role != Some(Role::Canary) {
        end(service);
    }
}

/// Takes in what the judge thinks of the canary that began at `verdict.since`. A bad one ends, if the policy says so; else it is told, and
/// its steps pause until somebody lets them go on.
pub(crate) fn judged(service: &mut Service, verdict: &Verdict, now: Timestamp) {
    let is_asked = |canary: &&mut Canary| {
        (&canary.version, canary.began_at) == (&verdict.version, verdict.since) && !canary.is_failed
    };
    let Some(canary) = service.canary.as_mut().filter(is_asked) else { return };
    match verdict.standing {
        Standing::Watching => {}
        Standing::Good if !canary.is_complete() => {}
        Standing::Good => service.verdict = Some(verdict.clone()),
        Standing::Bad => {
            canary.is_failed = true;
            pause(canary, now);
            let mut verdict = verdict.clone();
            let reason = format!("judged bad: {}", verdict.reason);
            if service.policy.bake.rollback
                && let Err(rejected) = gate::reject(service, &verdict.version, &reason)
            {
                verdict.reason = format!("{}; not ended: {rejected}", verdict.reason);
            }
            service.verdict = Some(verdict);
        }
    }
}

/// Lets time pass: a step ends, and whether the canary serves its sessions is noted.
pub(crate) fn observe(service: &mut Service, now: Timestamp) {
    let is_over = is_step_over(service, now);
    let news = starvation(service);
    let Some(canary) = &mut service.canary else { return };
    if let Some(is_starved) = news {
        canary.is_starved = is_starved;
        if let (false, Pace::Until(_)) = (is_starved, canary.pace) {
            // Nobody was served by it meanwhile, so nothing was learned: the step begins again.
            canary.pace = Pace::Until(now + length(canary, &service.policy.canary));
            return;
        }
    }
    if is_over {
        next(canary, &service.policy.canary, now);
    }
}

/// Whether time alone changes something about it.
pub(crate) fn is_due(service: &Service, now: Timestamp) -> bool {
    service.canary.is_some() && (starvation(service).is_some() || is_step_over(service, now))
}

/// Whether its step is over. While something stands in the way of a canary, it does not grow.
fn is_step_over(service: &Service, now: Timestamp) -> bool {
    service.canary.as_ref().is_some_and(|canary| {
        canary.next_at().is_some_and(|at| at <= now) && not_now(service, &canary.version).is_empty()
    })
}

/// Whether the canary has no usable backend, if that is news. One that nobody has asked yet may be usable.
fn starvation(service: &Service) -> Option<bool> {
    let canary = service.canary.as_ref()?;
    let mut backends = service.backends_of(&canary.version);
    let is_usable = service.capacity(&canary.version).usable > 0;
    let is_starved = !is_usable && backends.all(|backend| !backend.is_pending());
    let is_news = if canary.is_starved { is_usable } else { is_starved };
    is_news.then_some(is_starved)
}

/// The canary is over: its sessions go back, in a new epoch.
fn end(service: &mut Service) {
    give_up(service);
    begin_epoch(service);
}

/// An epoch begins in which the same version is active.
fn begin_epoch(service: &mut Service) {
    let epoch = service.epoch.next();
    service.epoch = epoch;
    if let Some(active) = service.active.clone().and_then(|active| service.version_mut(&active)) {
        active.epoch = Some(epoch);
    }
}

/// The canary has this share until somebody changes it. Who is not in it any more goes back, in a new epoch.
fn hold(service: &mut Service, share: Share, now: Timestamp) {
    let Some(canary) = &mut service.canary else { return };
    let is_less = share < canary.share;
    if share != canary.share {
        (canary.share, canary.since) = (share, now);
    }
    canary.pace = Pace::Held;
    if is_less {
        begin_epoch(service);
    }
}

/// The canary goes by its steps from now on, or again.
fn walk(canary: &mut Canary, policy: &CanaryPolicy, paused: Option<bool>, now: Timestamp) {
    match canary.pace {
        Pace::Held if policy.current(canary.share).is_some_and(|step| step.share == canary.share) => {
            canary.pace = Pace::Until(now + length(canary, policy));
        }
        Pace::Held => next(canary, policy, now),
        Pace::Paused(left) if paused == Some(false) => canary.pace = Pace::Until(now + left),
        Pace::Paused(_) | Pace::Until(_) | Pace::Complete => {}
    }
}

fn pause(canary: &mut Canary, now: Timestamp) {
    match canary.pace {
        Pace::Until(at) => canary.pace = Pace::Paused(at.since(now)),
        Pace::Complete => canary.pace = Pace::Paused(Millis::ZERO),
        Pace::Held | Pace::Paused(_) => {}
    }
}

/// The next step, if there is one.
fn next(canary: &mut Canary, policy: &CanaryPolicy, now: Timestamp) {
    canary.pace = match policy.after(canary.share) {
        Some(step) => {
            (canary.share, canary.since) = (step.share, now);
            Pace::Until(now + step.lasts)
        }
        None => Pace::Complete,
    };
}

/// How long the step lasts that it has reached.
fn length(canary: &Canary, policy: &CanaryPolicy) -> Millis {
    policy.current(canary.share).map_or(Millis::ZERO, |step| step.lasts)
}
