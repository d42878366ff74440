//! What is answered to requests that can't be meant.

use http::Method;
use serde_json::json;

use super::stage::{Call, Stage, delete, get, patch, post, put};

#[tokio::test]
async fn what_does_not_exist_is_404() {
    let stage = Stage::new().await;
    stage.put_web(json!({})).await;
    let cases = [
        (get("/assets/none.js"), "unknown_path"),
        (get("/v1"), "unknown_path"),
        (get("/v1/services/"), "unknown_path"),
        (post("/v1/services/web/mirror"), "unknown_path"),
        (get("/v1/services/api"), "unknown_service"),
        (get("/v1/services/api/backends"), "unknown_service"),
        (get("/v1/services/api/versions"), "unknown_service"),
        (get("/v1/services/api/timeline"), "unknown_service"),
        (delete("/v1/services/api"), "unknown_service"),
        (put("/v1/services/api/backends/a").json(json!({"address": "h:1"})), "unknown_service"),
        (post("/v1/services/api/flip").json(json!({"to": "v1"})), "unknown_service"),
        (post("/v1/services/api/flip").json(json!({"to": "v1", "dry_run": true})), "unknown_service"),
        (post("/v1/services/web/flip").json(json!({"to": "v1"})), "unknown_version"),
        (post("/v1/services/web/canary").json(json!({"to": "v1", "share": 0.1})), "unknown_version"),
        (post("/v1/services/web/canary").json(json!({"to": "v1", "share": 0})), "no_canary"),
        (get("/v1/services/web/versions/v1"), "unknown_version"),
        (get("/v1/services/web/versions/v1?wait=active&timeout=10m"), "unknown_version"),
        (put("/v1/services/web/versions/v1/holds/h").json(json!({"ttl": "1m"})), "unknown_version"),
        (put("/v1/services/web/versions/v1/gates/g").json(json!({"open": true})), "unknown_version"),
        (patch("/v1/services/web/backends/a").json(json!({})), "unknown_backend"),
        (delete("/v1/services/web/backends/a"), "unknown_backend"),
    ];
    for (call, code) in cases {
        assert_eq!(stage.problem(call).await, (404, vec![code.to_owned()]));
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_405_and_told_which_it_knows() {
    let stage = Stage::new().await;
    for (method, path, allowed) in [
        (Method::POST, "/v1/services", "GET,HEAD"),
        (Method::GET, "/v1/services/web/flip", "POST"),
        (Method::OPTIONS, "/v1/services/web/flip", "POST"),
        (Method::DELETE, "/livez", "GET,HEAD"),
    ] {
        let answer = stage.call(Call::new(method, path)).await;
        assert_eq!((answer.status, &answer.problem()[0]["code"]), (405, &json!("method_not_allowed")));
        assert_eq!(answer.headers["allow"], allowed, "{path}");
    }
    let answer = stage.call(Call::new(Method::POST, "/v1/services/web")).await;
    let mut allowed: Vec<&str> = answer.headers["allow"].to_str().unwrap().split(',').collect();
    allowed.sort_unstable();
    assert_eq!((answer.status, allowed), (405, vec!["DELETE", "GET", "HEAD", "PUT"]));
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_with_its_place() {
    let stage = Stage::new().await;
    let flip = |body: &str| post("/v1/services/web/flip").body(body);
    for (body, place) in [
        ("{\"to\": }", "line 1 column 8"),
        ("{\n \"to\": \"v1\",\n \"to\": \"v2\"}", "line 3"),
        ("to=v1", "line 1 column"),
        ("{} {}", "line 1 column 4"),
    ] {
        let answer = stage.call(flip(body)).await;
        assert_eq!((answer.status, &answer.problem()[0]["code"]), (400, &json!("malformed_json")));
        assert!(answer.body["detail"].as_str().unwrap().contains(place), "{answer:?}");
    }
    assert_eq!(stage.status(flip("[]")).await, 400);
    assert_eq!(stage.status(flip("").body(b"\"\xff\"".as_slice())).await, 400);
}

#[tokio::test]
async fn a_body_is_read_as_json_whatever_it_is_declared_to_be() {
    let stage = Stage::new().await;
    let put =
        |kind: &str, body: &str| put("/v1/services/web").body(body.to_owned()).header("content-type", kind);
    for kind in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "Application/JSON; charset=utf-8",
        "json",
        "\u{e9}",
        "",
    ] {
        assert!(stage.status(put(kind, "{}")).await < 300, "{kind}");
    }
    let form = put("application/x-www-form-urlencoded", "mode=auto");
    assert_eq!(stage.problem(form).await, (400, vec!["malformed_json".into()]));
}

#[tokio::test]
async fn a_body_beyond_its_limit_is_413() {
    let stage = Stage::new().await;
    let padded = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2));
    let too_large = (413, vec!["body_too_large".to_owned()]);
    assert_eq!(stage.problem(post("/v1/services/web/flip").body(padded(65_537))).await, too_large);
    assert_eq!(stage.status(post("/v1/services/web/flip").body(padded(65_536))).await, 400);
    let keyed = post("/v1/services/web/flip").header("idempotency-key", "k").body(padded(65_537));
    assert_eq!(stage.problem(keyed).await, too_large);
    assert_eq!(stage.problem(put("/v1/services/web").body(padded(1_048_577))).await, too_large);
    assert_eq!(stage.status(put("/v1/services/web").body(padded(1_048_576))).await, 201);
}

#[tokio::test]
async fn every_answer_carries_the_revision_and_forbids_caches() {
    let stage = Stage::new().await;
    stage.put_web(json!({})).await;
    let calls = [
        get("/v1/services"),
        get("/nowhere"),
        Call::new(Method::POST, "/livez"),
        get("/livez"),
        get("/v1/services").header("host", "evil.example"),
        post("/v1/services/web/flip").body("{"),
        delete("/v1/services/web"),
    ];
    for call in calls {
        let answer = stage.call(call).await;
        assert!(answer.revision() > 0);
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
}
