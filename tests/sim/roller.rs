//! The client of a roll: a loop over hosts that asks for a permit, restarts, and waits until the host is back. It makes the mistakes that
//! deploy scripts make.

use std::collections::VecDeque;

use cutover_core::entropy::Entropy;
use cutover_core::id::VersionLabel;
use cutover_core::time::{Millis, Timestamp};

use crate::fleet::{Fleet, Mood};

/// A roll in the eyes of its client.
pub(crate) struct Roller {
    pub(crate) to: VersionLabel,
    /// Machines that wait for their turn.
    waiting: VecDeque<u64>,
    /// Machines that are at it.
    pub(crate) hosts: Vec<Host>,
    /// How many it works on at a time.
    parallel: usize,
    /// Whether it makes no mistakes.
    is_careful: bool,
}

/// One machine of a roll, and how far it is.
pub(crate) struct Host {
    pub(crate) machine: u64,
    pub(crate) phase: Phase,
}

/// How far a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its permit was not asked for with success.
    Asking,
    /// It waits for its permit.
    Waiting,
    /// It is stopped, and will be started then.
    Stopped(Timestamp),
    /// It was started, or so the client thinks.
    Returning,
    /// It is back.
    Done,
}

impl Roller {
    /// A roll of every machine that does not run `to` yet, in some order.
    pub(crate) fn new(fleet: &Fleet, to: VersionLabel, dice: &mut Entropy) -> Self {
        let runs =
            |number: u64| fleet.machine(number).running.as_ref().is_some_and(|process| process.runs == to);
        let mut waiting: Vec<u64> = fleet.numbers().filter(|&number| !runs(number)).collect();
        for at in (1..waiting.len()).rev() {
            waiting.swap(at, dice.below(at as u64 + 1) as usize);
        }
        let parallel = 1 + dice.below(3) as usize;
        Self { to, waiting: waiting.into(), hosts: Vec::new(), parallel, is_careful: false }
    }

    /// The same without the mistakes.
    pub(crate) fn careful(mut self) -> Self {
        self.is_careful = true;
        self
    }

    /// Whether it makes no mistakes.
    pub(crate) fn is_careful(&self) -> bool {
        self.is_careful
    }

    /// Lets go of machines that are back and takes up others; `false` when there are none left.
    pub(crate) fn go_on(&mut self) -> bool {
        self.hosts.retain(|host| host.phase != Phase::Done);
        while self.hosts.len() < self.parallel
            && let Some(machine) = self.waiting.pop_front()
        {
            self.hosts.push(Host { machine, phase: Phase::Asking });
        }
        !self.hosts.is_empty()
    }

    /// What is started on a machine: the version, and how it behaves; `None` when the script forgets it.
    pub(crate) fn draw(&self, old: u64, now: Timestamp, dice: &mut Entropy) -> Option<(VersionLabel, Mood)> {
        let to = self.to.clone();
        match if self.is_careful { 99 } else { dice.below(30) } {
            0 => None,
            1 => Some((crate::fleet::version(old), Mood::Healthy)),
            2 => Some((to, Mood::HalfStarted(Timestamp(u64::MAX)))),
            3 => Some((to, Mood::Mute)),
            4..10 => Some((to, Mood::HalfStarted(now + Millis(dice.below(8000))))),
            _ => Some((to, Mood::Healthy)),
        }
    }
}
