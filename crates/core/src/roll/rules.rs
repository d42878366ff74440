//! What stands in the way of a restart: a failed one, a full batch, a flip that is due, sessions that are still pinned, too little
//! capacity.

use std::collections::BTreeMap;

use super::State;
use crate::backend::{Backend, Operational};
use crate::command::Flip;
use crate::drain;
use crate::flip;
use crate::id::{BackendId, VersionLabel};
use crate::policy::FlipMode;
use crate::rejected::{Code, Reason};
use crate::service::{Capacity, Service};
use crate::time::{Millis, Timestamp};
use crate::version::{Role, Version};

/// A service as those see it who ask for permits. What does not depend on who asks is found out once, for all of its backends.
#[derive(Debug)]
pub struct Outlook<'a> {
    service: &'a Service,
    now: Timestamp,
    capacities: BTreeMap<&'a VersionLabel, Capacity>,
    next: Option<Next<'a>>,
}

/// The version that waits for its flip.
#[derive(Debug)]
struct Next<'a> {
    version: &'a Version,
    /// What the flip waits for.
    obstacles: Vec<Reason>,
    are_all_usable: bool,
}

impl<'a> Outlook<'a> {
    /// The outlook of a service.
    #[must_use]
    pub fn new(service: &'a Service, now: Timestamp) -> Self {
        let capacities = service.capacities();
        let next = next_version(service).map(|version| {
            let flip = Flip { to: version.label.clone(), if_epoch: None, force: false };
            let capacity = capacities.get(&version.label).copied().unwrap_or_default();
            Next {
                version,
                obstacles: flip::obstacles(service, &flip, now),
                are_all_usable: capacity.registered > 0 && capacity.usable == capacity.registered,
            }
        });
        Self { service, now, capacities, next }
    }

    /// Everything that stands in the way of a permit for a backend that has none; empty when it gets one.
    #[must_use]
    pub fn obstacles(&self, id: &BackendId) -> Vec<Reason> {
        let roll = &self.service.roll;
        let mut reasons = Vec::new();
        if roll.state == State::Frozen {
            let detail = format!("the roll is frozen: {}; resume or abort it", roll.reason);
            reasons.push(Reason::new(Code::RollFrozen, detail));
        }
        if !self.is_another(id) {
            reasons.extend(self.full_batch());
        }
        let Some(backend) = self.service.backends.get(id) else { return reasons };
        let Some(version) = self.version_at_stake(backend) else { return reasons };
        match version.role {
            Role::Active => {
                // Both say how the roll goes on.
                reasons.extend(self.shortage(id).or_else(|| self.due_flip(id)));
            }
            Role::Draining => reasons.push(self.not_drained(version)),
            Role::Canary => reasons.extend(self.shortage(id)),
            Role::Staged | Role::Drained | Role::Rejected | Role::Superseded | Role::Retired => {}
        }
        reasons
    }

    /// The usable weight of the active version.
    #[must_use]
    pub fn usable(&self) -> u64 {
        self.service.active.as_ref().map_or(0, |active| self.capacity(active).usable_weight)
    }

    /// The weight of the active version that must stay usable when the next backend is taken out.
    #[must_use]
    pub fn needed(&self) -> u64 {
        self.needed_of(self.service.roll.permits.is_empty(), self.next.as_ref())
    }

    /// Too little that would be left of a backend's version, whether or not the backend has a permit already.
    pub(super) fn shortage(&self, id: &BackendId) -> Option<Reason> {
        let backend = self.service.backends.get(id)?;
        let version = self.version_at_stake(backend)?;
        let usable = self.capacity(&version.label).usable_weight;
        let own = if backend.is_usable() { u64::from(backend.weight().value()) } else { 0 };
        let left = usable.saturating_sub(own);
        match version.role {
            Role::Active => self.too_little_left(backend, version, left),
            // Their sessions have nowhere to go inside their version but to its other backends.
            Role::Canary | Role::Draining if left == 0 => {
                let detail = format!(
                    "{id} is the last usable backend of {}, which is {}",
                    version.label, version.role
                );
                Some(Reason::new(Code::BelowMinCapacity, detail))
            }
            _ => None,
        }
    }

    /// Whether a restart of this backend begins another roll: it is where this one leads to already, or that is gone.
    pub(super) fn is_another(&self, id: &BackendId) -> bool {
        let roll = &self.service.roll;
        let version = self.service.backends.get(id).and_then(|backend| backend.version.as_ref());
        let is_there = roll.to.is_none() || roll.to.as_ref() == version;
        let is_gone = roll.to.as_ref().is_some_and(|to| !self.capacities.contains_key(to));
        roll.state == State::Running
            && roll.permits.is_empty()
            && (is_gone || (is_there && roll.done.contains(id)))
    }

    /// The version that would serve less without this backend. What is down serves nobody; what only was not asked yet may serve in a
    /// moment.
    fn version_at_stake(&self, backend: &Backend) -> Option<&'a Version> {
        if matches!(backend.operational, Operational::Down(_)) {
            return None;
        }
        self.service.versions.get(backend.version.as_ref()?).map(AsRef::as_ref)
    }

    fn capacity(&self, label: &VersionLabel) -> Capacity {
        self.capacities.get(label).copied().unwrap_or_default()
    }

    fn full_batch(&self) -> Option<Reason> {
        let roll = &self.service.roll;
        if roll.state != State::Running || roll.permits.is_empty() || !self.is_taken() {
            return None;
        }
        let names: Vec<&str> = roll.permits.keys().map(BackendId::as_str).collect();
        let (batch, batches) = (roll.batch, self.service.policy.roll.batches(roll.size));
        let detail =
            format!("batch {batch} of {batches} is under way: {} must come back first", names.join(", "));
        Some(Reason::new(Code::BatchFull, detail))
    }

    /// Whether the batch has no permit left.
    fn is_taken(&self) -> bool {
        let roll = &self.service.roll;
        roll.taken >= self.service.policy.roll.batch_size(roll.size)
    }

    /// Another batch of the active version helps nobody while what was restarted could have the traffic.
    fn due_flip(&self, id: &BackendId) -> Option<Reason> {
        let next = self.next_for(id).filter(|_| self.is_taken())?;
        if next.lacks_weight() {
            return None;
        }
        let batch = self.service.roll.batch;
        let detail = format!("batch {batch} is restarted{}", self.goes_on(next));
        Some(Reason::new(Code::BatchFull, detail))
    }

    fn not_drained(&self, version: &Version) -> Reason {
        let ends = drain::deadline(version, self.service.policy.drain).map_or(self.now, |(_, ends)| ends);
        let left = Millis::from_secs(ends.since(self.now).0.div_ceil(1000));
        let label = &version.label;
        let detail = format!(
            "sessions may be pinned to version {label}: it is drained when the last of them ends, in {left} at the latest"
        );
        Reason::new(Code::NotDrained, detail)
    }

    fn too_little_left(&self, backend: &Backend, version: &Version, left: u64) -> Option<Reason> {
        let id = &backend.id;
        let next = self.next_for(id);
        let is_alone = self.service.roll.permits.keys().all(|other| other == id);
        let needed = self.needed_of(is_alone, next);
        if left >= needed {
            return None;
        }
        let (label, expected) = (&version.label, self.service.expected_weight());
        let mut detail = format!(
            "without {id} a weight of {left} of version {label} is usable, {needed} of {expected} is needed (min_capacity)"
        );
        if let Some(next) = next {
            detail.push_str(&self.goes_on(next));
        }
        Some(Reason::new(Code::BelowMinCapacity, detail))
    }

    /// `min_capacity` of the expected weight. Fleets that can't be halved would never come to a quorum so: when nothing else is out and
    /// nothing else can help, the share is rounded down, but never to nothing.
    fn needed_of(&self, is_alone: bool, next: Option<&Next<'a>>) -> u64 {
        let (share, expected) = (self.service.policy.min_capacity, self.service.expected_weight());
        let is_stuck = is_alone && next.is_some_and(|next| next.are_all_usable && next.lacks_weight());
        if is_stuck { share.of_odd(expected) } else { share.of(expected) }
    }

    fn next_for(&self, id: &BackendId) -> Option<&Next<'a>> {
        self.next.as_ref().filter(|_| !self.is_another(id))
    }

    /// How the roll goes on: what the flip waits for, or who.
    fn goes_on(&self, next: &Next<'a>) -> String {
        let (name, label) = (&self.service.name, &next.version.label);
        let reasons: Vec<&str> = next.obstacles.iter().map(|reason| reason.detail.as_str()).collect();
        match (reasons.is_empty(), self.service.policy.flip.mode) {
            (true, FlipMode::Manual) => {
                format!(
                    "; version {label} has its quorum: `cutover flip {name} {label}` goes on with the roll"
                )
            }
            (true, FlipMode::Auto) => format!("; version {label} becomes active in a moment"),
            (false, _) => format!("; version {label} waits for its flip: {}", reasons.join(", ")),
        }
    }
}

/// The version that waits for its flip. A backend that came back too late told nobody where the roll leads: then the newest one.
fn next_version(service: &Service) -> Option<&Version> {
    let versions = service.versions.values().map(AsRef::as_ref);
    match &service.roll.to {
        // After a rollback and a clear it is one that was active before.
        Some(to) => versions
            .filter(|version| {
                version.role.is_coming() || matches!(version.role, Role::Draining | Role::Drained)
            })
            .find(|version| version.label == *to),
        None => versions.filter(|version| version.role.is_coming()).max_by_key(|version| version.seen),
    }
}

impl Next<'_> {
    /// Whether the flip waits for more backends.
    fn lacks_weight(&self) -> bool {
        let is_lack = |code| matches!(code, Code::QuorumShare | Code::QuorumCount | Code::NothingUsable);
        self.obstacles.iter().any(|reason| is_lack(reason.code))
    }
}
