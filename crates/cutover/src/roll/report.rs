//! How a roll ended, as text and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::options::Options;
use super::restart::{Failure, Outcome};
use crate::ctl::view::Roll;
use crate::ctl::{Exit, Output};

/// What became of every backend.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Those that are back.
    pub(super) back: Vec<String>,
    /// Those that were not restarted.
    pub(super) left: Vec<String>,
    /// Those that failed, in that order.
    pub(super) failed: Vec<(String, Failure)>,
    /// Whether the time was over.
    pub(super) is_late: bool,
}

impl Report {
    /// Notes how a backend ended.
    pub(super) fn note(&mut self, id: String, outcome: Outcome) {
        match outcome {
            Outcome::Back => self.back.push(id),
            Outcome::Left => self.left.push(id),
            Outcome::Failed(failure) => self.failed.push((id, failure)),
        }
    }

    /// What is said at the end. `roll` is where the server says it stands, if it can be asked.
    pub(super) fn output(self, options: &Options, roll: Option<&Roll>, logs: &str, took: Duration) -> Output {
        let text = self.text(options, roll, logs, took);
        Output { document: self.document(options, roll, logs), text, exit: self.exit() }
    }

    fn exit(&self) -> Exit {
        match self.failed.first() {
            Some((_, Failure::NoPermit(error))) => error.exit(),
            Some(_) => Exit::Failed,
            None if self.is_late => Exit::TimedOut,
            None if !self.left.is_empty() => Exit::Failed,
            None => Exit::Done,
        }
    }

    fn text(&self, options: &Options, roll: Option<&Roll>, logs: &str, took: Duration) -> String {
        let service = &options.service;
        let Self { back, left, failed, is_late } = self;
        let all = back.len() + left.len() + failed.len();
        let to = roll.and_then(|roll| roll.to.as_deref());
        let with = to.map(|version| format!(" with {version}")).unwrap_or_default();
        let mut text = format!(
            "{service}: {} of {all} backends were restarted and came back{with}, in {:.1} s\n",
            back.len(),
            took.as_secs_f64()
        );
        for (id, failure) in failed {
            let _ = writeln!(text, "{id}: {failure}");
        }
        if !left.is_empty() {
            let why = if *is_late { "the time was over" } else { "the roll stopped before" };
            let _ = writeln!(text, "not restarted, because {why}: {}", left.join(", "));
        }
        if let Some(roll) = roll {
            text.push_str(&standing(service, roll));
        }
        let _ = writeln!(text, "output of the commands: {logs}");
        if self.exit() != Exit::Done {
            let _ = writeln!(
                text,
                "to go on: cutover roll {service} --resume --run '…'; to end it: cutover roll {service} --abort"
            );
        }
        text
    }

    fn document(&self, options: &Options, roll: Option<&Roll>, logs: &str) -> Value {
        let failed =
            self.failed.iter().map(|(id, failure)| json!({ "backend": id, "reason": failure.to_string() }));
        json!({
            "service": options.service,
            "roll": roll.map(|roll| json!(roll.summary)),
            "to": roll.and_then(|roll| roll.to.as_ref()),
            "back": self.back,
            "failed": failed.collect::<Vec<_>>(),
            "left": self.left,
            "timed_out": self.is_late,
            "logs": logs,
        })
    }
}

/// Where the server says that the roll stands.
fn standing(service: &str, roll: &Roll) -> String {
    let summary = &roll.summary;
    let reason = summary.reason.as_deref().filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    match summary.state.as_str() {
        "done" => format!("{service}: the roll is done{reason}\n"),
        state => {
            format!(
                "{service}: the roll is {state}, batch {} of {}{reason}\n",
                summary.batch, summary.batches
            )
        }
    }
}
