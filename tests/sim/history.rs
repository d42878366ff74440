//! One history: what happens, in an order that the seed decides, and what is checked after every step.

use std::collections::BTreeMap;
use std::sync::Arc;

use cutover_control::error::SubmitError;
use cutover_control::handle::Done;
use cutover_core::backend::Identity;
use cutover_core::command::{Change, Command};
use cutover_core::contract::below_floor;
use cutover_core::effect::compare;
use cutover_core::entropy::Entropy;
use cutover_core::id::{BackendId, Epoch, VersionLabel};
use cutover_core::policy::Policy;
use cutover_core::roll::State;
use cutover_core::schema::out_of_range;
use cutover_core::service::Service;
use cutover_core::state::State as CoreState;
use cutover_core::time::{Millis, Timestamp};
use cutover_core::version::{DrainedBy, Role};

use crate::agents::Agents;
use crate::clients::{PinBook, Scene, Session};
use crate::clocks::Clocks;
use crate::faults::Disk;
use crate::fleet::Fleet;
use crate::judging::{self, Judging};
use crate::ledger::Ledger;
use crate::node::{Node, WORKERS, web};
use crate::operator;
use crate::permits;
use crate::prober::Prober;
use crate::roller::Roller;
use crate::scenario::Scenario;
use crate::totals::Totals;

const BEGIN: Timestamp = Timestamp(1_700_000_000_000);
const STEPS: u32 = 400;
const SESSIONS: usize = 8;

pub(crate) struct History {
    pub(crate) dice: Entropy,
    /// The real time.
    pub(crate) now: Timestamp,
    pub(crate) clocks: Clocks,
    pub(crate) policy: Arc<Policy>,
    pub(crate) is_calm: bool,
    pub(crate) disk: Disk,
    pub(crate) node: Option<Node>,
    pub(crate) fleet: Fleet,
    pub(crate) prober: Prober,
    pub(crate) agents: Agents,
    pub(crate) roller: Option<Roller>,
    sessions: Vec<Session>,
    pins: PinBook,
    ledger: Ledger,
    judging: Judging,
    pub(crate) epoch: Epoch,
    /// Flips that wait for the workers, and the last one that does not any more.
    unserved: Vec<(u64, Epoch)>,
    acknowledged: Epoch,
    roles: BTreeMap<VersionLabel, Role>,
    pub(crate) totals: Totals,
    /// Whether it is told what happens.
    is_told: bool,
}

/// Runs the history of a seed, and tells it, if somebody wants to know.
pub(crate) fn run(seed: u64, is_told: bool) -> Totals {
    let mut history = History::new(seed);
    history.is_told = is_told;
    history.tell(|| format!("{:#?}", history.policy));
    for _ in 0..STEPS {
        history.step();
    }
    history.ends_well();
    history.totals
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Entropy::new(seed);
        let scenario = Scenario::draw(&mut dice);
        let policy = Arc::new(Policy { bake: judging::policy(seed), ..scenario.policy });
        let (disk, now) = (Disk::new(), BEGIN);
        let clocks = Clocks::new(now);
        let node = Node::start(&disk, &policy, &mut dice, &clocks);
        Self {
            dice,
            now,
            clocks,
            policy,
            is_calm: scenario.is_calm,
            disk,
            node: Some(node),
            fleet: Fleet::new(scenario.machines, scenario.names_boots),
            prober: Prober::new(now, now),
            agents: Agents::new(scenario.has_leases),
            roller: None,
            sessions: vec![Session::default(); SESSIONS],
            pins: PinBook::default(),
            ledger: Ledger::default(),
            judging: Judging::new(seed),
            epoch: Epoch(0),
            unserved: Vec::new(),
            acknowledged: Epoch(0),
            roles: BTreeMap::new(),
            totals: Totals::default(),
            is_told: false,
        }
    }

    pub(crate) fn node(&mut self) -> &mut Node {
        self.node.as_mut().unwrap()
    }

    fn state(&self) -> Arc<CoreState> {
        Arc::clone(self.node.as_ref().unwrap().controller.state())
    }

    pub(crate) fn service(&self) -> &Arc<Service> {
        self.node.as_ref().unwrap().service()
    }

    fn step(&mut self) {
        let span = Millis(self.dice.below(1500));
        self.pass(span);
        if self.dice.below(2) == 0 {
            self.roll_step();
        }
        match self.dice.below(42) {
            0 => self.crash(),
            1 => self.crash_in_the_middle(),
            2..8 => self.restart_a_machine(),
            8 => self.stop_a_machine(),
            9 => self.change_a_process(),
            10 => self.rename_a_machine(),
            11..20 => {
                let change = operator::something(&Arc::clone(self.service()), &mut self.dice);
                drop(self.ask(&change));
            }
            20 => {
                let at = self.dice.below(WORKERS as u64) as usize;
                self.node().workers[at].catch_up();
            }
            21 | 22 => self.begin_a_roll(),
            23 if self.dice.below(4) == 0 => self.clocks.set(&mut self.dice),
            _ => (0..4).for_each(|_| _ = self.request()),
        }
        self.check();
    }

    /// Lets time pass: requests end, agents and probes report, ticks run.
    pub(crate) fn pass(&mut self, span: Millis) {
        self.now = self.now + span;
        self.clocks.pass(span);
        let now = self.now;
        self.fleet.pass(now);
        self.node().workers.iter_mut().for_each(|worker| worker.finish(now));
        for (machine, beat) in self.agents.step(&self.fleet, now, &mut self.dice) {
            if let Err(SubmitError::Rejected(_)) = self.ask(&beat) {
                self.register(machine);
            }
        }
        let node = self.node.as_ref().unwrap();
        let found = self.prober.step(node, &mut self.fleet, now, &mut self.dice);
        self.tick(found);
    }

    fn tick(&mut self, found: Vec<cutover_core::command::Found>) {
        let (before, skew, now) = (self.state(), self.clocks.skew(), self.clocks.control);
        for found in &found {
            self.tell(|| {
                format!("{} of generation {}: {:?}", found.backend, found.generation, found.finding)
            });
        }
        self.node().tick(found, skew, now);
        self.check_grants(&before);
        self.witness(&before);
    }

    /// A request of one session; answers whether it was served, by the version that it was decided for.
    pub(crate) fn request(&mut self) -> bool {
        let at = self.dice.below(WORKERS as u64) as usize;
        let who = self.dice.below(SESSIONS as u64) as usize;
        if self.dice.below(20) == 0 {
            self.sessions[who] = Session::default();
        }
        let node = self.node.as_mut().unwrap();
        let versions = node.service().versions.values();
        let proven =
            versions.filter(|version| version.drained.is_some_and(|drained| drained.by == DrainedBy::Proof));
        let drained = proven.map(|version| version.label.to_string()).collect();
        let mut scene = Scene {
            policy: &self.policy,
            fleet: &self.fleet,
            pins: &mut self.pins,
            acknowledged: self.acknowledged,
            drained: &drained,
            wall: self.clocks.workers,
            now: self.now,
        };
        let outcome = self.sessions[who].request(&mut node.workers[at], &mut scene, &mut self.dice);
        for entry in &outcome.noticed {
            self.totals.noticed += 1;
            node.notice(&mut self.fleet, entry, entry.generation);
        }
        let service = node.workers[at].service().filter(|_| outcome.is_served);
        if let Some(version) = service.and_then(|service| service.version(self.sessions[who].version())) {
            self.judging.answer(version);
        }
        self.totals.served += u64::from(outcome.is_served);
        self.totals.failed += u64::from(!outcome.is_served);
        self.totals.mixed += u64::from(outcome.is_mixed);
        self.totals.navigated += u64::from(outcome.is_moved);
        self.tell(|| {
            let noticed: Vec<_> =
                outcome.noticed.iter().map(|entry| (entry.id.as_str(), entry.generation)).collect();
            let (served, version) = (outcome.is_served, self.sessions[who].version());
            format!("session {who} at worker {at}: served {served}, of {version}, noticed {noticed:?}")
        });
        self.hear_alarms();
        outcome.is_served && !outcome.is_mixed
    }

    /// What is urgent is decided soon, and seldom before anything else happens.
    pub(crate) fn hear_alarms(&mut self) {
        if self.dice.below(2) == 0 && self.node().controller.take_alarm() {
            self.tick(Vec::new());
        }
    }

    /// Tells what happens, with the time since the beginning.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.is_told {
            println!("{:>7} {}", self.now.0 - BEGIN.0, what());
        }
    }

    pub(crate) fn ask(&mut self, change: &Change) -> Result<Done, SubmitError> {
        self.ledger.attempt(change);
        let (before, now) = (self.state(), self.clocks.control);
        let outcome = self.node().submit(Command::Service(web(), change.clone()), now);
        self.tell(|| match &outcome {
            Ok(_) => format!("{change:?}"),
            Err(error) => format!("{change:?}: {error}"),
        });
        self.witness(&before);
        self.learn(change, &outcome);
        outcome
    }

    fn learn(&mut self, change: &Change, outcome: &Result<Done, SubmitError>) {
        match outcome {
            Ok(done) => {
                let service = &done.state.services[&web()];
                self.ledger.acknowledge(change, service, self.now);
                self.totals.acknowledged += 1;
                if let Change::Flip(_) | Change::Rollback(_) = change {
                    self.unserved.push((done.generation, service.epoch));
                    self.totals.flips += 1;
                }
                if let Change::SetCanary(_) = change {
                    self.unserved.push((done.generation, service.epoch));
                    self.totals.shrunk += u64::from(done.before.services[&web()].epoch != service.epoch);
                }
                if let Change::Contract(_) = change {
                    self.totals.contracts += 1;
                }
                if let Change::AskPermit { backend } = change {
                    permits::check_asked(&done.before.services[&web()], backend);
                }
            }
            Err(SubmitError::Rejected(_)) => self.totals.refused += 1,
            Err(_) => self.totals.unanswered += 1,
        }
    }

    /// Looks at the permits that a tick granted. Those that appear at another time were granted by a tick before, whose commit was in doubt.
    fn check_grants(&mut self, before: &CoreState) {
        let after = self.state();
        let [before, after] = [before, &after].map(|state| Arc::clone(&state.services[&web()]));
        let now = self.clocks.control;
        permits::check_granted(&before, &after, now);
        for id in permits::granted(&before, &after, now) {
            self.totals.granted += 1;
            let in_flight = self.in_flight(id);
            permits::check_empty(&after, id, in_flight, now);
        }
    }

    /// Looks at what the controller did in one go.
    fn witness(&mut self, before: &Arc<CoreState>) {
        let after = self.state();
        if Arc::ptr_eq(before, &after) {
            return;
        }
        if self.is_told {
            compare(before, &after).iter().for_each(|(_, event)| self.tell(|| format!("    {event}")));
        }
        self.ledger.see(&after.services[&web()]);
        let [before, after] = [before, &after].map(|state| Arc::clone(&state.services[&web()]));
        for (id, backend) in &after.backends {
            let old = before.backends.get(id).filter(|old| old.address == backend.address);
            let is_new = old.is_none_or(|old| old.generation < backend.generation);
            if is_new && backend.identity == Identity::Unknown {
                self.fleet.notice(&backend.id);
            }
        }
        if before.active != after.active {
            self.check_activated(&after);
        }
        self.totals.judged += u64::from(judging::check(&before, &after));
        let canary = |service: &Service| service.canary.as_ref().map(|canary| canary.version.clone());
        if canary(&after).is_some() && canary(&before) != canary(&after) {
            self.totals.canaries += 1;
        }
        if before.roll.state != State::Frozen && after.roll.state == State::Frozen {
            self.totals.frozen += 1;
        }
    }

    /// Whatever made a version active: nothing below the rollback floor is, and nothing that can't work with the database.
    fn check_activated(&self, service: &Service) {
        let Some(active) = service.active_version() else { return };
        let below = below_floor(service, active).map(|reason| reason.detail);
        assert_eq!(below, None, "the rollback floor was crossed");
        let unfit = out_of_range(service, &active.label).map(|reason| reason.detail);
        assert_eq!(unfit, None, "active with a database that is nothing for it");
    }

    /// Requests in flight on a backend as it is registered now: whoever removes one at once does not care for them.
    pub(crate) fn in_flight(&self, id: &BackendId) -> usize {
        let workers = &self.node.as_ref().unwrap().workers;
        let held = workers.iter().flat_map(|worker| &worker.in_flight).filter(|held| held.entry.id == *id);
        let current = self.node.as_ref().unwrap().entry(id);
        held.filter(|held| current.as_ref().is_some_and(|now| Arc::ptr_eq(&now.traffic, &held.entry.traffic)))
            .count()
    }

    fn crash(&mut self) {
        self.node = None;
        self.start_again();
    }

    fn crash_in_the_middle(&mut self) {
        let service = Arc::clone(self.service());
        let (change, polls) = (operator::something(&service, &mut self.dice), self.dice.below(6) as u32);
        self.ledger.attempt(&change);
        let node = self.node.take().unwrap();
        if let Some(outcome) = node.submit_and_crash(change.clone(), polls, self.clocks.control) {
            self.learn(&change, &outcome);
        }
        self.start_again();
    }

    fn start_again(&mut self) {
        self.totals.crashes += 1;
        self.tell(|| "cutover crashes".to_owned());
        self.unserved.clear();
        self.clocks.end(&mut self.dice);
        let node = Node::start(&self.disk, &self.policy, &mut self.dice, &self.clocks);
        self.clocks.begin(Some(node.controller.state().ahead));
        self.prober = Prober::new(self.now, self.clocks.control);
        self.node = Some(node);
        let service = Arc::clone(self.service());
        self.ledger.check_roll(&service);
        service.backends.values().for_each(|backend| self.fleet.notice(&backend.id));
        self.roles = service.versions.values().map(|version| (version.label.clone(), version.role)).collect();
    }

    /// What must hold after every step.
    pub(crate) fn check(&mut self) {
        let service = Arc::clone(self.service());
        assert!(service.epoch >= self.epoch, "epochs only grow");
        self.epoch = service.epoch;
        self.ledger.check(&service, self.now);
        permits::check_batch(&service);
        let node = self.node.as_ref().unwrap();
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
        let workers = &self.node.as_ref().unwrap().workers;
        let is_busy =
            workers.iter().flat_map(|worker| &worker.in_flight).any(|held| held.label == label.as_str());
        assert!(!is_busy, "G7: {label} drained with a request in flight");
        let are_pins_over = self.pins.is_over(label.as_str(), self.clocks.workers);
        assert!(are_pins_over, "G7: {label} drained with a pin alive");
        assert!(!self.ledger.is_held(label, self.now), "G7: {label} drained with a hold");
    }
}
