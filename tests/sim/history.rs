//! One history: what happens, in an order that the seed decides, and what is checked after every step.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;

use cutover_control::error::SubmitError;
use cutover_core::backend::{AdminState, Weight};
use cutover_core::command::{Change, Command, Flip, Registration, Rollback, Sessions};
use cutover_core::entropy::Entropy;
use cutover_core::id::{Epoch, GateName, HoldName, VersionLabel};
use cutover_core::policy::{Affinity, DrainPolicy, FlipMode, FlipPolicy, PinMode, PinPolicy, Policy};
use cutover_core::time::{Millis, Timestamp};
use cutover_core::version::{DrainedBy, Role};

use crate::clients::{PinBook, Scene, Session};
use crate::faults::Disk;
use crate::fleet::{Fleet, MACHINES, PROBED, machine, version};
use crate::ledger::Ledger;
use crate::node::{Node, WORKERS, web};

const STEPS: u32 = 400;
const SESSIONS: usize = 8;

/// What happened in a history, so that a run can tell that anything did.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Totals {
    served: u64,
    failed: u64,
    acknowledged: u64,
    refused: u64,
    unanswered: u64,
    flips: u64,
    drained: u64,
    crashes: u64,
}

struct History {
    dice: Entropy,
    now: Timestamp,
    policy: Arc<Policy>,
    disk: Disk,
    node: Option<Node>,
    fleet: Fleet,
    sessions: Vec<Session>,
    pins: PinBook,
    ledger: Ledger,
    epoch: Epoch,
    /// Flips that wait for the workers, and the last one that does not any more.
    unserved: Vec<(u64, Epoch)>,
    acknowledged: Epoch,
    roles: BTreeMap<VersionLabel, Role>,
    totals: Totals,
}

/// Runs the history of a seed.
pub(crate) fn run(seed: u64) -> Totals {
    let mut history = History::new(seed);
    for _ in 0..STEPS {
        history.step();
    }
    history.ends_well();
    history.totals
}

fn policy(dice: &mut Entropy) -> Policy {
    let mode = if dice.below(2) == 0 { FlipMode::Manual } else { FlipMode::Auto };
    // Without pins only requests in flight hold a version back.
    let pins = if dice.below(4) == 0 { PinMode::None } else { PinMode::Session };
    Policy {
        affinity: if dice.below(3) == 0 { Affinity::Backend } else { Affinity::Version },
        flip: FlipPolicy { mode, stable_for: Millis(2000), ..FlipPolicy::default() },
        pin: PinPolicy {
            mode: pins,
            idle: Millis::from_secs(20),
            life: Millis::from_secs(120),
            ..PinPolicy::default()
        },
        drain: DrainPolicy { deadline: Millis::from_secs(90), spread: Millis::from_secs(10) },
        ..Policy::default()
    }
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Entropy::new(seed);
        let (policy, disk, now) = (Arc::new(policy(&mut dice)), Disk::new(), Timestamp(1_700_000_000_000));
        let node = Node::start(&disk, &policy, &mut dice, now);
        Self {
            dice,
            now,
            policy,
            disk,
            node: Some(node),
            fleet: Fleet::new(),
            sessions: vec![Session::default(); SESSIONS],
            pins: PinBook::default(),
            ledger: Ledger::default(),
            epoch: Epoch(0),
            unserved: Vec::new(),
            acknowledged: Epoch(0),
            roles: BTreeMap::new(),
            totals: Totals::default(),
        }
    }

    fn node(&mut self) -> &mut Node {
        self.node.as_mut().unwrap()
    }

    fn step(&mut self) {
        let span = Millis(self.dice.below(1500));
        self.pass(span);
        match self.dice.below(40) {
            0 => self.crash(),
            1 => self.crash_in_the_middle(),
            2..8 => self.restart_a_machine(),
            8 => self.stop_a_machine(),
            9..20 => {
                let change = self.something();
                self.ask(&change);
            }
            20 => {
                let at = self.dice.below(WORKERS as u64) as usize;
                self.node().workers[at].catch_up();
            }
            _ => (0..4).for_each(|_| self.request()),
        }
        self.check();
    }

    /// Lets time pass: requests end, probes and ticks run.
    fn pass(&mut self, span: Millis) {
        self.now = self.now + span;
        let now = self.now;
        let policy = Arc::clone(&self.policy);
        let node = self.node.as_mut().unwrap();
        node.workers.iter_mut().for_each(|worker| worker.finish(now));
        let found = self.fleet.probe(node.service(), &policy.health, now);
        node.tick(found, now);
    }

    fn request(&mut self) {
        let at = self.dice.below(WORKERS as u64) as usize;
        let who = self.dice.below(SESSIONS as u64) as usize;
        if self.dice.below(20) == 0 {
            self.sessions[who] = Session::default();
        }
        let versions = self.node.as_ref().unwrap().service().versions.values();
        let proven =
            versions.filter(|version| version.drained.is_some_and(|drained| drained.by == DrainedBy::Proof));
        let drained = proven.map(|version| version.label.to_string()).collect();
        let mut scene = Scene {
            policy: &self.policy,
            fleet: &self.fleet,
            pins: &mut self.pins,
            acknowledged: self.acknowledged,
            drained: &drained,
            now: self.now,
        };
        let worker = &mut self.node.as_mut().unwrap().workers[at];
        let is_served = self.sessions[who].request(worker, &mut scene, &mut self.dice);
        if is_served { self.totals.served += 1 } else { self.totals.failed += 1 }
    }

    /// A machine gets another process, of a newer version more often than of an older one. Half of them say so by registering.
    fn restart_a_machine(&mut self) {
        let newest = 1 + self.epoch.0;
        let number = (newest + self.dice.below(3)).saturating_sub(1).max(1);
        let id = machine(self.dice.below(MACHINES));
        self.fleet.machines.get_mut(&id).unwrap().running = Some(version(number));
        let is_known = self.node().service().backends.contains_key(&id);
        if !is_known || self.dice.below(2) == 0 {
            let change = Change::Register(registration(&id, number));
            self.ask(&change);
        }
    }

    fn stop_a_machine(&mut self) {
        let id = machine(self.dice.below(MACHINES));
        self.fleet.machines.get_mut(&id).unwrap().running = None;
    }

    /// Something that an operator or a script may want.
    fn something(&mut self) -> Change {
        let versions: Vec<VersionLabel> = self.node().service().versions.keys().cloned().collect();
        let some = match versions.len() as u64 {
            0 => version(1),
            count => versions[self.dice.below(count) as usize].clone(),
        };
        let backend = machine(self.dice.below(MACHINES));
        let by = "ops".to_owned();
        match self.dice.below(24) {
            0..10 => Change::Flip(Flip { to: some, if_epoch: None, force: self.dice.below(3) == 0 }),
            10 => {
                let sessions = if self.dice.below(2) == 0 { Sessions::Move } else { Sessions::Keep };
                Change::Rollback(Rollback { if_epoch: None, sessions, reason: "bad".into() })
            }
            11 => Change::Deregister { backend, drain: Millis(0) },
            12 => Change::Patch { backend, admin: Some(AdminState::Maint), weight: None, force: true, by },
            13 | 14 => Change::Patch {
                backend,
                admin: Some(AdminState::Ready),
                weight: Weight::new(2),
                force: false,
                by,
            },
            15 => Change::Patch { backend, admin: Some(AdminState::Drain), weight: None, force: false, by },
            16 => {
                let gate = GateName::parse("smoke").unwrap();
                Change::SetGate {
                    version: some,
                    gate,
                    is_open: self.dice.below(2) == 0,
                    note: String::new(),
                    by,
                }
            }
            17 => Change::SetHold {
                version: some,
                hold: HoldName::parse("cron").unwrap(),
                ttl: Millis(30_000),
                by,
            },
            18 => Change::DropHold { version: some, hold: HoldName::parse("cron").unwrap() },
            19 => Change::Evict(some),
            20 => Change::Reject { version: some, reason: "no".into() },
            21 => Change::Clear(some),
            22 => Change::Freeze { reason: "sale".into(), until: None, by },
            _ => Change::Unfreeze,
        }
    }

    fn ask(&mut self, change: &Change) {
        self.ledger.attempt(change);
        let now = self.now;
        let outcome = self.node().submit(Command::Service(web(), change.clone()), now);
        self.learn(change, outcome);
    }

    fn learn(&mut self, change: &Change, outcome: Result<cutover_control::handle::Done, SubmitError>) {
        match outcome {
            Ok(done) => {
                let service = &done.state.services[&web()];
                self.ledger.acknowledge(change, service, self.now);
                self.totals.acknowledged += 1;
                if let Change::Flip(_) | Change::Rollback(_) = change {
                    self.unserved.push((done.generation, service.epoch));
                    self.totals.flips += 1;
                }
            }
            Err(SubmitError::Rejected(_)) => self.totals.refused += 1,
            Err(_) => self.totals.unanswered += 1,
        }
    }

    fn crash(&mut self) {
        self.node = None;
        self.start_again();
    }

    fn crash_in_the_middle(&mut self) {
        let (change, polls) = (self.something(), self.dice.below(6) as u32);
        self.ledger.attempt(&change);
        let node = self.node.take().unwrap();
        if let Some(outcome) = node.submit_and_crash(change.clone(), polls, self.now) {
            self.learn(&change, outcome);
        }
        self.start_again();
    }

    fn start_again(&mut self) {
        self.totals.crashes += 1;
        self.unserved.clear();
        self.fleet.forget_probes();
        self.node = Some(Node::start(&self.disk, &self.policy, &mut self.dice, self.now));
        self.roles = self
            .node()
            .service()
            .versions
            .values()
            .map(|version| (version.label.clone(), version.role))
            .collect();
    }

    /// What must hold after every step.
    fn check(&mut self) {
        let node = self.node.as_ref().unwrap();
        let service = Arc::clone(node.service());
        assert!(service.epoch >= self.epoch, "epochs only grow");
        self.epoch = service.epoch;
        self.ledger.check(&service, self.now);
        self.unserved.retain(|&(generation, epoch)| {
            let is_served = node.controller.is_served(generation);
            if is_served {
                self.acknowledged = self.acknowledged.max(epoch);
            }
            !is_served
        });
        for version in service.versions.values() {
            let before = self.roles.insert(version.label.clone(), version.role);
            if version.role == Role::Drained && before != Some(Role::Drained) {
                self.totals.drained += 1;
                if version.drained.is_some_and(|drained| drained.by == DrainedBy::Proof)
                    && before == Some(Role::Draining)
                {
                    self.check_drained(&version.label);
                }
            }
        }
    }

    fn check_drained(&self, label: &VersionLabel) {
        let in_flight = |worker: &crate::node::Worker| {
            worker.in_flight.iter().any(|(_, version, _)| version == label.as_str())
        };
        assert!(
            !self.node.as_ref().unwrap().workers.iter().any(in_flight),
            "G7: {label} drained with a request in flight"
        );
        assert!(self.pins.is_over(label.as_str(), self.now), "G7: {label} drained with a pin alive");
        assert!(!self.ledger.is_held(label, self.now), "G7: {label} drained with a hold");
    }

    /// Once faults stop, a deployment of everything completes and the old versions leave.
    fn ends_well(&mut self) {
        self.disk.heal();
        self.ask(&Change::Unfreeze);
        let last = 1000;
        for number in 0..MACHINES {
            let id = machine(number);
            self.fleet.machines.get_mut(&id).unwrap().running = Some(version(last));
            self.ask(&Change::Register(registration(&id, last)));
            let (admin, by) = (Some(AdminState::Ready), "ops".to_owned());
            self.ask(&Change::Patch { backend: id, admin, weight: None, force: false, by });
        }
        self.pass_slowly(PROBED);
        if self.node().service().active != Some(version(last)) {
            let flip = Flip { to: version(last), if_epoch: None, force: false };
            let now = self.now;
            let outcome = self.node().submit(Command::Service(web(), Change::Flip(flip)), now);
            outcome.unwrap_or_else(|error| panic!("liveness: the last flip was refused: {error}"));
        }
        self.node().workers.iter_mut().for_each(crate::node::Worker::catch_up);
        self.pass_slowly(Millis::from_secs(200));
        for version in self.node().service().versions.values() {
            assert!(version.role != Role::Draining, "liveness: {} still drains", version.label);
        }
        let before = self.totals.served;
        (0..20).for_each(|_| self.request());
        assert_eq!(self.totals.served - before, 20, "liveness: requests fail although everything is up");
    }

    fn pass_slowly(&mut self, span: Millis) {
        for _ in 0..span.0 / 500 {
            self.pass(Millis(500));
            self.check();
        }
    }
}

fn registration(backend: &cutover_core::id::BackendId, number: u64) -> Registration {
    Registration {
        backend: backend.clone(),
        address: format!("{backend}.test:80").parse().unwrap(),
        version: Some(version(number)),
        weight: Weight::ONE,
        ttl: None,
        boot_id: None,
        zone: None,
        metadata: BTreeMap::new(),
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.served += other.served;
        self.failed += other.failed;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.flips += other.flips;
        self.drained += other.drained;
        self.crashes += other.crashes;
    }
}

impl Totals {
    /// A simulation in which nothing happens proves nothing.
    pub(crate) fn assert_eventful(&self) {
        let rates = [
            self.served,
            self.acknowledged,
            self.refused,
            self.unanswered,
            self.flips,
            self.drained,
            self.crashes,
        ];
        assert!(rates.iter().all(|&count| count > 100), "{self:?}");
    }
}
