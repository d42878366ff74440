//! How a roll goes through a history: its client works on its hosts, and may end in the middle.

use cutover_control::error::SubmitError;
use cutover_core::command::{Change, Flip};
use cutover_core::roll::State;
use cutover_core::time::Millis;
use cutover_core::version::Role;

use crate::fleet::{Mood, version};
use crate::history::History;
use crate::roller::{Host, Phase, Roller};

impl History {
    /// Somebody begins a roll, or takes one up again.
    pub(crate) fn begin_a_roll(&mut self) {
        if self.roller.is_some() {
            return;
        }
        let to = match self.service().roll.to.clone() {
            Some(to) if self.dice.below(2) == 0 => to,
            _ => version(2 + self.service().epoch.0),
        };
        if self.service().roll.state == State::Frozen {
            drop(self.ask(&Change::ResumeRoll));
        }
        self.roller = Some(Roller::new(&self.fleet, to, &mut self.dice));
    }

    /// The client of the roll goes on with each of its hosts.
    pub(crate) fn roll_step(&mut self) {
        let Some(mut roller) = self.roller.take() else { return };
        if !roller.go_on() {
            self.totals.rolls += 1;
            return;
        }
        let is_over = !roller.is_careful() && (self.dice.below(60) == 0 || self.gives_up());
        if is_over {
            self.totals.abandoned += 1;
            return;
        }
        for mut host in std::mem::take(&mut roller.hosts) {
            host.phase = self.host_step(&roller, &host);
            roller.hosts.push(host);
        }
        if roller.is_careful() || self.dice.below(8) == 0 {
            self.flip_to(&roller);
        }
        self.roller = Some(roller);
    }

    fn gives_up(&mut self) -> bool {
        self.service().roll.state == State::Frozen && self.dice.below(10) == 0
    }

    fn host_step(&mut self, roller: &Roller, host: &Host) -> Phase {
        let id = self.fleet.machine(host.machine).name.clone();
        let permit = self.service().roll.permits.get(&id).cloned();
        match host.phase {
            Phase::Asking => match self.ask(&Change::AskPermit { backend: id.clone() }) {
                Ok(_) => Phase::Waiting,
                // Who is not registered is no business of the roll.
                Err(SubmitError::Rejected(_)) if !self.service().backends.contains_key(&id) => {
                    Phase::Stopped(self.now)
                }
                Err(_) => Phase::Asking,
            },
            Phase::Waiting => match permit {
                None => Phase::Asking,
                Some(permit) if permit.is_granted() => {
                    self.stop_with_permit(host.machine);
                    Phase::Stopped(self.now + Millis(self.dice.below(4000)))
                }
                Some(_) => Phase::Waiting,
            },
            Phase::Stopped(until) if until > self.now => Phase::Stopped(until),
            Phase::Stopped(_) => {
                if let Some((runs, mood)) = roller.draw(1 + self.service().epoch.0, self.now, &mut self.dice)
                {
                    self.stop(host.machine);
                    self.start(host.machine, runs, mood);
                }
                Phase::Returning
            }
            Phase::Returning if permit.is_none() => Phase::Done,
            Phase::Returning => Phase::Returning,
            Phase::Done => Phase::Done,
        }
    }

    /// A permit is leave to stop a process: nothing of what users asked is lost by it.
    fn stop_with_permit(&mut self, machine: u64) {
        let id = self.fleet.machine(machine).name.clone();
        let in_flight = self.in_flight(&id);
        crate::permits::check_empty(self.service(), &id, in_flight, self.clocks.control);
        self.stop(machine);
    }

    /// In mode `manual` somebody has to flip in the middle of a roll.
    fn flip_to(&mut self, roller: &Roller) {
        let role = self.service().versions.get(&roller.to).map(|version| version.role);
        if role == Some(Role::Staged) {
            drop(self.ask(&Change::Flip(Flip { to: roller.to.clone(), if_epoch: None, force: false })));
        }
    }

    /// Everything runs one version, on machines that are well and say so.
    pub(crate) fn deploy_everywhere(&mut self, number: u64) {
        for machine in self.fleet.numbers() {
            self.stop(machine);
            self.start(machine, version(number), Mood::Healthy);
            self.register(machine);
        }
    }
}
