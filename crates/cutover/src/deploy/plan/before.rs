//! The steps up to the switch.

use std::time::Duration;

use super::{
    Action, EXPAND, Memory, SHARE_TOLERANCE, STAGING, Standing, Step, Wants, details, is_active, is_passing,
    own_canary, reason, verdict,
};
use crate::ctl::Reason;
use crate::ctl::share::percent;
use crate::ctl::view::Canary;
use crate::ctl::view::deploy::{Gate, Version};
use crate::deploy::scene::Scene;
use crate::deploy::share::Stage;
use crate::deploy::step_log::LEFT;

/// How far the additive migration is.
pub(super) fn expand(wants: &Wants, scene: &Scene) -> Standing {
    if !wants.expand {
        return Standing::Unwanted;
    }
    if let Some(done) = is_active(wants, scene) {
        return done;
    }
    match gate(wants, scene, EXPAND) {
        Some(gate) if gate.open => Standing::Done(opened(EXPAND, gate)),
        _ => Standing::Ready(Action::Expand),
    }
}

/// How far the backends are.
pub(super) fn stage(wants: &Wants, scene: &Scene, memory: &Memory) -> Standing {
    let is_to_run = wants.run && !memory.ran.contains(Step::Stage.as_str());
    // A roll that somebody ended in its middle is not over because its version was switched to.
    if is_to_run && matches!(scene.service.roll.state.as_str(), "running" | "frozen") {
        return Standing::Ready(Action::Run);
    }
    if let Some(done) = is_active(wants, scene) {
        return done;
    }
    let missing: Vec<&Reason> =
        scene.obstacles.iter().filter(|reason| STAGING.contains(&reason.code.as_str())).collect();
    if missing.is_empty() {
        let Version { usable_backends, usable_weight, expected_weight, .. } =
            scene.version(&wants.version).cloned().unwrap_or_default();
        let count = if usable_backends == 1 { "backend is" } else { "backends are" };
        return Standing::Done(format!(
            "{usable_backends} {count} usable, weight {usable_weight} of {expected_weight}"
        ));
    }
    if is_to_run {
        return Standing::Ready(Action::Run);
    }
    Standing::Waits(details(missing))
}

/// Which gates are to be opened, or waited for.
pub(super) fn gates(wants: &Wants, scene: &Scene) -> Standing {
    if let Some(done) = is_active(wants, scene) {
        return done;
    }
    let is_open = |name: &str| gate(wants, scene, name).is_some_and(|gate| gate.open);
    if let Some(name) = wants.gates.iter().find(|name| !is_open(name)) {
        return Standing::Ready(Action::Gate(name.clone()));
    }
    let known = scene.version(&wants.version).map(|version| &version.gates);
    let required: Vec<&String> =
        known.into_iter().flatten().filter(|(_, gate)| gate.required).map(|(name, _)| name).collect();
    let closed: Vec<&str> = required.iter().map(|name| name.as_str()).filter(|name| !is_open(name)).collect();
    match (closed.as_slice(), wants.gates.is_empty() && required.is_empty()) {
        (_, true) => Standing::Unwanted,
        ([], false) => Standing::Done("every gate is open".to_owned()),
        ([one], _) => Standing::Waits(format!("gate {one} is closed")),
        (several, _) => Standing::Waits(format!("the gates {} are closed", several.join(", "))),
    }
}

/// How far the canary is.
pub(super) fn canary(wants: &Wants, scene: &Scene, memory: &Memory, at: Duration) -> Standing {
    let Some(stages) = &wants.canary else { return Standing::Unwanted };
    if let Some(done) = is_active(wants, scene) {
        return done;
    }
    if let Some(reason) = no_canary(wants, scene) {
        return Standing::Stuck(vec![reason]);
    }
    let first = || Standing::Ready(Action::Canary(stages.first().map(|stage| stage.share)));
    match (&scene.service.canary, memory.canary) {
        (Some(other), _) if other.version != wants.version => {
            let detail = format!("{} is the canary already", other.version);
            Standing::Stuck(vec![reason("canary", detail)])
        }
        (None, None) => first(),
        (None, Some(_)) => {
            let why = verdict(scene, &wants.version).unwrap_or_else(|| "somebody ended it".to_owned());
            Standing::Stuck(vec![reason(
                "canary_ended",
                format!("the canary of {} is over: {why}", wants.version),
            )])
        }
        // Who lets it go on by its steps knows of the verdict.
        (Some(canary), _) if canary.failed && (canary.paused || canary.step.is_none()) => {
            let why = verdict(scene, &wants.version).unwrap_or_else(|| "nobody says why".to_owned());
            let detail = format!("{} was judged bad as a canary: {why}", wants.version);
            Standing::Stuck(vec![reason("canary_failed", detail)])
        }
        (Some(canary), _) if canary.starved => {
            Standing::Waits(format!("none of the backends of {} is usable", wants.version))
        }
        (Some(canary), _) if canary.paused => {
            Standing::Waits(format!("{} of the sessions, paused by somebody", percent(canary.share)))
        }
        (Some(canary), _) if memory.is_lowered => {
            Standing::Waits(format!("{} of the sessions, since somebody gave it less", percent(canary.share)))
        }
        (Some(canary), _) if stages.is_empty() => by_own_steps(canary),
        (Some(canary), seen) => by_stages(stages, canary, seen.map_or(at, |(_, since)| since), at),
    }
}

/// Why there can't be the canary that is wanted, whatever is next.
pub(super) fn no_canary(wants: &Wants, scene: &Scene) -> Option<Reason> {
    let stages = wants.canary.as_ref().filter(|_| !scene.is_active(&wants.version))?;
    let role = scene.version(&wants.version).map_or("", |version| version.role.as_str());
    if matches!(role, "draining" | "drained") {
        let detail = format!("version {} is {role}; only a staged one can be a canary", wants.version);
        return Some(reason("wrong_role", detail));
    }
    let policy = &scene.service.policy;
    let has_steps = !policy.canary.steps.is_empty();
    if policy.flip.mode == "auto" && !(stages.is_empty() && has_steps) {
        let detail = "flip.mode is \"auto\": the service would switch by itself, without these steps";
        return Some(reason("flip_mode", detail.to_owned()));
    }
    let is_walking = own_canary(wants, scene).is_some_and(|canary| canary.step.is_some());
    if stages.is_empty() && !has_steps && !is_walking {
        let detail = "the service has no canary steps; give some, as in --canary 5%:10m,50%:10m";
        return Some(reason("no_steps", detail.to_owned()));
    }
    None
}

/// A canary whose steps the service takes by itself.
fn by_own_steps(canary: &Canary) -> Standing {
    let share = percent(canary.share);
    let place = canary.step.map(|step| format!(", step {step} of {}", canary.steps)).unwrap_or_default();
    match &canary.next_at {
        _ if canary.complete => Standing::Done(format!("{share} of the sessions, the last step is over")),
        Some(next) => Standing::Waits(format!("{share} of the sessions{place}, until {next}")),
        None => Standing::Waits(format!("{share} of the sessions, a share that somebody chose")),
    }
}

/// A canary whose steps this command takes. `since` is when its share was first seen.
fn by_stages(stages: &[Stage], canary: &Canary, since: Duration, at: Duration) -> Standing {
    let share = percent(canary.share);
    let reached = stages.iter().rposition(|stage| stage.share <= canary.share + SHARE_TOLERANCE);
    let Some(reached) = reached else {
        return Standing::Ready(Action::Canary(stages.first().map(|stage| stage.share)));
    };
    let left = stages[reached].lasts.saturating_sub(at.saturating_sub(since));
    let place = format!("{share} of the sessions, step {} of {}", reached + 1, stages.len());
    match stages.get(reached + 1) {
        _ if !left.is_zero() => Standing::Waits(format!("{place}{LEFT}{} s more", left.as_secs() + 1)),
        Some(next) => Standing::Ready(Action::Canary(Some(next.share))),
        None => Standing::Done(place),
    }
}

/// Whether the switch may be made.
pub(super) fn flip(wants: &Wants, scene: &Scene) -> Standing {
    if let Some(done) = is_active(wants, scene) {
        return done;
    }
    if scene.obstacles.is_empty() {
        return Standing::Ready(Action::Flip(scene.service.epoch));
    }
    let grave: Vec<Reason> = scene.obstacles.iter().filter(|reason| !is_passing(reason)).cloned().collect();
    if grave.is_empty() { Standing::Waits(details(&scene.obstacles)) } else { Standing::Stuck(grave) }
}

fn gate<'a>(wants: &Wants, scene: &'a Scene, name: &str) -> Option<&'a Gate> {
    scene.version(&wants.version)?.gates.get(name)
}

fn opened(name: &str, gate: &Gate) -> String {
    match gate.note.as_str() {
        "" => format!("gate {name} is open"),
        note => format!("gate {name} is open: {note}"),
    }
}
