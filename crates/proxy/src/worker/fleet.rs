//! A service with two versions, for tests: what the control plane would publish, without one.

use std::collections::BTreeMap;
use std::sync::Arc;

use cutover_core::backend::Weight;
use cutover_core::command::{Change, Command, Configured, Finding, Flip, Found, Registration};
use cutover_core::compile::compile;
use cutover_core::decide::{Choice, Decision, Facts};
use cutover_core::entropy::Entropy;
use cutover_core::id::{BackendId, ServiceName, VersionLabel};
use cutover_core::pin::{NoPin, Pin, PinKey};
use cutover_core::policy::Policy;
use cutover_core::schema::SchemaRange;
use cutover_core::snapshot::{ServiceSet, Snapshot};
use cutover_core::state::State;
use cutover_core::time::Timestamp;

use crate::pin::keyring::Keyring;

/// The time in every test.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The service `web`: backend `a` runs `v1`, which is active, and backend `b` runs `v2`. Both are up.
pub(crate) struct Fleet {
    state: State,
    pub(crate) snapshot: Snapshot,
    pub(crate) keyring: Keyring,
}

impl Fleet {
    pub(crate) fn new(policy: Policy) -> Self {
        let backends = vec![backend("a", "v1"), backend("b", "v2")];
        let web = Configured { name: name(), policy: Arc::new(policy), backends };
        let key = PinKey { id: 1, secret: [7; 32], made_at: NOW };
        let keyring = Keyring::new(std::slice::from_ref(&key));
        let mut fleet = Self { state: State::default(), snapshot: Snapshot::default(), keyring };
        fleet.apply(&Command::AddPinKey(key));
        fleet.apply(&Command::Configure(vec![web]));
        fleet.comes_up("a", "v1");
        fleet.comes_up("b", "v2");
        assert_eq!(fleet.set().active_version().unwrap().label, label("v1"));
        fleet
    }

    pub(crate) fn add_backend(&mut self, id: &str, version: &str) {
        self.apply(&Command::Service(name(), Change::Register(backend(id, version))));
        self.comes_up(id, version);
    }

    fn comes_up(&mut self, id: &str, version: &str) {
        let finding = Finding::Up { version: Some(label(version)), boot_id: None };
        let backend = BackendId::parse(id).unwrap();
        self.apply(&Command::Probed(vec![Found { service: name(), backend, generation: 1, finding }]));
    }

    pub(crate) fn apply(&mut self, command: &Command) {
        self.state = self.state.apply(command, NOW).unwrap();
        self.snapshot = compile(&self.state, &self.snapshot);
    }

    pub(crate) fn flip(&mut self, to: &str) {
        let flip = Flip { to: label(to), if_epoch: None, force: true };
        self.apply(&Command::Service(name(), Change::Flip(flip)));
    }

    pub(crate) fn set(&self) -> &Arc<ServiceSet> {
        &self.snapshot.services[0]
    }

    pub(crate) fn choice(&self, pin: Result<Pin, NoPin>) -> Choice {
        let facts = Facts::of(0, pin, NOW);
        match self.snapshot.decide(&facts, &mut Entropy::new(1)) {
            Decision::Serve(choice) => choice,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn name() -> ServiceName {
    ServiceName::parse("web").unwrap()
}

fn label(version: &str) -> VersionLabel {
    VersionLabel::parse(version).unwrap()
}

fn backend(id: &str, version: &str) -> Registration {
    Registration {
        backend: BackendId::parse(id).unwrap(),
        address: "127.0.0.1:3000".parse().unwrap(),
        version: Some(label(version)),
        weight: Weight::ONE,
        ttl: None,
        boot_id: None,
        zone: None,
        schema: SchemaRange::ANY,
        metadata: BTreeMap::new(),
    }
}
