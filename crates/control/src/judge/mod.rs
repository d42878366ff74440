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
use std::sync::Arc;

use cutover_core::answers::Tally;
use cutover_core::bake;
use cutover_core::command::{Judgement, Ruling};
use cutover_core::id::{ServiceName, VersionLabel};
use cutover_core::service::Service;
use cutover_core::snapshot::Snapshot;
use cutover_core::state::State;
use cutover_core::time::Timestamp;

pub use self::board::VerdictBoard;
use self::running::Running;
use self::window::Window;
use crate::metrics::Metrics;
use crate::walk::differences;

/// The judge of all services.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// How the active versions answered lately: what a flip freezes.
    windows: BTreeMap<ServiceName, Window>,
    running: BTreeMap<ServiceName, Running>,
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
            let window = self.windows.get(&service.name).filter(|window| window.is_of(&bake.from));
            let lately = window.map_or_else(|| tally.clone(), |window| window.lately(&tally));
            let ruling = Ruling::Baseline((&lately).into());
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
        let over: Vec<ServiceName> = self
            .running
            .iter()
            .filter(|(name, running)| {
                !state.services.get(*name).is_some_and(|service| running.is_of(service))
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in over {
            self.running.remove(&name);
            self.board.forget(&name);
            metrics.show_evidence(&name, None);
        }
        let mut judgements = Vec::new();
        for (name, service) in &state.services {
            if !service.policy.bake.duration.is_zero() {
                self.follow(service, snapshot, now);
            }
            let Some(watched) = running::watched(service) else { continue };
            let running = match self.running.get_mut(name) {
                Some(running) => running,
                None => {
                    let Some(running) = Running::begin(watched, snapshot, name, now) else { continue };
                    self.running.entry(name.clone()).or_insert(running)
                }
            };
            let verdict = running.look(service, snapshot, now);
            if running.is_decided(now) {
                let ruling = Ruling::Verdict(verdict.clone());
                judgements.push(Judgement { service: name.clone(), epoch: service.epoch, ruling });
            }
            metrics.show_evidence(name, Some(&verdict));
            self.board.note(name, verdict);
        }
        judgements
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

/// What the cells of a version say; `None` when the data plane does not know it.
fn tally(snapshot: &Snapshot, service: &ServiceName, version: &VersionLabel) -> Option<Tally> {
    let version = snapshot.service(service)?.version(version.as_str())?;
    Some(version.traffic.answers.tally())
}
