//! Requests with a key are carried out once, whatever becomes of their answers, of the store and of the process.

use std::sync::atomic::{AtomicU32, Ordering};

use cutover_core::command::{Rollback, Sessions};
use cutover_core::id::Epoch;
use cutover_core::time::Millis;
use http::StatusCode;

use super::tests::Switch;
use super::*;
use crate::reply::{Digest, Once};
use crate::reply_log::KEPT_FOR;
use crate::store::{Fault, MemoryStore};
use crate::timeline::Actor;
use crate::world::{World, web};

/// How often the answer was written.
type Writes = Arc<AtomicU32>;

fn rollback(key: &str, what: &str, writes: &Writes) -> Request {
    let rollback = Rollback { if_epoch: None, sessions: Sessions::Move, reason: what.to_owned() };
    let writes = Arc::clone(writes);
    let answer = Arc::new(move |done: &Done| {
        writes.fetch_add(1, Ordering::Relaxed);
        let body = format!("epoch {}", done.state.services[&web()].epoch).into();
        Some(Reply { status: StatusCode::OK, revision: done.revision, body })
    });
    let once = Once {
        id: Digest::of(&[b"tester", key.as_bytes()]),
        fingerprint: Digest::of(&[what.as_bytes()]),
        answer,
    };
    let command = Command::Service(web(), Change::Rollback(rollback));
    let actor = Actor { name: "tester".to_owned(), remote: None };
    Request { once: Some(once), ..Request::new(command, actor) }
}

/// A world in which v3 is active, in epoch 3, and one could go back twice.
async fn thrice(store: Arc<dyn Store>) -> World {
    let mut world = World::with_two_versions(store).await;
    world.flip("v2").await.expect("a flip");
    world.register("c", "v3").await.expect("a backend");
    world.up("c", "v3").await;
    world.flip("v3").await.expect("a flip");
    assert_eq!((world.active(), world.web().epoch), (Some("v3"), Epoch(3)));
    world
}

async fn come_back(world: &mut World) {
    world.restart().await;
    for (backend, version) in [("a", "v1"), ("b", "v2"), ("c", "v3")] {
        world.up(backend, version).await;
    }
}

#[tokio::test]
async fn without_a_key_a_repeated_rollback_goes_back_twice() {
    let mut world = thrice(Arc::new(MemoryStore::new())).await;
    for expected in ["v2", "v1"] {
        let request = Request { once: None, ..rollback("k", "bad", &Writes::default()) };
        world.request(request).await.expect("a rollback");
        assert_eq!(world.active(), Some(expected));
    }
}

#[tokio::test]
async fn a_repetition_after_a_restart_is_answered_what_was_stored() {
    let mut world = thrice(Arc::new(MemoryStore::new())).await;
    let writes = Writes::default();
    let first = world.request(rollback("k", "bad", &writes)).await.expect("a rollback");
    come_back(&mut world).await;
    let revision = world.controller.revision();

    let again = world.request(rollback("k", "bad", &writes)).await.expect("its answer");

    assert_eq!((first.is_repetition, again.is_repetition), (false, true));
    assert_eq!(first.reply.as_ref().map(|reply| &*reply.body), Some("epoch 4"));
    assert_eq!(first.reply.as_ref().map(|reply| reply.revision), Some(first.revision));
    assert_eq!(again.reply, first.reply);
    assert_eq!((world.active(), world.controller.revision()), (Some("v2"), revision));
    assert_eq!(writes.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_answer_that_the_store_lost_is_found_again() {
    for fault in [Fault::AnswerLost, Fault::RequestLost] {
        let (switch, store) = Switch::store();
        let mut world = thrice(store).await;
        let request = || rollback("k", "bad", &Writes::default());
        switch.set(fault);
        let lost = world.request(request()).await;
        assert!(matches!(lost, Err(SubmitError::Unknown { .. })), "{lost:?}");
        switch.set(Fault::None);

        let again = world.request(request()).await.expect("its answer");

        assert_eq!(again.is_repetition, fault == Fault::AnswerLost);
        assert_eq!(again.reply.map(|reply| reply.body), Some("epoch 4".into()));
        assert_eq!((world.active(), world.web().epoch), (Some("v2"), Epoch(4)), "{fault:?}");
    }
}

#[tokio::test]
async fn an_answer_that_the_store_and_the_process_lost_is_found_again() {
    let (switch, store) = Switch::store();
    let mut world = thrice(store).await;
    switch.set(Fault::AnswerLost);
    drop(world.request(rollback("k", "bad", &Writes::default())).await);
    switch.set(Fault::None);
    come_back(&mut world).await;

    let again = world.request(rollback("k", "bad", &Writes::default())).await.expect("its answer");

    assert!(again.is_repetition);
    assert_eq!((world.active(), world.web().epoch), (Some("v2"), Epoch(4)));
}

#[tokio::test]
async fn another_request_under_the_same_key_changes_nothing() {
    let mut world = thrice(Arc::new(MemoryStore::new())).await;
    world.request(rollback("k", "bad", &Writes::default())).await.expect("a rollback");
    for _ in 0..2 {
        let other = world.request(rollback("k", "worse", &Writes::default())).await;
        assert!(matches!(other, Err(SubmitError::KeyReused)), "{other:?}");
        assert_eq!(world.active(), Some("v2"));
        come_back(&mut world).await;
    }
}

#[tokio::test]
async fn what_was_refused_or_changed_nothing_keeps_no_answer() {
    let (switch, store) = Switch::store();
    let mut world = World::with_two_versions(store).await;
    let refused = world.request(rollback("k", "bad", &Writes::default())).await;
    assert!(matches!(refused, Err(SubmitError::Rejected(_))), "{refused:?}");
    world.flip("v2").await.expect("a flip");
    switch.set(Fault::Unavailable);
    let failed = world.request(rollback("k", "bad", &Writes::default())).await;
    assert!(matches!(failed, Err(SubmitError::Unavailable { .. })), "{failed:?}");
    switch.set(Fault::None);

    let done = world.request(rollback("k", "bad", &Writes::default())).await.expect("a rollback");

    assert!(!done.is_repetition);
    assert_eq!(world.active(), Some("v1"));
}

#[tokio::test]
async fn a_key_is_free_after_a_day_and_its_record_is_gone() {
    let mut world = thrice(Arc::new(MemoryStore::new())).await;
    world.request(rollback("k", "bad", &Writes::default())).await.expect("a rollback");
    world.now = world.now + KEPT_FOR + Millis(1);
    let other = world.request(rollback("l", "bad", &Writes::default())).await.expect("a second rollback");
    let loaded = world.store.load().await.expect("a readable store");
    let replies = loaded.records.range(crate::store::Key::new("reply").subtree());

    assert!(!other.is_repetition && world.active() == Some("v1"));
    let names: Vec<String> = replies.map(|(key, _)| key.to_string()).collect();
    assert_eq!(names, [format!("reply/{}", Digest::of(&[b"tester", b"l"]))]);
}
