//! The end of a run in words and in numbers: text for people, JSON, the table and the picture of the curves.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::curve::{Sample, csv};
use super::flat::{Life, lives};
use super::picture;
use super::run::{Run, clock};
use super::tally::{Guarantee, Tally};

/// Everything that a run has shown.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) tally: Tally,
    pub(crate) samples: Vec<Sample>,
    lives: Vec<Life>,
    took: Duration,
    seed: u64,
    left_out: Vec<String>,
}

impl Report {
    pub(crate) fn new(run: &Run, samples: Vec<Sample>) -> Self {
        Self {
            tally: run.tally().clone(),
            lives: lives(&samples),
            samples,
            took: run.began.elapsed(),
            seed: run.options.seed,
            left_out: run.abilities.left_out.clone(),
        }
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.tally.violations() == 0 && self.tally.findings.is_empty() && self.lives.iter().all(Life::is_flat)
    }

    /// Writes all files into the directory of the run.
    pub(crate) fn write(&self, run: &Run) {
        let file = |name: &str, text: String| std::fs::write(run.options.out.join(name), text).unwrap();
        file("report.txt", self.text());
        file("report.json", format!("{:#}\n", self.json()));
        file("curves.csv", csv(&self.samples));
        let minutes = self.took.as_secs_f64() / 60.0;
        file(
            "curves.svg",
            picture::draw(&format!("cutover under chaos, {minutes:.0} minutes"), &self.samples),
        );
    }

    pub(crate) fn text(&self) -> String {
        let tally = &self.tally;
        let mut text = format!("soak of {}, seed {}\n", clock(self.took), self.seed);
        let _ = writeln!(
            text,
            "{} requests of {} visitors, {} sent again by their client",
            tally.requests, tally.visits, tally.sent_again
        );
        let protocols: Vec<_> =
            tally.by_protocol.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let _ = writeln!(text, "  {}", protocols.join(", "));
        let acts: Vec<_> = tally.acts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let _ = writeln!(text, "chaos: {}", acts.join(", "));
        if !tally.stood_still.is_zero() {
            let _ = writeln!(text, "the machine stood still for {:.0?}", tally.stood_still);
        }
        for what in &self.left_out {
            let _ = writeln!(text, "left out, {what}");
        }
        let _ = writeln!(text, "{:<30} {:>10} {:>10} {:>8}", "", "checked", "violations", "excused");
        for of in Guarantee::ALL {
            let count = tally.count(of);
            let excused: u64 = count.excused.values().sum();
            let _ = writeln!(
                text,
                "{:<30} {:>10} {:>10} {excused:>8}",
                of.name(),
                count.checked,
                count.violations
            );
            for (why, times) in &count.excused {
                let _ = writeln!(text, "    {times} excused: {why}");
            }
        }
        for life in &self.lives {
            let verdict = if life.is_flat() { "flat" } else { "RISING" };
            let (rss, descriptors) = (life.rss_kib, life.descriptors);
            let _ = writeln!(
                text,
                "process {} from {} to {}: {:.1} MiB, then {:.1} MiB; {} descriptors, then {}: {verdict}",
                life.pid,
                clock(life.from),
                clock(life.to),
                rss.0 / 1024.0,
                rss.1 / 1024.0,
                descriptors.0,
                descriptors.1,
            );
        }
        for what in &tally.findings {
            let _ = writeln!(text, "found: {what}");
        }
        let _ = writeln!(
            text,
            "{}",
            if self.is_clean() { "everything was kept" } else { "NOT everything was kept" }
        );
        text
    }

    fn json(&self) -> Value {
        let guarantees = Guarantee::ALL.map(|of| {
            let count = self.tally.count(of);
            json!({ "name": of.name(), "checked": count.checked, "violations": count.violations, "excused": count.excused })
        });
        let lives = self.lives.iter().map(|life| {
            json!({
                "from_secs": life.from.as_secs(), "to_secs": life.to.as_secs(), "is_flat": life.is_flat(),
                "rss_kib": [life.rss_kib.0, life.rss_kib.1], "descriptors": [life.descriptors.0, life.descriptors.1],
            })
        });
        json!({
            "seed": self.seed,
            "seconds": self.took.as_secs(),
            "requests": self.tally.requests,
            "visitors": self.tally.visits,
            "sent_again": self.tally.sent_again,
            "requests_by_protocol": self.tally.by_protocol,
            "chaos": self.tally.acts,
            "stood_still_secs": self.tally.stood_still.as_secs(),
            "left_out": self.left_out,
            "guarantees": guarantees,
            "lives": lives.collect::<Vec<_>>(),
            "findings": self.tally.findings,
            "is_clean": self.is_clean(),
        })
    }
}
