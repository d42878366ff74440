//! Looks at the cells of versions that are watched, second by second, and says what is to be thought of them.
//!
//! It stands beside the state: what it finds out becomes a [`Judgement`], about which the core decides. Its running sums are lost with
//! the process and begin anew; what the old version was like until the flip is stored with the bake.

mod board;
mod running;
#[cfg(test)]
mod tests;
mod window;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use cutover_core::answers::Tally;
use cutover_core::bake;
use cutover_core::command::{Judgement, Ruling};
use cutover_core::id::{ServiceName, VersionLabel};
use cutover_core::judge::{Kind, Standing, Verdict};
use cutover_core::service::Service;
use cutover_core::snapshot::Snapshot;
use cutover_core::state::State;
use cutover_core::time::Timestamp;

pub use self::board::VerdictBoard;
use self::running::Running;
use self::window::{Window, lately};
use crate::metrics::Metrics;
use crate::walk::differences;

/// The judge of all services.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// How the active versions answered lately: what a flip freezes.
    windows: BTreeMap<ServiceName, Window>,
    running: BTreeMap<(ServiceName, Kind), Running>,
    board: Arc<VerdictBoard>,
}

impl Judge {
    pub(crate) fn board(&self) -> &Arc<VerdictBoard> {
        &self.board
    }

    /// What a bake is compared with that begins from `before` to `after`: how the version answered lately that is replaced.
    pub(crate) fn freeze(&self, before: &State, after: &State, snapshot: &Snapshot) -> Vec<Judgement> {
        let baseline = |service: &Service, old: Option<&Service>| {
            let bake = service.bake.as_ref().filter(|bake| bake.state == bake::State::Running)?;
            let is_known = old.and_then(|old| old.bake.as_ref()).is_some_and(|old| old.epoch == bake.epoch);
            let tally = tally(snapshot, &service.name, &bake.from).filter(|_| !is_known)?;
            let ruling = Ruling::Baseline(lately(self.windows.get(&service.name), &bake.from, &tally));
            Some(Judgement { service: service.name.clone(), epoch: bake.epoch, ruling })
        };
        let changed = differences(&before.services, &after.services);
        changed.filter_map(|(_, old, new)| baseline(new?, old.map(|old| &**old))).collect()
    }

    /// Looks at the cells. Answers what is to be decided; what is not decided then is answered again by the next look.
    pub(crate) fn look(
        &mut self,
        state: &State,
        snapshot: &Snapshot,
        metrics: &Metrics,
        now: Timestamp,
    ) -> Vec<Judgement> {
        self.windows.retain(|name, _| state.services.contains_key(name));
        self.forget(state, metrics);
        let mut judgements = Vec::new();
        for (name, service) in &state.services {
            self.follow(service, snapshot, now);
            for watched in running::watched(service) {
                let running = match self.running.entry((name.clone(), watched.kind())) {
                    Entry::Occupied(running) => running.into_mut(),
                    Entry::Vacant(place) => {
                        let cells = (snapshot, self.windows.get(name));
                        let Some(running) = Running::begin(watched, cells, name, now) else { continue };
                        place.insert(running)
                    }
                };
                let verdict = running.look(service, snapshot, now);
                if verdict.standing != Standing::Watching && !is_known(service, &verdict) {
                    let ruling = Ruling::Verdict(verdict.clone());
                    judgements.push(Judgement { service: name.clone(), epoch: service.epoch, ruling });
                }
                metrics.show_evidence(name, verdict.kind, Some(&verdict));
                self.board.note(name, verdict);
            }
        }
        judgements
    }

    /// Forgets the watches that are over.
    fn forget(&mut self, state: &State, metrics: &Metrics) {
        let is_on = |name: &ServiceName, running: &Running| {
            state.services.get(name).is_some_and(|service| running.is_of(service))
        };
        let over = self.running.extract_if(.., |(name, _), running| !is_on(name, running));
        for (watch, _) in over {
            self.board.forget(&watch);
            metrics.show_evidence(&watch.0, watch.1, None);
        }
    }

    /// Follows how the active version answers.
    fn follow(&mut self, service: &Service, snapshot: &Snapshot, now: Timestamp) {
        let Some(active) = &service.active else { return };
        match self.windows.get_mut(&service.name).filter(|window| window.is_of(active)) {
            Some(window) if !window.is_due(now) => {}
            Some(window) => {
                if let Some(tally) = tally(snapshot, &service.name, active) {
                    window.turn(tally, now);
                }
            }
            None => drop(self.windows.insert(service.name.clone(), Window::begin(active.clone(), now))),
        }
    }
}

/// Whether that verdict was given, and its version is watched on all the same.
fn is_known(service: &Service, verdict: &Verdict) -> bool {
    let about = |verdict: &Verdict| (verdict.kind, verdict.since, verdict.standing);
    service.verdict.as_ref().is_some_and(|known| about(known) == about(verdict))
}

/// What the cells of a version say; `None` when the data plane does not know it.
fn tally(snapshot: &Snapshot, service: &ServiceName, version: &VersionLabel) -> Option<Tally> {
    let version = snapshot.service(service)?.version(version.as_str())?;
    Some(version.traffic.answers.tally())
}
