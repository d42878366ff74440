//! One step from a state to the next: what it changes in the records, and what is told about it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use cutover_core::command::{Change as ServiceChange, Command};
use cutover_core::effect::{self, Event};
use cutover_core::id::{Revision, ServiceName};
use cutover_core::state::State;
use cutover_core::time::Timestamp;

use crate::event_log::EventLog;
use crate::handle::Request;
use crate::reply_log::Keeping;
use crate::store::record::{self, Difference};
use crate::store::{Change, Key};
use crate::timeline::{Actor, Entry};

/// Who wants a step, and why.
pub(crate) struct Why {
    actor: Actor,
    reason: Option<String>,
    is_forced: bool,
}

impl Why {
    /// It follows by itself: from time, from traffic, from probes.
    pub(crate) fn itself() -> Self {
        Self { actor: Actor::cutover(), reason: None, is_forced: false }
    }

    /// Somebody asked for it.
    pub(crate) fn asked(request: &Request) -> Self {
        let is_forced = match &request.command {
            Command::Service(_, ServiceChange::Flip(flip)) => flip.force,
            Command::Service(_, ServiceChange::Patch { force, .. }) => *force,
            Command::Service(_, ServiceChange::Contract(contract)) => contract.force,
            Command::Service(_, ServiceChange::SetSchema(said)) => said.force,
            _ => false,
        };
        Self { actor: request.actor.clone(), reason: request.reason.clone(), is_forced }
    }
}

/// One step from a state to the next.
pub(crate) struct Step {
    now: Timestamp,
    after: Arc<State>,
    difference: Difference,
    events: Vec<(ServiceName, Event)>,
    /// One for each event, and whether it belongs to the timeline.
    entries: Vec<(Arc<Entry>, bool)>,
    /// What leaves the timeline, so that there is room.
    outdated: Vec<Arc<Entry>>,
    keeping: Option<Keeping>,
    is_beginning: bool,
    is_by_itself: bool,
}

impl Step {
    /// The step from `before`, which is at `revision`.
    pub(crate) fn between(
        before: &State,
        after: State,
        why: &Why,
        (revision, log): (Revision, &EventLog),
        now: Timestamp,
    ) -> Self {
        let difference = record::difference(before, &after);
        let events = effect::compare(before, &after);
        let is_committed =
            !difference.changes.is_empty() || events.iter().any(|(_, event)| is_durable(event));
        let revision = if is_committed { revision.next() } else { revision };
        let mut id = log.last();
        let entries = events.iter().map(|(service, event)| {
            id = id.next(now);
            let entry = Entry {
                id,
                at: now,
                service: service.clone(),
                kind: Cow::Borrowed(event.kind()),
                text: event.to_string(),
                actor: why.actor.clone(),
                reason: why.reason.clone(),
                is_forced: why.is_forced,
                revision,
                version: event.version().cloned(),
                backend: event.backend().cloned(),
                epoch: event.epoch(),
            };
            (Arc::new(entry), is_durable(event))
        });
        let mut entries: Vec<(Arc<Entry>, bool)> = entries.collect();
        let outdated = log.make_room(&mut entries);
        let after = Arc::new(after);
        let is_by_itself = why.actor == Actor::cutover();
        let (keeping, is_beginning) = (None, false);
        Self { now, after, difference, events, entries, outdated, keeping, is_beginning, is_by_itself }
    }

    /// Says that this is the first configuration of the process. Until then the policies of its services were unknown; that they
    /// are known now is no news.
    pub(crate) fn begins(&mut self) {
        self.is_beginning = true;
        self.events.retain(|(_, event)| *event != Event::ServiceChanged);
        let kind = Event::ServiceChanged.kind();
        self.entries.retain(|(entry, _)| entry.kind != kind);
    }

    /// Makes an answer part of what is committed.
    pub(crate) fn keep(&mut self, keeping: Keeping) {
        self.keeping = Some(keeping);
    }

    /// The answer that was committed with it.
    pub(crate) fn take_keeping(&mut self) -> Option<Keeping> {
        self.keeping.take()
    }

    pub(crate) fn is_beginning(&self) -> bool {
        self.is_beginning
    }

    pub(crate) fn is_by_itself(&self) -> bool {
        self.is_by_itself
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn after(&self) -> &Arc<State> {
        &self.after
    }

    pub(crate) fn events(&self) -> &[(ServiceName, Event)] {
        &self.events
    }

    /// Whether nothing of it is stored.
    pub(crate) fn is_volatile(&self) -> bool {
        self.difference.changes.is_empty() && !self.entries.iter().any(|(_, is_durable)| *is_durable)
    }

    /// The state after those parts of the step that are not stored. Right only where each service changes on its own.
    pub(crate) fn volatile_part(&self, before: &State) -> State {
        let mut part = State::clone(&self.after);
        for name in &self.difference.services {
            match before.services.get(name) {
                Some(service) => drop(part.services.insert(name.clone(), Arc::clone(service))),
                None => drop(part.services.remove(name)),
            }
        }
        part.pin_keys = Arc::clone(&before.pin_keys);
        part
    }

    /// Everything that changes in the store, timeline and replies included.
    pub(crate) fn changes(&self) -> BTreeMap<Key, Change> {
        let added =
            self.entries.iter().filter(|(_, is_durable)| *is_durable).map(|(entry, _)| entry.as_ref());
        let outdated = self.outdated.iter().map(AsRef::as_ref);
        let replies = self.keeping.iter().flat_map(record::reply);
        let changes = self.difference.changes.clone().into_iter();
        changes.chain(record::timeline(added, outdated)).chain(replies).collect()
    }

    /// Adds what happened to the log.
    pub(crate) fn log(self, log: &EventLog) {
        log.append(self.entries, &self.outdated);
    }
}

/// Whether an event belongs to the timeline. What health checks and traffic observe comes and goes, and is observed anew after a restart.
fn is_durable(event: &Event) -> bool {
    match event {
        Event::OperationalChanged(..) | Event::IdentityChanged(..) | Event::Ejected(..) => false,
        Event::ServiceAdded
        | Event::ServiceChanged
        | Event::ServiceRemoved
        | Event::BackendAdded(_)
        | Event::BackendChanged(_)
        | Event::BackendRemoved(_)
        | Event::AdminChanged(..)
        | Event::VersionAdded(_)
        | Event::RoleChanged { .. }
        | Event::Activated { .. }
        | Event::CanaryBegun(..)
        | Event::CanaryChanged(..)
        | Event::CanaryEnded(..)
        | Event::Drained(..)
        | Event::GateChanged(..)
        | Event::Contracted(_)
        | Event::SchemaChanged(_)
        | Event::PreviewMade(..)
        | Event::HookEnded(_)
        | Event::HoldTaken(..)
        | Event::HoldEnded(..)
        | Event::Suspended(_)
        | Event::Resumed(_)
        | Event::AssetsDropped(_)
        | Event::PermitGranted(_)
        | Event::PermitEnded(_)
        | Event::BakeBegan { .. }
        | Event::Baked(..)
        | Event::BakeEnded(..)
        | Event::JudgedBad(..)
        | Event::JudgedGood(..)
        | Event::RollChanged(..) => true,
    }
}
