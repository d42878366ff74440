//! An app under noise as it is seen in production: load that varies, errors and slow answers that come in bursts.

use std::time::Duration;

use cutover_core::answers::{Answers, Outcome, Tally};
use cutover_core::entropy::Entropy;

/// The chance of a burst to begin in a second, and the longest one.
const BURST_CHANCE: f64 = 0.03;
const BURST_SECONDS: u64 = 5;
/// How much of the time is part of a burst, as it follows from the two.
const BURST_SHARE: f64 = 0.083;
/// How many times as bad as on average it is in a burst.
const BURST_FACTOR: f64 = 6.0;

/// How an app answers on average.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Requests in a second.
    pub(crate) requests: f64,
    /// The share of errors that come in bursts: what fails around the app.
    pub(crate) errors: f64,
    /// The share of errors that come all the time: what is wrong with it.
    pub(crate) bug: f64,
    /// The median of the latency.
    pub(crate) latency_ms: f64,
    /// The share of answers that wait in bursts for something, and take ten times as long.
    pub(crate) slow: f64,
    /// The share of answers that do so all the time.
    pub(crate) drag: f64,
}

pub(crate) const USUAL: Manner =
    Manner { requests: 50.0, errors: 0.001, bug: 0.0, latency_ms: 20.0, slow: 0.02, drag: 0.0 };

/// One version of an app.
pub(crate) struct App {
    manner: Manner,
    dice: Entropy,
    burst: u64,
}

impl App {
    pub(crate) fn new(manner: Manner, seed: u64) -> Self {
        Self { manner, dice: Entropy::new(seed), burst: 0 }
    }

    /// What it answers in a second.
    pub(crate) fn second(&mut self) -> Tally {
        if self.burst == 0 && self.draw() < BURST_CHANCE {
            self.burst = 1 + self.dice.below(BURST_SECONDS);
        }
        let calm = (1.0 - BURST_SHARE * BURST_FACTOR) / (1.0 - BURST_SHARE);
        let factor = if self.burst > 0 { BURST_FACTOR } else { calm };
        self.burst = self.burst.saturating_sub(1);
        let Manner { requests, errors, bug, latency_ms, slow, drag } = self.manner;
        let load = requests * (0.4 * self.bell()).exp();
        let requests = load.floor() as u64 + u64::from(self.draw() < load.fract());
        let answers = Answers::default();
        for _ in 0..requests {
            let fails = self.draw() < (errors * factor) || self.draw() < bug;
            let waits = self.draw() < slow * factor || self.draw() < drag;
            let latency = latency_ms * (0.5 * self.bell()).exp() * if waits { 10.0 } else { 1.0 };
            let outcome = if fails { Outcome::Failed } else { Outcome::Good };
            answers.note(outcome, Duration::from_secs_f64(latency / 1000.0));
        }
        answers.tally()
    }

    fn draw(&mut self) -> f64 {
        self.dice.unit()
    }

    /// Close to a normal distribution, of variance 1.
    fn bell(&mut self) -> f64 {
        2.0 * (self.draw() + self.draw() + self.draw() - 1.5)
    }
}
