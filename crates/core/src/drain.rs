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
use crate::time::{Millis, Timestamp};
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

/// The same for whatever takes a backend out. In maintenance it serves nothing, so that sessions and tunnels leave at once, one after
/// the other.
#[must_use]
pub fn backend_eviction(backend: &Backend, policy: DrainPolicy) -> Option<(Timestamp, Timestamp)> {
    let since = backend.admin.since;
    match backend.admin.state {
        AdminState::Maint if backend.leaving.is_none() => Some((since, since + policy.spread)),
        AdminState::Maint | AdminState::Drain | AdminState::Ready => backend_deadline(backend, policy),
    }
}

/// When a pin is evicted: one after the other, by its id, evenly from the deadline to its end.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds of a spread are far below 2^52, and never negative"
)]
pub fn evicted_at(pin_id: u64, (begins, ends): (Timestamp, Timestamp)) -> Timestamp {
    let spread = ends.since(begins);
    let drawn = unit(mix(pin_id ^ 0xe71c_7ed0_0e71_c7ed)) * spread.0 as f64;
    begins + Millis(drawn as u64 + 1).min(spread)
}

/// Whether a pin is evicted by now.
#[must_use]
pub fn is_evicted(pin_id: u64, window: (Timestamp, Timestamp), now: Timestamp) -> bool {
    window.0 <= now && evicted_at(pin_id, window) <= now
}

/// Brings the drains as far as traffic and time allow.
pub(crate) fn observe(service: &mut Service, traffic: &Traffic, now: Timestamp) {
    let steps: Vec<(VersionLabel, Progress)> = service
        .versions
        .values()
        .filter(|version| is_leaving(version))
        .filter_map(|version| {
            // A version that nobody reported about is not known to be unused.
            let load = traffic.loads.get(&(service.name.clone(), version.label.clone()));
            let seen = Seen { load: load.copied(), clocks: now - traffic.skew.behind };
            Some((version.label.clone(), progress(service, version, seen, now)?))
        })
        .collect();
    for (label, step) in &steps {
        let Some(version) = service.version_mut(label) else { continue };
        match *step {
            Progress::Seals(is_sealed) => version.is_sealed = is_sealed,
            Progress::Ends(by) => end(version, by, now),
        }
    }
    if steps.iter().any(|(_, step)| matches!(step, Progress::Ends(_))) {
        relearn(service);
    }
}

/// Ends a version's drain now; its sessions move at their next request.
pub(crate) fn evict(service: &mut Service, label: &VersionLabel, now: Timestamp) -> Result<(), Rejected> {
    let version = known(service, label)?;
    if !is_leaving(version) {
        let detail = format!("version {label} is {}, not draining", version.role);
        return Err(Rejected::because(Code::WrongRole, detail));
    }
    end(version, DrainedBy::Deadline, now);
    relearn(service);
    Ok(())
}

/// After a restart: holds have one full term, and earlier processes may have handed out pins until the moment they ended,
/// dated up to `latest`.
pub(crate) fn restore(service: &mut Service, latest: Timestamp, now: Timestamp) {
    for version in service.versions.values_mut().filter(|version| !version.holds.is_empty()) {
        Arc::make_mut(version).holds.values_mut().for_each(|hold| hold.expires_at = now + hold.ttl);
    }
    assume_pins(service, latest);
}

/// Pins may be out there that nobody noted, or that live longer than was noted: dated up to `latest`, by the policy of the service.
pub(crate) fn assume_pins(service: &mut Service, latest: Timestamp) {
    let PinPolicy { mode, idle, life, .. } = service.policy.pin;
    if mode == PinMode::None {
        return;
    }
    let expiry = |latest: Timestamp| latest.in_whole_secs() + idle.min(life);
    let is_again = service.former_pins_until.is_some();
    if is_again {
        service.former_pins_until = Some(expiry(latest));
    }
    // Whatever its role: a version that is retired, rejected or past its deadline may return and serve its pins again.
    for version in service.versions.values_mut().filter(|version| is_again || version.had_sessions()) {
        // What was proven to have none had none by then; a clock that is set back, or a policy under which they live longer, revives some.
        let proven =
            version.drained.filter(|drained| drained.by == DrainedBy::Proof).map(|drained| drained.at);
        let latest = proven.map_or(latest, |proven| proven.min(latest));
        Arc::make_mut(version).pins_until = expiry(latest);
    }
}

/// Whether something may be left of a version that gets no new sessions.
fn is_leaving(version: &Version) -> bool {
    version.role == Role::Draining
        || (version.role == Role::Rejected && version.was_active() && version.drained.is_none())
}

/// The next step of a drain.
#[derive(Debug, Clone, Copy)]
enum Progress {
    /// Nobody is admitted any more, or is again.
    Seals(bool),
    Ends(DrainedBy),
}

/// What is to be seen of a version that leaves.
#[derive(Debug, Clone, Copy)]
struct Seen {
    load: Option<Load>,
    /// What the slowest of the clocks may show by which pins are judged.
    clocks: Timestamp,
}

/// That a draining version is unused takes two looks. While it admits anybody, a request may begin right after the first one: by its
/// name, or by a pin that a worker's clock takes for alive. So it admits nobody from then on, and the second look, which is taken when
/// every worker knows that, sees what can only get less.
fn progress(service: &Service, version: &Version, seen: Seen, now: Timestamp) -> Option<Progress> {
    let Seen { load, clocks } = seen;
    // Sessions of a rejected version moved: their pins are worth nothing, and it admits nobody.
    let is_rejected = version.role == Role::Rejected;
    let is_wanted = |load| !version.holds.is_empty() || (!is_rejected && pins_until(version, load) > clocks);
    let is_idle = |load: Load| load.in_flight == 0 && load.tunnels == 0 && !is_wanted(load);
    if load.is_some_and(is_idle) {
        let is_proven = is_rejected || version.is_sealed;
        return Some(if is_proven { Progress::Ends(DrainedBy::Proof) } else { Progress::Seals(true) });
    }
    // A rejected version has nobody to evict, but its tunnels do not hold it for ever either.
    let ends = version.demoted_at? + service.policy.drain.deadline + service.policy.drain.spread;
    if ends <= now {
        return Some(Progress::Ends(DrainedBy::Deadline));
    }
    // A pin was handed out, or a hold taken, before the seal was known: those have to be served.
    (version.is_sealed && load.is_some_and(is_wanted)).then_some(Progress::Seals(false))
}

fn end(version: &mut Version, by: DrainedBy, now: Timestamp) {
    version.drained = Some(Drained { at: now, by });
    version.is_sealed = false;
    version.role = if version.rejected.is_some() { Role::Rejected } else { Role::Drained };
}

fn relearn(service: &mut Service) {
    let active = service.active.as_ref().map(|active| service.capacity(active)).unwrap_or_default();
    settle::learn(service, |_| active, true);
}

#[cfg(test)]
mod tests {
    use super::*;

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
