//! The real schedule and judgement of probes, over machines instead of sockets; and the way of its findings to the controller, on which
//! they may be late, lost, doubled, and out of order.

use std::time::{Duration, Instant};

use cutover_control::probe::{Asked, News, Question, Schedule};
use cutover_core::command::Found;
use cutover_core::entropy::Entropy;
use cutover_core::time::{Millis, Timestamp};

use crate::fleet::Fleet;
use crate::node::{Node, web};

/// The prober of one process of cutover.
pub(crate) struct Prober {
    schedule: Schedule,
    began: (Instant, Timestamp),
    /// When the process began, by its own clock.
    began_at: Timestamp,
    asking: Vec<(Timestamp, Asked)>,
    under_way: Vec<(Timestamp, Found)>,
    pub(crate) is_reliable: bool,
}

impl Prober {
    /// A prober that begins `now`, at `began_at` by the clock of its process.
    pub(crate) fn new(now: Timestamp, began_at: Timestamp) -> Self {
        let began = Instant::now();
        Self {
            schedule: Schedule::new(began),
            began: (began, now),
            began_at,
            asking: Vec::new(),
            under_way: Vec::new(),
            is_reliable: false,
        }
    }

    /// Asks everybody who is due, hears those who answered, and answers the findings that arrive now.
    pub(crate) fn step(
        &mut self,
        node: &Node,
        fleet: &mut Fleet,
        now: Timestamp,
        dice: &mut Entropy,
    ) -> Vec<Found> {
        self.schedule.follow(node.controller.state(), self.began_at, self.instant(now));
        while let Some(question) = self.schedule.take_due(self.instant(now)) {
            self.ask(node, fleet, question, now, dice);
        }
        let (answered, asking) = self.asking.drain(..).partition(|(at, _)| *at <= now);
        self.asking = asking;
        for (_, asked) in Vec::from_iter::<Vec<_>>(answered) {
            self.hear(node, fleet, &asked, now, dice);
        }
        let (arrived, under_way) = self.under_way.drain(..).partition(|(at, _)| *at <= now);
        self.under_way = under_way;
        Vec::from_iter::<Vec<_>>(arrived).into_iter().map(|(_, found)| found).collect()
    }

    fn ask(&mut self, node: &Node, fleet: &Fleet, question: Question, now: Timestamp, dice: &mut Entropy) {
        let Question { key, generation, number, .. } = question;
        let outcome = fleet.probe(&node.service().backends[&key.1].address);
        // Most answers are there at once; some take as long as the time limit lets them.
        let slow = !self.is_reliable && dice.below(5) == 0;
        let took = if slow { Millis(dice.below(2000)) } else { Millis(0) };
        self.asking.push((now + took, Asked { key, generation, number, outcome, took: took.into() }));
    }

    fn hear(&mut self, node: &Node, fleet: &mut Fleet, asked: &Asked, now: Timestamp, dice: &mut Entropy) {
        match self.schedule.hear(asked, node.controller.state(), self.instant(now)) {
            News::None => {}
            News::Found { finding, is_another } => {
                let (backend, generation) = (asked.key.1.clone(), asked.generation);
                self.send(Found { service: web(), backend, generation, finding }, now, dice);
                // What the finding says was so when the probe was asked: it is no news about now.
                if is_another {
                    drop(node.disown(&asked.key.1, asked.generation));
                }
            }
            News::ProcessGone => {
                if let Some(entry) = node.disown(&asked.key.1, asked.generation) {
                    node.notice(fleet, &entry, asked.generation);
                }
            }
        }
    }

    fn send(&mut self, found: Found, now: Timestamp, dice: &mut Entropy) {
        let fate = if self.is_reliable { 99 } else { dice.below(20) };
        match fate {
            0 => self.schedule.unsaid(&(web(), found.backend)),
            1 => {}
            2 => self.under_way.extend([(now, found.clone()), (now + Millis(dice.below(3000)), found)]),
            3 | 4 => self.under_way.push((now + Millis(dice.below(3000)), found)),
            _ => self.under_way.push((now, found)),
        }
    }

    fn instant(&self, now: Timestamp) -> Instant {
        self.began.0 + Duration::from(now.since(self.began.1))
    }
}
