//! The process that this one replaced, while it finishes what it began: what it still does counts as if this one did it.
//!
//! It follows the state of this process, and says which revision it decides by and what it has in flight. Nothing is believed to have
//! ended, and no change is answered, before it decides by the revision in question, as if it were one more worker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use cutover_core::id::{BackendId, Revision, ServiceName, VersionLabel};
use cutover_core::report::Load;
use cutover_core::snapshot::Snapshot;
use tokio::sync::Notify;

/// What a process has seen that is gone: everything.
const GONE: u64 = u64::MAX;

/// The process before this one, if it still runs.
#[derive(Debug)]
pub struct Elder {
    /// The revision that it decides by.
    seen: AtomicU64,
    /// 0 when there is none.
    pid: AtomicU32,
    news: Notify,
}

/// What a process does that was replaced.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The revision that all of its workers decided by when this was counted.
    pub revision: Revision,
    /// What it does for each version for which it does anything.
    pub loads: BTreeMap<(ServiceName, VersionLabel), Load>,
    /// Requests that each backend answers it.
    pub backends: BTreeMap<(ServiceName, BackendId), u32>,
}

impl Default for Elder {
    fn default() -> Self {
        Self { seen: AtomicU64::new(GONE), pid: AtomicU32::new(0), news: Notify::new() }
    }
}

impl Elder {
    /// Says that there is one, which has not reported yet.
    pub fn begin(&self, pid: u32) {
        self.pid.store(pid, Ordering::Relaxed);
        self.seen.store(0, Ordering::Release);
    }

    /// Takes in what it says.
    pub fn report(&self, snapshot: &Snapshot, report: &Report) {
        note(snapshot, report);
        self.see(report.revision.0.min(GONE - 1));
    }

    /// Says that it has ended. Only the pins are left that it handed out.
    pub fn end(&self, snapshot: &Snapshot) {
        note(snapshot, &Report::default());
        self.pid.store(0, Ordering::Relaxed);
        self.see(GONE);
    }

    /// Its process, while there is one.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Relaxed)).filter(|&pid| pid != 0)
    }

    /// Whether it decides by `revision` or a later one, or nothing any more. What it reported before is in the cells then.
    #[must_use]
    pub fn has_seen(&self, revision: Revision) -> bool {
        self.seen.load(Ordering::Acquire) >= revision.0
    }

    /// Waits until it says something. May be dropped and called again.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    fn see(&self, revision: u64) {
        // After the cells, so that whoever reads that it has seen something reads what it did then.
        self.seen.store(revision, Ordering::Release);
        self.news.notify_one();
    }
}

impl Report {
    /// What this process does, its own elder's part included, by workers that decide by `revision` or later.
    #[must_use]
    pub fn of(snapshot: &Snapshot, revision: Revision) -> Self {
        let mut report = Self { revision, ..Self::default() };
        for service in &snapshot.services {
            for version in &service.versions {
                let load = version.load();
                if load != Load::default() {
                    report.loads.insert((service.name.clone(), version.label.clone()), load);
                }
            }
            for entry in &service.backends {
                let in_flight = entry.traffic.in_flight_everywhere();
                if in_flight > 0 {
                    report.backends.insert((service.name.clone(), entry.id.clone()), in_flight);
                }
            }
        }
        report
    }
}

fn note(snapshot: &Snapshot, report: &Report) {
    for service in &snapshot.services {
        for version in &service.versions {
            let load = report.loads.get(&(service.name.clone(), version.label.clone()));
            version.traffic.note_elsewhere(load.copied().unwrap_or_default());
        }
        for entry in &service.backends {
            let in_flight = report.backends.get(&(service.name.clone(), entry.id.clone()));
            entry.traffic.note_elsewhere(in_flight.copied().unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cutover_core::time::{Millis, Timestamp};

    use super::*;
    use crate::store::MemoryStore;
    use crate::world::{World, label, web};

    fn report(revision: Revision, in_flight: u64) -> Report {
        let load = Load { in_flight, tunnels: 0, latest_pin_expiry: Timestamp(0) };
        Report { revision, loads: [((web(), label("v1")), load)].into(), ..Report::default() }
    }

    /// A world that flipped to v2 while the process before it still runs, without a pin that is alive.
    async fn flipped() -> World {
        let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
        world.controller.elder().begin(7);
        world.flip("v2").await.expect("nothing forbids it");
        world
    }

    fn is_drained(world: &World) -> bool {
        world.web().versions[&label("v1")].drained.is_some()
    }

    /// Long enough for the two looks that a proof takes.
    async fn pass(world: &mut World) {
        for _ in 0..4 {
            world.pass(Millis(100)).await;
        }
    }

    #[tokio::test]
    async fn a_version_is_not_drained_while_the_process_before_has_a_request_of_it() {
        let mut world = flipped().await;
        pass(&mut world).await;
        assert!(!is_drained(&world), "nobody knows what the other process does");

        let says = |world: &World, in_flight| {
            let report = report(world.controller.revision(), in_flight);
            world.controller.elder().report(&world.worker.load(), &report);
        };
        says(&world, 1);
        pass(&mut world).await;
        assert!(!is_drained(&world), "it answers a request");

        says(&world, 0);
        world.pass(Millis(100)).await;
        says(&world, 0);
        pass(&mut world).await;
        assert!(is_drained(&world));
    }

    #[tokio::test]
    async fn what_it_says_of_an_older_revision_proves_nothing() {
        let mut world = flipped().await;
        let old = report(Revision(world.controller.revision().0 - 1), 0);
        for _ in 0..4 {
            world.controller.elder().report(&world.worker.load(), &old);
            world.pass(Millis(100)).await;
        }
        assert!(!is_drained(&world));
    }

    #[tokio::test]
    async fn its_end_ends_everything_but_its_pins() {
        let mut world = flipped().await;
        let pinned_until = world.now + Millis::from_secs(5);
        let mut last = report(world.controller.revision(), 3);
        last.loads.values_mut().for_each(|load| load.latest_pin_expiry = pinned_until);
        world.controller.elder().report(&world.worker.load(), &last);
        world.controller.elder().end(&world.worker.load());

        pass(&mut world).await;
        assert!(!is_drained(&world), "a pin that it handed out is alive");
        world.pass(Millis::from_secs(5)).await;
        pass(&mut world).await;
        assert!(is_drained(&world));
        assert_eq!(world.controller.elder().pid(), None);
    }
}
