//! What goes wrong with machines: they are restarted without a word, stop, behave strangely, and come back under another name.

use cutover_core::command::Change;
use cutover_core::id::VersionLabel;
use cutover_core::policy::IdentitySource;
use cutover_core::time::Millis;

use crate::fleet::{Mood, version};
use crate::history::History;

impl History {
    /// A machine gets another process, of a newer version more often than of an older one. Half of them say so by registering.
    pub(crate) fn restart_a_machine(&mut self) {
        if self.is_calm
            && self.dice.below(8) != 0
            && self.service().backends.len() as u64 == self.fleet.numbers().end
        {
            return;
        }
        let newest = 1 + self.epoch.0;
        let number = (newest + self.dice.below(3)).saturating_sub(1).max(1);
        let machine = self.fleet.any(&mut self.dice);
        self.stop(machine);
        let mood = match self.dice.below(20) {
            0 => Mood::Mute,
            1 => Mood::Hanging,
            2..5 => Mood::HalfStarted(self.now + Millis(self.dice.below(8000))),
            _ => Mood::Healthy,
        };
        self.start(machine, version(number), mood);
    }

    /// A process begins on a machine, and may say so by registering.
    pub(crate) fn start(&mut self, machine: u64, runs: VersionLabel, mood: Mood) {
        self.tell(|| format!("machine {machine}: a process of {runs} begins, {mood:?}"));
        self.fleet.start(machine, runs, mood);
        let is_known = self.service().backends.contains_key(&self.fleet.machine(machine).name);
        let is_honest = self.policy.identity.source == IdentitySource::Label && self.prober.is_reliable;
        if !is_known || is_honest || self.dice.below(2) == 0 {
            self.register(machine);
        }
    }

    /// A process ends, and what it was answering breaks off.
    pub(crate) fn stop(&mut self, machine: u64) {
        let Some(process) = self.fleet.stop(machine) else { return };
        self.tell(|| format!("machine {machine}: process {process} ends"));
        let is_strict = self.policy.identity.source.is_strict();
        let node = self.node.as_mut().unwrap();
        let broken: Vec<_> =
            node.workers.iter_mut().flat_map(|worker| worker.broke_off(process, is_strict)).collect();
        for entry in broken {
            node.notice(&mut self.fleet, &entry, entry.generation);
        }
        self.hear_alarms();
    }

    pub(crate) fn register(&mut self, machine: u64) {
        if let Some(change) = self.agents.registration(&self.fleet, machine) {
            drop(self.ask(&change));
        }
    }

    pub(crate) fn stop_a_machine(&mut self) {
        let machine = self.fleet.any(&mut self.dice);
        self.stop(machine);
    }

    /// The same process behaves differently, or serves another version.
    pub(crate) fn change_a_process(&mut self) {
        let machine = self.fleet.any(&mut self.dice);
        let number = 1 + self.dice.below(2 + self.epoch.0);
        self.tell(|| format!("machine {machine}: its process changes"));
        match self.dice.below(3) {
            0 => self.fleet.flap(machine, version(number)),
            1 => self.fleet.change(machine, Mood::Hanging),
            _ => self.fleet.change(machine, Mood::Healthy),
        }
    }

    /// A machine is registered anew, under another name or the same, at the same address, and half of the time with another process. The old
    /// registration is taken back more often than not.
    pub(crate) fn rename_a_machine(&mut self) {
        let machine = self.fleet.any(&mut self.dice);
        if self.dice.below(3) != 0 {
            let backend = self.fleet.machine(machine).name.clone();
            drop(self.ask(&Change::Deregister { backend, drain: Millis(0) }));
        }
        let life = self.dice.below(3);
        self.fleet.rename(machine, life);
        if self.dice.below(2) == 0 {
            self.stop(machine);
            let runs = version(1 + self.dice.below(2 + self.epoch.0));
            self.fleet.start(machine, runs, Mood::Healthy);
        }
        self.register(machine);
    }
}
