//! What people and programs do about a roll: ask for permits and return them, resume and abort it.

use super::rules::Outlook;
use super::{Permit, Process, Roll, State};
use crate::backend::{Admin, AdminState, Operational};
use crate::gate;
use crate::id::BackendId;
use crate::registry;
use crate::rejected::{Code, Rejected};
use crate::service::Service;
use crate::time::Timestamp;

/// Who takes a backend out when a permit does.
const BY: &str = "permit";

/// A backend asks to be restarted. It drains from now on; asking again changes nothing.
pub(crate) fn ask(service: &mut Service, id: &BackendId, now: Timestamp) -> Result<(), Rejected> {
    if service.roll.permits.contains_key(id) {
        return Ok(());
    }
    let process = Process::of(registry::known(service, id)?);
    let outlook = Outlook::new(service, now);
    Rejected::if_any(outlook.obstacles(id))?;
    let begins = service.roll.state != State::Running || outlook.is_another(id);
    let size = size_of(service);
    let roll = &mut service.roll;
    if begins {
        *roll = Roll { state: State::Running, batch: 1, size, ..Roll::default() };
    } else if roll.taken >= service.policy.roll.batch_size(roll.size) {
        (roll.batch, roll.taken) = (roll.batch + 1, 0);
    }
    roll.taken += 1;
    roll.done.remove(id);
    let permit = Permit { asked_at: now, granted_at: None, deadline: None, process, is_away: false };
    roll.permits.insert(id.clone(), permit);
    if let Some(backend) = service.backend_mut(id).filter(|backend| backend.admin.state == AdminState::Ready)
    {
        backend.admin = Admin { state: AdminState::Drain, by: BY.to_owned(), since: now };
    }
    Ok(())
}

/// A permit is given back: unused, or because its restart is over. A restart that is given up while nothing answers has failed.
pub(crate) fn give_back(service: &mut Service, id: &BackendId) -> Result<(), Rejected> {
    let Some(permit) = service.roll.permits.get(id) else {
        let detail = format!("backend {id} of {} has no permit", service.name);
        return Err(Rejected::because(Code::UnknownPermit, detail));
    };
    if !permit.is_away {
        withdraw(service, id);
        return Ok(());
    }
    end(service, id);
    let is_down =
        service.backends.get(id).is_some_and(|backend| matches!(backend.operational, Operational::Down(_)));
    if is_down {
        freeze(service, format!("the restart of backend {id} was given up while it is down"));
    } else {
        service.roll.done.insert(id.clone());
    }
    Ok(())
}

/// A frozen roll goes on.
pub(crate) fn resume(service: &mut Service) -> Result<(), Rejected> {
    if service.roll.state != State::Frozen {
        return Err(no_roll(service, "is not frozen"));
    }
    let to = service.roll.to.as_ref().and_then(|to| service.versions.get(to));
    if let Some((to, why)) = to.and_then(|to| Some((&to.label, to.rejected.as_ref()?))) {
        let detail = format!("version {to} was rejected ({why}); clear it first, or abort the roll");
        return Err(Rejected::because(Code::Rejected, detail));
    }
    (service.roll.state, service.roll.reason) = (State::Running, String::new());
    Ok(())
}

/// The roll ends where it is, and nobody goes to the version that it was to lead to.
pub(crate) fn abort(service: &mut Service, reason: &str) -> Result<(), Rejected> {
    if !matches!(service.roll.state, State::Running | State::Frozen) {
        return Err(no_roll(service, "is not under way"));
    }
    let ids: Vec<BackendId> = service.roll.permits.keys().cloned().collect();
    ids.iter().for_each(|id| end(service, id));
    let to = service.roll.to.clone();
    service.roll = Roll { reason: format!("aborted: {reason}"), ..Roll::default() };
    match to {
        Some(to) if service.versions.get(&to).is_some_and(|to| to.role.is_coming()) => {
            gate::reject(service, &to, &format!("the roll was aborted: {reason}"))
        }
        _ => Ok(()),
    }
}

/// Nobody else gets a permit; those who wait for their backends to be empty take traffic again. Says the first reason only: the others
/// often follow from it.
pub(super) fn freeze(service: &mut Service, reason: String) {
    let waiting = service.roll.permits.iter().filter(|(_, permit)| !permit.is_granted());
    let waiting: Vec<BackendId> = waiting.map(|(id, _)| id.clone()).collect();
    waiting.iter().for_each(|id| withdraw(service, id));
    if service.roll.state != State::Frozen {
        (service.roll.state, service.roll.reason) = (State::Frozen, reason);
    }
}

/// A permit ends that was not used, as far as anybody knows. A roll of which nothing else happened has not begun.
pub(super) fn withdraw(service: &mut Service, id: &BackendId) {
    end(service, id);
    let roll = &mut service.roll;
    roll.taken = roll.taken.saturating_sub(1);
    if roll.state == State::Running && roll.permits.is_empty() && roll.done.is_empty() {
        *roll = Roll::default();
    }
}

/// A permit ends before its backend is known to be back. If it was granted, another process may be there already: it is asked first.
pub(super) fn end(service: &mut Service, id: &BackendId) {
    let was_granted = service.roll.permits.remove(id).is_some_and(|permit| permit.is_granted());
    put_back(service, id);
    if was_granted
        && service.policy.identity.source.is_strict()
        && let Some(backend) = service.backend_mut(id)
    {
        backend.lose_identity();
    }
}

/// What a permit took out takes traffic again.
pub(super) fn put_back(service: &mut Service, id: &BackendId) {
    let taken_out = service.backend_mut(id).filter(|backend| backend.admin.by == BY);
    if let Some(backend) = taken_out.filter(|backend| backend.admin.state == AdminState::Drain) {
        backend.admin = Admin::ready();
    }
}

/// Backends of the fleet that is rolled.
pub(super) fn size_of(service: &Service) -> u32 {
    u32::try_from(service.backends.len()).unwrap_or(u32::MAX)
}

fn no_roll(service: &Service, detail: &str) -> Rejected {
    Rejected::because(Code::NoRoll, format!("the roll of {} {detail}", service.name))
}
