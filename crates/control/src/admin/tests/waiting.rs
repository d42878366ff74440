//! Requests that wait: for a newer state, for a role, for a backend to be gone, for events.

use std::time::{Duration, Instant};

use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::stage::{Stage, delete, get, post, put};

#[tokio::test]
async fn a_read_waits_for_a_newer_state() {
    let stage = Stage::new().await;
    let seen = stage.call(get("/v1/services")).await.revision();
    let waiting = stage.call(get(format!("/v1/services?revision={seen}&timeout=10s")));
    let changing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stage.put_web(json!({})).await;
    };
    let (answer, ()) = tokio::join!(waiting, changing);
    assert_eq!((answer.status, &answer.body["services"][0]["name"]), (200, &json!("web")));
    assert!(answer.revision() > seen);
    // A revision that is long past is not waited for.
    let older = stage.call(get(format!("/v1/services/web?revision={seen}&timeout=1h"))).await;
    assert_eq!(older.status, 200);
}

#[tokio::test]
async fn a_read_that_waited_in_vain_answers_the_state_as_it_is() {
    let stage = Stage::new().await;
    let seen = stage.call(get("/v1/status")).await.revision();
    let began = Instant::now();
    let answer = stage.call(get(format!("/v1/status?revision={seen}&timeout=100ms"))).await;
    assert_eq!((answer.status, answer.revision()), (200, seen));
    assert!(began.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn waiting_for_a_role_ends_when_it_is_reached_or_the_time_is_over() {
    let stage = Stage::with_two_versions().await;
    let v2 = "/v1/services/web/versions/v2";
    let late = stage.call(get(format!("{v2}?wait=active&timeout=50ms"))).await;
    assert_eq!((late.status, &late.problem()[0]["code"]), (408, &json!("role_not_reached")));
    assert_eq!(late.body["detail"], "version v2 is staged, not active");
    let waiting = stage.call(get(format!("{v2}?wait=active&timeout=10s")));
    let flipping = stage.ok(post("/v1/services/web/flip").json(json!({"to": "v2"})));
    let (answer, _) = tokio::join!(waiting, flipping);
    assert_eq!((answer.status, &answer.body["role"]), (200, &json!("active")));
}

#[tokio::test]
async fn waiting_ends_when_what_is_waited_for_is_gone() {
    let stage = Stage::with_two_versions().await;
    let waiting = stage.call(get("/v1/services/web/versions/v2?wait=active&timeout=10m"));
    let removing = stage.ok(delete("/v1/services/web"));
    let (answer, _) = tokio::join!(waiting, removing);
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn waiting_ends_when_the_process_stops() {
    let stage = Stage::with_two_versions().await;
    let waiting = stage.call(get("/v1/services/web/versions/v2?wait=active&timeout=10m"));
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        stage.closing.send_replace(true);
    };
    let (answer, ()) = tokio::join!(waiting, stopping);
    assert_eq!(answer.status, 503);
}

#[tokio::test]
async fn a_backend_is_gone_when_its_removal_is_answered() {
    let stage = Stage::with_two_versions().await;
    assert_eq!(stage.status(delete("/v1/services/web/backends/b?drain=10s")).await, 204);
    let listed = stage.ok(get("/v1/services/web/backends")).await;
    let ids: Vec<&Value> = listed["backends"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&json!("a")]);
}

/// The next event of a stream: its id, kind and data.
async fn next_event(body: &mut Body, text: &mut String) -> (Option<u64>, String, Value) {
    loop {
        if let Some((event, rest)) =
            text.split_once("\n\n").map(|(event, rest)| (event.to_owned(), rest.to_owned()))
        {
            *text = rest;
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
            let Some(kind) = field("event:") else { continue };
            let data = serde_json::from_str(field("data:").unwrap()).unwrap();
            return (field("id:").map(|id| id.parse().unwrap()), kind.to_owned(), data);
        }
        let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await.expect("an event");
        text.push_str(std::str::from_utf8(frame.unwrap().unwrap().data_ref().unwrap()).unwrap());
    }
}

#[tokio::test]
async fn events_are_followed_and_resumed() {
    let stage = Stage::new().await;
    stage.put_web(json!({})).await;
    let response = stage.send(get("/v1/events")).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut body, mut text) = (response.into_body(), String::new());
    stage.ok(put("/v1/services/web/freeze").json(json!({"reason": "audit"}))).await;
    let (frozen, kind, data) = next_event(&mut body, &mut text).await;
    assert_eq!(
        (kind.as_str(), &data["service"], &data["reason"]),
        ("frozen", &json!("web"), &json!("audit"))
    );
    drop(body);
    stage.ok(delete("/v1/services/web/freeze")).await;
    let frozen = frozen.unwrap().to_string();
    let resumed = stage.send(get("/v1/events").header("last-event-id", &frozen)).await;
    let (_, kind, _) = next_event(&mut resumed.into_body(), &mut String::new()).await;
    assert_eq!(kind, "unfrozen");
}

#[tokio::test]
async fn events_of_other_services_are_left_out() {
    let stage = Stage::new().await;
    let response = stage.send(get("/v1/events?service=web")).await;
    let (mut body, mut text) = (response.into_body(), String::new());
    stage.ok(put("/v1/services/api").json(json!({"paths": ["/api"]}))).await;
    stage.put_web(json!({})).await;
    let (_, kind, data) = next_event(&mut body, &mut text).await;
    assert_eq!((kind.as_str(), &data["service"]), ("service_added", &json!("web")));
    stage.closing.send_replace(true);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn streams_of_events_are_bounded() {
    let stage = Stage::new().await;
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(stage.send(get("/v1/events")).await);
    }
    assert_eq!(stage.status(get("/v1/events")).await, 429);
    open.pop();
    assert_eq!(stage.send(get("/v1/events")).await.status(), 200);
}
