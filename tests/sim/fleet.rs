//! The machines: real processes behind addresses, which know better than the proxy what they run, and say it or don't.

use std::collections::BTreeMap;

use cutover_control::probe::{Answer, Failure};
use cutover_core::address::Address;
use cutover_core::entropy::Entropy;
use cutover_core::id::{BackendId, VersionLabel};
use cutover_core::time::{Millis, Timestamp};

/// The most machines that a fleet has.
pub(crate) const MACHINES_MAX: u64 = 7;
/// The port of the first machine; the others follow.
const PORT: u64 = 8000;

/// All machines, and the order in which things happened to them.
pub(crate) struct Fleet {
    machines: Vec<Machine>,
    /// Whether processes say which one of all they are.
    names_boots: bool,
    moments: u64,
    processes: u64,
    /// When anybody noticed last that the process behind a backend may be another one.
    noticed_at: BTreeMap<BackendId, u64>,
}

/// A machine and the process on it, if one runs.
pub(crate) struct Machine {
    /// The name under which it is registered.
    pub(crate) name: BackendId,
    pub(crate) running: Option<Process>,
}

/// A process, as it really is.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// Which of all processes that ever ran.
    pub(crate) number: u64,
    /// What it runs.
    pub(crate) runs: VersionLabel,
    pub(crate) mood: Mood,
    /// Since when it runs that.
    since: u64,
}

/// What a process lets others see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Healthy,
    /// Accepts connections and answers with errors, until then.
    HalfStarted(Timestamp),
    /// Answers, and never says which version it is.
    Mute,
    /// Serves, and lets probes wait until they give up.
    Hanging,
}

pub(crate) fn version(number: u64) -> VersionLabel {
    VersionLabel::parse(&format!("v{number}")).unwrap()
}

impl Fleet {
    pub(crate) fn new(size: u64, names_boots: bool) -> Self {
        let machines = (0..size).map(|number| Machine { name: name(number, 0), running: None }).collect();
        Self { machines, names_boots, moments: 1, processes: 0, noticed_at: BTreeMap::new() }
    }

    /// The numbers of all machines.
    pub(crate) fn numbers(&self) -> std::ops::Range<u64> {
        0..self.machines.len() as u64
    }

    /// One of the machines.
    pub(crate) fn any(&self, dice: &mut Entropy) -> u64 {
        dice.below(self.numbers().end)
    }

    pub(crate) fn machine(&self, number: u64) -> &Machine {
        &self.machines[number as usize]
    }

    /// The machine at an address.
    pub(crate) fn at(&self, address: &Address) -> &Machine {
        let Address::Tcp { port, .. } = address else { panic!("a machine has a port") };
        self.machine(u64::from(*port) - PORT)
    }

    pub(crate) fn named(&self, name: &BackendId) -> Option<u64> {
        self.numbers().find(|&number| self.machine(number).name == *name)
    }

    /// The machine begins another life under another name, at the same address.
    pub(crate) fn rename(&mut self, number: u64, life: u64) {
        self.machine_mut(number).name = name(number, life);
    }

    /// Another process runs from now on.
    pub(crate) fn start(&mut self, number: u64, runs: VersionLabel, mood: Mood) {
        self.processes += 1;
        let process = Process { number: self.processes, runs, mood, since: self.moment() };
        self.machine_mut(number).running = Some(process);
    }

    /// No process runs from now on. Answers which one did.
    pub(crate) fn stop(&mut self, number: u64) -> Option<u64> {
        self.machine_mut(number).running.take().map(|process| process.number)
    }

    /// The same process serves another version from now on: code that is reloaded in place.
    pub(crate) fn flap(&mut self, number: u64, runs: VersionLabel) {
        let since = self.moment();
        if let Some(process) =
            self.machine_mut(number).running.as_mut().filter(|process| process.runs != runs)
        {
            (process.runs, process.since) = (runs, since);
        }
    }

    /// The process behaves differently from now on.
    pub(crate) fn change(&mut self, number: u64, mood: Mood) {
        let moment = self.moment();
        if let Some(process) = &mut self.machine_mut(number).running {
            // Nobody could know what a mute one runs before it said so.
            let since = if process.mood == Mood::Mute { moment } else { process.since };
            (process.mood, process.since) = (mood, since);
        }
    }

    /// Time passes: who was starting has started.
    pub(crate) fn pass(&mut self, now: Timestamp) {
        for process in self.machines.iter_mut().filter_map(|machine| machine.running.as_mut()) {
            if matches!(process.mood, Mood::HalfStarted(until) if until <= now) {
                process.mood = Mood::Healthy;
            }
        }
    }

    /// Somebody noticed that the process behind a backend may be another one than is known.
    pub(crate) fn notice(&mut self, backend: &BackendId) {
        let moment = self.moment();
        self.noticed_at.insert(backend.clone(), moment);
    }

    /// Whether nobody can have known yet that this process runs what it runs: nobody noticed anything since it does.
    pub(crate) fn is_unnoticed(&self, backend: &BackendId, process: &Process) -> bool {
        self.noticed_at.get(backend).is_none_or(|&at| at < process.since)
    }

    /// What a probe sees.
    pub(crate) fn probe(&self, address: &Address) -> Result<Answer, Failure> {
        let fails = |detail: &str, is_process_gone| Failure { detail: detail.to_owned(), is_process_gone };
        let process = self.at(address).running.as_ref().ok_or_else(|| fails("refused", true))?;
        let boot_id = self.boot_id(process);
        match process.mood {
            Mood::Healthy => {
                Ok(Answer { version: Some(process.runs.clone()), boot_id, detail: String::new() })
            }
            Mood::Mute => Ok(Answer { version: None, boot_id, detail: String::new() }),
            Mood::HalfStarted(_) => Err(fails("503", false)),
            Mood::Hanging => Err(fails("no answer", false)),
        }
    }

    /// What a process says that it is.
    pub(crate) fn boot_id(&self, process: &Process) -> Option<String> {
        self.names_boots.then(|| format!("boot-{}", process.number))
    }

    fn machine_mut(&mut self, number: u64) -> &mut Machine {
        &mut self.machines[number as usize]
    }

    fn moment(&mut self) -> u64 {
        self.moments += 1;
        self.moments
    }
}

impl Process {
    /// The version that its answers name.
    pub(crate) fn named_version(&self) -> Option<&VersionLabel> {
        (self.mood != Mood::Mute).then_some(&self.runs)
    }

    /// Whether it answers with an error.
    pub(crate) fn is_failing(&self) -> bool {
        matches!(self.mood, Mood::HalfStarted(_))
    }
}

/// The address of a machine.
pub(crate) fn address(number: u64) -> Address {
    format!("fleet.test:{}", PORT + number).parse().unwrap()
}

fn name(number: u64, life: u64) -> BackendId {
    BackendId::parse(&format!("m{number}-{life}")).unwrap()
}

/// How long probing everything takes at most, with room to spare.
pub(crate) const PROBED: Millis = Millis(40_000);
