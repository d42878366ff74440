//! When which backend is asked next. The phases of all backends are spread evenly over their intervals, by a hash of their names, so that
//! ten thousand of them make a stream and not a burst.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cutover_core::backend::Backend;
use cutover_core::mix;
use cutover_core::service::Service;
use cutover_core::state::State;
use cutover_core::time::Timestamp;

use super::ask::{Asked, Question};
use super::target::{Key, News, Target};

/// The shortest interval that is honoured, whatever the policy says.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// When which backend is asked next.
pub(super) struct Schedule {
    began: Instant,
    targets: BTreeMap<Key, Slot>,
    due: BTreeSet<(Instant, Key)>,
    state: Arc<State>,
}

struct Slot {
    target: Target,
    turn: Turn,
}

#[derive(Clone, Copy)]
enum Turn {
    /// It is asked then.
    At(Instant),
    /// It is being asked. Afterwards it is asked again at once if its process is suspected to have been replaced meanwhile.
    Asking { is_suspect: bool },
}

impl Schedule {
    /// An empty schedule, whose phases count from `began`.
    pub(super) fn new(began: Instant) -> Self {
        Self { began, targets: BTreeMap::new(), due: BTreeSet::new(), state: Arc::default() }
    }

    /// Takes over the backends of `state` and answers which are gone. New and suspected ones are asked at once.
    pub(super) fn follow(&mut self, state: &Arc<State>, process_began: Timestamp, now: Instant) -> Vec<Key> {
        let old = std::mem::replace(&mut self.state, Arc::clone(state));
        let mut gone = Vec::new();
        for (name, service) in &old.services {
            let new = state.services.get(name);
            if new.is_some_and(|new| Arc::ptr_eq(service, new)) {
                continue;
            }
            let ids = service.backends.keys();
            let left = ids.filter(|&id| !new.is_some_and(|new| new.backends.contains_key(id)));
            gone.extend(left.map(|id| (name.clone(), id.clone())));
        }
        for key in &gone {
            self.remove(key);
        }
        for (name, service) in &state.services {
            if !old.services.get(name).is_some_and(|old| Arc::ptr_eq(service, old)) {
                self.follow_service(service, process_began, now);
            }
        }
        gone
    }

    /// When the next backend is due.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Whether the backend is still there.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.targets.contains_key(key)
    }

    /// The question to the backend that has been due for longest.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Question> {
        while self.next_at()? <= now {
            let (_, key) = self.due.pop_first()?;
            let Some(slot) = self.targets.get_mut(&key) else { continue };
            let Some(service) = self.state.services.get(&key.0) else { continue };
            let Some(backend) = service.backends.get(&key.1) else { continue };
            slot.turn = Turn::Asking { is_suspect: false };
            return Some(Question::new(key, slot.target.generation(), service, backend));
        }
        None
    }

    /// Takes in the outcome of a probe, plans the next one, and says what is news given what the controller believes in `state`.
    pub(super) fn hear(&mut self, asked: &Asked, state: &State, now: Instant) -> News {
        let Some(service) = state.services.get(&asked.key.0) else { return News::None };
        let Some(backend) = service.backends.get(&asked.key.1) else { return News::None };
        let next_at = self.next_turn(&asked.key, service, now);
        let Some(slot) = self.targets.get_mut(&asked.key) else { return News::None };
        let is_suspect = matches!(slot.turn, Turn::Asking { is_suspect: true });
        let at = if is_suspect { now } else { next_at };
        slot.turn = Turn::At(at);
        self.due.insert((at, asked.key.clone()));
        // What was asked of one process says nothing about the next.
        let is_current = [slot.target.generation(), backend.generation] == [asked.generation; 2];
        if is_current { slot.target.hear(&asked.outcome, backend, &service.policy, now) } else { News::None }
    }

    /// Says that the last news about a backend did not reach the controller.
    pub(super) fn unsaid(&mut self, key: &Key) {
        if let Some(slot) = self.targets.get_mut(key) {
            slot.target.unsaid();
        }
    }

    fn follow_service(&mut self, service: &Service, process_began: Timestamp, now: Instant) {
        for (id, backend) in &service.backends {
            let key = (service.name.clone(), id.clone());
            match self.targets.get_mut(&key) {
                Some(slot) => {
                    if slot.target.follow(backend) {
                        self.hurry(&key, now);
                    }
                }
                None => self.add(key, backend, process_began, now),
            }
        }
    }

    fn add(&mut self, key: Key, backend: &Backend, process_began: Timestamp, now: Instant) {
        let target = Target::new(backend, process_began);
        self.due.insert((now, key.clone()));
        self.targets.insert(key, Slot { target, turn: Turn::At(now) });
    }

    fn remove(&mut self, key: &Key) {
        if let Some(Slot { turn: Turn::At(at), .. }) = self.targets.remove(key) {
            self.due.remove(&(at, key.clone()));
        }
    }

    fn hurry(&mut self, key: &Key, now: Instant) {
        let Some(slot) = self.targets.get_mut(key) else { return };
        match &mut slot.turn {
            Turn::Asking { is_suspect } => *is_suspect = true,
            Turn::At(at) => {
                self.due.remove(&(*at, key.clone()));
                *at = now;
                self.due.insert((now, key.clone()));
            }
        }
    }

    /// The next time after `now` in the phase of the backend.
    fn next_turn(&self, key: &Key, service: &Service, now: Instant) -> Instant {
        let interval = Duration::from(service.policy.health.interval).max(INTERVAL_MIN);
        let passed = now.saturating_duration_since(self.began);
        let into = nanos(passed + interval - phase(key, interval)) % nanos(interval);
        now + interval - Duration::from_nanos(into)
    }
}

/// The part of the interval after which a backend's turn comes.
fn phase((service, backend): &Key, interval: Duration) -> Duration {
    let hash = mix::hash(service.as_str().as_bytes()) ^ mix::hash(backend.as_str().as_bytes());
    interval.mul_f64(mix::unit(mix::mix(hash)))
}

/// Nanoseconds of a span; 584 years at most.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
