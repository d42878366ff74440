//! Contract migrations and schemas, as whoever migrates a database meets them.

use serde_json::{Value, json};

use super::stage::{Call, Stage, get, post, put};

fn contract(body: Value) -> Call {
    post("/v1/services/web/contract").json(body)
}

fn schema(body: Value) -> Call {
    put("/v1/services/web/schema").json(body)
}

fn flip(to: &str) -> Call {
    post("/v1/services/web/flip").json(json!({"to": to}))
}

/// v1 has drained, v2 is active.
async fn flipped() -> Stage {
    let mut stage = Stage::new().await;
    stage.put_web(json!({"pin": {"policy": "none"}, "bake": {"duration": "0s"}})).await;
    for (id, version, role) in [("a", "v1", "active"), ("b", "v2", "staged")] {
        stage.register(id, version).await;
        stage.usable(version, role).await;
    }
    stage.ok(flip("v2")).await;
    stage.ok(get("/v1/services/web/versions/v1?wait=drained&timeout=10s")).await;
    stage
}

#[tokio::test]
async fn a_contract_is_recorded_once_and_says_so_again() {
    let stage = flipped().await;
    let plan = stage.ok(contract(json!({"dry_run": true}))).await;
    assert_eq!(plan, json!({"allowed": true, "reasons": [], "floor": "v2", "below": ["v1"], "schema": null}));
    assert_eq!(stage.ok(get("/v1/services/web")).await["contract"], Value::Null);

    let done = stage.ok(contract(json!({"note": "dropped users.name"}))).await;
    assert_eq!((&done["floor"], &done["already"]), (&json!("v2"), &json!(false)));
    let again = stage.ok(contract(json!({"note": "what was that again?"}))).await;
    assert_eq!((&again["already"], &again["at"]), (&json!(true), &done["at"]));
    assert_eq!(again["note"], "dropped users.name");

    let shown = stage.ok(get("/v1/services/web")).await;
    assert_eq!((&shown["contract"]["floor"], &shown["contract"]["at"]), (&json!("v2"), &done["at"]));
    assert_eq!(stage.ok(get("/v1/services/web/versions/v1")).await["below_floor"], true);
    let told = stage.ok(get("/v1/services/web/timeline?limit=1")).await["entries"][0].clone();
    assert_eq!((&told["kind"], &told["reason"]), (&json!("contracted"), &json!("dropped users.name")));

    let refused = stage.call(post("/v1/services/web/rollback").json(json!({}))).await;
    assert_eq!((refused.status, &refused.problem()[0]["code"]), (409, &json!("below_floor")));
    let forced = json!({"to": "v1", "force": true});
    let forced = stage.problem(post("/v1/services/web/flip").json(forced)).await;
    assert_eq!(forced, (409, vec!["below_floor".to_owned()]));
}

#[tokio::test]
async fn the_same_key_is_answered_the_same() {
    let stage = flipped().await;
    let call = || contract(json!({"note": "once"})).header("idempotency-key", "k1");
    let first = stage.call(call()).await;
    let again = stage.call(call()).await;
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    assert_eq!(first.body["already"], false);
}

#[tokio::test]
async fn while_old_code_runs_it_is_refused_with_every_reason() {
    let mut stage = Stage::new().await;
    stage.put_web(json!({"bake": {"duration": "0s"}})).await;
    for (id, version, role) in [("a", "v1", "active"), ("b", "v2", "staged")] {
        stage.register(id, version).await;
        stage.usable(version, role).await;
    }
    let hold = put("/v1/services/web/versions/v1/holds/worker").json(json!({"ttl": "1h"}));
    stage.ok(hold).await;
    stage.ok(flip("v2")).await;
    let refused = stage.problem(contract(json!({}))).await;
    assert_eq!(refused, (409, vec!["not_drained".to_owned(), "not_drained".to_owned()]));
    let plan = stage.ok(contract(json!({"dry_run": true}))).await;
    assert_eq!((&plan["allowed"], plan["reasons"].as_array().unwrap().len()), (&json!(false), 2));
    let forced = stage.ok(contract(json!({"force": true}))).await;
    assert_eq!(forced["floor"], "v2");
    let told = stage.ok(get("/v1/services/web/timeline?limit=1")).await;
    assert_eq!(told["entries"][0]["forced"], true);
}

#[tokio::test]
async fn versions_are_held_against_the_schema() {
    let stage = Stage::with_two_versions().await;
    for (id, min, max) in [("a", 1, 2), ("b", 2, 3)] {
        let path = format!("/v1/services/web/backends/{id}");
        let shown = stage.ok(get("/v1/services/web/backends")).await;
        let known = shown["backends"].as_array().unwrap().iter().find(|known| known["id"] == id).unwrap();
        let body = json!({"address": known["address"], "version": known["version"], "ttl": "0", "schema_min": min, "schema_max": max});
        stage.ok(put(path).json(body)).await;
    }
    assert_eq!(stage.ok(schema(json!({"schema": 1, "note": "as it is"}))).await["schema"], 1);
    assert_eq!(stage.problem(flip("v2")).await, (409, vec!["schema_out_of_range".to_owned()]));
    assert_eq!(
        stage.problem(schema(json!({"schema": 3}))).await,
        (409, vec!["schema_out_of_range".to_owned()])
    );
    let changed = stage.ok(schema(json!({"schema": 2}))).await;
    assert_eq!((&changed["schema"], &changed["from"]), (&json!(2), &json!(1)));
    let shown = stage.ok(get("/v1/services/web/versions/v2")).await;
    assert_eq!((&shown["schema_min"], &shown["schema_max"]), (&json!(2), &json!(3)));
    stage.ok(flip("v2")).await;
    assert_eq!(stage.ok(get("/v1/services/web")).await["schema"], 2);
    let forgotten = stage.ok(super::stage::delete("/v1/services/web/schema")).await;
    assert_eq!(forgotten["schema"], Value::Null);
}

#[tokio::test]
async fn numbers_that_are_no_schema_are_refused_by_name() {
    let stage = Stage::with_two_versions().await;
    let wrong = stage.call(schema(json!({"schema": 9_007_199_254_740_992_u64}))).await;
    assert_eq!((wrong.status, &wrong.problem()[0]["field"]), (422, &json!("schema")));
    for body in [json!({"schema": -1}), json!({"schema": "5"}), json!({"schema": 1.5}), json!({})] {
        assert_eq!(stage.status(schema(body.clone())).await, 400, "{body}");
    }
    let body = json!({"address": "127.0.0.1:1", "schema_min": 3, "schema_max": 2});
    let wrong = stage.call(put("/v1/services/web/backends/c").json(body)).await;
    assert_eq!((wrong.status, &wrong.problem()[0]["field"]), (422, &json!("schema_max")));
    assert_eq!(stage.problem(post("/v1/services/none/contract").json(json!({}))).await.0, 404);
}
