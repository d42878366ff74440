//! Drains: what keeps an old version alive, what ends it, and what happens to those who are still on it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::config::Service;
use crate::support::stage::Stage;
use crate::support::wait::until;

#[tokio::test]
async fn a_version_is_drained_only_when_its_last_session_is_over() {
    let stage = Stage::v1_and_v2_with(Service::new("web").set("pin.idle", "2s")).await;
    let mut session = stage.session();
    assert_eq!(session.version().await, "v1");
    stage.admin().flip("v2").await;
    let drained = "/v1/services/web/versions/v1?wait=drained";

    let waiting = stage.admin();
    let early = waiting.call("GET", "/v1/services/web/versions/v1?wait=drained&timeout=3s", &Value::Null);
    let visiting = async {
        // Longer than `idle`, so that only the visits keep the session alive.
        for _ in 0..30 {
            assert_eq!(session.version().await, "v1");
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
    };
    let (early, ()) = tokio::join!(early, visiting);
    let late = stage.admin().get(&format!("{drained}&timeout=10s")).await;

    assert_eq!(early.status(), 408, "drained under a live session: {early:?}");
    assert_eq!((&late["role"], &late["drained"]["by"]), (&json!("drained"), &json!("proof")), "{late}");
    assert_eq!(session.version().await, "v2", "an expired pin counts");
}

#[tokio::test]
async fn at_the_deadline_the_last_sessions_move_and_it_is_said_so() {
    let service = Service::new("web").set("drain.deadline", "1s").set("drain.spread", "0s");
    let stage = Stage::v1_and_v2_with(service).await;
    let mut session = stage.session();
    assert_eq!(session.version().await, "v1");
    stage.admin().flip("v2").await;

    let late = stage.admin().get("/v1/services/web/versions/v1?wait=drained&timeout=10s").await;

    assert_eq!(late["drained"]["by"], "deadline", "{late}");
    assert_eq!(session.version().await, "v2");
}

#[tokio::test]
async fn an_eviction_ends_a_drain_at_once() {
    let stage = Stage::v1_and_v2().await;
    let mut session = stage.session();
    assert_eq!(session.version().await, "v1");
    stage.admin().flip("v2").await;

    stage.admin().done("POST", "/v1/services/web/versions/v1/evict", json!({})).await;

    assert_eq!(session.version().await, "v2");
    let role = stage.admin().get("/v1/services/web/versions/v1?wait=drained&timeout=10s").await;
    assert_eq!(role["role"], "drained");
}

#[tokio::test]
async fn a_hold_keeps_a_version_from_being_drained() {
    let stage = Stage::v1_and_v2_with(Service::new("web").set("pin.idle", "1s")).await;
    let admin = stage.admin();
    let hold = "/v1/services/web/versions/v1/holds/worker";
    admin.done("PUT", hold, json!({ "ttl": "10m" })).await;
    admin.flip("v2").await;

    let held =
        admin.call("GET", "/v1/services/web/versions/v1?wait=drained&timeout=1500ms", &Value::Null).await;
    assert_eq!(held.status(), 408, "{held:?}");
    assert!(admin.version("v1").await["holds"]["worker"].is_object());
    admin.done("DELETE", hold, Value::Null).await;

    admin.get("/v1/services/web/versions/v1?wait=drained&timeout=10s").await;
}

#[tokio::test]
async fn sessions_move_when_their_version_loses_its_last_backend_and_it_is_counted() {
    let mut stage = Stage::v1_and_v2().await;
    let mut session = stage.session();
    assert_eq!(session.version().await, "v1");
    stage.admin().flip("v2").await;

    stage.app("a").kill();

    until("the session is served again", async || {
        (session.get("/set-header").await.status() == 200).then_some(())
    })
    .await;
    assert_eq!(session.version().await, "v2");
    let moved = stage.admin().metric("cutover_pins_total", &["outcome=\"moved_no_backend\""]).await;
    assert!(moved >= 1.0, "{moved}");
}

#[tokio::test]
async fn a_request_in_flight_finishes_on_the_version_it_began_on() {
    let stage = Stage::v1_and_v2().await;
    let mut connection = stage.connect().await;
    connection.send("GET /slow?ms=700 HTTP/1.1\r\nHost: web.test\r\n\r\n").await;
    until("it is in flight", async || (stage.admin().version("v1").await["in_flight"] == 1).then_some(()))
        .await;

    stage.admin().flip("v2").await;
    stage.admin().done("POST", "/v1/services/web/versions/v1/evict", json!({})).await;
    let answer = connection.answer("GET").await;

    assert_eq!((answer.status(), answer.json()["version"].as_str()), (200, Some("v1")));
}

#[tokio::test]
async fn who_waits_for_a_drain_sees_what_it_waits_for() {
    let stage = Stage::v1_and_v2_with(Service::new("web").set("pin.idle", "10m")).await;
    let session = stage.session().version().await;
    let hold = "/v1/services/web/versions/v1/holds/worker";
    stage.admin().done("PUT", hold, json!({ "ttl": "10m" })).await;

    let flipped = stage.cli(&["flip", "web", "v2", "--wait", "--timeout", "2s"]).await;

    assert_eq!((session.as_str(), flipped.code), ("v1", 4), "{flipped:?}");
    let lines: Vec<&str> = flipped.stderr.lines().collect();
    assert!(lines[0].starts_with("web: v1 is draining, pins for "), "{flipped:?}");
    assert!(lines[0].ends_with(", held by worker"), "{flipped:?}");
    // Said once, and then how it ended.
    assert_eq!(lines.len(), 2, "{flipped:?}");
}
