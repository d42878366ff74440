//! `Idempotency-Key` across `kill -9`: a request whose answer was lost is sent again, and done once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::http::Answer;
use crate::support::stage::Stage;

const ROLLBACK: &str = "/v1/services/web/rollback";

#[tokio::test]
async fn a_rollback_repeated_after_a_kill_is_answered_the_same_and_done_once() {
    let mut stage = after_two_flips().await;
    let first = roll_back(&stage, "k1", "bad").await;
    stage.kill9();
    stage.restart().await;
    until_all_usable(&stage).await;

    let again = roll_back(&stage, "k1", "bad").await;
    let changed = roll_back(&stage, "k1", "worse").await;

    assert_eq!((first.status(), again.status()), (200, 200), "{first:?} {again:?}");
    assert_eq!(again.text(), first.text());
    assert_eq!(again.field("cutover-revision"), first.field("cutover-revision"));
    assert_eq!(changed.status(), 422, "one key for two requests: {changed:?}");
    assert_eq!(active(&stage).await, (json!("v2"), json!(4)));
    // So it is the key that held it back: another one goes on to v1.
    assert_eq!(roll_back(&stage, "k2", "bad").await.status(), 200);
    assert_eq!(active(&stage).await, (json!("v1"), json!(5)));
}

#[tokio::test]
async fn a_rollback_cut_off_at_any_moment_is_done_once_by_its_repetition() {
    let mut stage = after_two_flips().await;
    for attempt in 0..8_u64 {
        let epoch = active(&stage).await.1.as_u64().unwrap();
        let key = format!("cut-{attempt}");
        let admin = stage.admin().with("Idempotency-Key", &key);
        let sent =
            tokio::spawn(async move { admin.try_call("POST", ROLLBACK, &json!({ "reason": "bad" })).await });
        // The commit takes about as long: some of these fall before it, some after.
        tokio::time::sleep(Duration::from_micros(attempt * 400)).await;
        stage.kill9();
        drop(sent.await.unwrap());
        stage.restart().await;
        until_all_usable(&stage).await;

        let answer = roll_back(&stage, &key, "bad").await;

        assert_eq!(answer.status(), 200, "{answer:?}");
        assert_eq!(active(&stage).await, (json!("v2"), json!(epoch + 1)), "attempt {attempt}");
        stage.admin().done("POST", "/v1/services/web/versions/v3/clear", json!({})).await;
        stage.admin().flip("v3").await;
    }
}

/// v3 is active in epoch 3; v2 and v1 were before and are warm, so one could go back twice.
async fn after_two_flips() -> Stage {
    let mut stage = Stage::v1_and_v2().await;
    stage.admin().flip("v2").await;
    stage.add("c", "v3").await;
    stage.admin().flip("v3").await;
    assert_eq!(active(&stage).await, (json!("v3"), json!(3)));
    stage
}

async fn until_all_usable(stage: &Stage) {
    for backend in ["a", "b", "c"] {
        stage.until_usable(backend).await;
    }
}

async fn roll_back(stage: &Stage, key: &str, reason: &str) -> Answer {
    let admin = stage.admin().with("Idempotency-Key", key);
    admin.call("POST", ROLLBACK, &json!({ "reason": reason })).await
}

/// The active version and the epoch.
async fn active(stage: &Stage) -> (Value, Value) {
    let service = stage.admin().get("/v1/services/web").await;
    (service["active"].clone(), service["epoch"].clone())
}
