//! Rolling a fixed fleet, where servers are updated in place: which backend may be restarted when, and how far that is.
//!
//! A restart asks for a permit. To give one is to drain the backend first; the permit ends when the backend has been away and is
//! back. What is out at a time is bounded by the batch and by the capacity that must stay; a version that still serves sessions
//! gives up nothing before it is drained. So a loop over all hosts becomes a roll by halves, whoever runs the loop.

mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::backend::{Admin, AdminState, Backend, Identity, Operational};
use crate::drain;
use crate::gate;
use crate::id::{BackendId, VersionLabel};
use crate::policy::{RollPolicy, RollStrategy};
use crate::rejected::{Code, Rejected};
use crate::report::Traffic;
use crate::service::Service;
use crate::time::Timestamp;
use crate::version::Role;

pub use self::rules::obstacles;

/// Who takes a backend out when a permit does.
const BY: &str = "permit";

/// How far the roll of a service's backends is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roll {
    /// Where it stands.
    pub state: State,
    /// Why it is frozen, or how it ended; empty while there is nothing to say.
    pub reason: String,
    /// The batch that may be restarted, from 1; 0 before the first roll.
    pub batch: u32,
    /// Permits that were given in this batch, ended ones included.
    pub taken: u32,
    /// Backends that there were when the roll began.
    pub size: u32,
    /// The version that restarted backends came back with, once one did.
    pub to: Option<VersionLabel>,
    /// Permits that did not end.
    pub permits: BTreeMap<BackendId, Permit>,
    /// Backends that came back.
    pub done: BTreeSet<BackendId>,
}

/// Where a roll stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// There is none.
    #[default]
    Idle,
    /// Backends are being restarted.
    Running,
    /// A restart failed: nobody gets a permit until somebody resumes or aborts it.
    Frozen,
    /// Every backend came back.
    Done,
}

/// Leave to restart one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// When it was asked for. The backend drains since then.
    pub asked_at: Timestamp,
    /// When the backend was empty, so that it may be restarted.
    pub granted_at: Option<Timestamp>,
    /// When the backend must be back.
    pub deadline: Option<Timestamp>,
    /// The process that was there when it was asked for.
    pub process: Process,
    /// Whether that process was seen to be gone.
    pub is_away: bool,
}

/// What tells a process from the one that replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The version it ran.
    pub version: Option<VersionLabel>,
    /// What it said about itself.
    pub boot_id: Option<String>,
    /// When it was registered.
    pub registered_at: Timestamp,
}

impl Roll {
    /// Whether a backend drains so that it can be restarted.
    #[must_use]
    pub fn is_emptying(&self, id: &BackendId) -> bool {
        self.permits.get(id).is_some_and(|permit| !permit.is_granted())
    }

    /// Whether a backend may be restarted now, so that its absence is no surprise.
    #[must_use]
    pub fn is_granted(&self, id: &BackendId) -> bool {
        self.permits.get(id).is_some_and(Permit::is_granted)
    }

    /// Whether time may change something about it.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        let is_due = |permit: &Permit| permit.deadline.is_none_or(|deadline| deadline <= now);
        self.permits.values().any(is_due)
    }

    fn freeze(&mut self, reason: String) {
        self.state = State::Frozen;
        self.reason = reason;
    }
}

impl RollPolicy {
    /// Backends of one batch, of `size` in all.
    #[must_use]
    pub fn batch_size(&self, size: u32) -> u32 {
        match self.strategy {
            RollStrategy::Batches(count) => size.div_ceil(count.max(1)).max(1),
            RollStrategy::OneByOne => 1,
        }
    }

    /// Batches that `size` backends make.
    #[must_use]
    pub fn batches(&self, size: u32) -> u32 {
        size.div_ceil(self.batch_size(size)).max(1)
    }
}

impl Permit {
    /// Whether the backend may be restarted.
    #[must_use]
    pub const fn is_granted(&self) -> bool {
        self.granted_at.is_some()
    }

    /// Notes what is seen of the process.
    fn look(&mut self, backend: Option<&Backend>) {
        self.is_away |= match backend {
            None => true,
            Some(backend) => {
                matches!(backend.operational, Operational::Down(_)) || self.process.is_replaced(backend)
            }
        };
    }
}

impl Process {
    fn of(backend: &Backend) -> Self {
        Self {
            version: backend.version.clone(),
            boot_id: backend.boot_id.clone(),
            registered_at: backend.registered_at,
        }
    }

    /// Whether another process is there. What was not known before tells nothing.
    fn is_replaced(&self, backend: &Backend) -> bool {
        let is_other = |known: bool, same: bool| known && !same;
        is_other(self.version.is_some(), self.version == backend.version)
            || is_other(self.boot_id.is_some(), self.boot_id == backend.boot_id)
            || self.registered_at != backend.registered_at
    }
}

/// A backend asks to be restarted. It drains from now on; asking again changes nothing.
pub(crate) fn ask(service: &mut Service, id: &BackendId, now: Timestamp) -> Result<(), Rejected> {
    if service.roll.permits.contains_key(id) {
        return Ok(());
    }
    let Some(backend) = service.backends.get(id) else {
        let detail = format!("{} has no backend {id}; register it first", service.name);
        return Err(Rejected::because(Code::UnknownBackend, detail));
    };
    let process = Process::of(backend);
    if is_another(service, id) {
        service.roll = Roll::default();
    }
    Rejected::if_any(obstacles(service, id, now))?;
    let size = u32::try_from(service.backends.len()).unwrap_or(u32::MAX);
    let roll = &mut service.roll;
    if !matches!(roll.state, State::Running) {
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

/// A permit is given back.
pub(crate) fn give_back(service: &mut Service, id: &BackendId) -> Result<(), Rejected> {
    let Some(permit) = service.roll.permits.remove(id) else {
        let detail = format!("backend {id} of {} has no permit", service.name);
        return Err(Rejected::because(Code::UnknownPermit, detail));
    };
    put_back(service, id);
    if permit.is_away {
        service.roll.done.insert(id.clone());
    } else {
        service.roll.taken = service.roll.taken.saturating_sub(1);
    }
    Ok(())
}

/// A frozen roll goes on.
pub(crate) fn resume(service: &mut Service) -> Result<(), Rejected> {
    if service.roll.state != State::Frozen {
        return Err(no_roll(service, "is not frozen"));
    }
    (service.roll.state, service.roll.reason) = (State::Running, String::new());
    Ok(())
}

/// The roll ends where it is, and nobody goes to the version that it was to lead to.
pub(crate) fn abort(service: &mut Service, reason: &str) -> Result<(), Rejected> {
    if !matches!(service.roll.state, State::Running | State::Frozen) {
        return Err(no_roll(service, "is not under way"));
    }
    for id in std::mem::take(&mut service.roll.permits).keys() {
        put_back(service, id);
    }
    let to = service.roll.to.clone();
    service.roll = Roll { state: State::Idle, reason: format!("aborted: {reason}"), ..Roll::default() };
    match to {
        Some(to) if service.versions.get(&to).is_some_and(|to| matches!(to.role, Role::Staged)) => {
            gate::reject(service, &to, &format!("the roll was aborted: {reason}"))
        }
        _ => Ok(()),
    }
}

/// What the data plane and time say: backends that are empty may be restarted, and those that are late freeze the roll.
pub(crate) fn observe(service: &mut Service, traffic: &Traffic, now: Timestamp) {
    let ids: Vec<BackendId> = service.roll.permits.keys().cloned().collect();
    for id in ids {
        let backend = service.backends.get(&id);
        let facts = traffic.backends.get(&(service.name.clone(), id.clone()));
        let drain = backend.and_then(|backend| drain::backend_deadline(backend, service.policy.drain));
        let is_empty = backend.is_none()
            || facts.is_some_and(|facts| facts.in_flight == 0)
            || drain.is_some_and(|(_, ends)| ends <= now);
        let within = service.policy.roll.permit_deadline;
        let Some(permit) = service.roll.permits.get_mut(&id) else { continue };
        match permit.deadline {
            None if is_empty => (permit.granted_at, permit.deadline) = (Some(now), Some(now + within)),
            Some(deadline) if deadline <= now => {
                service.roll.permits.remove(&id);
                put_back(service, &id);
                service.roll.freeze(format!("backend {id} did not come back within {within}"));
            }
            _ => {}
        }
    }
}

/// What follows from the backends: permits end when theirs are back, and one that fails freezes the roll.
pub(crate) fn follow(service: &mut Service) {
    let ids: Vec<BackendId> = service.roll.permits.keys().cloned().collect();
    for id in ids {
        let backend = service.backends.get(&id);
        let Some(permit) = service.roll.permits.get_mut(&id) else { continue };
        if !permit.is_granted() {
            continue;
        }
        permit.look(backend.map(AsRef::as_ref));
        if let Some(backend) = backend.filter(|backend| permit.is_away && is_back(backend)) {
            let (before, after) = (permit.process.version.clone(), backend.version.clone());
            service.roll.permits.remove(&id);
            put_back(service, &id);
            came_back(service, &id, before.as_ref(), after);
        }
    }
    if service.roll.state == State::Running {
        freeze_if_broken(service);
    }
}

/// A roll is done when every backend came back and everybody is on one version.
pub(crate) fn conclude(service: &mut Service) {
    let roll = &service.roll;
    let is_done = roll.state == State::Running
        && roll.permits.is_empty()
        && !roll.done.is_empty()
        && service.backends.keys().all(|id| roll.done.contains(id))
        && (roll.to.is_none() || roll.to == service.active);
    if is_done {
        (service.roll.state, service.roll.reason) = (State::Done, String::new());
    }
}

/// Whether a restart of this backend begins another roll: it came back already, or the version that was rolled to is gone.
fn is_another(service: &Service, id: &BackendId) -> bool {
    let roll = &service.roll;
    let is_gone = |label: &VersionLabel| service.backends_of(label).next().is_none();
    roll.state == State::Running
        && roll.permits.is_empty()
        && (roll.done.contains(id) || roll.to.as_ref().is_some_and(is_gone))
}

fn is_back(backend: &Backend) -> bool {
    matches!(backend.operational, Operational::Up(_)) && backend.identity == Identity::Known
}

/// What a permit took out takes traffic again.
fn put_back(service: &mut Service, id: &BackendId) {
    let taken_out = service.backend_mut(id).filter(|backend| backend.admin.by == BY);
    if let Some(backend) = taken_out.filter(|backend| backend.admin.state == AdminState::Drain) {
        backend.admin = Admin::ready();
    }
}

fn came_back(
    service: &mut Service,
    id: &BackendId,
    before: Option<&VersionLabel>,
    after: Option<VersionLabel>,
) {
    let roll = &mut service.roll;
    roll.done.insert(id.clone());
    let Some(version) = after.filter(|after| Some(after) != before) else { return };
    match &roll.to {
        None => roll.to = Some(version),
        Some(to) if *to != version => {
            let reason = format!("backend {id} came back with version {version}, and others with {to}");
            roll.freeze(reason);
        }
        Some(_) => {}
    }
}

/// A backend that came back with the new version and goes down again, before that version is active, does not get others after it.
fn freeze_if_broken(service: &mut Service) {
    let Some(to) = service.roll.to.clone().filter(|to| service.active.as_ref() != Some(to)) else { return };
    let is_broken = |id: &&BackendId| {
        service.backends.get(*id).is_some_and(|backend| {
            backend.version.as_ref() == Some(&to) && matches!(backend.operational, Operational::Down(_))
        })
    };
    let Some(id) = service.roll.done.iter().find(is_broken).cloned() else { return };
    service.roll.done.remove(&id);
    service.roll.freeze(format!("backend {id} came back with version {to} and went down again"));
}

fn no_roll(service: &Service, detail: &str) -> Rejected {
    Rejected::because(Code::NoRoll, format!("the roll of {} {detail}", service.name))
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Idle, Self::Running, Self::Frozen, Self::Done];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
