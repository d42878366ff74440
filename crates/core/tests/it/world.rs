//! The world that scenarios act in.

use std::collections::BTreeMap;
use std::sync::Arc;

use cutover_core::backend::{AdminState, Backend, Weight};
use cutover_core::command::{Change, Command, Finding, Flip, Found, Registration, Rollback, Sessions};
use cutover_core::compile::compile;
use cutover_core::decide::{Decision, Facts, PinAction};
use cutover_core::entropy::Entropy;
use cutover_core::id::{BackendId, ServiceName, VersionLabel};
use cutover_core::pin::{NoPin, Pin};
use cutover_core::policy::Policy;
use cutover_core::rejected::{Code, Rejected};
use cutover_core::report::Traffic;
use cutover_core::schema::SchemaRange;
use cutover_core::service::Service;
use cutover_core::snapshot::Snapshot;
use cutover_core::state::State;
use cutover_core::time::{Millis, Timestamp};
use cutover_core::version::Version;

pub(crate) struct World {
    pub state: State,
    pub snapshot: Arc<Snapshot>,
    pub now: Timestamp,
    pub entropy: Entropy,
}

/// What a request got: version, backend, and the pin that its client has afterwards.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Served {
    pub version: String,
    pub backend: String,
    pub pin: Option<Pin>,
    pub action: &'static str,
    pub is_outdated: bool,
}

pub(crate) fn web() -> ServiceName {
    ServiceName::parse("web").unwrap()
}

pub(crate) fn id(name: &str) -> BackendId {
    BackendId::parse(name).unwrap()
}

pub(crate) fn label(text: &str) -> VersionLabel {
    VersionLabel::parse(text).unwrap()
}

pub(crate) fn registration(backend: &str, version: &str) -> Registration {
    Registration {
        backend: id(backend),
        address: format!("{backend}.test:80").parse().unwrap(),
        version: Some(version).filter(|version| !version.is_empty()).map(label),
        weight: Weight::ONE,
        ttl: None,
        boot_id: None,
        zone: None,
        schema: SchemaRange::ANY,
        metadata: BTreeMap::new(),
    }
}

impl World {
    /// A service `web` with this policy and nothing in it.
    pub(crate) fn new(policy: Policy) -> Self {
        let mut world = Self {
            state: State::default(),
            snapshot: Arc::default(),
            now: Timestamp(1_700_000_000_000),
            entropy: Entropy::new(7),
        };
        let (policy, document) = (Arc::new(policy), "{}".into());
        world.apply(&Command::PutService { service: web(), policy, document }).unwrap();
        world
    }

    /// Backends of one version, registered and up, in a service whose version becomes active by itself.
    pub(crate) fn serving(policy: Policy, version: &str, backends: &[&str]) -> Self {
        let mut world = Self::new(policy);
        world.join(version, backends);
        world
    }

    pub(crate) fn apply(&mut self, command: &Command) -> Result<(), Rejected> {
        self.state = self.state.apply(command, self.now)?;
        self.snapshot = Arc::new(compile(&self.state, &self.snapshot));
        Ok(())
    }

    pub(crate) fn change(&mut self, change: Change) -> Result<(), Rejected> {
        self.apply(&Command::Service(web(), change))
    }

    /// Registers backends that run `version`, and lets them come up.
    pub(crate) fn join(&mut self, version: &str, backends: &[&str]) {
        for backend in backends {
            self.change(Change::Register(registration(backend, version))).unwrap();
        }
        for backend in backends {
            self.up(backend, version);
        }
    }

    /// A probe of the backend answers and names `version` (none if empty).
    pub(crate) fn up(&mut self, backend: &str, version: &str) {
        let version = Some(version).filter(|version| !version.is_empty()).map(label);
        self.probed(backend, Finding::Up { version, boot_id: None });
    }

    pub(crate) fn down(&mut self, backend: &str) {
        self.probed(backend, Finding::Down);
    }

    pub(crate) fn probed(&mut self, backend: &str, finding: Finding) {
        let generation = self.backend(backend).generation;
        self.found(backend, generation, finding);
    }

    /// A probe that had asked the process of this generation.
    pub(crate) fn found(&mut self, backend: &str, generation: u32, finding: Finding) {
        let found = Found { service: web(), backend: id(backend), generation, finding };
        self.apply(&Command::Probed(vec![found])).unwrap();
    }

    /// Lets time pass, with a tick at its end that reports what the cells say, and another one that sees what the first one changed.
    pub(crate) fn wait(&mut self, span: Millis) {
        self.now = self.now + span;
        self.tick(self.snapshot.traffic());
        self.tick(self.snapshot.traffic());
    }

    pub(crate) fn tick(&mut self, traffic: Traffic) {
        self.apply(&Command::Tick(traffic)).unwrap();
    }

    pub(crate) fn flip(&mut self, to: &str) -> Result<(), Rejected> {
        self.change(Change::Flip(Flip { to: label(to), if_epoch: None, force: false }))
    }

    /// A flip once the version had time to be stable.
    pub(crate) fn flip_when_stable(&mut self, to: &str) {
        self.wait(self.service().policy.flip.stable_for);
        self.flip(to).unwrap();
    }

    pub(crate) fn rollback(&mut self, sessions: Sessions) -> Result<(), Rejected> {
        self.change(Change::Rollback(Rollback { if_epoch: None, sessions, reason: "bad".into() }))
    }

    pub(crate) fn patch(&mut self, backend: &str, admin: AdminState, force: bool) -> Result<(), Rejected> {
        self.change(Change::Patch {
            backend: id(backend),
            admin: Some(admin),
            weight: None,
            force,
            by: "ops".into(),
        })
    }

    pub(crate) fn service(&self) -> &Service {
        &self.state.services[&web()]
    }

    pub(crate) fn backend(&self, backend: &str) -> &Backend {
        &self.service().backends[&id(backend)]
    }

    pub(crate) fn version(&self, version: &str) -> &Version {
        &self.service().versions[&label(version)]
    }

    pub(crate) fn role(&self, version: &str) -> &'static str {
        self.version(version).role.as_str()
    }

    pub(crate) fn active(&self) -> Option<&str> {
        self.service().active.as_ref().map(VersionLabel::as_str)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.service().epoch.0
    }

    pub(crate) fn facts(&self, pin: Option<Pin>) -> Facts<'static> {
        let pin = pin.ok_or(NoPin::Absent).and_then(|pin| {
            pin.check_dates(&self.service().policy.pin, self.now)?;
            Ok(pin)
        });
        Facts { may_wait: true, ..Facts::of(0, pin, self.now) }
    }

    pub(crate) fn decide(&mut self, pin: Option<Pin>) -> Decision {
        self.snapshot.decide(&self.facts(pin), &mut self.entropy)
    }

    /// A request that must be served.
    pub(crate) fn request(&mut self, pin: Option<Pin>) -> Served {
        let facts = self.facts(pin);
        self.served(&facts)
    }

    pub(crate) fn served(&mut self, facts: &Facts<'_>) -> Served {
        let decision = self.snapshot.decide(facts, &mut self.entropy);
        let Decision::Serve(choice) = decision else { panic!("not served: {decision:?}") };
        let version = &self.snapshot.services[0].versions[choice.version];
        let pin = match choice.pin {
            PinAction::None | PinAction::Preview => None,
            PinAction::Keep(pin) => Some(pin),
            PinAction::Hand(pin, _) => {
                version.traffic.note_pin_expiry(pin.expires_at(&self.service().policy.pin));
                Some(pin)
            }
        };
        Served {
            version: version.label.to_string(),
            backend: version.members[choice.member].id.to_string(),
            pin,
            action: choice.pin.as_str(),
            is_outdated: choice.is_outdated,
        }
    }
}

/// The codes of a refusal, in order.
pub(crate) fn codes(result: Result<(), Rejected>) -> Vec<Code> {
    result.unwrap_err().reasons.into_iter().map(|reason| reason.code).collect()
}
