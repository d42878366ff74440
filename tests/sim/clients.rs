//! Sessions, and what they check with every answer.

use std::collections::{BTreeMap, BTreeSet};

use cutover_core::decide::{Decision, Facts, PinAction};
use cutover_core::entropy::Entropy;
use cutover_core::id::Epoch;
use cutover_core::pin::{NoPin, Pin};
use cutover_core::policy::Policy;
use cutover_core::time::{Millis, Timestamp};
use cutover_core::traffic::InFlight;

use crate::fleet::Fleet;
use crate::node::Worker;

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
    pub(crate) now: Timestamp,
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
    /// One request; answers whether it was served.
    pub(crate) fn request(&mut self, worker: &mut Worker, scene: &mut Scene<'_>, dice: &mut Entropy) -> bool {
        // A request that nothing came before may meet a worker that has not read the newest snapshot yet. One that follows an answer can't: the
        // answer was made later than the snapshot was published.
        if self.pin.is_some() || !self.version.is_empty() || dice.below(2) == 0 {
            worker.catch_up();
        }
        let Some(service) = worker.service().cloned() else { return false };
        let pin = self.pin.ok_or(NoPin::Absent).and_then(|pin| {
            pin.check_dates(&scene.policy.pin, scene.now)?;
            Ok(pin)
        });
        let home = pin.ok().map(|_| self.version.clone()).filter(|home| {
            let version = service.version(home).unwrap();
            let is_evicting = version.eviction.is_some_and(|(begins, _)| begins <= scene.now);
            version.serves_pins()
                && version.members[..version.ready].iter().any(|entry| entry.is_sendable())
                && !is_evicting
        });
        let facts =
            Facts { service: 0, explicit: None, pin, hash_key: None, may_wait: false, now: scene.now };
        let Decision::Serve(choice) = worker.decide(&facts, dice) else {
            assert!(home.is_none(), "G1: a session was refused although its version could serve it");
            return false;
        };
        let version = &service.versions[choice.version];
        let label = version.label.to_string();
        let guard = InFlight::begin(&version.traffic);

        // A dead process is noticed by who asks it; the request itself goes elsewhere in the version, or fails.
        let entry = &version.members[choice.member];
        if scene.fleet.machines[&entry.id].running.is_none() {
            entry.traffic.note_identity_lost(entry.generation);
            entry.traffic.note_error();
            return false;
        }

        if let Some(home) = home {
            assert_eq!(label, home, "G1: a session left a version that could serve it");
        }
        let epoch = version.epoch.unwrap_or_default();
        let is_new = facts.pin.is_err();
        assert!(
            is_new || epoch >= self.epoch || label == self.version,
            "G2: from epoch {} back to {epoch}",
            self.epoch
        );
        if is_new {
            assert!(
                !scene.drained.contains(&label),
                "G7: a request began on {label}, which was reported drained"
            );
            assert!(service.epoch >= scene.acknowledged, "G4: a new session was decided in an older epoch");
            assert_eq!(
                Some(choice.version),
                service.active,
                "G4: a new session went to a version that is not active"
            );
        }

        self.epoch = self.epoch.max(epoch);
        self.version.clone_from(&label);
        self.pin = match choice.pin {
            PinAction::None => None,
            PinAction::Keep(pin) => Some(pin),
            PinAction::Hand(pin, _) => {
                let expiry = pin.expires_at(&scene.policy.pin);
                version.traffic.note_pin_expiry(expiry);
                scene.pins.note(&label, expiry);
                Some(pin)
            }
        };
        worker.in_flight.push((guard, label, scene.now + Millis(dice.below(5000))));
        true
    }
}
