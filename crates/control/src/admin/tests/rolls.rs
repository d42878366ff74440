//! Permits and rolls, as deploy scripts meet them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stage::{Answer, Call, Stage, delete, get, post};

/// Service `web` with this many backends of v1, which is active.
async fn fleet(backends: &[&str]) -> Stage {
    let mut stage = Stage::new().await;
    stage.put_web(json!({"pin": {"policy": "none"}})).await;
    for id in backends {
        stage.register(id, "v1").await;
    }
    stage.usable("v1", "active").await;
    usable(&stage, backends.len()).await;
    stage
}

async fn usable(stage: &Stage, count: usize) {
    for _ in 0..500 {
        if stage.ok(get("/v1/services/web/versions/v1")).await["usable_backends"] == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not all backends came up");
}

fn ask(backend: &str, wait: &str) -> Call {
    post("/v1/services/web/permits").json(json!({"backend": backend, "wait": wait}))
}

fn states(plan: &Value) -> Vec<&str> {
    plan["backends"].as_array().unwrap().iter().map(|backend| backend["state"].as_str().unwrap()).collect()
}

fn codes(answer: &Answer) -> Vec<&str> {
    let reasons = answer.body["reasons"].as_array().unwrap();
    reasons.iter().map(|reason| reason["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_backend_drains_and_is_granted_its_permit() {
    let stage = fleet(&["a", "b", "c", "d"]).await;
    let first = stage.call(post("/v1/services/web/permits").json(json!({"backend": "a"}))).await;
    assert_eq!((first.status, &first.body["granted"]), (202, &json!(false)));
    assert_eq!((&first.body["state"], codes(&first)), (&json!("draining"), vec!["draining"]));
    assert_eq!(
        (first.headers["retry-after"].to_str().unwrap(), &first.body["retry_after"]),
        ("1", &json!(1))
    );
    let granted = stage.call(ask("a", "10s")).await;
    assert_eq!((granted.status, &granted.body["granted"]), (200, &json!(true)));
    assert_eq!((&granted.body["batch"], &granted.body["batches"]), (&json!(1), &json!(2)));
    assert!(granted.body["deadline"].as_str() > granted.body["granted_at"].as_str());
    assert_eq!(stage.call(ask("a", "10s")).await.body, granted.body);

    let shown = stage.ok(get("/v1/services/web")).await;
    assert_eq!((&shown["roll"]["state"], &shown["roll"]["batch"]), (&json!("running"), &json!(1)));
    let permit = &shown["roll"]["permits"][0];
    assert_eq!((&permit["backend"], &permit["state"]), (&json!("a"), &json!("granted")));
    assert_eq!(permit["deadline"], granted.body["deadline"]);
    let events = stage.ok(get("/v1/services/web/timeline")).await;
    let kinds: Vec<&Value> =
        events["entries"].as_array().unwrap().iter().map(|entry| &entry["kind"]).collect();
    assert!(
        kinds.contains(&&json!("permit_granted")) && kinds.contains(&&json!("roll_changed")),
        "{kinds:?}"
    );

    assert_eq!(stage.status(delete("/v1/services/web/permits/a")).await, 204);
    let again = stage.problem(delete("/v1/services/web/permits/a")).await;
    assert_eq!(again, (404, vec!["unknown_permit".into()]));
    assert_eq!(stage.ok(get("/v1/services/web/roll")).await["state"], "idle");
}

#[tokio::test]
async fn who_must_wait_is_told_why_and_gets_its_permit_when_it_can() {
    let mut stage = fleet(&["a", "b"]).await;
    assert_eq!(stage.call(ask("a", "10s")).await.status, 200);
    let waiting = stage.call(ask("b", "50ms")).await;
    assert_eq!((waiting.status, &waiting.body["state"]), (202, &json!("waiting")));
    assert_eq!(codes(&waiting), ["batch_full", "below_min_capacity"]);
    assert_eq!(waiting.headers["retry-after"], "5");
    let plan = stage.ok(get("/v1/services/web/roll")).await;
    assert_eq!(states(&plan), ["permitted", "waiting"]);
    assert_eq!(plan["capacity"], json!({"usable": 1, "expected": 2, "needed": 1}));

    stage.register("a", "v2").await;
    stage.usable("v2", "staged").await;
    let plan = stage.ok(get("/v1/services/web/roll")).await;
    assert_eq!(
        (states(&plan), &plan["to"], &plan["done"]),
        (vec!["done", "waiting"], &json!("v2"), &json!(["a"]))
    );
    let flip = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stage.ok(post("/v1/services/web/flip").json(json!({"to": "v2"}))).await
    };
    let (granted, _) = tokio::join!(stage.call(ask("b", "10s")), flip);
    assert_eq!((granted.status, &granted.body["batch"]), (200, &json!(2)));
}

#[tokio::test]
async fn a_waiter_that_goes_away_leaves_nothing() {
    let stage = fleet(&["a", "b"]).await;
    assert_eq!(stage.call(ask("a", "10s")).await.status, 200);
    let before = stage.call(get("/v1/services/web")).await;
    let waiting = tokio::time::timeout(Duration::from_millis(50), stage.call(ask("b", "10m"))).await;
    assert!(waiting.is_err());
    let after = stage.call(get("/v1/services/web")).await;
    assert_eq!((after.revision(), after.body), (before.revision(), before.body));
}

#[tokio::test]
async fn a_wait_is_over_in_time() {
    let stage = fleet(&["a"]).await;
    let began = Instant::now();
    let answer = stage.call(ask("a", "100ms")).await;
    assert_eq!((answer.status, codes(&answer)), (202, vec!["below_min_capacity"]));
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!(stage.problem(ask("a", "2h")).await.0, 422);
}

#[tokio::test]
async fn a_permit_is_never_answered_from_memory() {
    let stage = fleet(&["a", "b"]).await;
    let keyed = || ask("a", "0s").header("idempotency-key", "k");
    assert_eq!(stage.call(keyed()).await.status, 202);
    assert_eq!(stage.call(ask("a", "10s")).await.status, 200);
    assert_eq!(stage.call(keyed()).await.status, 200);
    assert_eq!(stage.status(delete("/v1/services/web/permits/a")).await, 204);
    assert_eq!(stage.call(keyed()).await.status, 202);
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let stage = fleet(&["a"]).await;
    assert_eq!(stage.problem(ask("z", "10s")).await, (404, vec!["unknown_backend".into()]));
    let elsewhere = post("/v1/services/api/permits").json(json!({"backend": "a"}));
    assert_eq!(stage.problem(elsewhere).await, (404, vec!["unknown_service".into()]));
    let resume = post("/v1/services/web/roll").json(json!({"action": "resume"}));
    assert_eq!(stage.problem(resume).await, (404, vec!["no_roll".into()]));
    assert_eq!(stage.problem(get("/v1/services/api/roll")).await, (404, vec!["unknown_service".into()]));
}

#[tokio::test]
async fn an_abort_ends_the_roll_and_says_why() {
    let stage = fleet(&["a", "b"]).await;
    assert_eq!(stage.call(ask("a", "10s")).await.status, 200);
    let abort = post("/v1/services/web/roll").json(json!({"action": "abort", "reason": "lunch"}));
    let plan = stage.ok(abort).await;
    assert_eq!((&plan["state"], &plan["reason"]), (&json!("idle"), &json!("aborted: lunch")));
    assert_eq!((states(&plan), &plan["permits"]), (vec!["next", "next"], &json!([])));
}
