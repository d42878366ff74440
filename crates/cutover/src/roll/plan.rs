//! The order in which backends would be restarted, and what would be usable meanwhile.
//!
//! The server decides again at every step, by what is true then. This is the same rules played forward under the assumption that
//! every command succeeds and brings the same new version.

use std::collections::VecDeque;

use cutover_core::policy::Share;

/// A backend that is to be restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its name.
    pub(super) id: String,
    /// Its weight.
    pub(super) weight: u64,
    /// Whether the active version loses its weight while it is away.
    pub(super) is_active: bool,
}

/// Where the roll begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// Usable weight of the active version.
    pub(super) usable: u64,
    /// Usable weight of the version that restarted backends came back with.
    pub(super) restarted: u64,
    /// Backends that did.
    pub(super) restarted_count: u32,
    /// Whether that version is active already.
    pub(super) is_flipped: bool,
    /// The batch, from 1.
    pub(super) batch: u32,
    /// Permits that were given in this batch.
    pub(super) taken: u32,
}

/// What restrains it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// The weight that capacity and quorum are shares of.
    pub(super) expected: u64,
    /// The share that must stay usable.
    pub(super) min_capacity: Share,
    /// The share that the new version needs.
    pub(super) quorum_share: Share,
    /// The backends that it needs.
    pub(super) quorum_count: u32,
    /// Backends in a batch.
    pub(super) batch_size: u32,
    /// Backends that are away at a time, at most.
    pub(super) parallel: usize,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// These are restarted at the same time.
    Restart(Restart),
    /// The new version becomes active; usable are so much weight and so many backends of it.
    Flip(u64, u32),
    /// The old version drains.
    Drain,
    /// These never get a permit by these rules.
    Stuck(Vec<String>),
}

/// Backends that are away at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Restart {
    /// The batch, from 1.
    pub(super) batch: u32,
    /// The backends.
    pub(super) backends: Vec<String>,
    /// Usable weight of the active version before it.
    pub(super) before: u64,
    /// The same while they are away.
    pub(super) meanwhile: u64,
    /// The same when they are back.
    pub(super) after: u64,
    /// What must be usable.
    pub(super) needed: u64,
    /// Usable weight of the new version when they are back.
    pub(super) restarted: u64,
}

/// Plays the roll of `members` forward.
pub(super) fn steps(members: &[Member], start: Start, rules: &Rules) -> Vec<Step> {
    let mut queue: VecDeque<&Member> = members.iter().collect();
    let mut now = start;
    let mut steps = Vec::new();
    while !queue.is_empty() {
        if now.taken >= rules.batch_size {
            (now.batch, now.taken) = (now.batch + 1, 0);
        }
        let needed = now.needed(rules);
        let wave = now.wave(&mut queue, rules);
        if wave.is_empty() {
            steps.push(Step::Stuck(queue.iter().map(|member| member.id.clone()).collect()));
            break;
        }
        steps.push(Step::Restart(now.restart(&wave, needed)));
        if !now.is_flipped && now.has_quorum(rules) {
            steps.push(Step::Flip(now.restarted, now.restarted_count));
            (now.is_flipped, now.usable) = (true, now.restarted);
            if !queue.is_empty() {
                steps.push(Step::Drain);
            }
        }
    }
    steps
}

impl Start {
    /// The weight that must stay: rounded down when nothing else brings the new version to its quorum, but never to nothing.
    fn needed(&self, rules: &Rules) -> u64 {
        let is_odd =
            !self.is_flipped && self.restarted > 0 && self.restarted < rules.quorum_share.of(rules.expected);
        let share = rules.min_capacity;
        if is_odd { share.of_odd(rules.expected) } else { share.of(rules.expected) }
    }

    fn has_quorum(&self, rules: &Rules) -> bool {
        self.restarted_count >= rules.quorum_count && self.restarted >= rules.quorum_share.of(rules.expected)
    }

    /// Those that may go now, taken from the queue.
    fn wave<'a>(&self, queue: &mut VecDeque<&'a Member>, rules: &Rules) -> Vec<&'a Member> {
        let (mut wave, mut left) = (Vec::new(), self.usable);
        let room = usize::try_from(rules.batch_size.saturating_sub(self.taken)).unwrap_or(usize::MAX);
        while wave.len() < rules.parallel.min(room)
            && let Some(member) = queue.front()
        {
            // After the flip those that are left serve nobody any more.
            let loss = if member.is_active && !self.is_flipped { member.weight } else { 0 };
            // Only when nobody is away is the share rounded down.
            let needed =
                if wave.is_empty() { self.needed(rules) } else { rules.min_capacity.of(rules.expected) };
            if loss > 0 && left.saturating_sub(loss) < needed {
                break;
            }
            left = left.saturating_sub(loss);
            wave.extend(queue.pop_front());
        }
        wave
    }

    /// Lets them go and come back.
    fn restart(&mut self, wave: &[&Member], needed: u64) -> Restart {
        let weight = |is_counted: &dyn Fn(&Member) -> bool| -> u64 {
            wave.iter().filter(|member| is_counted(member)).map(|member| member.weight).sum()
        };
        let before = self.usable;
        let loss = if self.is_flipped { 0 } else { weight(&|member| member.is_active) };
        let meanwhile = before.saturating_sub(loss);
        let gain = weight(&|_| true);
        self.restarted += gain;
        self.restarted_count = self.restarted_count.saturating_add(count(wave));
        self.taken = self.taken.saturating_add(count(wave));
        self.usable = if self.is_flipped { before + gain } else { meanwhile };
        Restart {
            batch: self.batch,
            backends: wave.iter().map(|member| member.id.clone()).collect(),
            before,
            meanwhile,
            after: self.usable,
            needed,
            restarted: self.restarted,
        }
    }
}

fn count(wave: &[&Member]) -> u32 {
    u32::try_from(wave.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(backends: usize, batch_size: u32, parallel: usize) -> String {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let members: Vec<Member> = names[..backends]
            .iter()
            .map(|id| Member { id: (*id).to_owned(), weight: 1, is_active: true })
            .collect();
        let expected = backends as u64;
        let half = Share::new(0.5).unwrap();
        let rules =
            Rules { expected, min_capacity: half, quorum_share: half, quorum_count: 1, batch_size, parallel };
        let start = Start { usable: expected, batch: 1, ..Start::default() };
        let said = steps(&members, start, &rules).into_iter().map(|step| match step {
            Step::Restart(Restart { batch, backends, before, meanwhile, after, .. }) => {
                format!("{batch}{} {before}>{meanwhile}>{after}", backends.concat())
            }
            Step::Flip(weight, _) => format!("flip {weight}"),
            Step::Drain => "drain".to_owned(),
            Step::Stuck(backends) => format!("stuck {}", backends.concat()),
        });
        said.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_fleet_is_rolled_by_halves() {
        assert_eq!(played(6, 3, 10), "1abc 6>3>3, flip 3, drain, 2def 3>3>6");
        assert_eq!(
            played(6, 3, 1),
            "1a 6>5>5, 1b 5>4>4, 1c 4>3>3, flip 3, drain, 2d 3>3>4, 2e 4>4>5, 2f 5>5>6"
        );
        assert_eq!(played(2, 1, 1), "1a 2>1>1, flip 1, drain, 2b 1>1>2");
    }

    #[test]
    fn a_fleet_that_cannot_be_halved_goes_below_the_share_once() {
        assert_eq!(played(5, 3, 3), "1ab 5>3>3, 1c 3>2>2, flip 3, drain, 2de 3>3>5");
        assert_eq!(played(3, 2, 2), "1a 3>2>2, 1b 2>1>1, flip 2, drain, 2c 2>2>3");
    }

    #[test]
    fn smaller_batches_come_to_the_quorum_later() {
        assert_eq!(played(6, 2, 2), "1ab 6>4>4, 2c 4>3>3, flip 3, drain, 2d 3>3>4, 3ef 4>4>6");
        assert_eq!(played(4, 1, 5), "1a 4>3>3, 2b 3>2>2, flip 2, drain, 3c 2>2>3, 4d 3>3>4");
    }

    #[test]
    fn a_single_backend_can_not_be_done_without() {
        assert_eq!(played(1, 1, 1), "stuck a");
    }

    #[test]
    fn what_takes_no_traffic_goes_at_once() {
        let members = [Member { id: "down".to_owned(), weight: 1, is_active: false }];
        let half = Share::new(0.5).unwrap();
        let rules = Rules {
            expected: 2,
            min_capacity: half,
            quorum_share: Share::ALL,
            quorum_count: 1,
            batch_size: 1,
            parallel: 1,
        };
        let start = Start { usable: 1, batch: 1, ..Start::default() };
        let Step::Restart(restart) = &steps(&members, start, &rules)[0] else { panic!("it waits") };
        assert_eq!((restart.before, restart.meanwhile, restart.restarted), (1, 1, 1));
    }
}
