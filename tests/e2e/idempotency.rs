//! `Idempotency-Key` across `kill -9`: a request whose answer was lost is sent again, and done once.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::cutover::run;
use crate::support::http::Answer;
use crate::support::stage::Stage;
use crate::support::wait::within;

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

// The call runs on a thread of its own, so that this one can wait for less than a millisecond.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_rollback_cut_off_at_any_moment_is_done_once_by_its_repetition() {
    let mut stage = after_two_flips().await;
    for attempt in 0..12_u64 {
        let epoch = active(&stage).await.1.as_u64().unwrap();
        let key = format!("cut-{attempt}");
        let admin = stage.admin().with("Idempotency-Key", &key);
        let sent =
            tokio::spawn(async move { admin.try_call("POST", ROLLBACK, &json!({ "reason": "bad" })).await });
        // The call takes about a millisecond: the first of these fall before the commit, the last after the answer.
        std::thread::sleep(Duration::from_micros(attempt * 150));
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

#[tokio::test]
async fn the_command_line_goes_back_from_the_epoch_that_it_saw() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = format!("http://{}", listener.local_addr().unwrap());
    let service = json!({ "name": "web", "active": "v3", "epoch": 7, "versions": [] });
    let flipped = json!({ "epoch": 8, "from": "v3", "to": "v2", "revision": 9, "rejected": "v3" });
    let api = async {
        (answer_one(&listener, "\r\n\r\n", service).await, answer_one(&listener, "}", flipped).await)
    };
    let directory = std::env::temp_dir();
    let command = run(&admin, &["rollback", "web"], &directory);

    let (done, (looked, asked)) = tokio::join!(command, within("both calls of a rollback", api));

    assert_eq!(done.code, 0, "{done:?}");
    assert!(looked.starts_with("GET /v1/services/web "), "{looked}");
    assert!(asked.starts_with("POST ") && asked.ends_with("\r\n\r\n{\"if_epoch\":7}"), "{asked}");
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

/// Takes one request, whose text ends with `end`, and answers it.
async fn answer_one(listener: &TcpListener, end: &str, body: Value) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(end.as_bytes()) {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "cut off: {request:?}");
    }
    let body = body.to_string();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}
