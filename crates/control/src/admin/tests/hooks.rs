//! Hooks, as operators and receivers meet them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::stage::{Call, Stage, get, post, put};

/// A receiver that keeps what it is told, and answers with the status that it is set to.
#[derive(Clone)]
struct Receiver {
    url: String,
    told: Arc<Mutex<Vec<Value>>>,
    status: Arc<Mutex<u16>>,
}

async fn hear(State(receiver): State<Receiver>, body: String) -> Response {
    receiver.told.lock().unwrap().push(serde_json::from_str(&body).unwrap());
    let status = *receiver.status.lock().unwrap();
    (StatusCode::from_u16(status).unwrap(), "the smoke test says so").into_response()
}

impl Receiver {
    async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/T0/token", listener.local_addr().unwrap());
        let receiver = Self { url, told: Arc::default(), status: Arc::new(Mutex::new(204)) };
        let router = Router::new().fallback(hear).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    fn answers(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    fn events(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        told.iter().map(|told| format!("{} {}", told["event"], told["version"]).replace('"', "")).collect()
    }

    async fn hears(&self, event: &str) {
        for _ in 0..500 {
            if self.events().iter().any(|told| told == event) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{event} was never told: {:?}", self.events());
    }

    fn hook(&self, on: &str) -> Value {
        json!({"on": on, "url": self.url, "secret": "correct horse", "timeout": "2s"})
    }
}

/// `a` runs v1, which is active, and `b` runs v2; the receiver hears of these turns.
async fn two_versions(receiver: &Receiver, turns: &[&str], more: Value) -> Stage {
    let mut stage = Stage::new().await;
    let hooks: Vec<Value> = turns.iter().map(|on| receiver.hook(on)).collect();
    let mut document = json!({"pin": {"policy": "none"}, "hook": hooks});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    stage.put_web(document).await;
    stage.register("a", "v1").await;
    stage.usable("v1", "active").await;
    stage.register("b", "v2").await;
    stage
}

fn flip(body: Value) -> Call {
    post("/v1/services/web/flip").json(body)
}

async fn hooks(stage: &Stage) -> Value {
    stage.ok(get("/v1/services/web")).await["hooks"].clone()
}

#[tokio::test]
async fn a_flip_by_hand_asks_first_and_is_refused_in_the_hook_s_words() {
    let receiver = Receiver::new().await;
    let stage = two_versions(&receiver, &["pre_flip"], json!({})).await;
    stage.usable("v2", "staged").await;
    let origin = receiver.url.trim_end_matches("/T0/token");

    let plan = stage.ok(flip(json!({"to": "v2", "dry_run": true}))).await;
    assert_eq!((&plan["allowed"], &plan["plan"]["pre_flip"]), (&json!(true), &json!([origin])));
    assert_eq!(receiver.events(), [""; 0], "a dry run asks nobody");

    receiver.answers(409);
    let refused = stage.call(flip(json!({"to": "v2"}))).await;
    let reason = &refused.problem()[0];
    assert_eq!((refused.status, &reason["code"]), (409, &json!("hook_failed")));
    assert!(reason["detail"].as_str().unwrap().contains("409: the smoke test says so"), "{reason}");
    assert_eq!(stage.ok(get("/v1/services/web")).await["active"], "v1");
    assert_eq!(hooks(&stage).await["pre_flip"]["state"], "failed");

    receiver.answers(200);
    let done = stage.ok(flip(json!({"to": "v2"}))).await;
    assert_eq!((&done["from"], &done["to"]), (&json!("v1"), &json!("v2")));
    assert_eq!(receiver.events(), ["pre_flip v2", "pre_flip v2"]);
    let timeline = stage.call(get("/v1/services/web/timeline")).await;
    assert!(timeline.text.contains("hook_failed") && timeline.text.contains("hook_succeeded"));
    assert!(!timeline.text.contains("horse") && !timeline.text.contains("T0/token"), "{}", timeline.text);
}

#[tokio::test]
async fn nobody_is_asked_about_a_flip_of_another_revision() {
    let receiver = Receiver::new().await;
    let stage = two_versions(&receiver, &["pre_flip"], json!({})).await;
    stage.usable("v2", "staged").await;
    for body in [json!({"to": "v2"}), json!({"to": "v2", "dry_run": true})] {
        let stale = stage.problem(flip(body).header("if-match", "1")).await;
        assert_eq!(stale, (412, vec!["revision_mismatch".into()]));
    }
    assert_eq!(receiver.events(), [""; 0]);
    receiver.answers(403);
    assert_eq!(stage.problem(flip(json!({"to": "v2"}))).await.0, 409, "nobody has given leave");
}

#[tokio::test]
async fn the_same_key_flips_and_asks_once() {
    let receiver = Receiver::new().await;
    let stage = two_versions(&receiver, &["pre_flip"], json!({})).await;
    stage.usable("v2", "staged").await;
    let call = || flip(json!({"to": "v2"})).header("idempotency-key", "k1");
    let (first, again) = (stage.call(call()).await, stage.call(call()).await);
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    assert_eq!((first.status, receiver.events().len()), (200, 1));
}

#[tokio::test]
async fn force_and_a_rollback_ask_nobody() {
    let receiver = Receiver::new().await;
    receiver.answers(500);
    let stage = two_versions(&receiver, &["pre_flip", "rolled_back"], json!({})).await;
    stage.usable("v2", "staged").await;
    stage.ok(flip(json!({"to": "v2", "force": true}))).await;
    stage.ok(post("/v1/services/web/rollback").json(json!({}))).await;
    receiver.hears("rolled_back v1").await;
    assert!(!receiver.events().contains(&"pre_flip v2".to_owned()));
}

#[tokio::test]
async fn in_mode_auto_the_flip_waits_for_the_hook() {
    let receiver = Receiver::new().await;
    receiver.answers(422);
    let stage = two_versions(
        &receiver,
        &["pre_flip", "post_flip", "drained"],
        json!({"flip": {"mode": "auto", "stable_for": "0s"}}),
    )
    .await;
    receiver.hears("pre_flip v2").await;
    for _ in 0..500 {
        if hooks(&stage).await["pre_flip"]["state"] == "failed" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.ok(get("/v1/services/web")).await["active"], "v1");
    assert_eq!(
        receiver.events().iter().filter(|told| *told == "pre_flip v2").count(),
        1,
        "it is not asked again"
    );

    receiver.answers(204);
    stage.ok(post("/v1/services/web/versions/v2/clear")).await;
    stage.ok(get("/v1/services/web/versions/v2?wait=active&timeout=10s")).await;
    receiver.hears("post_flip v2").await;
    receiver.hears("drained v1").await;
    for _ in 0..500 {
        if hooks(&stage).await["owed"] == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let shown = hooks(&stage).await;
    assert_eq!(shown["owed"], 0, "{shown}");
    assert!(
        shown["recent"]
            .as_array()
            .unwrap()
            .iter()
            .any(|call| call["on"] == "drained" && call["delivered"] == true)
    );
    let metrics = stage.call(get("/metrics")).await.text;
    for line in [
        "cutover_hooks_total{on=\"pre_flip\",outcome=\"failed\",service=\"web\"} 1",
        "cutover_hooks_total{on=\"drained\",outcome=\"succeeded\",service=\"web\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn a_secret_is_never_shown_and_stays_when_what_is_shown_is_put_again() {
    let receiver = Receiver::new().await;
    let stage = two_versions(&receiver, &["pre_flip"], json!({})).await;
    let shown = stage.call(get("/v1/services/web")).await;
    assert!(!shown.text.contains("horse"), "{}", shown.text);
    let mut document = shown.body["policy"].clone();
    assert_eq!(document["hook"][0].get("secret"), None);
    document["flip"]["stable_for"] = json!("1ms");
    let put = stage.call(put("/v1/services/web").json(document.clone())).await;
    assert_eq!(put.status, 200, "{}", put.text);
    assert!(!put.text.contains("horse"));
    assert_eq!(stage.ok(get("/v1/services/web")).await["policy"], document);
    stage.usable("v2", "staged").await;
    stage.ok(flip(json!({"to": "v2"}))).await;
}

#[tokio::test]
async fn what_is_no_hook_is_refused_by_its_field_without_its_secret() {
    let stage = Stage::new().await;
    let good = json!({"on": "drained", "url": "https://ci.test/", "secret": "correct horse"});
    for (key, value) in [
        ("on", json!("flip")),
        ("url", json!("ftp://ci.test/")),
        ("url", json!("https://u:correct horse@ci.test/")),
        ("secret", json!("")),
        ("secret", json!("file:relative")),
        ("secret", json!("file:/does/not/exist")),
        ("timeout", json!("0s")),
        ("timeout", json!("1d")),
    ] {
        let mut hook = good.clone();
        hook[key] = value.clone();
        let wrong = stage.call(put("/v1/services/web").json(json!({"hook": [hook]}))).await;
        assert_eq!(wrong.status, 422, "{key} {value}: {}", wrong.text);
        assert_eq!(wrong.problem()[0]["field"], format!("hook[0].{key}"), "{}", wrong.text);
        assert!(!wrong.text.contains("horse"), "{}", wrong.text);
    }
    let twice = stage.call(put("/v1/services/web").json(json!({"hook": [good, good]}))).await;
    assert_eq!((twice.status, &twice.problem()[0]["field"]), (422, &json!("hook[1].url")));
    let unknown = json!({"hook": [{"on": "drained", "url": "https://ci.test/", "secrets": "x"}]});
    assert_eq!(stage.status(put("/v1/services/web").json(unknown)).await, 400);
}
