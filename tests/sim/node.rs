//! One process of cutover: the real controller, and workers that read what it publishes.

use std::sync::Arc;

use cutover_control::controller::{Controller, Parts};
use cutover_control::error::SubmitError;
use cutover_control::handle::{Done, Request};
use cutover_control::metrics::Metrics;
use cutover_control::store::OperationId;
use cutover_control::timeline::Actor;
use cutover_core::command::{Change, Command, Found};
use cutover_core::entropy::Entropy;
use cutover_core::id::{BackendId, ServiceName};
use cutover_core::policy::Policy;
use cutover_core::publish::{Wake, channel};
use cutover_core::report::Skew;
use cutover_core::service::Service;
use cutover_core::snapshot::{BackendEntry, Snapshot};
use cutover_core::time::Timestamp;

use crate::clocks::Clocks;
use crate::drive::{drive, drive_for};
use crate::faults::Disk;
use crate::fleet::Fleet;
use crate::worker::Worker;

pub(crate) const WORKERS: usize = 3;

pub(crate) struct Node {
    pub(crate) controller: Controller,
    pub(crate) workers: Vec<Worker>,
}

pub(crate) fn web() -> ServiceName {
    ServiceName::parse("web").unwrap()
}

impl Node {
    /// Starts a process on this disk. A disk that fails right then makes it fail to start: it is started again.
    pub(crate) fn start(disk: &Disk, policy: &Arc<Policy>, dice: &mut Entropy, clocks: &Clocks) -> Self {
        (0..100)
            .find_map(|_| Self::try_start(disk, policy, dice, clocks))
            .unwrap_or_else(|| panic!("the process did not start in a hundred tries"))
    }

    fn try_start(disk: &Disk, policy: &Arc<Policy>, dice: &mut Entropy, clocks: &Clocks) -> Option<Self> {
        let now = clocks.wall();
        let wakes = (0..WORKERS).map(|_| -> Wake { Box::new(|| {}) }).collect();
        let (publisher, readers) = channel(Snapshot::default(), wakes, Box::new(|| {}));
        let mut operations = Entropy::new(dice.word());
        let parts = Parts {
            store: disk.open(dice.word()),
            publisher,
            read_policy: |_, _| Ok(Arc::new(Policy::default())),
            draw_operation: Box::new(move || {
                OperationId(u128::from(operations.word()) << 64 | u128::from(operations.word()))
            }),
            metrics: Metrics::unregistered().unwrap(),
            latest_pin: clocks.latest_pin(),
        };
        let controller = drive(Controller::load(parts, now)).ok()?;
        let workers = readers.into_iter().map(Worker::new).collect();
        let mut node = Self { controller, workers };
        let configured = cutover_core::command::Configured {
            name: web(),
            policy: Arc::clone(policy),
            backends: Vec::new(),
        };
        let configure = Command::Configure(vec![configured]);
        node.submit(configure, now).ok()?;
        Some(node)
    }

    pub(crate) fn service(&self) -> &Arc<Service> {
        &self.controller.state().services[&web()]
    }

    pub(crate) fn submit(&mut self, command: Command, now: Timestamp) -> Result<Done, SubmitError> {
        drive(self.controller.handle(request(command), now))
    }

    /// Hands a command in and crashes after so many polls; `None` when it crashed before there was an answer.
    pub(crate) fn submit_and_crash(
        mut self,
        change: Change,
        polls: u32,
        now: Timestamp,
    ) -> Option<Result<Done, SubmitError>> {
        drive_for(polls, self.controller.handle(request(Command::Service(web(), change)), now))
    }

    pub(crate) fn tick(&mut self, found: Vec<Found>, skew: Skew, now: Timestamp) {
        drive(self.controller.found(found, now));
        self.controller.note_skew(skew);
        drive(self.controller.tick(now));
    }

    /// A probe found that the process of this generation may be gone: all workers are told by the cell that they use among themselves.
    /// Answers the backend, if that is news.
    pub(crate) fn disown(&self, id: &BackendId, generation: u32) -> Option<Arc<BackendEntry>> {
        let is_strict = self.service().policy.identity.source.is_strict();
        let entry = self.entry(id).filter(|_| is_strict)?;
        entry.traffic.note_identity_lost(generation).then_some(entry)
    }

    /// A backend as the latest snapshot has it.
    pub(crate) fn entry(&self, id: &BackendId) -> Option<Arc<BackendEntry>> {
        let snapshot = Arc::clone(&self.controller.watch().borrow().snapshot);
        snapshot.service(&web())?.backends.iter().find(|entry| entry.id == *id).cloned()
    }

    /// Remembers that somebody noticed a loss, if it was the loss of the process that is believed to be there.
    pub(crate) fn notice(&self, fleet: &mut Fleet, entry: &BackendEntry, generation: u32) {
        let backend = self.service().backends.get(&entry.id);
        if backend.is_some_and(|backend| backend.generation == generation && backend.address == entry.address)
        {
            fleet.notice(&entry.id);
        }
    }
}

fn request(command: Command) -> Request {
    Request::new(command, Actor::cutover())
}
