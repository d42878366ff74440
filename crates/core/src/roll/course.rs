//! What becomes of a roll by itself: backends are empty, go away, come back, or don't.

use super::permit::{end, freeze, put_back, size_of, withdraw};
use super::rules::Outlook;
use super::{Roll, State};
use crate::backend::{AdminState, Backend, Identity, Operational};
use crate::drain;
use crate::id::{BackendId, VersionLabel};
use crate::policy::{Affinity, PinMode};
use crate::report::Traffic;
use crate::service::Service;
use crate::time::Timestamp;

/// What time makes of a permit.
enum Turn {
    /// The backend is empty: it may be restarted.
    Grant,
    /// Others went down meanwhile, so that the backend is needed where it was.
    Withdraw,
    /// The backend did not come back in time.
    Late,
}

/// What the data plane and time say: backends that are empty may be restarted, and those that are late freeze the roll.
pub(crate) fn observe(service: &mut Service, traffic: &Traffic, now: Timestamp) {
    if service.roll.permits.is_empty() {
        return;
    }
    let within = service.policy.roll.permit_deadline;
    let mut has_withdrawn = false;
    for (id, turn) in turns(service, traffic, now) {
        match turn {
            Turn::Grant => {
                if let Some(permit) = service.roll.permits.get_mut(&id) {
                    (permit.granted_at, permit.deadline) = (Some(now), Some(now + within));
                }
            }
            // One at a time: with it back, the others may be able to go.
            Turn::Withdraw if has_withdrawn => {}
            Turn::Withdraw => {
                has_withdrawn = true;
                withdraw(service, &id);
            }
            Turn::Late => {
                end(service, &id);
                freeze(service, format!("backend {id} did not come back within {within}"));
            }
        }
    }
}

/// What follows from the backends: permits end when theirs are back, and one that fails freezes the roll.
pub(crate) fn follow(service: &mut Service) {
    let ids: Vec<BackendId> = service.roll.permits.keys().cloned().collect();
    for id in ids {
        let backend = service.backends.get(&id).map(AsRef::as_ref);
        let Some(permit) = service.roll.permits.get_mut(&id) else { continue };
        permit.look(backend);
        let Some(backend) = backend else { continue };
        if permit.is_away && is_back(backend) {
            let (before, after) = (permit.process.version.clone(), backend.version.clone());
            service.roll.permits.remove(&id);
            put_back(service, &id);
            came_back(service, &id, before.as_ref(), after);
        } else if !permit.is_away && backend.admin.state == AdminState::Ready {
            // Somebody wants it back as it is.
            withdraw(service, &id);
        }
    }
    if service.roll.state != State::Running {
        return;
    }
    if let Some(reason) = rejected(service) {
        freeze(service, reason);
    } else if let Some((id, reason)) = broken(service) {
        // It is no reason again once somebody has looked at it.
        service.roll.done.remove(&id);
        freeze(service, reason);
    }
}

/// A roll is done when every backend runs the version that it leads to and everybody is served by that; or, where no version changed,
/// when every backend came back.
pub(crate) fn conclude(service: &mut Service) {
    let roll = &service.roll;
    if roll.state != State::Running || !roll.permits.is_empty() || roll.done.is_empty() {
        return;
    }
    let is_done = match &roll.to {
        Some(to) => {
            let runs_it = |backend: &Backend| backend.version.as_ref() == Some(to);
            service.active.as_ref() == Some(to) && service.backends.values().all(|backend| runs_it(backend))
        }
        None => service.backends.keys().all(|id| roll.done.contains(id)),
    };
    if is_done {
        (service.roll.state, service.roll.reason) = (State::Done, String::new());
    }
}

/// After a restart of the proxy, which may have been away while a backend came back: restarts have one full term.
pub(crate) fn restore(service: &mut Service, now: Timestamp) {
    let deadline = now + service.policy.roll.permit_deadline;
    let granted = service.roll.permits.values_mut().filter(|permit| permit.is_granted());
    granted.for_each(|permit| permit.deadline = Some(deadline));
}

fn turns(service: &Service, traffic: &Traffic, now: Timestamp) -> Vec<(BackendId, Turn)> {
    let outlook = Outlook::new(service, now);
    let mut turns = Vec::new();
    for (id, permit) in &service.roll.permits {
        let turn = match permit.deadline {
            Some(deadline) if deadline <= now => Turn::Late,
            Some(_) => continue,
            None if permit.is_away => Turn::Grant,
            None if outlook.shortage(id).is_some() => Turn::Withdraw,
            None if is_empty(service, id, traffic, now) => Turn::Grant,
            None => continue,
        };
        turns.push((id.clone(), turn));
    }
    turns
}

/// Whether nothing is left on a backend that would be lost by its restart, or had its time.
fn is_empty(service: &Service, id: &BackendId, traffic: &Traffic, now: Timestamp) -> bool {
    let Some(backend) = service.backends.get(id) else { return true };
    // Sessions are evicted by the clocks that judge their pins.
    let evicted_by = now - traffic.skew.behind;
    if drain::backend_deadline(backend, service.policy.drain).is_some_and(|(_, ends)| ends <= evicted_by) {
        return true;
    }
    let facts = traffic.backends.get(&(service.name.clone(), id.clone()));
    facts.is_some_and(|facts| {
        facts.in_flight == 0 && !keeps_sessions(service, backend, facts.latest_pin_expiry, evicted_by)
    })
}

/// Whether sessions go on being sent to a backend that drains, because it has them in its memory. Nobody has a table of them: what is
/// known is until when the last pin lives that names the backend, and, of pins that earlier processes handed out, when the last of its
/// version ends.
fn keeps_sessions(service: &Service, backend: &Backend, noted: Timestamp, clocks: Timestamp) -> bool {
    let is_answering = matches!(backend.operational, Operational::Up(_));
    let has_sessions = |label| {
        service
            .versions
            .get(label)
            .is_some_and(|version| version.serves_pins() && version.pins_until.max(noted) > clocks)
    };
    service.policy.affinity == Affinity::Backend
        && service.policy.pin.mode != PinMode::None
        && backend.admin.state == AdminState::Drain
        && is_answering
        && backend.version.as_ref().is_some_and(has_sessions)
}

fn is_back(backend: &Backend) -> bool {
    matches!(backend.operational, Operational::Up(_)) && backend.identity == Identity::Known
}

fn came_back(
    service: &mut Service,
    id: &BackendId,
    before: Option<&VersionLabel>,
    after: Option<VersionLabel>,
) {
    service.roll.done.insert(id.clone());
    let Some(version) = after else { return };
    let is_new = Some(&version) != before;
    match service.roll.to.clone() {
        None if is_new => service.roll.to = Some(version),
        Some(to) if to != version && is_new && leads_on(service, &to, &version) => {
            let size = size_of(service);
            let permits = std::mem::take(&mut service.roll.permits);
            let taken = u32::try_from(permits.len()).unwrap_or(u32::MAX).saturating_add(1);
            let done = [id.clone()].into();
            let state = service.roll.state;
            let reason = std::mem::take(&mut service.roll.reason);
            service.roll = Roll { state, reason, batch: 1, taken, size, to: Some(version), permits, done };
        }
        Some(to) if to != version => {
            let as_before = if is_new { "" } else { " as before" };
            let reason =
                format!("backend {id} came back with version {version}{as_before}, and others with {to}");
            freeze(service, reason);
        }
        _ => {}
    }
}

/// Whether a version is the next release after one that is active already: then a roll that nobody finished is no obstacle to it.
fn leads_on(service: &Service, to: &VersionLabel, version: &VersionLabel) -> bool {
    let is_newer = || {
        let seen = service.versions.get(to).map_or(0, |to| to.seen);
        service.versions.get(version).is_none_or(|version| version.seen > seen && !version.was_active())
    };
    service.active.as_ref() == Some(to) && is_newer()
}

/// Why nobody should get the version that the roll leads to.
fn rejected(service: &Service) -> Option<String> {
    let to = service.roll.to.as_ref()?;
    let why = service.versions.get(to)?.rejected.as_ref()?;
    Some(format!("version {to} was rejected: {why}"))
}

/// A backend that came back with the new version and went down again before anybody used it: others must not follow.
fn broken(service: &Service) -> Option<(BackendId, String)> {
    let roll = &service.roll;
    let to = roll.to.as_ref().filter(|to| service.active.as_ref() != Some(to))?;
    let is_broken = |id: &&BackendId| {
        service.backends.get(*id).is_some_and(|backend| {
            backend.version.as_ref() == Some(to) && matches!(backend.operational, Operational::Down(_))
        })
    };
    let id = roll.done.iter().find(is_broken)?;
    Some((id.clone(), format!("backend {id} came back with version {to} and went down again")))
}
