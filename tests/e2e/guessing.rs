//! Somebody guesses tokens of the admin API, from an address that others share.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::cutover::{Cutover, run};

#[tokio::test]
async fn who_guesses_is_slowed_down_and_right_tokens_of_the_same_address_pass() {
    let app = App::start("v1").await;
    let hash: String = Sha256::digest("right").iter().map(|byte| format!("{byte:02x}")).collect();
    let config = Config::of(Service::new("web").backend("a", app.address(), "v1"))
        .set("admin.open", false)
        .admin_token("ops", &hash, "operate");
    let cutover = Cutover::start(&config).await;
    let with = |token: &str| cutover.admin().with("authorization", &format!("Bearer {token}"));

    let guesses = (0..30).map(|nth| {
        let admin = with(&format!("wrong-{nth}"));
        async move { admin.call("GET", "/v1/status", &Value::Null).await }
    });
    let answers = futures_util::future::join_all(guesses).await;

    let (refused, limited): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status() == 401);
    // Another place in the bucket becomes free every six seconds, also on a machine that is slow.
    assert!((10..20).contains(&refused.len()), "{} of 30 were not limited", refused.len());
    for answer in &limited {
        assert_eq!(answer.status(), 429, "{answer:?}");
        assert_eq!(answer.json()["reasons"][0]["code"], "wrong_tokens", "{answer:?}");
        let wait: u64 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!((1..=6).contains(&wait), "{answer:?}");
    }
    let status = with("right").get("/v1/status").await;
    assert_eq!(status["caller"], json!({ "name": "ops", "role": "operate" }));
    let command = ["status", "--token", "wrong"];
    let told = run(&format!("http://{}", cutover.admin_address()), &command, &cutover.file("")).await;
    assert!(told.code == 1 && told.stderr.contains("nobody has this token"), "{}", told.stderr);
    assert!(told.stderr.contains("CUTOVER_TOKEN"), "{}", told.stderr);
    assert_eq!(cutover.log().matches("shown wrong tokens again and again").count(), 1, "{}", cutover.log());
    assert!(!cutover.log().contains("wrong-1"), "{}", cutover.log());
}
