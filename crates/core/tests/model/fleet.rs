//! The fleet: what cutover believes, what is true, who deploys, and who is served.

use std::collections::BTreeMap;
use std::sync::Arc;

use cutover_core::backend::Weight;
use cutover_core::command::{Change, Command, Finding, Flip, Found, Registration};
use cutover_core::compile::compile;
use cutover_core::decide::{Decision, Facts, PinAction};
use cutover_core::entropy::Entropy;
use cutover_core::id::{BackendId, Epoch, ServiceName, VersionLabel};
use cutover_core::pin::{NoPin, Pin};
use cutover_core::policy::{DrainPolicy, FlipMode, FlipPolicy, PinPolicy, Policy, RollPolicy};
use cutover_core::report::{BackendFacts, Load, Traffic};
use cutover_core::schema::SchemaRange;
use cutover_core::service::Service;
use cutover_core::snapshot::Snapshot;
use cutover_core::state::State;
use cutover_core::time::{Millis, Timestamp};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const BEGIN: Timestamp = Timestamp(1_700_000_000_000);
/// Ends every pin that is not used, and nothing else.
pub(crate) const PINS: Millis = Millis::from_secs(60);
/// Ends every permit, too.
pub(crate) const PERMITS: Millis = Millis::from_secs(600);
/// Ends every drain, too.
pub(crate) const DRAINS: Millis = Millis::from_secs(3600);

/// How often what is rare may happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// A long time passes.
    pub(crate) passes: u8,
    /// A restarted process does not answer.
    pub(crate) broken: u8,
    /// A process ends by itself.
    pub(crate) falls: u8,
    /// A frozen roll is resumed.
    pub(crate) resumes: u8,
    /// A roll is aborted.
    pub(crate) aborts: u8,
    /// Cutover is killed and started again.
    pub(crate) crashes: u8,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Ask(usize),
    Restart(usize, bool),
    Repair(usize),
    Fall(usize),
    Probe(usize),
    Begin(usize),
    End(usize),
    Tick,
    Pass(Millis),
    Flip,
    Resume,
    Abort,
    Crash,
}

/// The process that is really there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) version: u8,
    pub(crate) answers: bool,
    /// Whether it was started with the permit that its backend has.
    pub(crate) is_restarted: bool,
}

/// Somebody who is served.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Session {
    pub(crate) pin: Option<Pin>,
    /// The version that served it last.
    pub(crate) version: Option<VersionLabel>,
    /// The newest epoch that it has seen.
    pub(crate) epoch: Option<Epoch>,
    /// The backend and version of its request in flight.
    pub(crate) request: Option<(usize, VersionLabel)>,
}

#[derive(Clone)]
pub(crate) struct Fleet {
    pub(crate) state: State,
    pub(crate) now: Timestamp,
    pub(crate) processes: Vec<Process>,
    pub(crate) sessions: Vec<Session>,
    /// What happened last, the state before it, and the pin of who then began a request.
    pub(crate) last: Option<(Act, State, Option<Pin>)>,
    /// Everything that happened.
    pub(crate) path: Vec<Act>,
    /// Whether somebody gave the roll up.
    pub(crate) is_aborted: bool,
    pub(crate) budget: Budget,
}

pub(crate) fn web() -> ServiceName {
    ServiceName::parse("web").unwrap()
}

pub(crate) fn id(backend: usize) -> BackendId {
    BackendId::parse(NAMES[backend]).unwrap()
}

pub(crate) fn label(version: u8) -> VersionLabel {
    VersionLabel::parse(&format!("v{version}")).unwrap()
}

fn policy(is_auto: bool) -> Policy {
    let mode = if is_auto { FlipMode::Auto } else { FlipMode::Manual };
    Policy {
        flip: FlipPolicy { mode, stable_for: Millis::ZERO, ..FlipPolicy::default() },
        pin: PinPolicy { idle: PINS, life: DRAINS, ..PinPolicy::default() },
        roll: RollPolicy { permit_deadline: PERMITS, ..RollPolicy::default() },
        drain: DrainPolicy { deadline: DRAINS, spread: Millis::ZERO },
        ..Policy::default()
    }
}

impl Fleet {
    /// Backends of v1, all up, and sessions that nobody has served yet.
    pub(crate) fn new(backends: usize, sessions: usize, is_auto: bool, budget: Budget) -> Self {
        let process = Process { version: 1, answers: true, is_restarted: false };
        let mut fleet = Self {
            state: State::default(),
            now: BEGIN,
            processes: vec![process; backends],
            sessions: vec![Session::default(); sessions],
            last: None,
            path: Vec::new(),
            is_aborted: false,
            budget,
        };
        let policy = Arc::new(policy(is_auto));
        fleet.apply(&Command::PutService { service: web(), policy, document: "{}".into() });
        for (backend, name) in NAMES.iter().enumerate().take(backends) {
            let registration = Registration {
                backend: id(backend),
                address: format!("{name}.test:80").parse().unwrap(),
                version: Some(label(1)),
                weight: Weight::ONE,
                ttl: None,
                boot_id: None,
                zone: None,
                schema: SchemaRange::ANY,
                metadata: BTreeMap::new(),
            };
            fleet.apply(&Command::Service(web(), Change::Register(registration)));
        }
        (0..backends).for_each(|backend| fleet.probe(backend));
        fleet
    }

    pub(crate) fn service(&self) -> &Service {
        &self.state.services[&web()]
    }

    pub(crate) fn in_flight(&self, backend: usize) -> u32 {
        let is_there =
            |session: &&Session| session.request.as_ref().is_some_and(|(other, _)| *other == backend);
        u32::try_from(self.sessions.iter().filter(is_there).count()).unwrap()
    }

    pub(crate) fn requests_of(&self, version: &VersionLabel) -> u64 {
        let is_of = |session: &&Session| session.request.as_ref().is_some_and(|(_, other)| other == version);
        self.sessions.iter().filter(is_of).count() as u64
    }

    /// The pin of a session, while it is worth something.
    pub(crate) fn pin(&self, session: &Session) -> Option<Pin> {
        let policy = &self.service().policy.pin;
        session.pin.filter(|pin| pin.check_dates(policy, self.now).is_ok())
    }

    /// The version that a pin names.
    pub(crate) fn pinned(&self, pin: &Pin) -> VersionLabel {
        let is_it = |version: &&VersionLabel| cutover_core::pin::version_hash(version) == pin.version;
        self.service().versions.keys().find(is_it).unwrap().clone()
    }

    /// Everything that may happen now.
    pub(crate) fn acts(&self) -> Vec<Act> {
        let mut acts = vec![Act::Tick, Act::Flip];
        for (backend, process) in self.processes.iter().enumerate() {
            acts.push(Act::Probe(backend));
            acts.push(Act::Ask(backend));
            acts.extend([true, false].map(|answers| Act::Restart(backend, answers)));
            if process.answers { acts.push(Act::Fall(backend)) } else { acts.push(Act::Repair(backend)) }
        }
        for session in 0..self.sessions.len() {
            acts.extend([Act::Begin(session), Act::End(session)]);
        }
        acts.extend([PINS, PERMITS, DRAINS].map(Act::Pass));
        acts.extend([Act::Resume, Act::Abort, Act::Crash]);
        acts
    }

    /// Lets something happen. Answers whether it could.
    pub(crate) fn perform(&mut self, act: Act) -> bool {
        let before = self.state.clone();
        let pin = match act {
            Act::Begin(session) => self.pin(&self.sessions[session]),
            _ => None,
        };
        let done = match act {
            Act::Ask(backend) => {
                self.processes[backend].version == 1
                    && self.change(Change::AskPermit { backend: id(backend) })
            }
            Act::Restart(backend, answers) => self.restart(backend, answers),
            Act::Repair(backend) => {
                self.processes[backend].answers = true;
                true
            }
            Act::Fall(backend) => spend(&mut self.budget.falls) && self.fall(backend),
            Act::Probe(backend) => {
                self.probe(backend);
                true
            }
            Act::Begin(session) => self.begin(session),
            Act::End(session) => self.sessions[session].request.take().is_some(),
            Act::Tick => self.tick(),
            Act::Pass(span) => {
                spend(&mut self.budget.passes) && {
                    self.now = self.now + span + Millis(1000);
                    self.tick()
                }
            }
            Act::Flip => self.change(Change::Flip(Flip { to: label(2), if_epoch: None, force: false })),
            Act::Resume => spend(&mut self.budget.resumes) && self.change(Change::ResumeRoll),
            Act::Abort => {
                spend(&mut self.budget.aborts)
                    && self.change(Change::AbortRoll { reason: "enough".to_owned() })
            }
            Act::Crash => {
                spend(&mut self.budget.crashes) && {
                    self.state = self.state.clone().restored(self.now);
                    true
                }
            }
        };
        self.is_aborted |= done && act == Act::Abort;
        self.last = Some((act, before, pin));
        self.path.push(act);
        done
    }

    fn apply(&mut self, command: &Command) -> bool {
        let next = self.state.apply(command, self.now);
        next.map(|next| self.state = next).is_ok()
    }

    fn change(&mut self, change: Change) -> bool {
        self.apply(&Command::Service(web(), change))
    }

    /// Somebody looked at what froze the roll.
    pub(crate) fn go_on(&mut self) {
        self.change(Change::ResumeRoll);
    }

    /// Whoever has a permit restarts, once.
    fn restart(&mut self, backend: usize, answers: bool) -> bool {
        let is_granted = self.service().roll.is_granted(&id(backend));
        if !is_granted || self.processes[backend].is_restarted || !(answers || spend(&mut self.budget.broken))
        {
            return false;
        }
        self.processes[backend] = Process { version: 2, answers, is_restarted: true };
        true
    }

    fn fall(&mut self, backend: usize) -> bool {
        self.processes[backend].answers = false;
        for session in &mut self.sessions {
            session.request = session.request.take().filter(|(other, _)| *other != backend);
        }
        true
    }

    pub(crate) fn probe(&mut self, backend: usize) {
        let process = self.processes[backend];
        let version = Some(label(process.version));
        let finding = if process.answers { Finding::Up { version, boot_id: None } } else { Finding::Down };
        let generation = self.service().backends[&id(backend)].generation;
        let found = Found { service: web(), backend: id(backend), generation, finding };
        self.apply(&Command::Probed(vec![found]));
        self.forget_ended_permits();
    }

    /// A tick that reports what is true.
    pub(crate) fn tick(&mut self) -> bool {
        let mut traffic = Traffic::default();
        for (backend, _) in self.processes.iter().enumerate() {
            let facts = BackendFacts { in_flight: self.in_flight(backend), ..BackendFacts::default() };
            traffic.backends.insert((web(), id(backend)), facts);
        }
        for label in self.service().versions.keys() {
            let pins = self.sessions.iter().filter_map(|session| self.pin(session));
            let pins = pins.filter(|pin| self.pinned(pin) == *label);
            let expiry = pins.map(|pin| pin.expires_at(&self.service().policy.pin)).max();
            let load = Load {
                in_flight: self.requests_of(label),
                tunnels: 0,
                latest_pin_expiry: expiry.unwrap_or_default(),
            };
            traffic.loads.insert((web(), label.clone()), load);
        }
        let done = self.apply(&Command::Tick(traffic));
        self.forget_ended_permits();
        done
    }

    fn forget_ended_permits(&mut self) {
        for backend in 0..self.processes.len() {
            if !self.service().roll.is_granted(&id(backend)) {
                self.processes[backend].is_restarted = false;
            }
        }
    }

    /// A request, which lasts until its end.
    pub(crate) fn begin(&mut self, session: usize) -> bool {
        if self.sessions[session].request.is_some() {
            return false;
        }
        let snapshot = compile(&self.state, &Snapshot::default());
        let pin = self.pin(&self.sessions[session]).ok_or(NoPin::Absent);
        let facts = Facts::of(0, pin, self.now);
        let Decision::Serve(choice) = snapshot.decide(&facts, &mut Entropy::new(7)) else { return false };
        let version = &snapshot.services[0].versions[choice.version];
        let member = &version.members[choice.member].id;
        let backend = NAMES.iter().position(|name| *name == member.as_str()).unwrap();
        let epoch = version.epoch;
        let session = &mut self.sessions[session];
        session.request = Some((backend, version.label.clone()));
        session.version = Some(version.label.clone());
        session.epoch = session.epoch.max(epoch);
        session.pin = match choice.pin {
            PinAction::None | PinAction::Preview => None,
            PinAction::Keep(pin) | PinAction::Hand(pin, _) => Some(Pin { id: 0, ..pin }),
        };
        true
    }
}

fn spend(budget: &mut u8) -> bool {
    let is_left = *budget > 0;
    *budget = budget.saturating_sub(1);
    is_left
}
