//! What was acknowledged is there after a restart (G6), whatever commands were given and however the store failed meanwhile.

use std::sync::Mutex;

use cutover_core::backend::{AdminState, Weight};
use cutover_core::command::{Flip, Registration, Rollback, Sessions};
use cutover_core::contract::RecordContract;
use cutover_core::id::{GateName, HoldName, VersionLabel};
use cutover_core::pin::PinKey;
use cutover_core::schema::{Schema, SchemaRange, SetSchema};
use cutover_core::suspend::Suspended;
use cutover_core::time::Millis;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::store::{Fault, FaultyStore, MemoryStore};
use crate::world::{World, id, label, registration, web};

const BACKENDS: [&str; 4] = ["a", "b", "c", "d"];
const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];

/// One thing that somebody does.
#[derive(Debug, Clone)]
enum Act {
    Submit(Command),
    Find(&'static str, Finding),
    Pass(u64),
}

fn backend() -> impl Strategy<Value = BackendId> {
    prop::sample::select(&BACKENDS[..]).prop_map(id)
}

fn version() -> impl Strategy<Value = VersionLabel> {
    prop::sample::select(&VERSIONS[..]).prop_map(label)
}

fn backend_change() -> impl Strategy<Value = Change> {
    let names = (prop::sample::select(&BACKENDS[..]), prop::sample::select(&VERSIONS[..]));
    let register = (names, any::<bool>()).prop_map(|((backend, version), has_lease)| {
        let ttl = has_lease.then_some(Millis::from_secs(30));
        let boot_id = Some("b/1".to_owned());
        let schema = SchemaRange { min: None, max: Schema::new(version.len() as u64) };
        Change::Register(Registration { ttl, boot_id, schema, ..registration(backend, version) })
    });
    let heartbeat = (backend(), prop::option::of(version()), prop::option::of("[a-c]"))
        .prop_map(|(backend, version, boot_id)| Change::Heartbeat { backend, version, boot_id });
    let admin = prop::sample::select(&[AdminState::Ready, AdminState::Drain, AdminState::Maint][..]);
    let patch = (backend(), prop::option::of(admin), prop::option::of(1_u64..1000)).prop_map(
        |(backend, admin, weight)| {
            let weight = weight.and_then(Weight::new);
            Change::Patch { backend, admin, weight, force: true, by: "somebody".to_owned() }
        },
    );
    let leave = (backend(), 0_u64..2)
        .prop_map(|(backend, secs)| Change::Deregister { backend, drain: Millis::from_secs(secs) });
    prop_oneof![4 => register, 1 => heartbeat, 1 => patch, 1 => leave]
}

fn version_change() -> impl Strategy<Value = Change> {
    let hold = || HoldName::parse("worker@1").unwrap();
    let gate = (version(), any::<bool>()).prop_map(|(version, is_open)| {
        let (gate, note) = (GateName::parse("expand").unwrap(), "ü".to_owned());
        Change::SetGate { version, gate, is_open, note, is_ahead: false, by: "somebody".to_owned() }
    });
    let take = version().prop_map(move |version| {
        let ttl = Millis::from_secs(20);
        Change::SetHold { version, hold: hold(), ttl, by: "somebody".to_owned() }
    });
    prop_oneof![
        3 => version().prop_map(|to| Change::Flip(Flip { to, if_epoch: None, force: true })),
        1 => gate,
        1 => take,
        1 => migration(),
        1 => version().prop_map(move |version| Change::DropHold { version, hold: hold() }),
        1 => version().prop_map(Change::Evict),
        1 => version().prop_map(|version| Change::Reject { version, reason: "slow".to_owned() }),
        1 => version().prop_map(Change::Clear),
    ]
}

fn migration() -> impl Strategy<Value = Change> {
    let schema = || prop::option::of((0_u64..4).prop_map(|number| Schema::new(number).unwrap()));
    let contract = (schema(), any::<bool>()).prop_map(|(schema, force)| {
        let (note, by) = ("dropped \"name\"".to_owned(), "somebody".to_owned());
        Change::Contract(RecordContract { note, schema, force, by })
    });
    let set =
        (schema(), any::<bool>()).prop_map(|(schema, force)| Change::SetSchema(SetSchema { schema, force }));
    prop_oneof![contract, set]
}

fn service_change() -> impl Strategy<Value = Change> {
    let rollback = any::<bool>().prop_map(|moves| {
        let sessions = if moves { Sessions::Move } else { Sessions::Keep };
        Change::Rollback(Rollback { if_epoch: None, sessions, reason: "bad \"release\"".to_owned() })
    });
    let what = prop::sample::select(&Suspended::ALL[..]);
    let suspend = (what.clone(), prop::option::of(0_u64..100_000)).prop_map(|(what, until)| {
        let until = until.map(|ms| Timestamp(1_700_000_000_000 + ms));
        Change::Suspend { what, reason: "holiday".to_owned(), until, by: "somebody".to_owned() }
    });
    prop_oneof![1 => rollback, 2 => suspend, 2 => what.prop_map(Change::Resume), 6 => roll_change()]
}

fn roll_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => backend().prop_map(|backend| Change::AskPermit { backend }),
        1 => backend().prop_map(Change::ReturnPermit),
        1 => Just(Change::ResumeRoll),
        1 => Just(Change::AbortRoll { reason: "late".to_owned() }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let put = Command::PutService { service: web(), policy: Arc::default(), document: "{}".into() };
    let up = (prop::option::of(version()), prop::option::of("[a-c]"))
        .prop_map(|(version, boot_id)| Finding::Up { version, boot_id });
    let finding = prop_oneof![1 => Just(Finding::Down), 3 => up];
    let change = prop_oneof![4 => backend_change(), 4 => version_change(), 2 => service_change()];
    let key = (1_u8..9).prop_map(|id| PinKey { id, secret: [id; 32], made_at: Timestamp(u64::from(id)) });
    prop_oneof![
        12 => change.prop_map(|change| Act::Submit(Command::Service(web(), change))),
        1 => Just(Act::Submit(put)),
        1 => Just(Act::Submit(Command::RemoveService(web()))),
        1 => key.prop_map(|key| Act::Submit(Command::AddPinKey(key))),
        8 => (prop::sample::select(&BACKENDS[..]), finding).prop_map(|(backend, finding)| Act::Find(backend, finding)),
        3 => (0_u64..40_000).prop_map(Act::Pass),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        8 => Just(Fault::None),
        1 => Just(Fault::Unavailable),
        1 => Just(Fault::AnswerLost),
        1 => Just(Fault::RequestLost),
        1 => Just(Fault::Slow { before: 1, after: 1 }),
    ]
}

async fn perform(world: &mut World, act: Act) {
    match act {
        // Refusals and failures are as good as any outcome: what counts is that state and store agree.
        Act::Submit(command) => drop(world.submit(command).await),
        Act::Find(backend, finding) => {
            let state = Arc::clone(world.controller.state());
            if state.services.get(&web()).is_some_and(|web| web.backends.contains_key(&id(backend))) {
                world.found(backend, finding).await;
            }
        }
        Act::Pass(ms) => world.pass(Millis(ms)).await,
    }
}

/// The facts that the state has in common with its records: both as they would be after a restart at the same moment.
fn facts(state: &State, now: Timestamp) -> State {
    let records = record::difference(&State::default(), state).changes;
    let records = records.into_iter().filter_map(|(key, change)| match change {
        crate::store::Change::Put(document) => Some((key, document)),
        crate::store::Change::Delete => None,
    });
    record::read(&records.collect(), |_, _| Ok(Arc::default()), now).expect("our own records").state
}

async fn check_against_store(world: &World, inner: &MemoryStore) -> Result<(), TestCaseError> {
    let loaded = inner.load().await.expect("memory is readable");
    let read = record::read(&loaded.records, |_, _| Ok(Arc::default()), world.now);
    let stored = read.map_err(|error| TestCaseError::fail(error.to_string()))?;
    if !world.controller.is_in_doubt {
        prop_assert_eq!(&stored.state, &facts(world.controller.state(), world.now));
        prop_assert_eq!(loaded.revision, world.controller.revision());
        let told: Vec<Arc<Entry>> = world.controller.events().timeline(&web(), 10_000, None);
        let kept: Vec<_> = stored.timeline.into_iter().rev().collect();
        prop_assert_eq!(told.iter().map(AsRef::as_ref).collect::<Vec<_>>(), kept.iter().collect::<Vec<_>>());
    }
    Ok(())
}

fn run(acts: Vec<(Act, Fault)>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let inner = Arc::new(MemoryStore::new());
        let fault = Arc::new(Mutex::new(Fault::None));
        let plan = {
            let fault = Arc::clone(&fault);
            move || *fault.lock().unwrap()
        };
        let store: Arc<dyn Store> = Arc::new(FaultyStore::new(Arc::clone(&inner) as Arc<dyn Store>, plan));
        let mut world = World::with_two_versions(store).await;
        for (act, next) in acts {
            *fault.lock().unwrap() = next;
            perform(&mut world, act).await;
            check_against_store(&world, &inner).await?;
        }
        *fault.lock().unwrap() = Fault::None;
        world.pass(Millis(100)).await;
        prop_assert!(!world.controller.is_in_doubt, "the store works, but the doubt remains");
        check_against_store(&world, &inner).await?;

        let before = facts(world.controller.state(), world.now + Millis(1000));
        world.restart().await;
        prop_assert_eq!(&before.restored(world.now), world.controller.state().as_ref());
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn state_and_store_never_part(acts in vec((act(), fault()), 1..40)) {
        run(acts)?;
    }
}
