//! The steps after the switch.

use std::time::Duration;

use super::{Action, Memory, Standing, Wants, details, is_contracted, reason, verdict};
use crate::ctl::Reason;
use crate::ctl::view::deploy::Version;
use crate::deploy::scene::Scene;

/// Reasons against a contract that time ends.
const AGEING: [&str; 2] = ["not_drained", "not_baked"];

/// How the watch after the switch goes.
pub(super) fn bake(wants: &Wants, scene: &Scene, memory: &Memory, at: Duration) -> Standing {
    if is_contracted(wants, scene) {
        return Standing::Done("the contract is recorded".to_owned());
    }
    let epoch = scene.service.epoch;
    let of_it = |version: &str, at: u64| version == wants.version && at == epoch;
    let bake = scene.service.bake.as_ref().filter(|bake| of_it(&bake.version, bake.epoch));
    match bake.map(|bake| (bake.state.as_str(), bake.ends_at.as_deref())) {
        Some(("running", ends_at)) => {
            let until = ends_at.map(|at| format!(" until {at}")).unwrap_or_default();
            return Standing::Waits(format!("{} is watched{until}", wants.version));
        }
        Some(("failed" | "rolled_back", _)) => {
            let why = verdict(scene, &wants.version).unwrap_or_else(|| "its bake failed".to_owned());
            return Standing::Stuck(vec![reason("not_baked", format!("{}: {why}", wants.version))]);
        }
        _ => {}
    }
    let watched = at.saturating_sub(memory.active.unwrap_or(at));
    match (wants.bake.map(|least| least.saturating_sub(watched)), bake) {
        (Some(left), _) if !left.is_zero() => {
            Standing::Waits(format!("{} is watched for {} s more", wants.version, left.as_secs() + 1))
        }
        (_, Some(_)) => Standing::Done("the bake passed".to_owned()),
        (Some(_), None) => Standing::Done("the time is over".to_owned()),
        (None, None) => Standing::Unwanted,
    }
}

/// What is left of the old version.
pub(super) fn drain(wants: &Wants, scene: &Scene, memory: &Memory, at: Duration) -> Standing {
    if is_contracted(wants, scene) {
        return Standing::Done("the contract is recorded".to_owned());
    }
    let others = scene.versions.iter().filter(|version| version.version != wants.version);
    let draining: Vec<&Version> = others.filter(|version| version.role == "draining").collect();
    if draining.is_empty() {
        return match scene.before(&wants.version) {
            Some(before) => Standing::Done(format!("{before} is unused")),
            None => Standing::Done("nothing was active before".to_owned()),
        };
    }
    let active_for = memory.active.map(|since| at.saturating_sub(since));
    let is_late = wants.evict_after.zip(active_for).is_some_and(|(limit, active_for)| active_for >= limit);
    let left = draining.iter().find(|version| is_late && !memory.evicted.contains(&version.version));
    match left {
        Some(version) => Standing::Ready(Action::Evict(version.version.clone())),
        None => {
            Standing::Waits(draining.iter().map(|version| in_use(version)).collect::<Vec<_>>().join("; "))
        }
    }
}

/// Whether the destructive migration may run, or did.
pub(super) fn contract(wants: &Wants, scene: &Scene) -> Standing {
    match (wants.contract, &scene.service.contract) {
        (false, _) => Standing::Unwanted,
        (true, Some(contract)) if is_contracted(wants, scene) => {
            let note = if contract.note.is_empty() { String::new() } else { format!(": {}", contract.note) };
            Standing::Done(format!("it is recorded{note}"))
        }
        (true, _) if scene.contract_obstacles.is_empty() => Standing::Ready(Action::Contract),
        (true, _) => {
            let is_grave = |reason: &&Reason| !AGEING.contains(&reason.code.as_str());
            let grave: Vec<Reason> = scene.contract_obstacles.iter().filter(is_grave).cloned().collect();
            if grave.is_empty() {
                Standing::Waits(details(&scene.contract_obstacles))
            } else {
                Standing::Stuck(grave)
            }
        }
    }
}

/// What still uses a version.
fn in_use(version: &Version) -> String {
    let mut parts = Vec::new();
    if version.in_flight > 0 {
        parts.push(format!("{} requests in flight", version.in_flight));
    }
    if version.tunnels > 0 {
        parts.push(format!("{} tunnels", version.tunnels));
    }
    parts.extend(version.latest_pin_expiry.iter().map(|at| format!("pins until {at}")));
    if !version.holds.is_empty() {
        let holds: Vec<&str> = version.holds.keys().map(String::as_str).collect();
        parts.push(format!("held by {}", holds.join(", ")));
    }
    parts.extend(version.drain_deadline.iter().map(|at| format!("at the latest {at}")));
    format!("{} drains: {}", version.version, parts.join(", "))
}
