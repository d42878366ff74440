//! The machines: real processes behind addresses, which know better than the proxy what they run; and the probes that ask them.

use std::collections::BTreeMap;

use cutover_core::backend::{Identity, Operational};
use cutover_core::command::{Finding, Found};
use cutover_core::health::Health;
use cutover_core::id::{BackendId, VersionLabel};
use cutover_core::policy::HealthPolicy;
use cutover_core::service::Service;
use cutover_core::time::{Millis, Timestamp};

use crate::node::web;

pub(crate) const MACHINES: u64 = 6;

/// A machine and the process on it, if one runs.
#[derive(Default, Clone)]
pub(crate) struct Machine {
    pub(crate) running: Option<VersionLabel>,
}

/// What the prober remembers of a backend.
struct Asked {
    generation: u32,
    health: Health,
    reported: Option<(u32, Finding)>,
    at: Timestamp,
}

#[derive(Default)]
pub(crate) struct Fleet {
    pub(crate) machines: BTreeMap<BackendId, Machine>,
    asked: BTreeMap<BackendId, Asked>,
    knows_all: bool,
}

pub(crate) fn machine(number: u64) -> BackendId {
    BackendId::parse(&format!("m{number}")).unwrap()
}

pub(crate) fn version(number: u64) -> VersionLabel {
    VersionLabel::parse(&format!("v{number}")).unwrap()
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let machines = (0..MACHINES).map(|number| (machine(number), Machine::default())).collect();
        Self { machines, ..Self::default() }
    }

    /// The process of cutover, and with it what its prober knew, is gone.
    pub(crate) fn forget_probes(&mut self) {
        self.asked.clear();
        self.knows_all = false;
    }

    /// Asks every registered machine that is due, and answers the news.
    pub(crate) fn probe(&mut self, service: &Service, policy: &HealthPolicy, now: Timestamp) -> Vec<Found> {
        self.asked.retain(|id, _| service.backends.contains_key(id));
        let mut news = Vec::new();
        for (id, backend) in &service.backends {
            let is_lost =
                backend.identity == Identity::Unknown && matches!(backend.operational, Operational::Up(_));
            let asked = self.asked.entry(id.clone()).or_insert_with(|| Asked {
                generation: backend.generation,
                // What was there when the process began is believed at its first answer.
                health: if self.knows_all { Health::starting() } else { Health::returning() },
                reported: None,
                at: Timestamp(0),
            });
            if asked.generation != backend.generation {
                asked.generation = backend.generation;
                asked.at = Timestamp(0);
                if is_lost {
                    asked.health = Health::returning();
                }
            }
            if now.since(asked.at) < policy.interval {
                continue;
            }
            asked.at = now;
            let running = self.machines[id].running.clone();
            let finding = match asked.health.count(running.is_some(), policy) {
                Some(true) if running.is_some() => Finding::Up { version: running, boot_id: None },
                Some(false) => Finding::Down,
                _ => continue,
            };
            let report = (backend.generation, finding.clone());
            if asked.reported.as_ref() != Some(&report) {
                asked.reported = Some(report);
                news.push(Found {
                    service: web(),
                    backend: id.clone(),
                    generation: backend.generation,
                    finding,
                });
            }
        }
        self.knows_all = true;
        news
    }
}

/// How long probing everything takes at most, with room to spare.
pub(crate) const PROBED: Millis = Millis(10_000);
