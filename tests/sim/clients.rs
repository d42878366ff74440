//! Sessions, and what they check with every answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cutover_core::canary;
use cutover_core::decide::{Choice, Decision, Facts, PinAction, Why};
use cutover_core::entropy::Entropy;
use cutover_core::id::{BackendId, Epoch};
use cutover_core::pin::{NoPin, Pin};
use cutover_core::policy::{IdentitySource, PinMode, Policy};
use cutover_core::snapshot::{BackendEntry, ServiceSet, VersionSet};
use cutover_core::time::{Millis, Timestamp};
use cutover_core::version::Role;

use crate::fleet::{Fleet, Process};
use crate::worker::{Answer, Way, Worker};

/// One browser.
#[derive(Default, Clone)]
pub(crate) struct Session {
    pin: Option<Pin>,
    version: String,
    epoch: Epoch,
}

/// Every pin that was ever handed out, by what it proves about drains: the latest expiry per version.
#[derive(Default)]
pub(crate) struct PinBook(BTreeMap<String, Timestamp>);

/// What a request is made under.
pub(crate) struct Scene<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) fleet: &'a Fleet,
    pub(crate) pins: &'a mut PinBook,
    /// The last epoch that a flip was acknowledged with.
    pub(crate) acknowledged: Epoch,
    /// Versions that are reported drained, with proof.
    pub(crate) drained: &'a BTreeSet<String>,
    /// The time by the clock of the workers, and the real one.
    pub(crate) wall: Timestamp,
    pub(crate) now: Timestamp,
}

/// How a request ended.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) is_served: bool,
    /// Whether it was served by another version than it was decided for, which nobody could know.
    pub(crate) is_mixed: bool,
    /// Whether its session moved because it was a navigation.
    pub(crate) is_moved: bool,
    /// Processes that were noticed to be gone on the way.
    pub(crate) noticed: Vec<Arc<BackendEntry>>,
}

impl PinBook {
    /// Whether no pin of the version may be alive.
    pub(crate) fn is_over(&self, version: &str, now: Timestamp) -> bool {
        self.0.get(version).is_none_or(|&expiry| expiry <= now)
    }

    fn note(&mut self, version: &str, expiry: Timestamp) {
        let latest = self.0.entry(version.to_owned()).or_default();
        *latest = (*latest).max(expiry);
    }
}

impl Session {
    /// The version that served it last.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// One request.
    pub(crate) fn request(
        &mut self,
        worker: &mut Worker,
        scene: &mut Scene<'_>,
        dice: &mut Entropy,
    ) -> Outcome {
        // A request that nothing came before may meet a worker that has not read the newest snapshot yet. One that follows an answer can't: the
        // answer was made later than the snapshot was published.
        if self.pin.is_some() || !self.version.is_empty() || dice.below(2) == 0 {
            worker.catch_up();
        }
        let Some(service) = worker.service().cloned() else { return Outcome::default() };
        let pin = self.pin.ok_or(NoPin::Absent).and_then(|pin| {
            pin.check_dates(&scene.policy.pin, scene.wall)?;
            Ok(pin)
        });
        // Under policy `page` whoever navigates may move.
        let is_navigation = scene.policy.pin.mode == PinMode::Page && dice.below(3) == 0;
        let home = pin.ok().filter(|_| !is_navigation).and_then(|pin| self.home(&service, pin, scene.wall));
        let facts = Facts { is_navigation, ..Facts::of(0, pin, scene.wall) };
        let Decision::Serve(choice) = worker.decide(&facts, dice) else {
            assert!(home.is_none(), "G1: a session was refused although its version could serve it");
            return Outcome::default();
        };
        self.check(&service, choice, home.as_deref(), (pin.is_err(), scene));
        let is_moved = matches!(choice.pin, PinAction::Hand(_, Why::Navigated));

        let (is_idempotent, until) = (dice.below(4) != 0, scene.now + Millis(dice.below(5000)));
        let way = Way { service: &service, choice, is_idempotent, until, wall: scene.wall };
        let ending = worker.forward(&way, scene.fleet, dice);
        let version = &service.versions[choice.version];
        let mut outcome = Outcome { noticed: ending.noticed, is_moved, ..Outcome::default() };
        let Answer::Of(process, backend) = ending.answer else { return outcome };
        outcome.is_served = true;
        outcome.is_mixed = process.runs != version.label;
        if outcome.is_mixed {
            let may_replace = is_idempotent && !ending.is_last_resort;
            check_mixed(scene, &process, &backend, may_replace);
        }
        self.epoch = self.epoch.max(epoch_of(&service, version));
        self.version = version.label.to_string();
        self.pin = match choice.pin {
            PinAction::None | PinAction::Preview => None,
            PinAction::Keep(pin) => Some(pin),
            PinAction::Hand(pin, _) => {
                let expiry = pin.expires_at(&scene.policy.pin);
                version.traffic.note_pin_expiry(expiry);
                if pin.backend.is_some() {
                    version.members[choice.member].traffic.note_pin_expiry(expiry);
                }
                scene.pins.note(&self.version, expiry);
                Some(pin)
            }
        };
        outcome
    }

    /// The version of a session, if it may and can serve it.
    fn home(&self, service: &ServiceSet, pin: Pin, wall: Timestamp) -> Option<String> {
        let version = service.version(&self.version)?;
        // A canary keeps whom it got in this epoch, and of the others whoever is in its share.
        let went_back =
            version.role == Role::Canary && pin.epoch < service.epoch && !is_in_canary(service, pin.id);
        let is_evicting = version.eviction.is_some_and(|(begins, _)| begins <= wall);
        let can_serve = version.members[..version.ready].iter().any(|entry| entry.is_sendable());
        (version.serves_pins() && can_serve && !is_evicting && !went_back).then(|| self.version.clone())
    }

    /// G1, G2, G4 and G7, for what was decided.
    fn check(
        &self,
        service: &ServiceSet,
        choice: Choice,
        home: Option<&str>,
        (is_new, scene): (bool, &Scene<'_>),
    ) {
        let version = &service.versions[choice.version];
        let label = version.label.as_str();
        if let Some(home) = home {
            assert_eq!(label, home, "G1: a session left a version that could serve it");
        }
        let epoch = epoch_of(service, version);
        assert!(
            is_new || epoch >= self.epoch || label == self.version,
            "G2: from epoch {} back to {epoch}",
            self.epoch
        );
        if is_new {
            assert!(
                !scene.drained.contains(label),
                "G7: a request began on {label}, which was reported drained"
            );
            assert!(service.epoch >= scene.acknowledged, "G4: a new session was decided in an older epoch");
            check_new(service, choice);
        }
    }
}

/// G4: a new session goes to the active version, or to the canary if it is in its share.
fn check_new(service: &ServiceSet, choice: Choice) {
    let is_canary = service.canary.is_some_and(|canary| canary.version == choice.version);
    assert!(
        is_canary || Some(choice.version) == service.active,
        "G4: a new session went to a version that is not active"
    );
    if let (PinAction::Hand(pin, _), Some(canary)) = (choice.pin, service.canary) {
        let version = &service.versions[canary.version];
        let can_serve = version.members[..version.ready].iter().any(|entry| entry.is_sendable());
        let belongs = is_in_canary(service, pin.id);
        assert_eq!(is_canary, belongs && (is_canary || can_serve), "a new session missed its share");
    }
}

fn is_in_canary(service: &ServiceSet, id: u64) -> bool {
    service.canary.is_some_and(|canary| canary::includes(id, canary.share))
}

/// The epoch that the sessions of a version are in.
fn epoch_of(service: &ServiceSet, version: &VersionSet) -> Epoch {
    match version.role {
        Role::Canary => service.epoch,
        _ => version.epoch.unwrap_or_default(),
    }
}

/// G3: an answer by a process that runs something else than was decided.
fn check_mixed(scene: &Scene<'_>, process: &Process, backend: &BackendId, may_replace: bool) {
    let source = scene.policy.identity.source;
    // Who never says what it runs is believed to run what it was registered with, and a label is a promise of whoever registers.
    if source == IdentitySource::Label || process.named_version().is_none() {
        return;
    }
    assert!(
        source != IdentitySource::Response || !may_replace,
        "G3: {backend} answered for another version, and could be replaced: {process:?}"
    );
    assert!(
        scene.fleet.is_unnoticed(backend, process),
        "G3: {backend} answered for another version after somebody had noticed that it may: {process:?}"
    );
}
