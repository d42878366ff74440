//! Requests that are sent again, and requests that depend on what their callers saw.

use futures_util::FutureExt;
use serde_json::json;

use super::stage::{Call, Stage, delete, get, post, put};

fn rollback(key: &str) -> Call {
    post("/v1/services/web/rollback").json(json!({"reason": "bad"})).header("idempotency-key", key)
}

async fn flipped() -> Stage {
    let stage = Stage::with_two_versions().await;
    stage.ok(post("/v1/services/web/flip").json(json!({"to": "v2"}))).await;
    stage
}

#[tokio::test]
async fn a_repeated_post_is_done_once_and_answered_the_same_again() {
    let stage = flipped().await;
    let first = stage.call(rollback("k1")).await;
    let again = stage.call(rollback("k1")).await;
    assert_eq!((first.status, &first.body["epoch"]), (200, &json!(3)));
    assert_eq!((again.status, &again.body, again.revision()), (200, &first.body, first.revision()));
    assert_eq!(stage.ok(get("/v1/services/web")).await["epoch"], 3);
    let other = stage.call(rollback("k2")).await;
    assert_eq!((other.status, &other.problem()[0]["code"]), (409, &json!("nothing_to_roll_back_to")));
    assert_eq!(stage.call(rollback("k2")).await.body, other.body);
}

#[tokio::test]
async fn repetitions_at_the_same_time_are_done_once() {
    let stage = flipped().await;
    let answers = futures_util::future::join_all((0..20).map(|_| stage.call(rollback("k")))).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    assert_eq!(stage.ok(get("/v1/services/web")).await["epoch"], 3);
}

#[tokio::test]
async fn an_attempt_whose_caller_gave_up_goes_on() {
    let stage = flipped().await;
    // Polled once and dropped, as when the connection breaks.
    assert!(stage.call(rollback("k")).now_or_never().is_none());
    let answer = stage.call(rollback("k")).await;
    assert_eq!((answer.status, &answer.body["epoch"]), (200, &json!(3)));
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_caller() {
    let stage = flipped().await;
    stage.ok(rollback("k")).await;
    let other_body = rollback("k").json(json!({"reason": "worse"}));
    assert_eq!(stage.problem(other_body).await.0, 422);
    let other_path = post("/v1/services/web/versions/v2/clear").header("idempotency-key", "k");
    assert_eq!(stage.problem(other_path).await.0, 422);

    let guarded = Stage::guarded().await;
    let flip = |owner: &str, to: &str| {
        post("/v1/services/web/flip").token(owner).json(json!({"to": to})).header("idempotency-key", "k")
    };
    assert_eq!(guarded.problem(flip("deploy", "v1")).await.0, 404);
    assert_eq!(guarded.problem(flip("root", "v2")).await.0, 404);
    assert_eq!(guarded.problem(flip("deploy", "v2")).await.0, 422);
    assert_eq!(guarded.problem(flip("reader", "v1")).await.0, 403);
}

#[tokio::test]
async fn a_key_that_can_be_none_is_400() {
    let stage = Stage::new().await;
    let long = "k".repeat(256);
    for key in [long.as_str(), "ü"] {
        let answer = stage.call(rollback(key)).await;
        assert_eq!((answer.status, &answer.problem()[0]["field"]), (400, &json!("Idempotency-Key")));
    }
}

#[tokio::test]
async fn a_change_that_names_a_revision_is_made_only_at_that_revision() {
    let stage = Stage::new().await;
    stage.put_web(json!({})).await;
    let seen = stage.call(get("/v1/services/web")).await.revision();
    let freeze = |revision: String| {
        put("/v1/services/web/freeze").json(json!({"reason": "x"})).header("if-match", &revision)
    };
    assert_eq!(stage.status(freeze(format!("\"{seen}\""))).await, 201);
    for stale in [seen, seen + 100] {
        assert_eq!(
            stage.problem(freeze(format!("\"{stale}\""))).await,
            (412, vec!["revision_mismatch".into()])
        );
    }
    assert_eq!(
        stage.status(freeze(seen.to_string())).await,
        412,
        "the bare number, as Cutover-Revision has it"
    );
    for malformed in ["\"17", "W/\"1\"", "\"x\""] {
        assert_eq!(
            stage.problem(freeze(malformed.into())).await,
            (400, vec!["malformed_precondition".into()])
        );
    }
    let remove = |revision: u64| delete("/v1/services/web").header("if-match", &format!("\"{revision}\""));
    assert_eq!(stage.status(remove(seen)).await, 412);
    assert_eq!(stage.status(remove(seen + 1)).await, 204);
}
