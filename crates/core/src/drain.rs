//! How an old version leaves: what is left of it, and when it is provably unused.

use std::sync::Arc;

use crate::backend::{AdminState, Backend};
use crate::gate::known;
use crate::id::VersionLabel;
use crate::mix::{mix, unit};
use crate::policy::{DrainPolicy, PinMode, PinPolicy};
use crate::rejected::{Code, Rejected};
use crate::report::{Load, Traffic};
use crate::service::Service;
use crate::settle;
use crate::time::Timestamp;
use crate::version::{Drained, DrainedBy, Role, Version};

/// The latest time at which a pin of `version` may be alive.
#[must_use]
pub fn pins_until(version: &Version, load: Load) -> Timestamp {
    version.pins_until.max(load.latest_pin_expiry)
}

/// When the eviction of a draining version begins and when it is complete.
#[must_use]
pub fn deadline(version: &Version, policy: DrainPolicy) -> Option<(Timestamp, Timestamp)> {
    let begins = version.demoted_at.filter(|_| version.role == Role::Draining)? + policy.deadline;
    Some((begins, begins + policy.spread))
}

/// When the eviction of what is tied to a draining backend begins and when it is complete. One that leaves for good goes at its own
/// time.
#[must_use]
pub fn backend_deadline(backend: &Backend, policy: DrainPolicy) -> Option<(Timestamp, Timestamp)> {
    if let Some(leaves_at) = backend.leaving {
        return Some((leaves_at, leaves_at));
    }
    let drains = backend.admin.state == AdminState::Drain;
    let begins = backend.admin.since + policy.deadline;
    drains.then_some((begins, begins + policy.spread))
}

/// Whether a pin is evicted by now: one after the other, by its id, evenly from the deadline to its end.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a spread are far below 2^52")]
pub fn is_evicted(pin_id: u64, (begins, ends): (Timestamp, Timestamp), now: Timestamp) -> bool {
    if now < begins {
        return false;
    }
    let spread = ends.since(begins).0 as f64;
    let passed = now.since(begins).0 as f64;
    passed >= spread || unit(mix(pin_id ^ 0xe71c_7ed0_0e71_c7ed)) * spread < passed
}

/// Ends the drains that traffic and time allow to end.
pub(crate) fn observe(service: &mut Service, traffic: &Traffic, now: Timestamp) {
    let ended: Vec<(VersionLabel, DrainedBy)> = service
        .versions
        .values()
        .filter(|version| is_leaving(version))
        .filter_map(|version| {
            // A version that nobody reported about is not known to be unused.
            let load = traffic.loads.get(&(service.name.clone(), version.label.clone()));
            Some((version.label.clone(), ended_by(service, version, load, now)?))
        })
        .collect();
    if ended.is_empty() {
        return;
    }
    for (label, by) in ended {
        if let Some(version) = service.version_mut(&label) {
            end(version, by, now);
        }
    }
    relearn(service);
}

/// Ends a version's drain now; its sessions move at their next request.
pub(crate) fn evict(service: &mut Service, label: &VersionLabel, now: Timestamp) -> Result<(), Rejected> {
    let version = known(service, label)?;
    if version.role != Role::Draining {
        let detail = format!("version {label} is {}, not draining", version.role);
        return Err(Rejected::because(Code::WrongRole, detail));
    }
    end(version, DrainedBy::Deadline, now);
    relearn(service);
    Ok(())
}

/// After a restart: holds have one full term, and earlier processes may have handed out pins until the moment they ended,
/// which nobody wrote down.
pub(crate) fn restore(service: &mut Service, now: Timestamp) {
    for version in service.versions.values_mut().filter(|version| !version.holds.is_empty()) {
        Arc::make_mut(version).holds.values_mut().for_each(|hold| hold.expires_at = now + hold.ttl);
    }
    assume_pins(service, now);
}

/// Pins may be out there that nobody noted, or that live longer than was noted: as fresh as `now`, by the policy of the service.
pub(crate) fn assume_pins(service: &mut Service, now: Timestamp) {
    let PinPolicy { mode, idle, life, .. } = service.policy.pin;
    if mode == PinMode::None {
        return;
    }
    // Whatever its role: a version that is retired, rejected or past its deadline may return and serve its pins again.
    // Only what is proven to have none has none.
    let is_proven = |version: &Version| version.drained.is_some_and(|drained| drained.by == DrainedBy::Proof);
    let versions = service.versions.values_mut();
    for version in versions.filter(|version| version.was_active() && !is_proven(version)) {
        let version = Arc::make_mut(version);
        // What is not active gets no new sessions: its pins are only refreshed, and never beyond their life.
        let end_of_life =
            version.demoted_at.map_or(Timestamp(u64::MAX), |demoted_at| demoted_at.in_whole_secs() + life);
        version.pins_until = (now.in_whole_secs() + idle).min(end_of_life);
    }
}

/// Whether something may be left of a version that gets no new sessions.
fn is_leaving(version: &Version) -> bool {
    version.role == Role::Draining
        || (version.role == Role::Rejected && version.was_active() && version.drained.is_none())
}

fn ended_by(service: &Service, version: &Version, load: Option<&Load>, now: Timestamp) -> Option<DrainedBy> {
    if let Some(&load) = load {
        // Sessions of a rejected version moved: their pins are worth nothing.
        let has_pins = version.role == Role::Draining && pins_until(version, load) > now;
        if load.in_flight == 0 && load.tunnels == 0 && !has_pins && version.holds.is_empty() {
            return Some(DrainedBy::Proof);
        }
    }
    // A rejected version has nobody to evict, but its tunnels do not hold it for ever either.
    let ends = version.demoted_at? + service.policy.drain.deadline + service.policy.drain.spread;
    (ends <= now).then_some(DrainedBy::Deadline)
}

fn end(version: &mut Version, by: DrainedBy, now: Timestamp) {
    version.drained = Some(Drained { at: now, by });
    version.role = if version.rejected.is_some() { Role::Rejected } else { Role::Drained };
}

fn relearn(service: &mut Service) {
    let active = service.active.as_ref().map(|active| service.capacity(active)).unwrap_or_default();
    settle::learn(service, |_| active, true);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Millis;

    #[test]
    fn eviction_is_spread_evenly_and_complete_at_its_end() {
        let begins = Timestamp(1_000_000);
        let window = (begins, begins + Millis(30_000));
        let evicted = |at: Timestamp| (0..10_000).filter(|&id| is_evicted(id, window, at)).count();
        assert_eq!(evicted(begins - Millis(1)), 0);
        assert!((4700..5300).contains(&evicted(begins + Millis(15_000))));
        assert_eq!(evicted(begins + Millis(30_000)), 10_000);
    }

    #[test]
    fn without_a_spread_everybody_is_evicted_at_the_deadline() {
        let at = Timestamp(5);
        assert!((0..100).all(|id| is_evicted(id, (at, at), at) && !is_evicted(id, (at, at), Timestamp(4))));
    }
}
