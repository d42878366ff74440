//! How every history ends well: once faults stop, everything that was begun completes.

use cutover_core::backend::{AdminState, Weight};
use cutover_core::command::{Change, Flip};
use cutover_core::id::BackendId;
use cutover_core::roll::State;
use cutover_core::schema::SetSchema;
use cutover_core::suspend::Suspended;
use cutover_core::time::Millis;
use cutover_core::version::Role;

use crate::fleet::{PROBED, version};
use crate::history::History;
use crate::roller::Roller;

/// The version that everything is deployed to when faults stop, and the one that the fleet is rolled to then.
const DEPLOYED: u64 = 1000;
const ROLLED: u64 = 1001;
/// What a roll may take: backends wait for drains, one after the other, and drains for their deadline by clocks that may be minutes behind.
const ROLL_MAX: Millis = Millis::from_secs(3600);

impl History {
    pub(crate) fn ends_well(&mut self) {
        self.faults_stop();
        self.deploys();
        self.rolls();
    }

    fn faults_stop(&mut self) {
        self.disk.heal();
        (self.prober.is_reliable, self.agents.is_reliable, self.roller) = (true, true, None);
        drop(self.ask(&Change::Resume(Suspended::Flips)));
        drop(self.ask(&Change::SetSchema(SetSchema { schema: None, force: false })));
        drop(self.ask(&Change::AbortRoll { reason: "all is well".into() }));
        let is_past = |id: &&BackendId| self.fleet.named(id).is_none();
        let past: Vec<BackendId> = self.service().backends.keys().filter(is_past).cloned().collect();
        for backend in past {
            drop(self.ask(&Change::Deregister { backend, drain: Millis(0) }));
        }
    }

    /// A deployment of everything at once completes, and the old versions leave.
    fn deploys(&mut self) {
        self.deploy_everywhere(DEPLOYED);
        for machine in self.fleet.numbers() {
            let backend = self.fleet.machine(machine).name.clone();
            let (admin, weight) = (Some(AdminState::Ready), Some(Weight::ONE));
            drop(self.ask(&Change::Patch { backend, admin, weight, force: false, by: "ops".to_owned() }));
        }
        self.pass_slowly(PROBED);
        if self.service().active != Some(version(DEPLOYED)) {
            // Of a fleet that lost most of its registrations, what is left is no quorum: that is for people to decide.
            let force = self.service().expected_weight() > self.fleet.numbers().end;
            let flip = Flip { to: version(DEPLOYED), if_epoch: None, force };
            let outcome = self.ask(&Change::Flip(flip));
            outcome.unwrap_or_else(|error| panic!("liveness: the last flip was refused: {error}"));
        }
        self.node().workers.iter_mut().for_each(crate::worker::Worker::catch_up);
        self.pass_slowly(Millis::from_secs(200));
        self.assert_settled();
        assert!((0..20).all(|_| self.request()), "liveness: requests fail although everything is up");
    }

    /// A roll by permits goes through, and nobody notices.
    fn rolls(&mut self) {
        self.roller = Some(Roller::new(&self.fleet, version(ROLLED), &mut self.dice).careful());
        let begun = self.now;
        while self.roller.is_some() {
            let roll = &self.service().roll;
            assert!(self.now.since(begun) < ROLL_MAX, "liveness: the roll does not end: {roll:?}");
            self.pass(Millis(500));
            self.roll_step();
            assert!((0..2).all(|_| self.request()), "G5: a request failed in a roll by permits");
            self.check();
        }
        self.node().workers.iter_mut().for_each(crate::worker::Worker::catch_up);
        self.pass_slowly(Millis::from_secs(200));
        self.assert_settled();
        let service = self.service();
        assert_eq!(
            service.active,
            Some(version(ROLLED)),
            "liveness: everything was rolled, and nobody flipped"
        );
        assert_eq!(service.roll.state, State::Done, "liveness: {:?}", service.roll);
    }

    /// One version is active and everything runs it; nothing drains and no permit is out.
    fn assert_settled(&self) {
        let service = self.service();
        for version in service.versions.values() {
            assert!(version.role != Role::Draining, "liveness: {} still drains", version.label);
        }
        for backend in service.backends.values() {
            assert!(backend.is_usable(), "liveness: {backend:?}");
            assert_eq!(backend.version, service.active, "liveness: {} is left behind", backend.id);
        }
        assert!(service.roll.permits.is_empty(), "liveness: {:?}", service.roll);
    }

    fn pass_slowly(&mut self, span: Millis) {
        for _ in 0..span.0 / 500 {
            self.pass(Millis(500));
            self.check();
        }
    }
}
