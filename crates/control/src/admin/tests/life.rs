//! What every route does when all goes well.

use serde_json::{Value, json};

use super::stage::{Stage, delete, get, patch, post, put};
use crate::admin::wire::time;

#[tokio::test]
async fn a_service_is_created_replaced_shown_and_removed() {
    let stage = Stage::new().await;
    assert_eq!(stage.ok(get("/v1/services")).await, json!({"services": []}));
    let created = stage.call(put("/v1/services/web").json(json!({"hosts": ["a.example"]}))).await;
    assert_eq!((created.status, &created.body["epoch"]), (201, &json!(0)));
    assert_eq!(created.body["policy"]["hosts"], json!(["a.example"]));
    let replaced = stage.call(put("/v1/services/web").body("{}")).await;
    assert_eq!((replaced.status, &replaced.body["policy"]["hosts"]), (200, &json!([])));
    assert!(replaced.revision() > created.revision());
    let shown = stage.ok(get("/v1/services/web")).await;
    assert_eq!(shown, replaced.body);
    assert_eq!((&shown["source"], &shown["roll"]["state"]), (&json!("api"), &json!("idle")));
    assert_eq!((&shown["active"], &shown["freeze"]), (&json!(null), &json!(null)));
    let removed = stage.call(delete("/v1/services/web")).await;
    assert_eq!((removed.status, removed.text.as_str()), (204, ""));
    assert_eq!(stage.status(get("/v1/services/web")).await, 404);
}

#[tokio::test]
async fn the_static_backends_of_a_service_are_those_of_its_last_document() {
    let mut stage = Stage::new().await;
    let backends = |ids: &[&str]| -> Value {
        let one = |id: &&str| json!({"id": id, "address": "127.0.0.1:1", "version": "v1"});
        ids.iter().map(one).collect()
    };
    stage.put_web(json!({"backends": backends(&["a", "b"])})).await;
    stage.register("c", "v1").await;
    stage.put_web(json!({"backends": backends(&["b", "d"])})).await;
    let listed = stage.ok(get("/v1/services/web/backends")).await;
    let staying = listed["backends"].as_array().unwrap().iter().filter(|one| one["leaving_until"].is_null());
    let ids: Vec<&str> = staying.map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["b", "c", "d"]);
}

#[tokio::test]
async fn a_backend_registers_keeps_its_lease_and_leaves() {
    let stage = Stage::new().await;
    stage.put_web(json!({})).await;
    let path = "/v1/services/web/backends/127.0.0.1:1";
    let body = json!({
        "address": "127.0.0.1:1", "version": "v1", "weight": 7, "ttl": "1m", "boot_id": "b1",
        "zone": "eu-1", "metadata": {"rack": "4"},
    });
    let first = stage.call(put(path).json(body.clone())).await;
    assert_eq!((first.status, &first.body["lease"]["ttl"]), (201, &json!("1m")));
    assert_eq!((&first.body["role"], &first.body["admin"]), (&json!("staged"), &json!("ready")));
    assert_eq!(stage.status(put(path).json(body)).await, 200);
    let told = stage.ok(post(format!("{path}/heartbeat"))).await;
    // As points in time: a text without its fraction's last zeros sorts elsewhere.
    let expiry = |answer: &Value| time::parse(answer["lease"]["expires_at"].as_str().unwrap()).unwrap();
    assert!(expiry(&told) >= expiry(&first.body));
    assert_eq!((&told["version"], &told["epoch"]), (&json!("v1"), &json!(0)));

    let listed = stage.ok(get("/v1/services/web/backends")).await;
    let shown = &listed["backends"][0];
    assert_eq!((&shown["id"], &shown["address"]), (&json!("127.0.0.1:1"), &json!("127.0.0.1:1")));
    assert_eq!(
        (&shown["weight"], &shown["zone"], &shown["boot_id"]),
        (&json!(7), &json!("eu-1"), &json!("b1"))
    );
    assert_eq!((&shown["metadata"], &shown["source"]), (&json!({"rack": "4"}), &json!("api")));
    assert_eq!((&shown["identity"]["state"], &shown["in_flight"]), (&json!("unknown"), &json!(0)));
    assert!(shown["lease_expires_at"].is_string() && shown["usable"] == false);

    assert_eq!(stage.status(delete(format!("{path}?drain=0s"))).await, 204);
    assert_eq!(stage.problem(post(format!("{path}/heartbeat"))).await, (404, vec!["unknown_backend".into()]));
}

#[tokio::test]
async fn an_operator_changes_a_backend() {
    let stage = Stage::with_two_versions().await;
    let changed =
        stage.ok(patch("/v1/services/web/backends/b").json(json!({"admin": "drain", "weight": 3}))).await;
    assert_eq!((&changed["admin"], &changed["admin_by"]), (&json!("drain"), &json!("local")));
    assert_eq!((&changed["weight"], &changed["usable"]), (&json!(3), &json!(false)));
    let last = patch("/v1/services/web/backends/a").json(json!({"admin": "maint"}));
    assert_eq!(stage.problem(last).await, (409, vec!["below_min_capacity".into()]));
    let forced =
        patch("/v1/services/web/backends/a").json(json!({"admin": "maint", "force": true, "reason": "fire"}));
    assert_eq!(stage.ok(forced).await["admin"], "maint");
    let latest = &stage.ok(get("/v1/services/web/timeline")).await["entries"][0];
    assert_eq!(
        (&latest["reason"], &latest["forced"], &latest["actor"]),
        (&json!("fire"), &json!(true), &json!("local"))
    );
    assert_eq!(
        stage.ok(patch("/v1/services/web/backends/a").json(json!({"admin": "ready"}))).await["usable"],
        true
    );
}

#[tokio::test]
async fn a_version_is_shown_with_everything_that_holds_it() {
    let stage = Stage::with_two_versions().await;
    stage.put_web(json!({"flip": {"stable_for": "0s", "gates": ["expand"]}})).await;
    let version = "/v1/services/web/versions/v2";
    let opened = stage
        .ok(put(format!("{version}/gates/smoke")).json(json!({"open": true, "note": "looks good"})))
        .await;
    assert_eq!(opened["gates"]["smoke"]["note"], "looks good");
    let hold = |ttl: &str| put(format!("{version}/holds/worker-1")).json(json!({"ttl": ttl}));
    assert_eq!(stage.status(hold("5m")).await, 201);
    assert_eq!(stage.status(hold("6m")).await, 200);

    let listed = stage.ok(get("/v1/services/web/versions")).await;
    let labels: Vec<&str> =
        listed["versions"].as_array().unwrap().iter().map(|one| one["version"].as_str().unwrap()).collect();
    assert_eq!(labels, ["v2", "v1"]);
    let shown = stage.ok(get(version)).await;
    assert_eq!(
        (&shown["role"], &shown["usable_weight"], &shown["expected_weight"]),
        (&json!("staged"), &json!(1), &json!(1))
    );
    assert_eq!(
        (&shown["in_flight"], &shown["tunnels"], &shown["drained"]),
        (&json!(0), &json!(0), &json!(null))
    );
    assert_eq!(
        (&shown["gates"]["expand"]["open"], &shown["gates"]["expand"]["required"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(shown["holds"]["worker-1"]["by"], "local");
    assert_eq!((&shown["quorum"]["met"], &shown["quorum"]["needed"]), (&json!(true), &json!(1)));
    assert!(shown["quorum"]["stable_since"].is_string());

    assert_eq!(stage.status(delete(format!("{version}/holds/worker-1"))).await, 204);
    assert_eq!(stage.status(delete(format!("{version}/holds/worker-1"))).await, 204, "a repetition");
    assert_eq!(
        stage.problem(delete("/v1/services/web/versions/v9/holds/worker-1")).await,
        (404, vec!["unknown_version".into()])
    );
}

#[tokio::test]
async fn a_flip_and_a_rollback_answer_what_they_did() {
    let stage = Stage::with_two_versions().await;
    let flip = |body: Value| post("/v1/services/web/flip").json(body);
    let plan = stage.call(flip(json!({"to": "v2", "dry_run": true}))).await;
    assert_eq!((plan.status, &plan.body["allowed"], &plan.body["reasons"]), (200, &json!(true), &json!([])));
    let plan = &plan.body["plan"];
    assert_eq!((&plan["from"], &plan["to"], &plan["epoch"]), (&json!("v1"), &json!("v2"), &json!(2)));
    assert_eq!((&plan["capacity"]["usable_weight"], &plan["old"]["in_flight"]), (&json!(1), &json!(0)));
    assert_eq!(plan["drain"]["at_most"], "3630s");

    let flipped = stage.call(flip(json!({"to": "v2", "if_epoch": 1, "reason": "release"}))).await;
    let expected = json!({"epoch": 2, "from": "v1", "to": "v2", "revision": flipped.revision()});
    assert_eq!((flipped.status, &flipped.body), (200, &expected));
    let drained = stage.ok(get("/v1/services/web/versions/v1?wait=drained&timeout=10s")).await;
    assert_eq!(drained["drained"]["by"], "proof");

    let back = stage.call(post("/v1/services/web/rollback").json(json!({"reason": "bad"}))).await;
    let expected =
        json!({"epoch": 3, "from": "v2", "to": "v1", "revision": back.revision(), "rejected": "v2"});
    assert_eq!((back.status, &back.body), (200, &expected));
    assert_eq!(stage.ok(get("/v1/services/web/versions/v2")).await["rejected"], "bad");
    let drained = stage.ok(get("/v1/services/web/versions/v2?wait=drained&timeout=10s")).await;
    assert_eq!(drained["role"], "rejected");
}

#[tokio::test]
async fn a_refused_flip_lists_everything_in_its_way() {
    let stage = Stage::with_two_versions().await;
    stage
        .put_web(json!({"flip": {"stable_for": "0s", "quorum": {"count": 2}, "gates": ["expand", "smoke"]}}))
        .await;
    stage.ok(put("/v1/services/web/freeze").json(json!({"reason": "black friday"}))).await;
    let flip = |more: Value| {
        let mut body = json!({"to": "v2"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        post("/v1/services/web/flip").json(body)
    };
    let codes: Vec<String> =
        ["quorum_count", "gate_closed", "gate_closed", "frozen"].map(String::from).into();
    assert_eq!(stage.problem(flip(json!({}))).await, (409, codes.clone()));
    let dry = stage.call(flip(json!({"dry_run": true}))).await;
    let reasons = dry.body["reasons"].as_array().unwrap();
    assert_eq!((dry.status, &dry.body["allowed"]), (200, &json!(false)));
    assert_eq!(
        reasons.iter().map(|reason| reason["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>(),
        codes
    );
    assert_eq!(
        stage.problem(flip(json!({"if_epoch": 7, "force": true}))).await,
        (412, vec!["epoch_mismatch".into()])
    );
    assert_eq!(stage.ok(flip(json!({"force": true}))).await["epoch"], 2);
}

#[tokio::test]
async fn a_version_is_rejected_cleared_and_evicted() {
    let stage = Stage::with_two_versions().await;
    let path = |version: &str, verb: &str| format!("/v1/services/web/versions/{version}/{verb}");
    let rejected = stage.ok(post(path("v2", "reject")).json(json!({"reason": "crashes"}))).await;
    assert_eq!((&rejected["role"], &rejected["rejected"]), (&json!("rejected"), &json!("crashes")));
    assert_eq!(stage.ok(post(path("v2", "clear"))).await["role"], "staged");
    stage.ok(put(path("v1", "holds/worker")).json(json!({"ttl": "1h"}))).await;
    stage.ok(post("/v1/services/web/flip").json(json!({"to": "v2"}))).await;
    let evicted = stage.ok(post(path("v1", "evict"))).await;
    assert_eq!((&evicted["role"], &evicted["drained"]["by"]), (&json!("drained"), &json!("deadline")));
    assert_eq!(stage.problem(post(path("v1", "evict"))).await, (409, vec!["wrong_role".into()]));
}

#[tokio::test]
async fn a_service_is_frozen_and_thawed() {
    let stage = Stage::new().await;
    stage.put_web(json!({})).await;
    let freeze = |body: Value| put("/v1/services/web/freeze").json(body);
    let frozen = stage.call(freeze(json!({"reason": "audit", "until": "2999-01-01T01:00:00+01:00"}))).await;
    assert_eq!((frozen.status, &frozen.body["until"]), (201, &json!("2999-01-01T00:00:00Z")));
    assert_eq!(stage.status(freeze(json!({"reason": "still"}))).await, 200);
    assert_eq!(stage.ok(get("/v1/services/web")).await["freeze"]["reason"], "still");
    assert_eq!(stage.status(delete("/v1/services/web/freeze")).await, 204);
    assert_eq!(stage.status(delete("/v1/services/web/freeze")).await, 204, "a repetition");
    let unknown = (404, vec!["unknown_service".into()]);
    assert_eq!(stage.problem(delete("/v1/services/api/freeze")).await, unknown);
}

#[tokio::test]
async fn a_service_is_closed_for_maintenance_and_opened_again() {
    let stage = Stage::new().await;
    stage.put_web(json!({})).await;
    assert_eq!(stage.ok(get("/v1/services/web")).await["maintenance"], json!(null));
    let maintenance = || put("/v1/services/web/maintenance");
    let begun =
        stage.call(maintenance().json(json!({"reason": "moving", "until": "2999-01-01T00:00:00Z"}))).await;
    assert_eq!((begun.status, &begun.body["until"]), (201, &json!("2999-01-01T00:00:00Z")));
    assert_eq!(stage.status(maintenance()).await, 200, "neither reason nor end");
    let shown = stage.ok(get("/v1/services/web")).await;
    assert_eq!((&shown["maintenance"]["reason"], &shown["freeze"]), (&json!(""), &json!(null)));
    for _ in 0..2 {
        assert_eq!(stage.status(delete("/v1/services/web/maintenance")).await, 204);
    }
    assert_eq!(stage.ok(get("/v1/services/web")).await["maintenance"], json!(null));
    let timeline = stage.ok(get("/v1/services/web/timeline?limit=3")).await;
    let told =
        |at: usize| (timeline["entries"][at]["kind"].clone(), timeline["entries"][at]["reason"].clone());
    assert_eq!(told(0), (json!("maintenance_ended"), json!(null)));
    assert_eq!(told(2), (json!("maintenance_begun"), json!("moving")));
    let wrong = stage.problem(maintenance().json(json!({"until": "2020-01-01T00:00:00Z"}))).await;
    assert_eq!(wrong, (422, vec!["invalid".into()]));
    assert_eq!(
        stage.problem(delete("/v1/services/api/maintenance")).await,
        (404, vec!["unknown_service".into()])
    );
}

#[tokio::test]
async fn the_timeline_is_read_in_pages() {
    let stage = Stage::with_two_versions().await;
    let all = stage.ok(get("/v1/services/web/timeline?limit=1000")).await;
    let all: Vec<u64> =
        all["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
    let mut paged: Vec<u64> = Vec::new();
    let mut path = "/v1/services/web/timeline?limit=2".to_owned();
    loop {
        let page = stage.ok(get(path.as_str())).await;
        paged.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()));
        let Some(next) = page["next"].as_u64() else { break };
        path = format!("/v1/services/web/timeline?limit=2&before={next}");
    }
    assert_eq!(paged, all);
    assert!(all.len() > 4 && all.is_sorted_by(|a, b| a > b));
}

#[tokio::test]
async fn the_node_tells_about_itself() {
    let stage = Stage::new().await;
    let status = stage.call(get("/v1/status")).await;
    assert_eq!((&status.body["node"], &status.body["store"]["kind"]), (&json!("lb-1"), &json!("memory")));
    assert_eq!((&status.body["revision"], &status.body["ready"]), (&json!(status.revision()), &json!(true)));
    assert_eq!(
        (&status.body["pid"], &status.body["members"][0]["node"]),
        (&json!(std::process::id()), &json!("lb-1"))
    );
    for probe in ["/livez", "/readyz"] {
        assert_eq!(stage.call(get(probe)).await.text, "ok\n");
    }
    stage.leave();
    assert_eq!(stage.problem(get("/readyz")).await, (503, vec!["not_ready".into()]));
    assert_eq!(
        (stage.ok(get("/v1/status")).await["ready"].clone(), stage.status(get("/livez")).await),
        (json!(false), 200)
    );
    let metrics = stage.call(get("/metrics")).await;
    assert!(metrics.text.contains("# TYPE cutover_"), "{}", metrics.text);
    let document = stage.ok(get("/openapi.json")).await;
    assert_eq!(document["openapi"], "3.1.0");
}
