//! How a deploy ended, as text and as JSON: what is so now, and how to go on or back.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::course::{End, Failure};
use super::options::Options;
use super::plan::{EXPAND, Memory, Standing, Step, Wants, standing};
use super::scene::Scene;
use crate::ctl::share::percent;
use crate::ctl::{Exit, Output, Reason};
use crate::job::Logs;

/// Lines of a command's output that are shown when it fails.
const TAIL_LINES: usize = 15;

/// All that the end of a deploy is told from.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) options: &'a Options,
    pub(super) wants: &'a Wants,
    pub(super) scene: &'a Scene,
    pub(super) memory: &'a Memory,
    pub(super) end: &'a End,
    pub(super) logs: &'a Logs,
    pub(super) took: Duration,
}

impl Report<'_> {
    /// What is said at the end.
    #[must_use]
    pub(super) fn output(&self) -> Output {
        Output { document: self.document(), text: self.text(), exit: self.exit() }
    }

    fn exit(&self) -> Exit {
        match self.end {
            End::Finished => Exit::Done,
            End::Refused(..) | End::Interrupted(_) => Exit::Failed,
            End::Failed(_, Failure::Late) | End::Late(..) => Exit::TimedOut,
            End::Failed(..) => Exit::Failed,
            End::Lost(_, error) => error.exit(),
        }
    }

    fn text(&self) -> String {
        let Options { service, version, .. } = self.options;
        let seconds = self.took.as_secs_f64();
        let mut text = match self.end {
            End::Finished => format!("{service}: {version} is deployed, in {seconds:.1} s\n"),
            _ => format!("{service}: the deploy of {version} ended after {seconds:.1} s, {}\n", self.why()),
        };
        for Reason { code, detail } in self.reasons() {
            let _ = writeln!(text, "  - {detail} ({code})");
        }
        if let Some(name) = self.failed_command() {
            let log = self.logs.file(name).display().to_string();
            let _ = writeln!(text, "the last lines of {log}:");
            for line in self.logs.tail(name, TAIL_LINES) {
                let _ = writeln!(text, "    {line}");
            }
        }
        let _ = writeln!(text, "{}", self.standing());
        if !matches!(self.end, End::Finished) {
            let _ = writeln!(text, "to go on: {}", self.on());
        }
        if let Some(back) = self.back() {
            let _ = writeln!(text, "to go back: {back}");
        }
        text
    }

    fn document(&self) -> Value {
        let step = |step: &Step| {
            let standing = standing(*step, self.wants, self.scene, self.memory, self.took);
            let (state, detail) = match standing {
                Standing::Unwanted => ("not_wanted", None),
                Standing::Done(how) => ("done", Some(how)),
                Standing::Ready(_) => ("to_do", None),
                Standing::Waits(what) => ("waits", Some(what)),
                Standing::Stuck(reasons) => {
                    let details: Vec<String> = reasons.into_iter().map(|reason| reason.detail).collect();
                    ("stuck", Some(details.join("; ")))
                }
            };
            json!({ "step": step.as_str(), "state": state, "detail": detail })
        };
        let reasons =
            self.reasons().iter().map(|reason| json!({ "code": reason.code, "detail": reason.detail }));
        let is_done = matches!(self.end, End::Finished);
        json!({
            "service": self.options.service,
            "version": self.options.version,
            "from": self.scene.before(&self.options.version),
            "active": self.scene.service.active,
            "epoch": self.scene.service.epoch,
            "result": self.result(),
            "step": self.step().map(Step::as_str),
            "detail": (!is_done).then(|| self.why()),
            "reasons": reasons.collect::<Vec<_>>(),
            "steps": Step::ALL.iter().map(step).collect::<Vec<_>>(),
            "standing": self.standing(),
            "to_go_on": (!is_done).then(|| self.on()),
            "to_go_back": self.back(),
            "logs": self.logs.directory().display().to_string(),
        })
    }

    /// One word for how it ended.
    const fn result(&self) -> &'static str {
        match self.end {
            End::Finished => "done",
            End::Refused(..) => "refused",
            End::Failed(_, Failure::Late) | End::Late(..) => "timed_out",
            End::Failed(..) => "failed",
            End::Interrupted(_) => "interrupted",
            End::Lost(..) => "lost",
        }
    }

    /// The step at which it ended.
    const fn step(&self) -> Option<Step> {
        match self.end {
            End::Finished => None,
            End::Refused(step, _)
            | End::Failed(step, _)
            | End::Interrupted(step)
            | End::Late(step, _)
            | End::Lost(step, _) => Some(*step),
        }
    }

    fn why(&self) -> String {
        match self.end {
            End::Finished => "with everything done".to_owned(),
            End::Refused(step, _) => format!("at {}, because:", step.as_str()),
            End::Failed(step, failure) => format!("at {}: {}", step.as_str(), with_causes(failure)),
            End::Interrupted(step) => format!("before {} was done: it was interrupted", step.as_str()),
            End::Late(step, what) => format!("at {}: the time is over, and {what}", step.as_str()),
            End::Lost(step, error) => format!("at {}: {}", step.as_str(), with_causes(error)),
        }
    }

    const fn reasons(&self) -> &[Reason] {
        match self.end {
            End::Refused(_, reasons) => reasons.as_slice(),
            _ => &[],
        }
    }

    /// The file of the command that failed, if one did.
    fn failed_command(&self) -> Option<&str> {
        match self.end {
            End::Failed(_, Failure::NotRun(_)) => None,
            End::Failed(Step::Gates, _) => {
                let mut names = self.wants.gates.iter();
                names
                    .find(|name| !self.memory.ran.contains(*name) && self.logs.file(name).exists())
                    .map(String::as_str)
            }
            End::Failed(Step::Expand, _) => Some(EXPAND),
            End::Failed(step, _) => Some(step.as_str()),
            _ => None,
        }
    }

    /// What is so now.
    fn standing(&self) -> String {
        let Options { version, .. } = self.options;
        let service = &self.scene.service;
        let before = self.scene.before(version);
        let epoch = service.epoch;
        if self.scene.is_active(version) {
            let old =
                before.and_then(|before| self.scene.version(before)).filter(|old| old.role == "draining");
            let old = old.map(|old| format!("; {} drains", old.version)).unwrap_or_default();
            let contract = match (&service.contract, self.options.contract.is_some()) {
                (Some(contract), _) if contract.floor == *version => {
                    "; nothing older can become active again"
                }
                (_, true) if self.memory.ran.contains(Step::Contract.as_str()) => {
                    "; the destructive migration ran, and is not recorded"
                }
                (_, true) => "; the destructive migration is not recorded as run",
                (_, false) => "",
            };
            return format!("{version} is active since epoch {epoch}{old}{contract}");
        }
        let active = service
            .active
            .as_deref()
            .map_or("nothing is active".to_owned(), |active| format!("{active} is active"));
        match service.canary.as_ref().filter(|canary| canary.version == *version) {
            Some(canary) => {
                format!("{active} (epoch {epoch}); {version} has {} of the sessions", percent(canary.share))
            }
            None => {
                let role = self.scene.version(version).map_or("not there", |found| found.role.as_str());
                format!("{active} (epoch {epoch}), as before; {version} is {role}, and no session is on it")
            }
        }
    }

    fn on(&self) -> String {
        let Options { service, version, .. } = self.options;
        let again = "the same command again; what is done is not done twice";
        let bake = self.scene.service.bake.as_ref().filter(|bake| bake.version == *version);
        if self.scene.is_active(version) && bake.is_some_and(|bake| bake.state == "failed") {
            return format!(
                "if {version} is good all the same, by hand: the destructive migration, then `cutover contract {service} --force`"
            );
        }
        let found = self.scene.service.canary.as_ref().filter(|canary| canary.version == *version);
        if let Some(canary) = found.filter(|canary| canary.failed) {
            let all_the_same = if canary.step.is_some() { "--resume" } else { "--abort" };
            return format!(
                "if {version} is good all the same: `cutover canary {service} {all_the_same}`, then {again}"
            );
        }
        let is_rejected = self.scene.version(version).is_some_and(|found| found.rejected.is_some());
        if is_rejected {
            format!("`cutover clear {service} {version}`, then {again}")
        } else {
            again.to_owned()
        }
    }

    fn back(&self) -> Option<String> {
        let Options { service, version, .. } = self.options;
        let found = &self.scene.service;
        let is_final = found.contract.as_ref().is_some_and(|contract| contract.floor == *version)
            || self.memory.ran.contains(Step::Contract.as_str())
            || matches!(self.end, End::Failed(Step::Contract, _));
        if self.scene.is_active(version) {
            let before = self.scene.before(version).filter(|_| !is_final)?;
            let is_warm = self.scene.version(before).is_some_and(|before| before.usable_backends > 0);
            return is_warm.then(|| format!("`cutover rollback {service}`"));
        }
        let canary = found.canary.as_ref().filter(|canary| canary.version == *version);
        canary.map(|_| format!("`cutover canary {service} --abort`"))
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
