//! What is to be done next, given what the server says: pure, so that a deploy that was interrupted anywhere finds its place again, and
//! every such place is a line of a table in the tests.

mod after;
mod before;

use std::collections::BTreeSet;
use std::time::Duration;

use super::options::Options;
use super::scene::Scene;
use super::share::Stage;
use crate::ctl::Reason;
use crate::ctl::view::Canary;

/// The gate that the additive migration opens.
pub(super) const EXPAND: &str = "expand";
/// Reasons against a flip that end when backends come up.
const STAGING: [&str; 6] =
    ["unknown_version", "retired", "nothing_usable", "quorum_count", "quorum_share", "not_stable"];
/// Two shares that differ by less are one.
const SHARE_TOLERANCE: f64 = 1e-6;

/// What somebody wants of a deploy.
#[derive(Debug, Clone, Default)]
pub(super) struct Wants {
    /// The version that is to be active.
    pub(super) version: String,
    /// Whether there is an additive migration.
    pub(super) expand: bool,
    /// Whether there is a command that brings the backends.
    pub(super) run: bool,
    /// Gates that are opened by a command each.
    pub(super) gates: Vec<String>,
    /// The steps of the canary; none = the service's own.
    pub(super) canary: Option<Vec<Stage>>,
    /// Least time between the flip and the contract.
    pub(super) bake: Option<Duration>,
    /// Time after the flip at which the last sessions are moved.
    pub(super) evict_after: Option<Duration>,
    /// Whether there is a destructive migration.
    pub(super) contract: bool,
}

/// A step of a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The additive migration.
    Expand,
    /// Backends of the version.
    Stage,
    /// What must be agreed before the switch.
    Gates,
    /// A share of the sessions.
    Canary,
    /// The switch.
    Flip,
    /// The watch after it.
    Bake,
    /// The end of the old version.
    Drain,
    /// The destructive migration.
    Contract,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Run the additive migration, then open its gate.
    Expand,
    /// Run the command that brings the backends.
    Run,
    /// Run the command of a gate, then open it.
    Gate(String),
    /// Begin the canary, or its next step; no share = by the service's own steps.
    Canary(Option<f64>),
    /// Switch, if the epoch is still this one.
    Flip(u64),
    /// Move the last sessions off a version.
    Evict(String),
    /// Run the destructive migration, then record it.
    Contract,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing {
    /// Nobody asked for it.
    Unwanted,
    /// It is done, and this is how one knows.
    Done(String),
    /// This is to be done.
    Ready(Action),
    /// This is waited for.
    Waits(String),
    /// No wait helps.
    Stuck(Vec<Reason>),
}

/// What this run of the command saw and did itself. Another run begins without it, and goes by the server's records alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// Commands that ran to success: a step, or a gate by its name.
    pub(super) ran: BTreeSet<String>,
    /// Versions whose sessions were moved.
    pub(super) evicted: BTreeSet<String>,
    /// The share of the canary, and since when it is this one.
    canary: Option<(f64, Duration)>,
    /// Whether its share was larger before: somebody decided so.
    is_lowered: bool,
    /// Since when the version is active.
    active: Option<Duration>,
    /// What was active when the deploy began.
    base: Option<String>,
    has_looked: bool,
}

impl Memory {
    /// Remembers what can only be known by having looked before. `at` is the time since the deploy began.
    pub(super) fn look(&mut self, wants: &Wants, scene: &Scene, at: Duration) {
        if !self.has_looked {
            (self.has_looked, self.base) = (true, scene.service.active.clone());
        }
        if scene.is_active(&wants.version) {
            self.active.get_or_insert(at);
        }
        if let Some(canary) = own_canary(wants, scene)
            && !self.canary.is_some_and(|(share, _)| is_same(share, canary.share))
        {
            self.is_lowered = self.canary.is_some_and(|(before, _)| canary.share < before);
            self.canary = Some((canary.share, at));
        }
    }
}

impl Step {
    /// All of them, in their order.
    pub(super) const ALL: [Self; 8] = [
        Self::Expand,
        Self::Stage,
        Self::Gates,
        Self::Canary,
        Self::Flip,
        Self::Bake,
        Self::Drain,
        Self::Contract,
    ];

    /// The word for it.
    #[must_use]
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Expand => "expand",
            Self::Stage => "stage",
            Self::Gates => "gates",
            Self::Canary => "canary",
            Self::Flip => "flip",
            Self::Bake => "bake",
            Self::Drain => "drain",
            Self::Contract => "contract",
        }
    }
}

impl Wants {
    /// What the command line asks for.
    #[must_use]
    pub(super) fn new(options: &Options) -> Self {
        Self {
            version: options.version.clone(),
            expand: options.expand.is_some(),
            run: options.run.is_some(),
            gates: options.gates.iter().map(|(name, _)| name.clone()).collect(),
            canary: options.stages().map(<[Stage]>::to_vec),
            bake: options.bake,
            evict_after: options.evict_after,
            contract: options.contract.is_some(),
        }
    }
}

/// Whether a reason against the flip goes away while one waits.
#[must_use]
pub(super) fn is_passing(reason: &Reason) -> bool {
    STAGING.contains(&reason.code.as_str()) || reason.code == "gate_closed"
}

/// The first step that isn't done, and how far it is; `None` when all are done.
#[must_use]
pub(super) fn next(wants: &Wants, scene: &Scene, memory: &Memory, at: Duration) -> Option<(Step, Standing)> {
    let standings = Step::ALL.map(|step| (step, standing(step, wants, scene, memory, at)));
    let mut open = standings
        .into_iter()
        .filter(|(_, standing)| !matches!(standing, Standing::Unwanted | Standing::Done(_)));
    let (step, standing) = open.next()?;
    match hopeless(wants, scene, memory) {
        Some(reason) => Some((step, Standing::Stuck(vec![reason]))),
        None => Some((step, standing)),
    }
}

/// How far a step is, if all before it are done.
#[must_use]
pub(super) fn standing(step: Step, wants: &Wants, scene: &Scene, memory: &Memory, at: Duration) -> Standing {
    match step {
        Step::Expand => before::expand(wants, scene),
        Step::Stage => before::stage(wants, scene, memory),
        Step::Gates => before::gates(wants, scene),
        Step::Canary => before::canary(wants, scene, memory, at),
        Step::Flip => before::flip(wants, scene),
        Step::Bake => after::bake(wants, scene, memory, at),
        Step::Drain => after::drain(wants, scene, memory, at),
        Step::Contract => after::contract(wants, scene),
    }
}

/// Why the deploy can't end well any more, whatever is next.
#[must_use]
pub(super) fn hopeless(wants: &Wants, scene: &Scene, memory: &Memory) -> Option<Reason> {
    let Wants { version, .. } = wants;
    if is_contracted(wants, scene) {
        return None;
    }
    let found = scene.version(version);
    if let Some(why) = found.and_then(|found| found.rejected.as_deref()) {
        let was_active = memory.active.is_some() || found.is_some_and(|found| found.epoch.is_some());
        let what = if was_active { "was rolled back" } else { "was rejected" };
        let verdict = verdict(scene, version).filter(|verdict| !why.contains(verdict.as_str()));
        let verdict = verdict.map(|verdict| format!(" ({verdict})")).unwrap_or_default();
        return Some(reason("rejected", format!("{version} {what}: {why}{verdict}")));
    }
    if memory.active.is_some() && !scene.is_active(version) {
        let active = scene.service.active.as_deref().unwrap_or("nothing");
        return Some(reason("superseded", format!("{version} is not active any more, {active} is")));
    }
    if memory.has_looked && !scene.is_active(version) && scene.service.active != memory.base {
        let active = scene.service.active.as_deref().unwrap_or("nothing");
        return Some(reason("superseded", format!("{active} became active while {version} was deployed")));
    }
    if let Some(reason) = before::no_canary(wants, scene) {
        return Some(reason);
    }
    let freeze = scene.service.freeze.as_ref().filter(|_| !scene.is_active(version))?;
    Some(reason("frozen", format!("flips are frozen by {}: {}", freeze.by, freeze.reason)))
}

/// Whether the destructive migration of this very version is recorded.
fn is_contracted(wants: &Wants, scene: &Scene) -> bool {
    let contract = scene.service.contract.as_ref();
    scene.is_active(&wants.version) && contract.is_some_and(|contract| contract.floor == wants.version)
}

fn is_active(wants: &Wants, scene: &Scene) -> Option<Standing> {
    let epoch = scene.service.epoch;
    scene
        .is_active(&wants.version)
        .then(|| Standing::Done(format!("{} is active since epoch {epoch}", wants.version)))
}

fn own_canary<'a>(wants: &Wants, scene: &'a Scene) -> Option<&'a Canary> {
    scene.service.canary.as_ref().filter(|canary| canary.version == wants.version)
}

fn is_same(one: f64, other: f64) -> bool {
    (one - other).abs() < SHARE_TOLERANCE
}

/// Why a version was judged bad.
fn verdict(scene: &Scene, version: &str) -> Option<String> {
    let verdict = scene.service.verdict.as_ref().filter(|verdict| verdict.version == version)?;
    verdict.reason.clone().filter(|_| verdict.state == "bad")
}

fn details<'a>(reasons: impl IntoIterator<Item = &'a Reason>) -> String {
    let details: Vec<&str> = reasons.into_iter().map(|reason| reason.detail.as_str()).collect();
    details.join("; ")
}

fn reason(code: &str, detail: String) -> Reason {
    Reason { code: code.to_owned(), detail }
}

#[cfg(test)]
mod tests;
