//! Garbage in every field, parameter and name: an error that names it, and nothing is changed.

use serde_json::{Value, json};

use super::stage::{Call, Stage, delete, get, patch, post, put};

/// Values of every wrong type for a field that wants `type`.
fn wrong_types(wanted: &str) -> Vec<Value> {
    let all = [
        ("string", json!("x")),
        ("number", json!(1)),
        ("float", json!(1.5)),
        ("negative", json!(-1)),
        ("bool", json!(true)),
        ("list", json!([])),
        ("table", json!({})),
    ];
    all.into_iter().filter(|(kind, _)| *kind != wanted).map(|(_, value)| value).collect()
}

/// A route with a body, a body that it takes, and the type of each field.
type Route = (&'static str, Call, Value, Vec<(&'static str, &'static str)>);

/// Every route that takes a body of its own.
fn routes() -> Vec<Route> {
    [service_routes(), switch_routes(), roll_routes()].into_iter().flatten().collect()
}

fn roll_routes() -> Vec<Route> {
    vec![
        (
            "permit",
            post("/v1/services/web/permits"),
            json!({"backend": "b"}),
            vec![("backend", "string"), ("wait", "string")],
        ),
        (
            "roll",
            post("/v1/services/web/roll"),
            json!({"action": "resume"}),
            vec![("action", "enum"), ("reason", "string")],
        ),
    ]
}

fn switch_routes() -> Vec<Route> {
    vec![
        (
            "flip",
            post("/v1/services/web/flip"),
            json!({"to": "v2"}),
            vec![
                ("to", "string"),
                ("if_epoch", "number"),
                ("reason", "string"),
                ("force", "bool"),
                ("dry_run", "bool"),
            ],
        ),
        (
            "canary",
            post("/v1/services/web/canary"),
            json!({"to": "v2", "share": 0.1}),
            vec![("to", "string"), ("paused", "bool"), ("reason", "string"), ("if_epoch", "number")],
        ),
        (
            "rollback",
            post("/v1/services/web/rollback"),
            json!({}),
            vec![("if_epoch", "number"), ("reason", "string"), ("sessions", "enum")],
        ),
    ]
}

fn service_routes() -> Vec<Route> {
    let version = "/v1/services/web/versions/v1";
    let reason = || vec![("reason", "string")];
    vec![
        (
            "register",
            put("/v1/services/web/backends/z"),
            json!({"address": "h:1"}),
            vec![
                ("address", "string"),
                ("version", "string"),
                ("weight", "number"),
                ("ttl", "string"),
                ("boot_id", "string"),
                ("zone", "string"),
                ("metadata", "table"),
            ],
        ),
        (
            "heartbeat",
            post("/v1/services/web/backends/a/heartbeat"),
            json!({}),
            vec![("version", "string"), ("boot_id", "string")],
        ),
        (
            "patch",
            patch("/v1/services/web/backends/a"),
            json!({}),
            vec![("admin", "enum"), ("weight", "number"), ("force", "bool"), ("reason", "string")],
        ),
        (
            "gate",
            put(format!("{version}/gates/g")),
            json!({"open": true}),
            vec![("open", "bool"), ("note", "string")],
        ),
        ("hold", put(format!("{version}/holds/h")), json!({"ttl": "1m"}), vec![("ttl", "string")]),
        ("reject", post(format!("{version}/reject")), json!({}), reason()),
        ("clear", post(format!("{version}/clear")), json!({}), reason()),
        ("evict", post(format!("{version}/evict")), json!({}), reason()),
        (
            "freeze",
            put("/v1/services/web/freeze"),
            json!({"reason": "x"}),
            vec![("reason", "string"), ("until", "string")],
        ),
        (
            "maintenance",
            put("/v1/services/web/maintenance"),
            json!({}),
            vec![("reason", "string"), ("until", "string")],
        ),
    ]
}

async fn assert_named(stage: &Stage, what: &str, call: Call, body: Value, status: u16, field: &str) {
    let answer = stage.call(call.json(body.clone())).await;
    assert_eq!(answer.status, status, "{what} {body}: {answer:?}");
    let is_named = |reason: &Value| reason["field"].as_str().is_some_and(|named| named.starts_with(field));
    assert!(answer.problem().iter().any(is_named), "{what} {body}: {answer:?}");
    assert!(answer.body["detail"].as_str().unwrap().contains(field), "{what} {body}: {answer:?}");
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_400_and_named() {
    let stage = Stage::with_two_versions().await;
    let before = stage.call(get("/v1/services/web")).await;
    let count = routes().len();
    for route in 0..count {
        let fields = routes().swap_remove(route).3;
        for (field, wanted) in fields {
            for wrong in wrong_types(wanted) {
                let (what, call, mut body, _) = routes().swap_remove(route);
                body[field] = wrong;
                assert_named(&stage, what, call, body, 400, field).await;
            }
        }
    }
    let after = stage.call(get("/v1/services/web")).await;
    assert_eq!((after.revision(), after.body), (before.revision(), before.body));
}

#[tokio::test]
async fn an_unknown_field_is_400_and_named() {
    let stage = Stage::with_two_versions().await;
    for (what, call, mut body, _) in routes() {
        body["extra"] = json!(1);
        assert_named(&stage, what, call, body, 400, "extra").await;
    }
    assert_named(&stage, "service", put("/v1/services/web"), json!({"extra": 1}), 400, "extra").await;
    assert_named(&stage, "service", put("/v1/services/web"), json!({"pin": {"idle": 5}}), 400, "pin.idle")
        .await;
    let steps = json!({"canary": {"steps": 5}});
    assert_named(&stage, "service", put("/v1/services/web"), steps, 400, "canary.steps").await;
}

#[tokio::test]
async fn a_missing_field_is_400_and_named() {
    let stage = Stage::with_two_versions().await;
    for (call, field) in [
        (put("/v1/services/web/backends/z"), "address"),
        (post("/v1/services/web/flip"), "to"),
        (put("/v1/services/web/versions/v1/gates/g"), "open"),
        (put("/v1/services/web/versions/v1/holds/h"), "ttl"),
        (put("/v1/services/web/freeze"), "reason"),
    ] {
        assert_named(&stage, "missing", call, json!({}), 400, field).await;
    }
}

#[tokio::test]
async fn a_value_that_makes_no_sense_is_422_and_named() {
    let stage = Stage::with_two_versions().await;
    let backend = "/v1/services/web/backends";
    let version = "/v1/services/web/versions/v1";
    let register = |field: &str, value: Value| {
        let mut body = json!({"address": "h:1"});
        body[field] = value;
        (put(format!("{backend}/z")), body)
    };
    let long = "x".repeat(1025);
    let cases = [
        ("address", register("address", json!("nowhere"))),
        ("address", register("address", json!("h:0"))),
        ("address", register("address", json!("unix:relative"))),
        ("version", register("version", json!("v 1"))),
        ("version", register("version", json!(""))),
        ("weight", register("weight", json!(0))),
        ("weight", register("weight", json!(1001))),
        ("ttl", register("ttl", json!("soon"))),
        ("ttl", register("ttl", json!("999ms"))),
        ("ttl", register("ttl", json!("25h"))),
        ("boot_id", register("boot_id", json!(""))),
        ("boot_id", register("boot_id", json!("a\nb"))),
        ("zone", register("zone", json!("z".repeat(257)))),
        ("metadata", register("metadata", json!({"k": "v".repeat(16 * 1024)}))),
        ("version", (post(format!("{backend}/a/heartbeat")), json!({"version": "é"}))),
        ("boot_id", (post(format!("{backend}/a/heartbeat")), json!({"boot_id": "\u{7}"}))),
        ("weight", (patch(format!("{backend}/a")), json!({"weight": 65_537}))),
        ("reason", (patch(format!("{backend}/a")), json!({"reason": long}))),
        ("to", (post("/v1/services/web/flip"), json!({"to": "v 2"}))),
        ("to", (post("/v1/services/web/flip"), json!({"to": "", "dry_run": true}))),
        ("reason", (post("/v1/services/web/flip"), json!({"to": "v2", "reason": "a\u{1b}[31m"}))),
        ("reason", (post("/v1/services/web/rollback"), json!({"reason": long}))),
        ("note", (put(format!("{version}/gates/g")), json!({"open": true, "note": long}))),
        ("ttl", (put(format!("{version}/holds/h")), json!({"ttl": "0s"}))),
        ("ttl", (put(format!("{version}/holds/h")), json!({"ttl": "8d"}))),
        ("reason", (post(format!("{version}/reject")), json!({"reason": long}))),
        ("reason", (put("/v1/services/web/freeze"), json!({"reason": " "}))),
        ("until", (put("/v1/services/web/freeze"), json!({"reason": "x", "until": "tomorrow"}))),
        ("for", (put("/v1/services/web/freeze"), json!({"reason": "x", "for": "0s"}))),
        (
            "for",
            (
                put("/v1/services/web/freeze"),
                json!({"reason": "x", "for": "1h", "until": "2199-01-01T00:00:00Z"}),
            ),
        ),
        ("owner", (put("/v1/services/web/freeze"), json!({"reason": "x", "owner": "a\u{7}"}))),
        ("until", (put("/v1/services/web/freeze"), json!({"reason": "x", "until": "2020-01-01T00:00:00Z"}))),
        ("reason", (put("/v1/services/web/maintenance"), json!({"reason": "a\u{7}"}))),
        ("until", (put("/v1/services/web/maintenance"), json!({"until": "2020-01-01T00:00:00Z"}))),
        ("min_capacity", (put("/v1/services/web"), json!({"min_capacity": 1.5}))),
        ("drain.deadline", (put("/v1/services/web"), json!({"drain": {"deadline": "1 hour"}}))),
        (
            "backends[0].address",
            (put("/v1/services/web"), json!({"backends": [{"id": "a", "address": "x"}]})),
        ),
    ];
    let before = stage.call(get("/v1/services/web")).await;
    for (field, (call, body)) in cases {
        assert_named(&stage, "sense", call, body, 422, field).await;
    }
    let after = stage.call(get("/v1/services/web")).await;
    assert_eq!((after.revision(), after.body), (before.revision(), before.body));
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() {
    let stage = Stage::with_two_versions().await;
    let body = json!({"address": "x", "weight": 0, "ttl": "y", "zone": ""});
    let answer = stage.call(put("/v1/services/web/backends/z").json(body)).await;
    let fields: Vec<&str> = answer.problem().iter().map(|reason| reason["field"].as_str().unwrap()).collect();
    assert_eq!((answer.status, fields), (422, vec!["address", "weight", "ttl", "zone"]));
    let body = json!({"address": 1, "weight": "x", "more": 1});
    let answer = stage.call(put("/v1/services/web/backends/z").json(body)).await;
    assert_eq!((answer.status, answer.problem().len()), (400, 3));
}

#[tokio::test]
async fn a_parameter_that_is_unknown_or_malformed_is_named() {
    let stage = Stage::with_two_versions().await;
    let cases = [
        (get("/v1/services?x=1"), 400, "x"),
        (get("/v1/services/web?wait=active"), 400, "wait"),
        (get("/v1/services?revision=-1"), 400, "revision"),
        (get("/v1/services?revision=1&timeout=never"), 400, "timeout"),
        (get("/v1/services?timeout=2h"), 422, "timeout"),
        (get("/v1/services?revision=1&revision=2"), 400, "revision"),
        (get("/v1/services/web/versions/v1?wait=gone"), 400, "wait"),
        (get("/v1/services/web/timeline?limit=0"), 422, "limit"),
        (get("/v1/services/web/timeline?limit=1001"), 422, "limit"),
        (get("/v1/services/web/timeline?limit=99999999999999999999"), 400, "limit"),
        (get("/v1/services/web/timeline?before=x"), 400, "before"),
        (get("/v1/events?service=a%20b"), 422, "service"),
        (get("/v1/events?services=web"), 400, "services"),
        (get("/v1/status?verbose"), 400, "verbose"),
        (delete("/v1/services/web/backends/a?drain=x"), 400, "drain"),
        (delete("/v1/services/web/backends/a?drain=2h"), 422, "drain"),
        (delete("/v1/services/web?force=true"), 400, "force"),
        (post("/v1/services/web/flip?to=v2").json(json!({"to": "v2"})), 400, "to"),
        (get("/v1/events").header("last-event-id", "abc"), 400, "Last-Event-ID"),
    ];
    for (call, status, field) in cases {
        let answer = stage.call(call).await;
        assert_eq!((answer.status, &answer.problem()[0]["field"]), (status, &json!(field)), "{answer:?}");
    }
}

#[tokio::test]
async fn a_name_that_can_be_none_is_422_and_named() {
    let stage = Stage::with_two_versions().await;
    let long = "x".repeat(200);
    let cases = [
        (get("/v1/services/a%20b"), "service"),
        (put(format!("/v1/services/{long}")).body("{}"), "service"),
        (get("/v1/services/%C3%A9"), "service"),
        (get("/v1/services/a%00b"), "service"),
        (get("/v1/services/a%2Fb"), "service"),
        (get(format!("/v1/services/web/versions/{long}")), "version"),
        (get("/v1/services/web/versions/v%201"), "version"),
        (put("/v1/services/web/backends/a%2Fb").json(json!({"address": "h:1"})), "backend"),
        (put("/v1/services/web/versions/v1/gates/a%20b").json(json!({"open": true})), "gate"),
        (put("/v1/services/web/versions/v1/holds/a%2Fb").json(json!({"ttl": "1m"})), "hold"),
    ];
    for (call, field) in cases {
        let answer = stage.call(call).await;
        assert_eq!((answer.status, &answer.problem()[0]["field"]), (422, &json!(field)), "{answer:?}");
    }
    let broken = stage.call(get("/v1/services/%FF")).await;
    assert_eq!((broken.status, &broken.problem()[0]["field"]), (400, &json!("path")));
}

#[tokio::test]
async fn a_version_with_a_slash_is_reached_by_its_encoded_name() {
    let mut stage = Stage::new().await;
    stage.put_web(json!({})).await;
    stage.register("a", "release/1+a%b").await;
    let shown = stage.ok(get("/v1/services/web/versions/release%2F1+a%25b?wait=active")).await;
    assert_eq!(shown["version"], "release/1+a%b");
}
