//! The events that are still known, and those who follow them.
//!
//! Committed entries are the timeline: they come back after a restart. All entries, health included, pass through a ring of the latest
//! ones. A subscription has a cursor and no queue, so one that is slow costs nothing: it is told that it missed something.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cutover_core::id::ServiceName;
use tokio::sync::watch;

use crate::timeline::{Entry, EventId};

/// Entries of the timeline that are kept for each service.
pub const TIMELINE_PER_SERVICE: usize = 1000;
/// Entries of the timeline that are kept over all services.
pub const TIMELINE_TOTAL: usize = 100_000;
/// Latest events, committed or not, that a subscription may be behind.
const RING: usize = 4096;
/// Entries that a subscription takes at a time.
const BATCH: usize = 128;

/// What a subscription receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// An event.
    Entry(Arc<Entry>),
    /// Between the last event and the next there were others that are no longer known: whoever follows must read the state again.
    Missed,
}

/// All events that are still known.
#[derive(Debug)]
pub struct EventLog {
    kept: Mutex<Kept>,
    latest: watch::Sender<Latest>,
}

#[derive(Debug, Clone, Copy)]
struct Latest {
    id: EventId,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct Kept {
    /// The timeline.
    committed: BTreeMap<EventId, Arc<Entry>>,
    /// The same, by service.
    by_service: BTreeMap<ServiceName, VecDeque<EventId>>,
    /// The latest events, oldest first.
    ring: VecDeque<Arc<Entry>>,
    /// Everything after this is in the ring.
    ring_after: EventId,
    /// Up to here, some of the timeline was given up.
    trimmed: EventId,
}

impl EventLog {
    /// A log that begins with the timeline of earlier runs.
    #[must_use]
    pub fn new(timeline: impl IntoIterator<Item = Entry>) -> Self {
        let mut kept = Kept::default();
        for entry in timeline {
            kept.insert(Arc::new(entry));
        }
        let id = kept.last_committed();
        kept.ring_after = id;
        Self { kept: Mutex::new(kept), latest: watch::Sender::new(Latest { id, is_closed: false }) }
    }

    /// The id of the latest entry.
    #[must_use]
    pub fn last(&self) -> EventId {
        self.latest.borrow().id
    }

    /// Says which entries must leave the timeline when these come in, and takes the mark off those that find no room themselves.
    #[must_use]
    pub fn make_room(&self, entries: &mut [(Arc<Entry>, bool)]) -> Vec<Arc<Entry>> {
        self.kept().make_room(entries)
    }

    /// Adds entries, whose ids grow from the last one's on. Those that are marked become part of the timeline, `outdated` ones leave it.
    pub fn append(&self, entries: Vec<(Arc<Entry>, bool)>, outdated: &[Arc<Entry>]) {
        let Some(last) = entries.last().map(|(entry, _)| entry.id) else { return };
        let mut kept = self.kept();
        outdated.iter().for_each(|entry| kept.remove(entry));
        for (entry, is_committed) in entries {
            if is_committed {
                kept.insert(Arc::clone(&entry));
            }
            kept.pass(entry);
        }
        drop(kept);
        self.latest.send_modify(|latest| latest.id = last.max(latest.id));
    }

    /// Takes over the timeline that the store holds: somebody else may have written to it. Whoever follows is told that it missed something.
    pub fn replace_timeline(&self, timeline: impl IntoIterator<Item = Entry>) {
        let mut kept = self.kept();
        let mut fresh = Kept { trimmed: kept.trimmed, ..Kept::default() };
        timeline.into_iter().for_each(|entry| fresh.insert(Arc::new(entry)));
        // Later than everything that was told, so that nobody is past it.
        let id = EventId(fresh.last_committed().max(self.last()).0.saturating_add(1));
        fresh.ring_after = id;
        *kept = fresh;
        drop(kept);
        self.latest.send_modify(|latest| latest.id = id);
    }

    /// Follows events: those after `after` that are still known, then live ones; only live ones without it.
    pub fn subscribe(self: &Arc<Self>, after: Option<EventId>) -> Subscription {
        let latest = self.latest.subscribe();
        let last = latest.borrow().id;
        // An id that was never given out would wait for ever: it is of a store that was replaced.
        let after = after.unwrap_or(last).min(last);
        Subscription { log: Arc::clone(self), latest, after, is_replaying: true, batch: VecDeque::new() }
    }

    /// What happened to a service, the latest first: at most `limit` entries, all older than `before`.
    #[must_use]
    pub fn timeline(&self, service: &ServiceName, limit: usize, before: Option<EventId>) -> Vec<Arc<Entry>> {
        let kept = self.kept();
        let ids = kept.by_service.get(service).into_iter().flatten().rev();
        ids.filter(|&&id| before.is_none_or(|before| id < before))
            .filter_map(|id| kept.committed.get(id).cloned())
            .take(limit)
            .collect()
    }

    /// Ends all subscriptions, once they have received everything.
    pub fn close(&self) {
        self.latest.send_modify(|latest| latest.is_closed = true);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Held for lookups and insertions, which have no way to panic half-way; never across an await.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn last_committed(&self) -> EventId {
        self.committed.last_key_value().map(|(id, _)| *id).unwrap_or_default()
    }

    fn insert(&mut self, entry: Arc<Entry>) {
        self.by_service.entry(entry.service.clone()).or_default().push_back(entry.id);
        self.committed.insert(entry.id, entry);
    }

    fn remove(&mut self, entry: &Entry) {
        self.committed.remove(&entry.id);
        self.trimmed = self.trimmed.max(entry.id);
        if let Some(ids) = self.by_service.get_mut(&entry.service) {
            ids.retain(|id| *id != entry.id);
            if ids.is_empty() {
                self.by_service.remove(&entry.service);
            }
        }
    }

    fn make_room(&self, entries: &mut [(Arc<Entry>, bool)]) -> Vec<Arc<Entry>> {
        let mut added: BTreeMap<ServiceName, usize> = BTreeMap::new();
        // From the latest on: of more than there is room for, the latest stay.
        for (entry, is_committed) in entries.iter_mut().rev().filter(|(_, is_committed)| *is_committed) {
            let of_service = added.entry(entry.service.clone()).or_default();
            *is_committed = *of_service < TIMELINE_PER_SERVICE;
            *of_service += usize::from(*is_committed);
        }
        let mut outdated: BTreeMap<EventId, Arc<Entry>> = BTreeMap::new();
        for (service, added) in &added {
            let Some(ids) = self.by_service.get(service) else { continue };
            let beyond = (ids.len() + added).saturating_sub(TIMELINE_PER_SERVICE);
            let oldest = ids.iter().take(beyond).filter_map(|id| self.committed.get(id));
            outdated.extend(oldest.map(|entry| (entry.id, Arc::clone(entry))));
        }
        let total = self.committed.len() + added.values().sum::<usize>() - outdated.len();
        let others = self.committed.values().filter(|entry| !outdated.contains_key(&entry.id));
        let oldest: Vec<Arc<Entry>> = others.take(total.saturating_sub(TIMELINE_TOTAL)).cloned().collect();
        outdated.into_values().chain(oldest).collect()
    }

    fn pass(&mut self, entry: Arc<Entry>) {
        if self.ring.len() == RING
            && let Some(oldest) = self.ring.pop_front()
        {
            self.ring_after = oldest.id;
        }
        self.ring.push_back(entry);
    }
}

/// Follows the events of an [`EventLog`].
#[derive(Debug)]
pub struct Subscription {
    log: Arc<EventLog>,
    latest: watch::Receiver<Latest>,
    after: EventId,
    /// Whether it still catches up with what happened before it began.
    is_replaying: bool,
    batch: VecDeque<Delivery>,
}

impl Subscription {
    /// The next event, or that some were missed; `None` when the control plane has stopped. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            if let Some(delivery) = self.batch.pop_front() {
                return Some(delivery);
            }
            let latest = *self.latest.borrow_and_update();
            if self.after < latest.id {
                self.fill();
                continue;
            }
            self.is_replaying = false;
            if latest.is_closed || self.latest.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Takes the next batch, from the timeline or from the ring.
    fn fill(&mut self) {
        let kept = self.log.kept();
        if self.after < kept.ring_after {
            // Volatile events before the ring are forgotten. Somebody who resumes doesn't need them; somebody who was told of some must know.
            if !self.is_replaying || self.after < kept.trimmed {
                self.batch.push_back(Delivery::Missed);
            }
            let range = (std::ops::Bound::Excluded(self.after), std::ops::Bound::Included(kept.ring_after));
            let replayed = kept.committed.range(range).take(BATCH);
            let before = self.batch.len();
            self.batch.extend(replayed.map(|(_, entry)| Delivery::Entry(Arc::clone(entry))));
            let is_complete = self.batch.len() - before < BATCH;
            self.after = match self.batch.back() {
                Some(Delivery::Entry(entry)) if !is_complete => entry.id,
                _ => kept.ring_after,
            };
            self.is_replaying = true;
            return;
        }
        let from = kept.ring.partition_point(|entry| entry.id <= self.after);
        self.batch.extend(kept.ring.iter().skip(from).take(BATCH).cloned().map(Delivery::Entry));
        match self.batch.back() {
            Some(Delivery::Entry(entry)) => self.after = entry.id,
            // Nothing newer is kept: what made `latest` grow is gone already.
            _ => self.after = self.latest.borrow().id,
        }
    }
}
