//! What happens to a request: which version serves it, which backend of that version, and what becomes of its pin.

use crate::balance::Choosing;
use crate::canary;
use crate::drain;
use crate::entropy::Entropy;
use crate::mix::mix;
use crate::pin::{NoPin, Pin};
use crate::policy::{Affinity, OnMissingVersion, PinMode, Share};
use crate::preview::Preview;
use crate::snapshot::{ServiceSet, Snapshot, VersionSet};
use crate::time::Timestamp;
use crate::version::Role;

/// What is known about a request.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The service that it is for, as [`Snapshot::route`] answered.
    pub service: usize,
    /// The leave that it has to try a version out, if it has one: authentic and alive.
    pub preview: Option<Preview>,
    /// The version that it names, if it names one.
    pub explicit: Option<&'a str>,
    /// Its pin: authentic and alive, or why there is none.
    pub pin: Result<Pin, NoPin>,
    /// The key for balancing by hash, if the request has one.
    pub hash_key: Option<u64>,
    /// Whether it asks for a page that takes the place of the one that is shown. Asked for only under policy `page`.
    pub is_navigation: bool,
    /// Whether it may still wait for a backend.
    pub may_wait: bool,
    /// The time.
    pub now: Timestamp,
}

impl Facts<'_> {
    /// A request for `service` that comes with `pin` and nothing else, and may not wait.
    #[must_use]
    pub const fn of(service: usize, pin: Result<Pin, NoPin>, now: Timestamp) -> Self {
        Self {
            service,
            preview: None,
            explicit: None,
            pin,
            hash_key: None,
            is_navigation: false,
            may_wait: false,
            now,
        }
    }
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is served.
    Serve(Choice),
    /// It waits until something changes, and is decided again. Never answered when it may not wait.
    Wait,
    /// Nothing can serve it.
    Unavailable,
    /// It names a version that can't be reached, and is refused with this.
    MissingVersion(OnMissingVersion),
    /// It tries out a version that can't serve it, and gets no other.
    NoPreview,
}

/// By whom a request is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The version, as its place in [`ServiceSet::versions`].
    pub version: usize,
    /// The backend, as its place in [`VersionSet::members`].
    pub member: usize,
    /// What becomes of the pin.
    pub pin: PinAction,
    /// Whether the client is on a version that is no longer active, and should be told.
    pub is_outdated: bool,
}

/// What becomes of a request's pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinAction {
    /// There are no pins here.
    None,
    /// Pins don't matter: the client tries a version out, and keeps what it has.
    Preview,
    /// The client keeps what it has.
    Keep(Pin),
    /// The client gets this one.
    Hand(Pin, Why),
}

/// Why a client gets a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its session begins.
    New(NoPin),
    /// A quarter of its idle time is over.
    Refreshed,
    /// Its backend is gone; the version is the same.
    Rebalanced,
    /// Its version may not serve it any more: evicted, rejected, drained, or forgotten.
    Ended,
    /// Its version has no usable backend.
    NoBackend,
    /// Its client navigates, and new sessions go elsewhere.
    Navigated,
}

impl PinAction {
    /// The word for it, as in metrics and the access log.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Preview => "preview",
            Self::Keep(_) => "kept",
            Self::Hand(_, Why::New(NoPin::Absent)) => "new",
            Self::Hand(_, Why::New(problem)) => problem.as_str(),
            Self::Hand(_, Why::Refreshed) => "refreshed",
            Self::Hand(_, Why::Rebalanced) => "rebalanced",
            Self::Hand(_, Why::Ended) => "moved_ended",
            Self::Hand(_, Why::NoBackend) => "moved_no_backend",
            Self::Hand(_, Why::Navigated) => "moved_navigation",
        }
    }

    /// All words that [`as_str`](Self::as_str) answers.
    pub const OUTCOMES: [&'static str; 14] = [
        "none",
        "preview",
        "kept",
        "new",
        "malformed",
        "unknown_key",
        "bad_mac",
        "expired",
        "future_dated",
        "refreshed",
        "rebalanced",
        "moved_ended",
        "moved_no_backend",
        "moved_navigation",
    ];
}

impl Snapshot {
    /// Decides about a request. Fed the same snapshot, cells, facts and entropy it always answers the same.
    #[must_use]
    pub fn decide(&self, facts: &Facts<'_>, entropy: &mut Entropy) -> Decision {
        let service = &self.services[facts.service];
        if let Some(preview) = facts.preview {
            return service.decide_preview(preview, facts, entropy);
        }
        if let Some(decision) = service.decide_explicit(facts, entropy) {
            return decision;
        }
        let mut why = Why::New(NoPin::Absent);
        if service.policy.pin.mode != PinMode::None {
            match facts.pin {
                Err(problem) => why = Why::New(problem),
                Ok(pin) => {
                    if facts.is_navigation
                        && let Some(decision) = service.decide_navigation(pin, facts, entropy)
                    {
                        return decision;
                    }
                    match service.decide_pinned(pin, facts, entropy) {
                        Ok(decision) => return decision,
                        Err(ended) => why = ended,
                    }
                }
            }
        }
        service.decide_unpinned(why, facts, entropy)
    }
}

impl ServiceSet {
    /// The version that the request tries out, and never another one.
    fn decide_preview(&self, preview: Preview, facts: &Facts<'_>, entropy: &mut Entropy) -> Decision {
        let at = self.versions.iter().position(|version| version.hash == preview.version);
        let Some(at) = at.filter(|&at| self.versions[at].is_previewable) else {
            return Decision::NoPreview;
        };
        let version = &self.versions[at];
        // Apps that keep sessions in memory get all requests of a preview in one place, as they would by a pin.
        let id = mix(preview.version ^ preview.expires_at.0);
        let member = match self.policy.affinity {
            Affinity::Backend => version.choose_by_key(id),
            Affinity::Version => self.choose_for(version, id, facts, entropy),
        };
        match member {
            Some(member) => {
                Decision::Serve(Choice { version: at, member, pin: PinAction::Preview, is_outdated: false })
            }
            None if facts.may_wait && (version.is_pending || version.ready > 0) => Decision::Wait,
            None => Decision::NoPreview,
        }
    }

    /// A version that the request names. `None`: it names none, or one that can't be reached and that does not matter.
    fn decide_explicit(&self, facts: &Facts<'_>, entropy: &mut Entropy) -> Option<Decision> {
        let label = facts.explicit?;
        let found =
            self.versions.iter().position(|version| version.label.as_str() == label && version.serves_pins());
        let Some(at) = found else { return self.decide_missing() };
        // A page that names the version of its own session is that session: it keeps its backend, and its pin stays alive.
        if self.policy.pin.mode != PinMode::None
            && let Ok(pin) = facts.pin
            && pin.version == self.versions[at].hash
            && let Ok(decision) = self.decide_pinned(pin, facts, entropy)
        {
            return Some(decision);
        }
        if let Some(member) = self.choose(&self.versions[at], facts, entropy) {
            // Who names another version is no session of it: its pin stays as it is.
            let pin = facts.pin.map_or(PinAction::None, PinAction::Keep);
            let is_outdated = self.is_outdated(at);
            return Some(Decision::Serve(Choice { version: at, member, pin, is_outdated }));
        }
        if self.waits_for(at, facts) {
            return Some(Decision::Wait);
        }
        // The active version is not missing, it only can't answer now; there is nothing to serve in its place.
        if Some(at) == self.active { Some(Decision::Unavailable) } else { self.decide_missing() }
    }

    /// What becomes of a request that names a version which can't be reached.
    fn decide_missing(&self) -> Option<Decision> {
        match self.policy.on_missing_version {
            OnMissingVersion::Active => None,
            other => Some(Decision::MissingVersion(other)),
        }
    }

    /// The version that the pin names, if it may and can serve.
    fn decide_pinned(&self, pin: Pin, facts: &Facts<'_>, entropy: &mut Entropy) -> Result<Decision, Why> {
        let at = self.versions.iter().position(|version| version.hash == pin.version).ok_or(Why::Ended)?;
        let version = &self.versions[at];
        let is_evicted = version.eviction.is_some_and(|window| drain::is_evicted(pin.id, window, facts.now));
        // A pin of a later epoch than ours was handed out by somebody who knows more: what we think of its version is outdated.
        let is_ahead = pin.epoch > self.epoch;
        if !is_ahead && (is_evicted || !self.keeps(version, pin)) {
            return Err(Why::Ended);
        }
        let is_tied = self.policy.affinity == Affinity::Backend;
        let tied = pin.backend.filter(|_| is_tied).and_then(|hash| version.member_by_hash(hash));
        let stays = |member: &usize| {
            let window = version.members[*member].eviction;
            !window.is_some_and(|window| drain::is_evicted(pin.id, window, facts.now))
        };
        let (member, is_moved) = match tied.filter(stays) {
            Some(member) => (Some(member), false),
            None => match self.choose_for(version, pin.id, facts, entropy) {
                Some(member) => (Some(member), is_tied),
                // While its version has nobody else, a backend that is being taken out is better than none.
                None => (tied, false),
            },
        };
        let Some(member) = member else {
            return if self.waits_for(at, facts) { Ok(Decision::Wait) } else { Err(Why::NoBackend) };
        };
        let pin = match () {
            () if is_moved => {
                let backend = Some(version.members[member].hash);
                PinAction::Hand(Pin { backend, ..pin.refreshed(facts.now) }, Why::Rebalanced)
            }
            () if pin.is_refresh_due(&self.policy.pin, facts.now) => {
                PinAction::Hand(pin.refreshed(facts.now), Why::Refreshed)
            }
            () => PinAction::Keep(pin),
        };
        Ok(Decision::Serve(Choice { version: at, member, pin, is_outdated: self.is_outdated(at) }))
    }

    /// Where a navigation takes a session under policy `page`: to what a new session with its id would get. `None`: it stays, or what
    /// it would get can't serve it.
    fn decide_navigation(&self, pin: Pin, facts: &Facts<'_>, entropy: &mut Entropy) -> Option<Decision> {
        let at = self.versions.iter().position(|version| version.hash == pin.version)?;
        if pin.epoch > self.epoch || self.is_news(&self.versions[at], pin) {
            return None;
        }
        for home in self.homes(pin.id) {
            if home == at {
                return None;
            }
            if let Some(member) = self.choose_for(&self.versions[home], pin.id, facts, entropy) {
                return Some(self.serve_new((home, member), pin.id, Why::Navigated, facts));
            }
        }
        None
    }

    /// The canary or the active version, for a session that begins, or has to begin again.
    fn decide_unpinned(&self, why: Why, facts: &Facts<'_>, entropy: &mut Entropy) -> Decision {
        let id = facts.pin.map_or_else(|_| entropy.word(), |pin| pin.id);
        let found = self
            .homes(id)
            .find_map(|at| Some((at, self.choose_for(&self.versions[at], id, facts, entropy)?)));
        match found {
            Some(found) => self.serve_new(found, id, why, facts),
            None if facts.may_wait => Decision::Wait,
            None => Decision::Unavailable,
        }
    }

    /// The versions that a new session with this id may go to, the one that it belongs to first.
    fn homes(&self, id: u64) -> impl Iterator<Item = usize> {
        let canary = self.canary.filter(|canary| canary::includes(id, canary.share));
        canary.map(|canary| canary.version).into_iter().chain(self.active)
    }

    /// Serves a session by `member` of the version `at`, which it has a pin for from now on.
    fn serve_new(&self, (at, member): (usize, usize), id: u64, why: Why, facts: &Facts<'_>) -> Decision {
        let pin = match self.policy.pin.mode {
            PinMode::None => PinAction::None,
            PinMode::Session | PinMode::Page => {
                let version = &self.versions[at];
                let begun = facts.now.in_whole_secs();
                let backend =
                    (self.policy.affinity == Affinity::Backend).then(|| version.members[member].hash);
                let pin = Pin {
                    epoch: self.epoch,
                    version: version.hash,
                    born_at: begun,
                    issued_at: begun,
                    id,
                    backend,
                };
                PinAction::Hand(pin, why)
            }
        };
        Decision::Serve(Choice { version: at, member, pin, is_outdated: false })
    }

    /// Whether a request for a version that has nobody to send it to waits for somebody: no session is moved because probes are late, nor
    /// because the workers know of a loss before the control plane does, which is when members are ready and none may be sent to. But none
    /// waits for ever either.
    fn waits_for(&self, at: usize, facts: &Facts<'_>) -> bool {
        let version = &self.versions[at];
        facts.may_wait && (version.is_pending || version.ready > 0 || Some(at) == self.active)
    }

    /// Whether the version goes on with a session that has a pin for it, of this epoch or an earlier one.
    fn keeps(&self, version: &VersionSet, pin: Pin) -> bool {
        match version.role {
            Role::Active | Role::Draining => version.serves_pins(),
            Role::Canary => {
                let share = self.canary.map_or(Share::NONE, |canary| canary.share);
                self.is_news(version, pin) || canary::includes(pin.id, share)
            }
            Role::Staged | Role::Superseded => self.is_news(version, pin),
            Role::Drained | Role::Rejected | Role::Retired => false,
        }
    }

    /// Whether a pin tells that its version is a canary, or has a larger share, by now: within an epoch no session is taken from one.
    fn is_news(&self, version: &VersionSet, pin: Pin) -> bool {
        // In a service that was removed and came again the epoch is one of before, until a version is active.
        self.active.is_some()
            && pin.epoch == self.epoch
            && matches!(version.role, Role::Canary | Role::Staged | Role::Superseded)
    }

    /// Whether there is something newer than what a client with this pin has: it is pinned to a version that gets no new sessions.
    #[must_use]
    pub fn has_update_for(&self, pin: Pin) -> bool {
        let version = self.versions.iter().find(|version| version.hash == pin.version);
        let is_current = version.is_some_and(|version| match version.role {
            Role::Active => true,
            Role::Draining => false,
            _ => self.keeps(version, pin),
        });
        self.active.is_some() && pin.epoch <= self.epoch && !is_current
    }

    fn is_outdated(&self, version: usize) -> bool {
        self.versions[version].role == Role::Draining
    }

    fn choose(&self, version: &VersionSet, facts: &Facts<'_>, entropy: &mut Entropy) -> Option<usize> {
        self.choose_again(version, &[], facts, entropy)
    }

    /// Like [`choose`](Self::choose), hashing on the session's id where that is what the service hashes on.
    fn choose_for(
        &self,
        version: &VersionSet,
        id: u64,
        facts: &Facts<'_>,
        entropy: &mut Entropy,
    ) -> Option<usize> {
        let is_by_pin = self.policy.balance == crate::policy::Balance::Hash(crate::policy::HashOn::Pin);
        let hash_key = if is_by_pin { Some(id) } else { facts.hash_key };
        self.choose_again(version, &[], &Facts { hash_key, ..*facts }, entropy)
    }

    /// Chooses inside `version` for another try of a request: not one of `tried`.
    pub fn choose_again(
        &self,
        version: &VersionSet,
        tried: &[usize],
        facts: &Facts<'_>,
        entropy: &mut Entropy,
    ) -> Option<usize> {
        let how = Choosing { policy: &self.policy, hash_key: facts.hash_key, tried, now: facts.now };
        version.choose(&how, entropy)
    }
}
