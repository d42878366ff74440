//! Active health checks: asks every backend, again and again, whether it answers and which version it runs.
//!
//! One task holds the [`schedule`] of all backends and starts a short task for each probe, of which only so many run at a time. The
//! controller hears of it only when an answer contradicts what it believes.

mod ask;
mod board;
mod connect;
mod grpc;
mod h2;
mod http;
mod schedule;
mod target;
#[cfg(test)]
mod tests;
mod told;

use std::collections::HashMap;
use std::sync::Arc;

use cutover_core::state::State;
use cutover_resolve::Names;
use cutover_tls::client::Connectors;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use self::ask::Means;
pub use self::ask::{Answer, Asked, Failure, Question};
pub use self::board::{ProbeBoard, ProbeReport};
pub use self::schedule::Schedule;
pub use self::target::{Key, News};
use crate::clock::Clock;
use crate::handle::Current;
use crate::metrics::Metrics;
use crate::reconcile;
use cutover_core::command::Found;

/// Probes that run at a time. Each has a socket; the rest of the due ones wait their turn, the longest waiting first.
const IN_FLIGHT_MAX: usize = 512;

/// Probes all backends of the state that it follows.
pub(crate) struct Prober {
    pub(crate) current: watch::Receiver<Current>,
    pub(crate) findings: mpsc::Sender<Found>,
    /// Notified when a probe noticed that a process is gone.
    pub(crate) suspicion: Arc<Notify>,
    pub(crate) board: Arc<ProbeBoard>,
    pub(crate) metrics: Metrics,
    pub(crate) connectors: Arc<Connectors>,
    pub(crate) names: Names,
    pub(crate) clock: Clock,
}

impl Prober {
    /// Runs until the controller ends.
    pub(crate) async fn run(mut self) {
        let began = self.clock.began();
        let mut schedule = Schedule::new(Instant::now().into_std());
        let means = Means { names: self.names.clone(), connectors: Arc::clone(&self.connectors) };
        let mut asking = Asking::default();
        self.follow(&mut schedule, began);
        loop {
            self.ask(&mut schedule, &mut asking, &means);
            let next = if asking.is_full() { None } else { schedule.next_at() };
            let next = next.map(Instant::from_std);
            tokio::select! {
                changed = self.current.changed() => match changed {
                    Ok(()) => self.follow(&mut schedule, began),
                    Err(_) => return,
                },
                Some(asked) = asking.next() => self.hear(&mut schedule, &asked),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    fn follow(&mut self, schedule: &mut Schedule, began: cutover_core::time::Timestamp) {
        let state = Arc::clone(&self.current.borrow_and_update().state);
        for (service, backend) in schedule.follow(&state, began, Instant::now().into_std()) {
            self.board.forget(&service, &backend);
        }
    }

    fn ask(&self, schedule: &mut Schedule, asking: &mut Asking, means: &Means) {
        while !asking.is_full() {
            let Some(question) = schedule.take_due(Instant::now().into_std()) else { return };
            asking.start(question, means);
        }
    }

    fn hear(&self, schedule: &mut Schedule, asked: &Asked) {
        let (service, backend) = &asked.key;
        let state = Arc::clone(&self.current.borrow().state);
        let report = asked.report(self.clock.now());
        self.metrics.count_probe(service, report.is_ok);
        if !schedule.has(&asked.key) {
            return;
        }
        self.board.note(service, backend, report);
        match schedule.hear(asked, &state, Instant::now().into_std()) {
            News::None => {}
            News::Found { finding, is_another } => {
                let (service, backend) = asked.key.clone();
                let found = Found { service, backend, generation: asked.generation, finding };
                if self.findings.try_send(found).is_err() {
                    schedule.unsaid(&asked.key);
                }
                if is_another {
                    self.disown(&state, asked);
                }
            }
            News::ProcessGone => {
                if self.disown(&state, asked) {
                    self.suspicion.notify_one();
                }
            }
        }
    }

    /// Tells the workers, by the cell that they use among themselves, that the process may have been replaced. The controller sees it at its
    /// next tick at the latest. Answers whether that is news.
    fn disown(&self, state: &State, asked: &Asked) -> bool {
        let (name, backend) = &asked.key;
        let is_strict =
            state.services.get(name).is_some_and(|service| service.policy.identity.source.is_strict());
        let snapshot = Arc::clone(&self.current.borrow().snapshot);
        let entry = reconcile::entry(&snapshot, name, backend).filter(|_| is_strict);
        entry.is_some_and(|entry| entry.traffic.note_identity_lost(asked.generation))
    }
}

/// The probes that run.
#[derive(Default)]
struct Asking {
    tasks: JoinSet<Asked>,
    /// What each was asked: whom, which process, by which question.
    keys: HashMap<Id, (Key, u32, u64)>,
}

impl Asking {
    fn is_full(&self) -> bool {
        self.tasks.len() >= IN_FLIGHT_MAX
    }

    fn start(&mut self, question: Question, means: &Means) {
        let asked = (question.key.clone(), question.generation, question.number);
        let task = self.tasks.spawn(ask::ask(question, means.clone()));
        self.keys.insert(task.id(), asked);
    }

    async fn next(&mut self) -> Option<Asked> {
        loop {
            let (id, asked) = match self.tasks.join_next_with_id().await? {
                Ok((id, asked)) => (id, Ok(asked)),
                Err(error) => (error.id(), Err(error)),
            };
            let Some(question) = self.keys.remove(&id) else { continue };
            return Some(asked.unwrap_or_else(|error| broken(question, &error)));
        }
    }
}

/// A bug in a probe must not end the probing of its backend.
fn broken((key, generation, number): (Key, u32, u64), error: &JoinError) -> Asked {
    tracing::error!(%error, service = %key.0, backend = %key.1, "a probe broke");
    let failure = Failure { detail: "the probe broke".to_owned(), is_process_gone: false };
    Asked { key, generation, number, outcome: Err(failure), took: std::time::Duration::ZERO }
}
