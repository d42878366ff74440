//! The events that are still known, and those who follow them.
//!
//! Committed entries are the timeline: they come back after a restart. All entries, health included, pass through a ring of the latest
//! ones. A subscription has a cursor and no queue, so one that is slow costs nothing: it is told that it missed something.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
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
        let from = after.unwrap_or(last).min(last);
        Subscription {
            log: Arc::clone(self),
            latest,
            after: from,
            complete_after: last,
            is_resuming: after.is_some(),
            batch: VecDeque::new(),
        }
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
    /// After this, every event is owed; before, only those of the timeline are.
    complete_after: EventId,
    /// Whether nothing was taken yet of what happened before it began.
    is_resuming: bool,
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
            if latest.is_closed || self.latest.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Takes the next batch, from the timeline or from the ring.
    fn fill(&mut self) {
        let kept = self.log.kept();
        let is_resuming = std::mem::replace(&mut self.is_resuming, false);
        if self.after < kept.ring_after {
            if self.complete_after < kept.ring_after || (is_resuming && self.after < kept.trimmed) {
                self.batch.push_back(Delivery::Missed);
                self.complete_after = self.latest.borrow().id;
            }
            let range = (Bound::Excluded(self.after), Bound::Included(kept.ring_after));
            let replayed: Vec<_> = kept.committed.range(range).take(BATCH).collect();
            self.after = match replayed.last() {
                Some((id, _)) if replayed.len() == BATCH => **id,
                _ => kept.ring_after,
            };
            self.batch.extend(replayed.into_iter().map(|(_, entry)| Delivery::Entry(Arc::clone(entry))));
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use cutover_core::id::Revision;
    use cutover_core::time::Timestamp;
    use futures_util::FutureExt;

    use super::*;
    use crate::timeline::Actor;

    fn service(name: &str) -> ServiceName {
        ServiceName::parse(name).expect("a name")
    }

    fn entry(id: u64, of: &str) -> Entry {
        Entry {
            id: EventId(id),
            at: Timestamp(0),
            service: service(of),
            kind: Cow::Borrowed("frozen"),
            text: String::new(),
            actor: Actor::cutover(),
            reason: None,
            is_forced: false,
            revision: Revision(0),
            version: None,
            backend: None,
            epoch: None,
        }
    }

    /// Appends entries as a step does; answers the ids that left the timeline.
    fn append(log: &EventLog, ids: impl IntoIterator<Item = u64>, of: &str, is_committed: bool) -> Vec<u64> {
        let mut entries: Vec<_> = ids.into_iter().map(|id| (Arc::new(entry(id, of)), is_committed)).collect();
        let outdated = log.make_room(&mut entries);
        log.append(entries, &outdated);
        outdated.iter().map(|entry| entry.id.0).collect()
    }

    /// Everything that the subscription gets without waiting; 0 stands for what was missed.
    fn take(subscription: &mut Subscription) -> Vec<u64> {
        let mut taken = Vec::new();
        while let Some(Some(delivery)) = subscription.next().now_or_never() {
            taken.push(match delivery {
                Delivery::Entry(entry) => entry.id.0,
                Delivery::Missed => 0,
            });
        }
        taken
    }

    #[test]
    fn ids_follow_the_clock_and_never_repeat() {
        assert_eq!(EventId(7).next(Timestamp(2)), EventId(2000));
        assert_eq!(EventId(2000).next(Timestamp(2)), EventId(2001));
        assert_eq!(EventId(9000).next(Timestamp(2)), EventId(9001));
    }

    #[test]
    fn a_subscription_gets_what_comes_after_it_in_order() {
        let log = Arc::new(EventLog::new([]));
        append(&log, [1, 2], "web", true);
        let mut subscription = log.subscribe(None);
        append(&log, 3..6, "web", false);
        assert_eq!(take(&mut subscription), [3, 4, 5]);
        append(&log, [6], "web", true);
        assert_eq!(take(&mut subscription), [6]);
    }

    #[test]
    fn after_a_restart_the_timeline_is_replayed_and_then_what_is_new() {
        let log = Arc::new(EventLog::new((1..=400).map(|id| entry(id, "web"))));
        append(&log, 401..=402, "web", false);
        let mut subscription = log.subscribe(Some(EventId(100)));
        assert_eq!(take(&mut subscription), (101..=402).collect::<Vec<_>>());
    }

    #[test]
    fn an_id_of_another_store_gets_what_is_new() {
        let log = Arc::new(EventLog::new([entry(1, "web")]));
        let mut subscription = log.subscribe(Some(EventId(u64::MAX)));
        append(&log, [2], "web", true);
        assert_eq!(take(&mut subscription), [2]);
    }

    #[test]
    fn a_slow_subscription_is_told_that_it_missed_something() {
        let log = Arc::new(EventLog::new([]));
        let mut subscription = log.subscribe(None);
        append(&log, [1], "web", true);
        append(&log, 2..=5000, "web", false);
        let taken = take(&mut subscription);
        assert_eq!(taken[..2], [0, 1], "the timeline is still there, the rest is not");
        assert_eq!((taken[2], taken.len(), taken.last()), (5001 - RING as u64, RING + 2, Some(&5000)));
    }

    #[test]
    fn a_subscription_ends_with_the_log_but_gets_everything_before() {
        let log = Arc::new(EventLog::new([]));
        let mut subscription = log.subscribe(None);
        append(&log, [1], "web", true);
        log.close();
        assert_eq!(take(&mut subscription), [1]);
        assert_eq!(subscription.next().now_or_never(), Some(None));
    }

    #[test]
    fn a_replaced_timeline_is_told_to_everybody() {
        let log = Arc::new(EventLog::new([]));
        let mut subscription = log.subscribe(None);
        append(&log, [3], "web", false);
        assert_eq!(take(&mut subscription), [3]);
        log.replace_timeline([entry(2, "web")]);
        append(&log, [10], "web", true);
        assert_eq!(take(&mut subscription), [0, 10]);
        assert_eq!(log.timeline(&service("web"), 9, None).len(), 2);
    }

    #[test]
    fn each_service_keeps_its_latest_entries() {
        let log = EventLog::new((1..=999).map(|id| entry(id, "web")));
        append(&log, [1000], "shop", true);
        assert_eq!(append(&log, [1001], "web", true), Vec::<u64>::new());
        assert_eq!(append(&log, [1002, 1003], "web", true), [1, 2]);
        let latest: Vec<u64> =
            log.timeline(&service("web"), 3, Some(EventId(1003))).iter().map(|entry| entry.id.0).collect();
        assert_eq!(latest, [1002, 1001, 999]);
        assert_eq!(log.timeline(&service("web"), usize::MAX, None).len(), TIMELINE_PER_SERVICE);
    }

    #[test]
    fn more_than_there_is_room_for_at_once_keeps_the_latest() {
        let log = EventLog::new([entry(1, "web")]);
        assert_eq!(append(&log, 2..=1501, "web", true), [1]);
        let kept = log.timeline(&service("web"), usize::MAX, None);
        let bounds = (kept.len(), kept[0].id.0, kept[999].id.0);
        assert_eq!(bounds, (TIMELINE_PER_SERVICE, 1501, 502));
    }
}
