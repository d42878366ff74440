//! The controller over stores that work, and stores that don't.

use std::sync::atomic::{AtomicU8, Ordering};

use cutover_core::backend::AdminState;
use cutover_core::command::Registration;
use cutover_core::report::Load;
use cutover_core::suspend::Suspended;
use cutover_core::time::Millis;
use cutover_core::traffic::InFlight;
use cutover_core::version::Role;

use super::*;
use crate::store::{Fault, FaultyStore, MemoryStore};
use crate::world::{World, id, label, load_dated, registration, web};

/// A store whose faults a test switches on and off.
pub(super) struct Switch(Arc<AtomicU8>);

const FAULTS: [Fault; 4] = [Fault::None, Fault::Unavailable, Fault::AnswerLost, Fault::RequestLost];

impl Switch {
    pub(super) fn store() -> (Self, Arc<dyn Store>) {
        let place = Arc::new(AtomicU8::new(0));
        let read = Arc::clone(&place);
        let plan = move || FAULTS[usize::from(read.load(Ordering::Relaxed))];
        (Self(place), Arc::new(FaultyStore::new(Arc::new(MemoryStore::new()), plan)))
    }

    pub(super) fn set(&self, fault: Fault) {
        let place = FAULTS.iter().position(|&known| known == fault).expect("a known fault");
        self.0.store(u8::try_from(place).expect("four faults"), Ordering::Relaxed);
    }
}

async fn stored(world: &World) -> State {
    let loaded = world.store.load().await.expect("a readable store");
    let read_policy: ReadPolicy = |_, _| Ok(Arc::default());
    record::read(&loaded.records, read_policy, world.now).expect("readable records").state
}

#[tokio::test]
async fn a_change_is_committed_published_and_told() {
    let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
    let revision = world.controller.revision();

    let done = world.flip("v2").await.expect("a forced flip");

    assert_eq!((done.revision, world.active()), (revision.next(), Some("v2")));
    assert_eq!(stored(&world).await.services[&web()].active, Some(label("v2")));
    let snapshot = world.worker.load();
    assert_eq!(snapshot.services[0].active_version().map(|version| version.label.as_str()), Some("v2"));
    assert_eq!(world.controller.watch().borrow().revision, done.revision);
    let kinds: Vec<_> = world
        .controller
        .events()
        .timeline(&web(), 4, None)
        .iter()
        .map(|entry| entry.kind.to_string())
        .collect();
    assert_eq!(kinds, ["bake_began", "activated", "role_changed", "role_changed"]);
}

#[tokio::test]
async fn what_changes_no_record_is_no_revision() {
    let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
    let revision = world.controller.revision();

    world.found("a", Finding::Down).await;
    world.up("a", "v1").await;
    world.register("a", "v1").await.expect("the same registration");

    assert_eq!(world.controller.revision(), revision);
}

#[tokio::test]
async fn a_revision_that_does_not_match_changes_nothing() {
    let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
    let current = world.controller.revision();
    let command = Command::RemoveService(web());
    let request =
        Request { if_match: Some(Revision(1)), ..Request::new(command, crate::timeline::Actor::config()) };

    let outcome = world.request(request).await;

    assert!(matches!(outcome, Err(SubmitError::RevisionMismatch { current: at }) if at == current));
    assert!(world.controller.state().services.contains_key(&web()));
}

#[tokio::test]
async fn nothing_is_decided_before_the_configuration_is_known() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let world = World::with_two_versions(Arc::clone(&store)).await;
    let (mut controller, reader) = crate::world::load(&store, world.now).await.expect("a readable store");

    let refused = controller
        .handle(Request::new(Command::RemoveService(web()), crate::timeline::Actor::cutover()), world.now)
        .await;
    controller.tick(world.now + Millis::from_secs(100_000)).await;

    assert!(matches!(refused, Err(SubmitError::Starting)));
    assert_eq!(reader.generation(), 0, "published too early");
}

#[tokio::test]
async fn a_command_that_the_store_refuses_changes_nothing() {
    let (switch, store) = Switch::store();
    let mut world = World::with_two_versions(store).await;
    let (before, generation) = (Arc::clone(world.controller.state()), world.worker.generation());
    switch.set(Fault::Unavailable);

    let outcome = world.flip("v2").await;

    assert!(matches!(outcome, Err(SubmitError::Unavailable { .. })));
    assert!(Arc::ptr_eq(&before, world.controller.state()));
    assert_eq!(world.worker.generation(), generation, "published what is not committed");
}

#[tokio::test]
async fn health_is_published_although_the_store_is_down() {
    let (switch, store) = Switch::store();
    let mut world = World::with_two_versions(store).await;
    switch.set(Fault::Unavailable);

    world.found("a", Finding::Down).await;

    let snapshot = world.worker.load();
    assert_eq!(snapshot.services[0].active_version().map(|version| version.ready), Some(0));
}

#[tokio::test]
async fn a_first_activation_waits_for_the_store_and_then_happens() {
    let (switch, store) = Switch::store();
    let mut world = World::over(store).await;
    world.put_web().await.expect("a service");
    world.register("a", "v1").await.expect("a backend");
    switch.set(Fault::Unavailable);

    world.up("a", "v1").await;
    world.pass(Millis(100)).await;
    assert_eq!((world.active(), world.serve().services[0].active), (None, None));
    switch.set(Fault::None);
    world.pass(Millis(100)).await;

    assert_eq!(world.active(), Some("v1"));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_as_soon_as_the_store_answers() {
    for (fault, expected) in [(Fault::AnswerLost, "v2"), (Fault::RequestLost, "v1")] {
        let (switch, store) = Switch::store();
        let mut world = World::with_two_versions(store).await;
        switch.set(fault);

        let outcome = world.flip("v2").await;
        assert!(matches!(outcome, Err(SubmitError::Unknown { .. })));
        assert_eq!(world.active(), Some("v1"), "served before it is known to be committed");
        switch.set(Fault::None);
        world.pass(Millis(100)).await;

        assert_eq!(world.active(), Some(expected), "{fault:?}");
        assert_eq!(world.web().backends[&id("b")].operational.as_str(), "up", "forgot what was observed");
        let active = world.serve().services[0].active_version().map(|version| version.label.to_string());
        assert_eq!(active.as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn in_doubt_heartbeats_keep_leases_and_nothing_else_is_answered() {
    let (switch, store) = Switch::store();
    let mut world = World::with_two_versions(store).await;
    let said = Registration { ttl: Some(Millis::from_secs(10)), ..registration("c", "v1") };
    world.change(Change::Register(said)).await.expect("a backend");
    switch.set(Fault::AnswerLost);
    let drain = |admin| Change::Patch {
        backend: id("a"),
        admin: Some(admin),
        weight: None,
        force: true,
        by: String::new(),
    };
    let outcome = world.change(drain(AdminState::Drain)).await;
    assert!(matches!(outcome, Err(SubmitError::Unknown { .. })));

    let ready = world.change(drain(AdminState::Ready)).await;
    assert!(
        matches!(ready, Err(SubmitError::Unavailable { .. })),
        "it is drained, as far as the store knows"
    );
    for _ in 0..3 {
        world.pass(Millis::from_secs(8)).await;
        let beat = Change::Heartbeat { backend: id("c"), version: None, boot_id: None };
        world.change(beat).await.expect("nothing to commit");
    }
    switch.set(Fault::None);
    world.pass(Millis(100)).await;

    assert!(world.web().backends.contains_key(&id("c")), "its lease lapsed");
    assert_eq!(world.web().backends[&id("a")].admin.state, AdminState::Drain);
}

#[tokio::test]
async fn somebody_elses_commit_is_taken_over_before_ours() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut world = World::with_two_versions(Arc::clone(&store)).await;
    let mut other = World::over(store).await;
    other.submit(Command::RemoveService(web())).await.expect("the other one is first");

    let outcome = world.flip("v2").await;

    assert!(matches!(outcome, Err(SubmitError::Rejected(_))), "{outcome:?}");
    assert!(world.controller.state().services.is_empty());
}

#[tokio::test]
async fn a_drain_ends_only_while_every_worker_serves_the_latest_snapshot() {
    let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
    world.flip("v2").await.expect("a forced flip");
    // Published, but the worker has not taken it over: it may still begin requests of what was there before.
    let flip = Command::Service(
        web(),
        Change::Suspend { what: Suspended::Flips, reason: String::new(), until: None, by: String::new() },
    );
    let request = Request::new(flip, crate::timeline::Actor::cutover());
    world.controller.handle(request, world.now).await.expect("a freeze");
    world.register("c", "v2").await.expect("a backend");
    let snapshot = world.worker.load();
    let drained = |world: &World| world.web().versions[&label("v1")].role == Role::Drained;
    let in_flight = InFlight::begin(&snapshot.services[0].version("v1").expect("v1").traffic);

    world.pass(Millis(100)).await;
    assert!(!drained(&world), "a request was in flight");
    drop(in_flight);
    let backend = Change::Deregister { backend: id("c"), drain: Millis::ZERO };
    let request = Request::new(Command::Service(web(), backend), crate::timeline::Actor::cutover());
    world.controller.handle(request, world.now).await.expect("it leaves");
    world.controller.tick(world.now).await;
    assert!(!drained(&world), "the worker was behind");
    world.serve();
    // One look says that nothing is left, and the next one that nothing came since.
    world.pass(Millis(100)).await;
    world.pass(Millis(100)).await;

    assert!(drained(&world));
    let load = snapshot.services[0].version("v1").map(|version| version.load());
    assert_eq!(load, Some(Load::default()));
}

#[tokio::test]
async fn a_backend_that_leaves_is_gone_when_nothing_is_in_flight() {
    let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
    world.found("b", Finding::Down).await;
    let leave = Change::Deregister { backend: id("b"), drain: Millis::from_secs(30) };
    world.change(leave).await.expect("it may leave");

    world.pass(Millis(100)).await;

    assert!(!world.web().backends.contains_key(&id("b")));
    assert!(!stored(&world).await.services[&web()].backends.contains_key(&id("b")));
}

#[tokio::test]
async fn pins_may_be_dated_ahead_unless_somebody_kept_that_they_are_not() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (now, span) = (Timestamp::from_secs(1_700_000_000), Millis::from_secs);
    let ahead = async |latest_pin| {
        let (controller, _) = load_dated(&store, latest_pin, now).await.expect("a readable store");
        controller.state().ahead
    };
    assert_eq!(ahead(None).await, Millis::ZERO, "this is the first process");
    World::over(Arc::clone(&store)).await.put_web().await.expect("a service");
    assert_eq!(ahead(None).await, span(300));
    assert_eq!(ahead(Some(now + span(7000))).await, span(7000));
    assert_eq!(ahead(Some(now - span(7))).await, Millis::ZERO);
}
