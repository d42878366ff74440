//! What a change means to the world: derived by comparing two states, so that nobody has to remember to tell.

mod canary;

use std::fmt;
use std::sync::Arc;

pub use self::canary::{CanaryEnd, CanaryNews};
use crate::backend::{AdminState, Backend, Identity, Operational};
use crate::bake::{self, Bake};
use crate::hook::Ended;
use crate::id::{BackendId, Epoch, GateName, HoldName, ServiceName, VersionLabel};
use crate::judge::{Kind, Standing, Verdict};
use crate::policy::Share;
use crate::roll::{self, Permit, Roll};
use crate::schema::Schema;
use crate::service::Service;
use crate::state::State;
use crate::suspend::Suspended;
use crate::time::Millis;
use crate::version::{DrainedBy, Role, Version};

/// Something that happened to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A service appeared.
    ServiceAdded,
    /// Its policy was replaced.
    ServiceChanged,
    /// It was removed.
    ServiceRemoved,
    /// A backend registered.
    BackendAdded(BackendId),
    /// A backend registered again with another address or weight.
    BackendChanged(BackendId),
    /// A backend deregistered, its lease lapsed, or it left the configuration.
    BackendRemoved(BackendId),
    /// An operator changed what is wanted of a backend.
    AdminChanged(BackendId, AdminState),
    /// A backend came up, went down, or started anew.
    OperationalChanged(BackendId, Operational),
    /// What is known about a backend's version changed.
    IdentityChanged(BackendId, Identity, Option<VersionLabel>),
    /// A backend was ejected by live traffic (`true`), or came back.
    Ejected(BackendId, bool),
    /// A version appeared.
    VersionAdded(VersionLabel),
    /// A version plays another part.
    RoleChanged {
        /// The version.
        version: VersionLabel,
        /// The part that it played.
        from: Role,
        /// The part that it plays.
        to: Role,
    },
    /// A version became active: the switch.
    Activated {
        /// The version that was active.
        from: Option<VersionLabel>,
        /// The version that is.
        to: VersionLabel,
        /// The epoch that began.
        epoch: Epoch,
    },
    /// A canary began, by itself or by hand.
    CanaryBegun(VersionLabel, Share),
    /// A canary changed.
    CanaryChanged(VersionLabel, CanaryNews),
    /// A canary ended.
    CanaryEnded(VersionLabel, CanaryEnd),
    /// A version's drain ended.
    Drained(VersionLabel, DrainedBy),
    /// A gate was opened (`true`) or closed.
    GateChanged(VersionLabel, GateName, bool),
    /// A contract migration was recorded: nothing older than this version may come back.
    Contracted(VersionLabel),
    /// The database is at another schema.
    SchemaChanged(Option<Schema>),
    /// A preview was made, which lasts so long.
    PreviewMade(VersionLabel, Millis),
    /// A hook was called, and took it or did not.
    HookEnded(Arc<Ended>),
    /// A hold was taken.
    HoldTaken(VersionLabel, HoldName),
    /// A hold was given up, or lapsed.
    HoldEnded(VersionLabel, HoldName),
    /// Flips are refused, or clients turned away, from now on.
    Suspended(Suspended),
    /// They are not any more.
    Resumed(Suspended),
    /// Kept assets were dropped: those with this path; all, if none was given.
    AssetsDropped(Option<String>),
    /// A backend may be restarted.
    PermitGranted(BackendId),
    /// A restart is over, or was given up.
    PermitEnded(BackendId),
    /// A version is watched from now on.
    BakeBegan {
        /// The version.
        version: VersionLabel,
        /// The version that it is compared with.
        from: VersionLabel,
        /// For how long.
        duration: Millis,
    },
    /// A version passed its bake, and why that is thought.
    Baked(VersionLabel, String),
    /// A bake ended without a verdict: the version was rolled back, or replaced.
    BakeEnded(VersionLabel, bake::State),
    /// A canary went through all of its steps and was not judged bad, with the verdict in a sentence.
    JudgedGood(VersionLabel, String),
    /// A version was judged bad in a bake or canary, and why.
    JudgedBad(VersionLabel, Kind, String),
    /// A roll began, was frozen, went on, or ended.
    RollChanged(roll::State, String),
}

/// Everything that happened between two states, service by service.
#[must_use]
pub fn compare(before: &State, after: &State) -> Vec<(ServiceName, Event)> {
    let mut events = Vec::new();
    let gone = before.services.keys().filter(|&name| !after.services.contains_key(name));
    events.extend(gone.map(|name| (name.clone(), Event::ServiceRemoved)));
    for (name, service) in &after.services {
        match before.services.get(name) {
            Some(old) if Arc::ptr_eq(old, service) => {}
            Some(old) => compare_service(old, service, &mut |event| events.push((name.clone(), event))),
            None => {
                events.push((name.clone(), Event::ServiceAdded));
                let empty = Service::new(name.clone(), Arc::clone(&service.policy), service.source.clone());
                compare_service(&empty, service, &mut |event| events.push((name.clone(), event)));
            }
        }
    }
    events
}

fn compare_service(old: &Service, new: &Service, tell: &mut dyn FnMut(Event)) {
    if old.policy != new.policy {
        tell(Event::ServiceChanged);
    }
    // First of all: what else happens may follow from it.
    let is_bad = |verdict: &&Verdict| verdict.standing == Standing::Bad;
    if let Some(bad) = new.verdict.as_ref().filter(is_bad).filter(|bad| old.verdict.as_ref() != Some(bad)) {
        tell(Event::JudgedBad(bad.version.clone(), bad.kind, bad.reason.clone()));
    }
    let is_good = |verdict: &&Verdict| (verdict.kind, verdict.standing) == (Kind::Canary, Standing::Good);
    if let Some(good) = new.verdict.as_ref().filter(is_good).filter(|_| old.verdict != new.verdict) {
        tell(Event::JudgedGood(good.version.clone(), good.reason.clone()));
    }
    for id in old.backends.keys().filter(|&id| !new.backends.contains_key(id)) {
        tell(Event::BackendRemoved(id.clone()));
    }
    for (id, backend) in &new.backends {
        match old.backends.get(id) {
            Some(known) if Arc::ptr_eq(known, backend) => {}
            Some(known) => compare_backend(known, backend, tell),
            None => tell(Event::BackendAdded(id.clone())),
        }
    }
    for (label, version) in &new.versions {
        match old.versions.get(label) {
            Some(known) if Arc::ptr_eq(known, version) => {}
            Some(known) => compare_version(known, version, tell),
            None => {
                tell(Event::VersionAdded(label.clone()));
                let mut fresh = Version::new(label.clone(), version.seen, version.seen_at);
                // One that is announced before its first backend was never staged.
                if version.role == Role::Retired {
                    fresh.role = Role::Retired;
                }
                compare_version(&fresh, version, tell);
            }
        }
    }
    // An epoch also begins when sessions of a canary go back, and that is no switch.
    if let Some(to) = new.active.as_ref().filter(|&to| old.active.as_ref() != Some(to)) {
        tell(Event::Activated { from: old.active.clone(), to: to.clone(), epoch: new.epoch });
    }
    if let Some(contract) = new.contract.as_ref().filter(|_| old.contract != new.contract) {
        tell(Event::Contracted(contract.floor.clone()));
    }
    if old.schema != new.schema {
        tell(Event::SchemaChanged(new.schema));
    }
    for ended in new.hooks.recent.iter().filter(|ended| ended.number >= old.hooks.next) {
        tell(Event::HookEnded(Arc::clone(ended)));
    }
    canary::compare(old, new, tell);
    for what in Suspended::ALL {
        match (what.of(old), what.of(new)) {
            (old, Some(new)) if old != Some(new) => tell(Event::Suspended(what)),
            (Some(_), None) => tell(Event::Resumed(what)),
            _ => {}
        }
    }
    if let Some(drop) = new.asset_drop.as_ref().filter(|_| new.asset_drop != old.asset_drop) {
        tell(Event::AssetsDropped(drop.target.clone()));
    }
    compare_bake(old, new, tell);
    compare_roll(&old.roll, &new.roll, tell);
}

fn compare_bake(old: &Service, new: &Service, tell: &mut dyn FnMut(Event)) {
    let is_running = |bake: &&Bake| bake.state == bake::State::Running;
    if let Some(ended) = old.bake.as_ref().filter(is_running) {
        let known = new.bake.as_ref().filter(|bake| bake.epoch == ended.epoch);
        let version = ended.version.clone();
        match known.map_or(bake::State::Superseded, |bake| bake.state) {
            bake::State::Passed => {
                let reason = new.verdict.as_ref().map(|verdict| verdict.reason.clone());
                tell(Event::Baked(version, reason.unwrap_or_default()));
            }
            state @ (bake::State::RolledBack | bake::State::Superseded) => {
                tell(Event::BakeEnded(version, state));
            }
            // Of a failed one its verdict tells.
            bake::State::Running | bake::State::Failed => {}
        }
    }
    let is_known = |bake: &&Bake| old.bake.as_ref().is_some_and(|old| old.epoch == bake.epoch);
    if let Some(bake) = new.bake.as_ref().filter(is_running).filter(|bake| !is_known(bake)) {
        tell(Event::BakeBegan {
            version: bake.version.clone(),
            from: bake.from.clone(),
            duration: bake.ends_at.since(bake.began_at),
        });
    }
}

fn compare_roll(old: &Roll, new: &Roll, tell: &mut dyn FnMut(Event)) {
    let is_granted = |roll: &Roll, id: &BackendId| roll.permits.get(id).is_some_and(Permit::is_granted);
    for id in new.permits.keys().filter(|&id| is_granted(new, id) && !is_granted(old, id)) {
        tell(Event::PermitGranted(id.clone()));
    }
    for id in old.permits.keys().filter(|&id| is_granted(old, id) && !new.permits.contains_key(id)) {
        tell(Event::PermitEnded(id.clone()));
    }
    if (old.state, &old.reason) != (new.state, &new.reason) {
        tell(Event::RollChanged(new.state, new.reason.clone()));
    }
}

fn compare_backend(old: &Backend, new: &Backend, tell: &mut dyn FnMut(Event)) {
    let id = || new.id.clone();
    if (&old.address, old.weight()) != (&new.address, new.weight()) {
        tell(Event::BackendChanged(id()));
    }
    if old.admin.state != new.admin.state {
        tell(Event::AdminChanged(id(), new.admin.state));
    }
    if old.operational.as_str() != new.operational.as_str() {
        tell(Event::OperationalChanged(id(), new.operational));
    }
    if (old.identity, &old.version) != (new.identity, &new.version) {
        tell(Event::IdentityChanged(id(), new.identity, new.version.clone()));
    }
    if old.ejection.until.is_some() != new.ejection.until.is_some() {
        tell(Event::Ejected(id(), new.ejection.until.is_some()));
    }
}

fn compare_version(old: &Version, new: &Version, tell: &mut dyn FnMut(Event)) {
    let label = || new.label.clone();
    if old.role != new.role {
        tell(Event::RoleChanged { version: label(), from: old.role, to: new.role });
    }
    if let Some(drained) = new.drained.filter(|_| old.drained.is_none()) {
        tell(Event::Drained(label(), drained.by));
    }
    for (name, gate) in &new.gates {
        if old.gates.get(name).map(|gate| gate.is_open) != Some(gate.is_open) {
            tell(Event::GateChanged(label(), name.clone(), gate.is_open));
        }
    }
    if let Some(previewed) = new.previewed.as_ref().filter(|_| old.previewed != new.previewed) {
        tell(Event::PreviewMade(label(), previewed.ttl));
    }
    for name in new.holds.keys().filter(|&name| !old.holds.contains_key(name)) {
        tell(Event::HoldTaken(label(), name.clone()));
    }
    for name in old.holds.keys().filter(|&name| !new.holds.contains_key(name)) {
        tell(Event::HoldEnded(label(), name.clone()));
    }
}

impl Event {
    /// The word for the kind of event, as in the timeline and in the stream of events.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ServiceAdded => "service_added",
            Self::ServiceChanged => "service_changed",
            Self::ServiceRemoved => "service_removed",
            Self::BackendAdded(_) => "backend_added",
            Self::BackendChanged(_) => "backend_changed",
            Self::BackendRemoved(_) => "backend_removed",
            Self::AdminChanged(..) => "admin_changed",
            Self::OperationalChanged(..) => "operational_changed",
            Self::IdentityChanged(..) => "identity_changed",
            Self::Ejected(_, true) => "backend_ejected",
            Self::Ejected(_, false) => "backend_returned",
            Self::VersionAdded(_) => "version_added",
            Self::RoleChanged { .. } => "role_changed",
            Self::Activated { .. } => "activated",
            Self::CanaryBegun(..) => "canary_begun",
            Self::CanaryChanged(..) => "canary_changed",
            Self::CanaryEnded(..) => "canary_ended",
            Self::Drained(..) => "drained",
            Self::GateChanged(_, _, true) => "gate_opened",
            Self::GateChanged(_, _, false) => "gate_closed",
            Self::Contracted(_) => "contracted",
            Self::SchemaChanged(_) => "schema_changed",
            Self::PreviewMade(..) => "preview_made",
            Self::HookEnded(ended) if ended.is_delivered => "hook_succeeded",
            Self::HookEnded(_) => "hook_failed",
            Self::HoldTaken(..) => "hold_taken",
            Self::HoldEnded(..) => "hold_ended",
            Self::Suspended(Suspended::Flips) => "frozen",
            Self::Suspended(Suspended::Requests) => "maintenance_begun",
            Self::Resumed(Suspended::Flips) => "unfrozen",
            Self::Resumed(Suspended::Requests) => "maintenance_ended",
            Self::AssetsDropped(_) => "assets_dropped",
            Self::PermitGranted(_) => "permit_granted",
            Self::PermitEnded(_) => "permit_ended",
            Self::BakeBegan { .. } => "bake_began",
            Self::Baked(..) => "baked",
            Self::BakeEnded(..) => "bake_ended",
            Self::JudgedBad(..) => "judged_bad",
            Self::JudgedGood(..) => "judged_good",
            Self::RollChanged(..) => "roll_changed",
        }
    }

    /// The backend that it is about.
    #[must_use]
    pub const fn backend(&self) -> Option<&BackendId> {
        match self {
            Self::BackendAdded(id)
            | Self::BackendChanged(id)
            | Self::BackendRemoved(id)
            | Self::AdminChanged(id, _)
            | Self::OperationalChanged(id, _)
            | Self::IdentityChanged(id, ..)
            | Self::PermitGranted(id)
            | Self::PermitEnded(id)
            | Self::Ejected(id, _) => Some(id),
            _ => None,
        }
    }

    /// The epoch that began with it.
    #[must_use]
    pub const fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::Activated { epoch, .. } => Some(*epoch),
            Self::CanaryChanged(_, CanaryNews::Shrank { epoch, .. }) => Some(*epoch),
            Self::CanaryEnded(_, end) => end.epoch(),
            _ => None,
        }
    }

    /// The version that it is about.
    #[must_use]
    pub fn version(&self) -> Option<&VersionLabel> {
        match self {
            Self::HookEnded(ended) => Some(&ended.turn.version),
            Self::IdentityChanged(_, _, Some(label))
            | Self::VersionAdded(label)
            | Self::RoleChanged { version: label, .. }
            | Self::Activated { to: label, .. }
            | Self::CanaryBegun(label, _)
            | Self::CanaryChanged(label, _)
            | Self::CanaryEnded(label, _)
            | Self::Drained(label, _)
            | Self::Contracted(label)
            | Self::BakeBegan { version: label, .. }
            | Self::Baked(label, _)
            | Self::BakeEnded(label, _)
            | Self::JudgedBad(label, ..)
            | Self::JudgedGood(label, _)
            | Self::GateChanged(label, ..)
            | Self::PreviewMade(label, _)
            | Self::HoldTaken(label, _)
            | Self::HoldEnded(label, _) => Some(label),
            _ => None,
        }
    }
}

/// The event in a sentence without its service.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceAdded => f.write_str("service added"),
            Self::ServiceChanged => f.write_str("policy replaced"),
            Self::ServiceRemoved => f.write_str("service removed"),
            Self::BackendAdded(id) => write!(f, "backend {id} registered"),
            Self::BackendChanged(id) => write!(f, "backend {id} changed"),
            Self::BackendRemoved(id) => write!(f, "backend {id} removed"),
            Self::AdminChanged(id, state) => write!(f, "backend {id} set to {state}"),
            Self::OperationalChanged(id, state) => write!(f, "backend {id} is {state}"),
            Self::IdentityChanged(id, identity, Some(label)) => {
                write!(f, "backend {id} is {identity} to run {label}")
            }
            Self::IdentityChanged(id, identity, None) => {
                write!(f, "backend {id} runs a version that is {identity}")
            }
            Self::Ejected(id, true) => write!(f, "backend {id} ejected by live traffic"),
            Self::Ejected(id, false) => write!(f, "backend {id} no longer ejected"),
            Self::VersionAdded(label) => write!(f, "version {label} appeared"),
            Self::RoleChanged { version, from, to } => {
                write!(f, "version {version} went from {from} to {to}")
            }
            Self::Activated { from: Some(from), to, epoch } => {
                write!(f, "switched from {from} to {to} in epoch {epoch}")
            }
            Self::Activated { from: None, to, epoch } => write!(f, "{to} became active in epoch {epoch}"),
            Self::CanaryBegun(label, share) => write!(f, "canary {label} began with {share} of new sessions"),
            Self::CanaryChanged(label, news) => write!(f, "canary {label} {news}"),
            Self::CanaryEnded(label, end) => write!(f, "canary {label} ended: {end}"),
            Self::Drained(label, by) => write!(f, "version {label} drained by {}", by.as_str()),
            Self::GateChanged(label, gate, is_open) => {
                write!(f, "gate {gate} {} for version {label}", if *is_open { "opened" } else { "closed" })
            }
            Self::Contracted(floor) => {
                write!(f, "contract migration recorded; nothing older than {floor} becomes active again")
            }
            Self::SchemaChanged(Some(schema)) => write!(f, "the database is at schema {schema}"),
            Self::HookEnded(ended) => ended.fmt(f),
            Self::SchemaChanged(None) => f.write_str("nobody says at which schema the database is"),
            Self::PreviewMade(label, ttl) => write!(f, "preview of version {label} made for {ttl}"),
            Self::HoldTaken(label, hold) => write!(f, "hold {hold} taken on version {label}"),
            Self::HoldEnded(label, hold) => write!(f, "hold {hold} on version {label} ended"),
            Self::Suspended(Suspended::Flips) => f.write_str("flips frozen"),
            Self::Suspended(Suspended::Requests) => f.write_str("clients turned away for maintenance"),
            Self::Resumed(Suspended::Flips) => f.write_str("flips no longer frozen"),
            Self::Resumed(Suspended::Requests) => f.write_str("clients no longer turned away"),
            Self::AssetsDropped(Some(target)) => write!(f, "kept assets dropped: {target}"),
            Self::AssetsDropped(None) => f.write_str("all kept assets dropped"),
            Self::PermitGranted(id) => write!(f, "backend {id} may be restarted"),
            Self::PermitEnded(id) => write!(f, "the permit of backend {id} ended"),
            Self::BakeBegan { version, from, duration } => {
                write!(f, "version {version} is compared with {from} for {duration}")
            }
            Self::Baked(label, reason) => write!(f, "version {label} passed its bake: {reason}"),
            Self::BakeEnded(label, bake::State::RolledBack) => {
                write!(f, "the bake of version {label} ended with its rollback")
            }
            Self::BakeEnded(label, _) => {
                write!(f, "the bake of version {label} ended because another version became active")
            }
            Self::JudgedGood(label, reason) => {
                write!(f, "version {label} stood its time as a canary: {reason}")
            }
            Self::JudgedBad(label, kind, reason) => {
                write!(f, "version {label} was judged bad in its {kind}: {reason}")
            }
            Self::RollChanged(state, reason) if reason.is_empty() => write!(f, "the roll is {state}"),
            Self::RollChanged(state, reason) => write!(f, "the roll is {state}: {reason}"),
        }
    }
}
