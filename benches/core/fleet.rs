//! Fleets to measure with.

use std::collections::BTreeMap;
use std::sync::Arc;

use cutover_core::backend::Weight;
use cutover_core::command::{Change, Command, Finding, Found, Registration};
use cutover_core::compile::compile;
use cutover_core::decide::Facts;
use cutover_core::id::{BackendId, ServiceName, VersionLabel};
use cutover_core::pin::{NoPin, Pin};
use cutover_core::policy::Policy;
use cutover_core::route::HostPattern;
use cutover_core::schema::SchemaRange;
use cutover_core::snapshot::Snapshot;
use cutover_core::state::State;
use cutover_core::time::Timestamp;

/// The time in all fleets.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A state and its snapshot.
pub(crate) struct Fleet {
    /// The state.
    pub(crate) state: State,
    /// Its snapshot.
    pub(crate) snapshot: Snapshot,
}

/// So many services, each with a host of its own and so many backends of one version.
pub(crate) fn many_services(services: usize, backends: usize) -> Fleet {
    let policies = (0..services).map(|number| {
        let name = format!("s{number}");
        let hosts = vec![HostPattern::parse(&format!("{name}.example")).expect("a host")];
        (name, Policy { hosts, ..Policy::default() })
    });
    fleet(policies, backends)
}

/// Services with these names and policies, each with so many backends of one version, all up.
pub(crate) fn fleet(policies: impl IntoIterator<Item = (String, Policy)>, backends: usize) -> Fleet {
    let mut state = State::default();
    let mut apply = |command: Command| state = state.apply(&command, NOW).expect("the fleet is valid");
    for (name, policy) in policies {
        let service = ServiceName::parse(&name).expect("a name");
        apply(Command::PutService {
            service: service.clone(),
            policy: Arc::new(policy),
            document: "{}".into(),
        });
        for number in 0..backends {
            let backend = BackendId::parse(&format!("b{number}")).expect("a name");
            let change = Change::Register(registration(backend.clone(), number));
            apply(Command::Service(service.clone(), change));
            let finding = Finding::Up { version: Some(v1()), boot_id: None };
            apply(Command::Probed(vec![Found { service: service.clone(), backend, generation: 1, finding }]));
        }
    }
    let snapshot = compile(&state, &Snapshot::default());
    Fleet { state, snapshot }
}

fn v1() -> VersionLabel {
    VersionLabel::parse("v1").expect("a label")
}

fn registration(backend: BackendId, number: usize) -> Registration {
    Registration {
        backend,
        address: format!("127.0.0.1:{}", 3000 + number).parse().expect("an address"),
        version: Some(v1()),
        weight: Weight::ONE,
        ttl: None,
        boot_id: None,
        zone: None,
        schema: SchemaRange::ANY,
        metadata: BTreeMap::new(),
    }
}

/// What is known about a request for the first service, which could wait.
pub(crate) fn facts(pin: Result<Pin, NoPin>) -> Facts<'static> {
    Facts { may_wait: true, ..Facts::of(0, pin, NOW) }
}
