//! When which backend is asked next. The phases of all backends are spread evenly over their intervals, by a hash of their names, so that
//! ten thousand of them make a stream and not a burst. Out of turn are asked those for whose answer somebody waits.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cutover_core::backend::Backend;
use cutover_core::id::BackendId;
use cutover_core::mix;
use cutover_core::service::Service;
use cutover_core::state::State;
use cutover_core::time::Timestamp;

use super::ask::{Asked, Question};
use super::target::{Key, News, Target};
use crate::walk::differences;

/// The shortest interval that is honoured, whatever the policy says.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Time to the first question out of turn after one that was not answered well; it doubles with each. An app is rarely back sooner.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// Time between questions while a permit is out: a restart must be seen, and nobody may go on before it was.
const PERMIT_INTERVAL: Duration = Duration::from_millis(100);

/// When which backend is asked next.
#[derive(Debug)]
pub struct Schedule {
    began: Instant,
    targets: BTreeMap<Key, Slot>,
    due: BTreeSet<(Instant, Key)>,
    state: Arc<State>,
    /// Questions so far.
    questions: u64,
}

#[derive(Debug)]
struct Slot {
    target: Target,
    turn: Turn,
    /// Questions in a row that were asked because the one before was not answered well.
    retries: u32,
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    /// It is asked then.
    At(Due),
    /// It is being asked. Afterwards it is asked again at once if its process is suspected to have been replaced meanwhile.
    Asking { number: u64, is_out_of_turn: bool, is_suspect: bool },
}

/// When a backend is asked, and whether that is its turn.
#[derive(Debug, Clone, Copy)]
struct Due {
    at: Instant,
    is_out_of_turn: bool,
}

impl Schedule {
    /// An empty schedule, whose phases count from `began`.
    pub fn new(began: Instant) -> Self {
        Self { began, targets: BTreeMap::new(), due: BTreeSet::new(), state: Arc::default(), questions: 0 }
    }

    /// Takes over the backends of `state` and answers which are gone. New and suspected ones are asked at once.
    pub fn follow(&mut self, state: &Arc<State>, process_began: Timestamp, now: Instant) -> Vec<Key> {
        let old = std::mem::replace(&mut self.state, Arc::clone(state));
        let mut gone = Vec::new();
        let none = BTreeMap::new();
        for (name, before, after) in differences(&old.services, &state.services) {
            let [old, new] =
                [before, after].map(|service| service.map_or(&none, |service| &service.backends));
            for (id, _, backend) in differences(old, new) {
                let key = (name.clone(), id.clone());
                match backend {
                    Some(backend) => self.follow_backend(key, backend, process_began, now),
                    None => {
                        self.remove(&key);
                        gone.push(key);
                    }
                }
            }
            for id in after.into_iter().flat_map(|after| new_permits(before, after)) {
                self.hurry(&(name.clone(), id.clone()), now);
            }
        }
        gone
    }

    /// When the next backend is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Whether the backend is still there.
    pub fn has(&self, key: &Key) -> bool {
        self.targets.contains_key(key)
    }

    /// The question to the backend that has been due for longest.
    pub fn take_due(&mut self, now: Instant) -> Option<Question> {
        while self.next_at()? <= now {
            let (_, key) = self.due.pop_first()?;
            let Some(slot) = self.targets.get_mut(&key) else { continue };
            let Some(service) = self.state.services.get(&key.0) else { continue };
            let Some(backend) = service.backends.get(&key.1) else { continue };
            let Turn::At(Due { is_out_of_turn, .. }) = slot.turn else { continue };
            self.questions += 1;
            slot.turn = Turn::Asking { number: self.questions, is_out_of_turn, is_suspect: false };
            return Some(Question::new(key, self.questions, service, backend));
        }
        None
    }

    /// Takes in the outcome of a probe, plans the next one, and says what is news given what the controller believes in `state`.
    pub fn hear(&mut self, asked: &Asked, state: &State, now: Instant) -> News {
        let Some(service) = state.services.get(&asked.key.0) else { return News::None };
        let Some(backend) = service.backends.get(&asked.key.1) else { return News::None };
        let regular = self.next_turn(&asked.key, service, now);
        let Some(slot) = self.targets.get_mut(&asked.key) else { return News::None };
        // Whoever was removed and came back has other questions to answer.
        let Turn::Asking { number, is_out_of_turn, is_suspect } = slot.turn else { return News::None };
        if number != asked.number {
            return News::None;
        }
        // What was asked of one process says nothing about the next.
        let is_current = [slot.target.generation(), backend.generation] == [asked.generation; 2];
        let news = match is_current {
            true => slot.target.hear(&asked.outcome, is_out_of_turn, (service, backend), now),
            false => News::None,
        };
        let due = match is_suspect {
            true => Due { at: now, is_out_of_turn: true },
            false => slot.plan(service, backend, regular, now),
        };
        slot.turn = Turn::At(due);
        self.due.insert((due.at, asked.key.clone()));
        news
    }

    /// Says that the last news about a backend did not reach the controller.
    pub fn unsaid(&mut self, key: &Key) {
        if let Some(slot) = self.targets.get_mut(key) {
            slot.target.unsaid();
        }
    }

    fn follow_backend(&mut self, key: Key, backend: &Backend, process_began: Timestamp, now: Instant) {
        match self.targets.get_mut(&key) {
            Some(slot) => {
                if slot.target.follow(backend) {
                    self.hurry(&key, now);
                }
            }
            None => self.add(key, backend, process_began, now),
        }
    }

    fn add(&mut self, key: Key, backend: &Backend, process_began: Timestamp, now: Instant) {
        let target = Target::new(backend, process_began);
        self.due.insert((now, key.clone()));
        let turn = Turn::At(Due { at: now, is_out_of_turn: false });
        self.targets.insert(key, Slot { target, turn, retries: 0 });
    }

    fn remove(&mut self, key: &Key) {
        if let Some(Slot { turn: Turn::At(due), .. }) = self.targets.remove(key) {
            self.due.remove(&(due.at, key.clone()));
        }
    }

    fn hurry(&mut self, key: &Key, now: Instant) {
        let Some(slot) = self.targets.get_mut(key) else { return };
        slot.retries = 0;
        match &mut slot.turn {
            Turn::Asking { is_suspect, .. } => *is_suspect = true,
            Turn::At(due) => {
                self.due.remove(&(due.at, key.clone()));
                *due = Due { at: now, is_out_of_turn: true };
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

impl Slot {
    /// When the backend is asked next: at its turn, which is at `regular`, or before if somebody waits for what it answers.
    fn plan(&mut self, service: &Service, backend: &Backend, regular: Instant, now: Instant) -> Due {
        let wait = if service.roll.permits.contains_key(&backend.id) {
            self.retries = 0;
            Some(PERMIT_INTERVAL)
        } else if self.target.is_awaited(backend) {
            // No longer than the interval, so that the count stays small.
            Some(RETRY_FIRST.saturating_mul(2_u32.saturating_pow(self.retries)))
        } else {
            self.retries = 0;
            None
        };
        match wait.map(|wait| now + wait).filter(|&at| at < regular) {
            Some(at) => {
                self.retries += 1;
                Due { at, is_out_of_turn: true }
            }
            None => Due { at: regular, is_out_of_turn: false },
        }
    }
}

/// The backends that got a permit, or asked for one.
fn new_permits<'a>(
    before: Option<&'a Arc<Service>>,
    after: &'a Arc<Service>,
) -> impl Iterator<Item = &'a BackendId> {
    let had = move |id: &BackendId| before.is_some_and(|before| before.roll.permits.contains_key(id));
    after.roll.permits.keys().filter(move |id| !had(id))
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
