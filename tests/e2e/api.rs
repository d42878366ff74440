//! The admin API as its callers rely on it: revisions, retries, leases, events, roles.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::http::{Connection, Request};
use crate::support::stage::Stage;
use crate::support::wait::{until, within};

const FLIP: &str = "/v1/services/web/flip";

#[tokio::test]
async fn a_repeated_call_with_the_same_key_is_answered_again_and_done_once() {
    let stage = Stage::v1_and_v2().await;
    let admin = stage.admin().with("Idempotency-Key", "deploy-7");

    let first = admin.call("POST", FLIP, &json!({ "to": "v2" })).await;
    let again = admin.call("POST", FLIP, &json!({ "to": "v2" })).await;
    let other = admin.call("POST", FLIP, &json!({ "to": "v1" })).await;

    assert_eq!((first.status(), again.status()), (200, 200), "{first:?} {again:?}");
    assert_eq!(first.json(), again.json());
    assert!((400..500).contains(&other.status()), "one key for two requests: {other:?}");
    assert_eq!(stage.admin().get("/v1/services/web").await["epoch"], 2);
}

#[tokio::test]
async fn a_change_that_expects_another_revision_is_412() {
    let stage = Stage::v1_and_v2().await;
    let admin = stage.admin();
    let revision = admin.call("GET", "/v1/services/web", &Value::Null).await;
    let revision: u64 = revision.field("cutover-revision").expect("a revision").parse().unwrap();

    let flip = async |expected: u64| {
        admin.with("If-Match", &format!("\"{expected}\"")).call("POST", FLIP, &json!({ "to": "v2" })).await
    };
    let wrong = flip(revision - 1).await;
    assert_eq!(wrong.status(), 412, "{wrong:?}");
    let right = flip(revision).await;

    assert_eq!(right.status(), 200, "{right:?}");
    assert!(right.json()["revision"].as_u64().unwrap() > revision);
}

#[tokio::test]
async fn a_look_can_wait_for_the_next_change() {
    let stage = Stage::v1_and_v2().await;
    let admin = stage.admin();
    let revision = admin.get("/v1/status").await["revision"].as_u64().unwrap();
    let path = format!("/v1/services/web?revision={revision}&timeout=10s");

    let waiting = async { admin.get(&path).await };
    let changing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stage.admin().flip("v2").await
    };
    let (seen, _) = tokio::join!(waiting, changing);

    assert_eq!(seen["active"], "v2");
}

#[tokio::test]
async fn a_backend_without_a_heartbeat_leaves_with_its_lease() {
    let stage = Stage::v1().await;
    let admin = stage.admin();
    let app = App::start("v1").await;
    let path = "/v1/services/web/backends/leased";
    let answer = admin.call("PUT", path, &json!({ "address": app.address(), "ttl": "1s" })).await;
    assert_eq!(answer.status(), 201, "{answer:?}");
    let known = admin.call("PUT", path, &json!({ "address": app.address(), "ttl": "1s" })).await;
    assert_eq!(known.status(), 200, "{known:?}");

    for _ in 0..15 {
        admin.done("POST", &format!("{path}/heartbeat"), json!({})).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(admin.backend("leased").await["usable"], true);

    until("its lease has lapsed", async || {
        let all = admin.get("/v1/services/web/backends").await;
        (all["backends"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    admin.refused(404, "POST", &format!("{path}/heartbeat"), json!({})).await;
}

#[tokio::test]
async fn after_a_restart_a_lease_has_its_full_time_again() {
    let mut stage = Stage::v1().await;
    let app = App::start("v1").await;
    let path = "/v1/services/web/backends/leased";
    stage.admin().done("PUT", path, json!({ "address": app.address(), "ttl": "2s" })).await;

    stage.kill9();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    stage.restart().await;

    stage.admin().done("POST", &format!("{path}/heartbeat"), json!({})).await;
    stage.until_usable("leased").await;
}

#[tokio::test]
async fn a_backend_that_leaves_finishes_what_it_has() {
    let mut stage = Stage::v1().await;
    stage.add("leaving", "v1").await;
    let admin = stage.admin();
    admin.done("PATCH", "/v1/services/web/backends/a", json!({ "admin": "drain", "force": true })).await;
    let mut connection = stage.connect().await;
    connection.send(Request::get("/slow?ms=800").render()).await;
    until("it is in flight", async || (admin.backend("leaving").await["in_flight"] == 1).then_some(())).await;
    admin.done("PATCH", "/v1/services/web/backends/a", json!({ "admin": "ready" })).await;

    let left = admin.call("DELETE", "/v1/services/web/backends/leaving?drain=10s", &Value::Null).await;
    let answer = connection.answer("GET").await;

    assert_eq!((left.status(), answer.status()), (204, 200), "{left:?} {answer:?}");
    let all = admin.get("/v1/services/web/backends").await;
    assert_eq!(all["backends"].as_array().unwrap().len(), 1, "{all}");
}

#[tokio::test]
async fn capacity_is_not_given_away_without_force() {
    let mut stage = Stage::v1().await;
    stage.add("a2", "v1").await;
    let admin = stage.admin();
    let drain = json!({ "admin": "drain" });

    admin.done("PATCH", "/v1/services/web/backends/a", drain.clone()).await;
    let codes = admin.refused(409, "PATCH", "/v1/services/web/backends/a2", drain).await;

    assert_eq!(codes, ["below_min_capacity"]);
    let forced = json!({ "admin": "maint", "force": true });
    assert_eq!(admin.done("PATCH", "/v1/services/web/backends/a2", forced).await["admin"], "maint");
}

#[tokio::test]
async fn events_tell_every_change_and_go_on_where_they_were_left() {
    let stage = Stage::v1_and_v2().await;
    let mut events = listen(&stage, None).await;

    stage.admin().flip("v2").await;
    let (first, id) = event(&mut events, "activated").await;
    drop(events);
    stage.admin().flip("v1").await;
    let mut resumed = listen(&stage, Some(&id)).await;
    let (second, _) = event(&mut resumed, "activated").await;

    assert_eq!((&first["version"], &first["epoch"]), (&json!("v2"), &json!(2)), "{first}");
    assert_eq!((&second["version"], &second["epoch"]), (&json!("v1"), &json!(3)), "{second}");
}

#[tokio::test]
async fn the_timeline_says_who_did_what_and_why_and_outlives_a_crash() {
    let mut stage = Stage::v1_and_v2().await;
    let body = json!({ "to": "v2", "reason": "release 2", "force": true });
    stage.admin().done("POST", FLIP, body).await;

    stage.kill9();
    stage.restart().await;
    let timeline = stage.admin().get("/v1/services/web/timeline").await;

    let entries = timeline["entries"].as_array().unwrap();
    let flip = entries.iter().find(|entry| entry["kind"] == "activated" && entry["epoch"] == 2);
    let flip = flip.unwrap_or_else(|| panic!("no flip in {timeline}"));
    assert_eq!(
        (&flip["reason"], &flip["forced"], &flip["remote"]),
        (&json!("release 2"), &json!(true), &json!("127.0.0.1"))
    );
}

#[tokio::test]
async fn services_are_made_changed_and_removed_by_the_api() {
    let stage = Stage::v1().await;
    let admin = stage.admin();
    let app = App::start("v7").await;
    let path = "/v1/services/made";
    let policy = json!({ "hosts": ["made.test"], "health": { "interval": "50ms", "rise": 1 }, "expose_version": true });

    assert_eq!(admin.call("PUT", path, &policy).await.status(), 201);
    admin.done("PUT", "/v1/services/made/backends/m", json!({ "address": app.address(), "ttl": "0" })).await;
    until("it is served", async || (admin.get(path).await["active"] == "v7").then_some(())).await;
    let request = Request::get("/set-header").field("Host", "made.test");
    assert_eq!(stage.ask(&request).await.version(), "v7");
    admin.refused(409, "PUT", "/v1/services/thief", json!({ "hosts": ["made.test"] })).await;
    assert_eq!(admin.call("DELETE", path, &Value::Null).await.status(), 204);

    admin.refused(404, "GET", path, Value::Null).await;
    assert_eq!(stage.session().version().await, "v1", "the other service has any host");
}

#[tokio::test]
async fn the_description_names_every_path_and_the_probes_answer() {
    let stage = Stage::v1().await;
    let admin = stage.admin();

    let description = admin.get("/openapi.json").await;
    assert_eq!(description["openapi"], "3.1.0");
    for path in ["/v1/services/{service}/flip", "/v1/events", "/v1/status"] {
        assert!(description["paths"][path].is_object(), "{path}: {:?}", description["paths"]);
    }
    for probe in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(admin.call("GET", probe, &Value::Null).await.status(), 200, "{probe}");
    }
}

#[tokio::test]
async fn a_backend_learns_its_role_by_its_health_check() {
    let seen = crate::support::script::Script::start(async |mut peer| {
        while peer.head().await.is_some() {
            peer.write("HTTP/1.1 200 OK\r\nX-App-Version: v1\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let service = Service::new("web").backend("a", seen.address(), "");
    let cutover = crate::support::cutover::Cutover::start(&Config::of(service)).await;
    cutover.admin().until_role("v1", "active").await;

    until("a probe tells its role", async || {
        let told = seen.heads().into_iter().rev().find_map(|head| {
            let line =
                head.lines().find(|line| line.to_lowercase().starts_with("cutover-state:"))?.to_owned();
            Some(line)
        });
        told.filter(|line| line.contains("role=active; epoch=1; admin=ready"))
    })
    .await;
}

/// Opens the stream of events.
async fn listen(stage: &Stage, after: Option<&str>) -> Connection {
    let mut connection = Connection::open(stage.admin_address()).await;
    let mut request =
        Request::get("/v1/events?service=web").field("Host", &stage.admin_address().to_string());
    if let Some(id) = after {
        request = request.field("Last-Event-ID", id);
    }
    connection.send(request.render()).await;
    let head = within("the head of the events", connection.head()).await.unwrap();
    assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")));
    connection
}

/// The next event of a kind, and its id.
async fn event(events: &mut Connection, kind: &str) -> (Value, String) {
    let mut text = String::new();
    loop {
        text.push_str(&String::from_utf8(within("an event", events.chunk()).await.unwrap()).unwrap());
        while let Some((one, rest)) = text.split_once("\n\n") {
            let field = |name: &str| {
                one.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
            };
            let data: Value = field("data:").map_or(Value::Null, |data| serde_json::from_str(&data).unwrap());
            if data["kind"] == kind {
                return (data, field("id:").expect("an id"));
            }
            text = rest.to_owned();
        }
    }
}
