//! Previews: in which forms they are handed out, for how long, and who is remembered for it.

use cutover_core::time::Millis;
use serde_json::{Value, json};

use super::stage::{Stage, get, post};
use crate::admin::wire::time;
use crate::admin::{AdminConfig, Front, Previews};

const PATH: &str = "/v1/services/web/preview";

/// A stage whose tokens say for which service they are, behind a listener with TLS.
async fn stage() -> Stage {
    let front = Front { address: "10.0.0.7:8443".parse().unwrap(), is_secure: true };
    let previews = Previews {
        seal: |keys, _, service| keys.last().map(|_| format!("for-{service}")),
        fronts: vec![front],
    };
    let mut stage = Stage::with(AdminConfig { previews, ..AdminConfig::default() }).await;
    stage.two_versions().await;
    stage
}

fn secs_left(made: &Value) -> u64 {
    let expires_at = time::parse(made["expires_at"].as_str().unwrap()).unwrap();
    expires_at.since(crate::clock::Clock::start().now()).as_secs()
}

#[tokio::test]
async fn a_preview_is_handed_out_in_all_forms_in_which_it_is_used() {
    let stage = stage().await;
    let made = stage.ok(post(PATH).json(json!({"version": "v2"}))).await;
    assert_eq!(made["url"], "https://10.0.0.7:8443/?cutover-preview=for-web");
    assert_eq!(made["header"], "Cutover-Preview: for-web");
    let cookie = made["cookie"].as_str().unwrap();
    assert!(cookie.starts_with("__Host-cutover-preview=for-web; Path=/; HttpOnly"), "{cookie}");
    assert!((3590..=3601).contains(&secs_left(&made)), "{made}");
    let elsewhere = json!({"version": "v2", "ttl": "10s", "origin": "http://shop.example:81/"});
    let made = stage.ok(post(PATH).json(elsewhere)).await;
    assert_eq!(made["url"], "http://shop.example:81/?cutover-preview=for-web");
    assert!(made["cookie"].as_str().unwrap().starts_with("cutover-preview=for-web; "));
    assert!(secs_left(&made) <= 11);
}

#[tokio::test]
async fn who_made_one_is_in_the_timeline_and_at_the_version() {
    let stage = stage().await;
    stage.ok(post(PATH).json(json!({"version": "v2", "ttl": "5m", "reason": "a look"}))).await;
    let timeline = stage.ok(get("/v1/services/web/timeline?limit=1")).await;
    let entry = &timeline["entries"][0];
    assert_eq!((&entry["kind"], &entry["version"]), (&json!("preview_made"), &json!("v2")));
    assert_eq!(
        (&entry["text"], &entry["reason"]),
        (&json!("preview of version v2 made for 5m"), &json!("a look"))
    );
    let shown = stage.ok(get("/v1/services/web/versions/v2")).await;
    assert!(shown["previewed"]["until"].is_string() && shown["previewed"]["by"].is_string(), "{shown}");
    assert_eq!(stage.ok(get("/v1/services/web/versions/v1")).await["previewed"], Value::Null);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() {
    let stage = stage().await;
    for (body, status) in [
        (json!({"version": "v9"}), 404),
        (json!({"version": ""}), 422),
        (json!({"version": "v2", "ttl": "9s"}), 422),
        (json!({"version": "v2", "ttl": "8d"}), 422),
        (json!({"version": "v2", "origin": "shop.example"}), 422),
        (json!({"version": "v2", "origin": "ftp://shop.example"}), 422),
        (json!({"version": "v2", "origin": "https://u@shop.example"}), 422),
        (json!({"version": "v2", "origin": "https://shop.example/x"}), 422),
        (json!({"version": "v2", "sessions": "keep"}), 400),
        (json!({}), 400),
    ] {
        assert_eq!(stage.problem(post(PATH).json(body.clone())).await.0, status, "{body}");
    }
    assert_eq!(stage.status(post("/v1/services/shop/preview").json(json!({"version": "v2"}))).await, 404);
}

#[tokio::test]
async fn under_a_key_the_same_preview_is_answered_again() {
    let stage = stage().await;
    let ask = || post(PATH).json(json!({"version": "v2"})).header("idempotency-key", "ci-1");
    let first = stage.ok(ask()).await;
    tokio::time::sleep(Millis(1100).into()).await;
    assert_eq!(stage.ok(ask()).await, first);
}

#[tokio::test]
async fn without_means_to_sign_none_is_made() {
    let stage = Stage::with_two_versions().await;
    let (status, codes) = stage.problem(post(PATH).json(json!({"version": "v2"}))).await;
    assert_eq!((status, codes), (503, vec!["no_key".to_owned()]));
}
