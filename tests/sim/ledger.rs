//! What was acknowledged, and must be there after any crash.

use std::collections::BTreeMap;

use cutover_core::backend::AdminState;
use cutover_core::command::Change;
use cutover_core::contract::RecordContract;
use cutover_core::id::{BackendId, Epoch, GateName, HoldName, VersionLabel};
use cutover_core::roll::{Roll, State};
use cutover_core::schema::Schema;
use cutover_core::service::Service;
use cutover_core::suspend::Suspended;
use cutover_core::time::Timestamp;

/// The last acknowledged word on each thing. What was attempted without an answer is not in it: it may or may not be so.
#[derive(Default)]
pub(crate) struct Ledger {
    backends: BTreeMap<BackendId, bool>,
    admins: BTreeMap<BackendId, AdminState>,
    gates: BTreeMap<(VersionLabel, GateName), bool>,
    holds: BTreeMap<(VersionLabel, HoldName), Option<Timestamp>>,
    is_frozen: Option<bool>,
    /// The place of the floor, in the order of first appearance. Nothing ever lowers it.
    floor: Option<u64>,
    schema: Option<Option<Schema>>,
    epoch: Epoch,
    /// The roll as it was seen last. What is seen is committed, but more may be: while a commit is in doubt, other things are seen to change.
    roll: Roll,
    /// Whether somebody tried since to end a permit or to let a frozen roll go on.
    is_roll_open: bool,
}

impl Ledger {
    /// Somebody is about to try this: what it touches is open from now on.
    pub(crate) fn attempt(&mut self, change: &Change) {
        match change {
            Change::Register(registration) => {
                self.backends.remove(&registration.backend);
                self.admins.remove(&registration.backend);
            }
            Change::Deregister { backend, .. } => {
                self.backends.remove(backend);
            }
            Change::Patch { backend, admin, .. } => {
                self.admins.remove(backend);
                // Whom an operator wants back has no permit any more.
                self.is_roll_open |= *admin == Some(AdminState::Ready);
            }
            Change::SetGate { version, gate, .. } => {
                self.gates.remove(&(version.clone(), gate.clone()));
            }
            Change::SetHold { version, hold, .. } | Change::DropHold { version, hold } => {
                self.holds.remove(&(version.clone(), hold.clone()));
            }
            Change::Suspend { what: Suspended::Flips, .. } | Change::Resume(Suspended::Flips) => {
                self.is_frozen = None;
            }
            Change::Contract(RecordContract { schema: Some(_), .. }) | Change::SetSchema(_) => {
                self.schema = None;
            }
            Change::ReturnPermit(_) | Change::ResumeRoll | Change::AbortRoll { .. } => {
                self.is_roll_open = true;
            }
            _ => {}
        }
    }

    /// This is what everybody can see now.
    pub(crate) fn see(&mut self, service: &Service) {
        if self.roll != service.roll {
            (self.roll, self.is_roll_open) = (service.roll.clone(), false);
        }
    }

    /// G6, for the roll that everybody saw before a crash: who may restart a backend still may, unless it was seen to be back, and a frozen
    /// roll is frozen. Who only waits for a permit may have to ask again at any time.
    pub(crate) fn check_roll(&mut self, service: &Service) {
        // Whatever was open is no more: this is what was committed.
        let (before, after) = (std::mem::replace(&mut self.roll, service.roll.clone()), &service.roll);
        if std::mem::take(&mut self.is_roll_open) {
            return;
        }
        for (id, permit) in before.permits.iter().filter(|(_, permit)| permit.is_granted()) {
            let found = after.permits.get(id).map(|found| (found.asked_at, found.granted_at));
            let is_there = found == Some((permit.asked_at, permit.granted_at));
            let has_ended = after.done.contains(id) || after.state == State::Frozen;
            assert!(is_there || has_ended, "G6: the permit of {id} is gone: {before:?}, then {after:?}");
        }
        assert!(
            before.state != State::Frozen || after.state == State::Frozen,
            "G6: the roll was frozen, and is {} after a crash",
            after.state
        );
    }

    /// It was acknowledged.
    pub(crate) fn acknowledge(&mut self, change: &Change, service: &Service, now: Timestamp) {
        // Nothing but heartbeats is acknowledged while a commit is in doubt.
        if !matches!(change, Change::Heartbeat { .. }) {
            (self.roll, self.is_roll_open) = (service.roll.clone(), false);
        }
        match change {
            // Whoever has a lease goes with it.
            Change::Register(registration) if registration.ttl.is_none() => {
                self.backends.insert(registration.backend.clone(), true);
            }
            Change::Deregister { backend, drain } if drain.is_zero() => {
                self.backends.insert(backend.clone(), false);
            }
            // Only maintenance stays when the process does not.
            Change::Patch { backend, admin: Some(AdminState::Maint), .. } => {
                self.admins.insert(backend.clone(), AdminState::Maint);
            }
            Change::SetGate { version, gate, is_open, .. } => {
                self.gates.insert((version.clone(), gate.clone()), *is_open);
            }
            Change::SetHold { version, hold, ttl, .. } => {
                self.holds.insert((version.clone(), hold.clone()), Some(now + *ttl));
            }
            Change::DropHold { version, hold } => {
                self.holds.insert((version.clone(), hold.clone()), None);
            }
            Change::SetSchema(said) => self.schema = Some(said.schema),
            Change::Suspend { what: Suspended::Flips, .. } => self.is_frozen = Some(true),
            Change::Resume(Suspended::Flips) => self.is_frozen = Some(false),
            _ => {}
        }
        self.epoch = service.epoch;
        self.floor = self.floor.max(floor(service));
    }

    /// Whether a hold of the version is alive for certain.
    pub(crate) fn is_held(&self, version: &VersionLabel, now: Timestamp) -> bool {
        self.holds.iter().any(|((held, _), until)| held == version && until.is_some_and(|until| until > now))
    }

    /// G6: everything that was acknowledged is there.
    pub(crate) fn check(&self, service: &Service, now: Timestamp) {
        assert!(
            service.epoch >= self.epoch,
            "G6: epoch {} was acknowledged, {} is there",
            self.epoch,
            service.epoch
        );
        for (id, is_there) in &self.backends {
            assert_eq!(service.backends.contains_key(id), *is_there, "G6: backend {id}");
        }
        for (id, admin) in &self.admins {
            let found = service.backends.get(id).map(|backend| backend.admin.state);
            assert!(found.is_none_or(|found| found == *admin), "G6: backend {id} is {found:?}, not {admin}");
        }
        for ((version, gate), is_open) in &self.gates {
            // A version that retired long ago may be forgotten with its gates.
            let found =
                service.versions.get(version).map(|version| version.gates.get(gate).map(|gate| gate.is_open));
            assert!(
                found.is_none_or(|found| found == Some(*is_open)),
                "G6: gate {gate} of {version} is {found:?}"
            );
        }
        for ((version, hold), until) in &self.holds {
            let Some(version) = service.versions.get(version) else { continue };
            let is_there = version.holds.contains_key(hold);
            match until {
                Some(until) if *until > now => assert!(is_there, "G6: hold {hold} is gone"),
                None => assert!(!is_there, "G6: hold {hold} is back"),
                Some(_) => {}
            }
        }
        assert!(floor(service) >= self.floor, "G6: the rollback floor was at {:?}", self.floor);
        if let Some(schema) = self.schema {
            assert_eq!(service.schema, schema, "G6: schema");
        }
        if let Some(is_frozen) = self.is_frozen {
            assert_eq!(service.freeze.is_some(), is_frozen, "G6: freeze");
        }
    }
}

fn floor(service: &Service) -> Option<u64> {
    service.contract.as_ref().map(|contract| contract.seen)
}
