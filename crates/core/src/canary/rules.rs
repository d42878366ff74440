//! What stands in the way of a canary.

use super::{Canary, Pace};
use crate::command::SetCanary;
use crate::flip;
use crate::id::VersionLabel;
use crate::policy::Share;
use crate::rejected::{Code, Reason};
use crate::service::Service;
use crate::version::{Role, Version};

/// Everything that stands in the way of a request about a canary; empty when it is allowed. Whatever takes sessions from a canary is
/// always allowed.
#[must_use]
pub fn obstacles(service: &Service, request: &SetCanary) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = flip::wrong_epoch(service, request.if_epoch).into_iter().collect();
    let running = service.canary.as_ref();
    reasons.extend(running.and_then(|running| another(running, &request.to)));
    if request.share == Some(Share::NONE) {
        if running.is_none() {
            reasons.push(Reason::new(Code::NoCanary, format!("{} has no canary", service.name)));
        }
        return reasons;
    }
    reasons.extend(no_steps(service, request));
    if is_more(service, request) {
        reasons.extend(not_now(service, &request.to));
    }
    reasons
}

/// Everything that forbids that a version gets sessions as a canary, or more of them. Like a flip's obstacles, but it needs no quorum.
pub(crate) fn not_now(service: &Service, to: &VersionLabel) -> Vec<Reason> {
    let Some(version) = service.versions.get(to) else { return vec![flip::unknown(service, to)] };
    let mut reasons: Vec<Reason> = wrong_role(service, version).into_iter().collect();
    reasons.extend(flip::unfit(service, version));
    if service.active.is_none() {
        let detail = format!("no version of {} is active yet, so that none can have a share", service.name);
        reasons.push(Reason::new(Code::NothingActive, detail));
    }
    reasons.extend(flip::nothing_usable(to, service.capacity(to)));
    reasons.extend(flip::closed(service, version));
    reasons
}

fn another(running: &Canary, to: &VersionLabel) -> Option<Reason> {
    let other = &running.version;
    let detail = format!("version {other} is the canary; end it before {to} becomes one");
    (other != to).then(|| Reason::new(Code::CanaryRunning, detail))
}

fn wrong_role(service: &Service, version: &Version) -> Option<Reason> {
    let (label, role) = (&version.label, version.role);
    match role {
        Role::Staged | Role::Canary => None,
        Role::Draining | Role::Drained => {
            let detail = format!("version {label} is {role}; only a staged one can be a canary");
            Some(Reason::new(Code::WrongRole, detail))
        }
        Role::Active | Role::Rejected | Role::Superseded | Role::Retired => {
            flip::wrong_role(service, version)
        }
    }
}

/// That it is to go by steps, or to pause them, and there are none.
fn no_steps(service: &Service, request: &SetCanary) -> Option<Reason> {
    let is_held = service.canary.as_ref().is_some_and(|canary| canary.pace == Pace::Held);
    let detail = match request.share {
        Some(_) if request.paused == Some(true) => {
            "a canary with a share of its own has no steps to pause".to_owned()
        }
        None if is_held && request.paused == Some(true) => {
            format!("the canary {} stays at its share and has no steps to pause", request.to)
        }
        None if service.policy.canary.steps.is_empty() => {
            format!("{} has no canary steps; give a share", service.name)
        }
        Some(_) | None => return None,
    };
    Some(Reason::new(Code::NoSteps, detail))
}

/// Whether the canary would get more than it has.
fn is_more(service: &Service, request: &SetCanary) -> bool {
    let Some(running) = service.canary.as_ref().filter(|running| running.version == request.to) else {
        return true;
    };
    match request.share {
        Some(share) => share > running.share,
        // Who goes on by steps gets more by and by; who pauses them does not.
        None => request.paused != Some(true) && matches!(running.pace, Pace::Held | Pace::Paused(_)),
    }
}
