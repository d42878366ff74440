//! What a client is told about its version: `Cutover-Update` on answers, and `/.cutover/version`.

use serde_json::{Value, json};

use crate::support::config::Service;
use crate::support::http::Request;
use crate::support::session::Session;
use crate::support::stage::Stage;

/// `version`, `active`, `update` of the endpoint, and the header on a page.
async fn told(session: &mut Session) -> (Value, Value, Value, Option<String>) {
    let said = session.get("/.cutover/version").await;
    assert_eq!((said.status(), said.field("cache-control")), (200, Some("no-store")));
    assert_eq!(said.set_cookie("cutover"), None, "asking begins no session");
    let said = said.json();
    let page = session.get("/set-header").await;
    let update = page.field("cutover-update").map(str::to_owned);
    (said["version"].clone(), said["active"].clone(), said["update"].clone(), update)
}

fn expected(version: &str, active: &str, update: bool) -> (Value, Value, Value, Option<String>) {
    (json!(version), json!(active), json!(update), update.then(|| active.to_owned()))
}

#[tokio::test]
async fn who_is_pinned_to_a_draining_version_is_told_and_who_is_not_is_not() {
    let stage = Stage::v1_and_v2().await;
    let (mut old, mut new) = (stage.session(), stage.session());
    old.version().await;
    stage.admin().flip("v2").await;
    new.version().await;

    assert_eq!(told(&mut old).await, expected("v1", "v2", true));
    assert_eq!(told(&mut new).await, expected("v2", "v2", false));
}

#[tokio::test]
async fn after_a_rollback_the_endpoint_says_so_and_the_next_answer_is_of_the_active_version() {
    let stage = Stage::v1_and_v2().await;
    stage.admin().flip("v2").await;
    let mut session = stage.session();
    session.version().await;
    stage.admin().done("POST", "/v1/services/web/rollback", json!({})).await;

    let said = session.get("/.cutover/version").await.json();
    assert_eq!(
        (&said["version"], &said["active"], &said["update"]),
        (&json!("v2"), &json!("v1"), &json!(true))
    );
    assert_eq!(session.version().await, "v1");
    assert_eq!(told(&mut session).await, expected("v1", "v1", false));
}

#[tokio::test]
async fn who_is_left_where_he_is_by_a_rollback_is_told() {
    let stage = Stage::v1_and_v2().await;
    stage.admin().flip("v2").await;
    let mut session = stage.session();
    session.version().await;
    stage.admin().done("POST", "/v1/services/web/rollback", json!({ "sessions": "keep" })).await;

    assert_eq!(told(&mut session).await, expected("v2", "v1", true));
}

#[tokio::test]
async fn without_pins_nobody_has_a_version() {
    let stage = Stage::v1_and_v2_with(Service::new("web").set("pin.policy", "none")).await;
    let mut session = stage.session();
    session.version().await;
    stage.admin().flip("v2").await;

    assert_eq!(told(&mut session).await, (Value::Null, json!("v2"), json!(false), None));
}

#[tokio::test]
async fn a_shared_cache_is_told_nothing() {
    let stage = Stage::v1_and_v2().await;
    let mut session = stage.session();
    session.version().await;
    stage.admin().flip("v2").await;

    let stored = session.get("/set-header?Cache-Control=public").await;
    assert_eq!((stored.version(), stored.field("cutover-update")), ("v1", None));
}

#[tokio::test]
async fn no_name_of_a_version_changes_what_the_endpoint_says_and_an_app_never_sees_it() {
    let stage = Stage::v1_and_v2().await;
    let mut session = stage.session();
    session.version().await;
    let plain = session.get("/.cutover/version").await.json();

    let named = session.ask(Request::get("/.cutover/version?x=1").field("X-Cutover-Version", "v2")).await;

    assert_eq!(named.json(), plain);
    assert_eq!(named.field("x-app-version"), None);
    assert_eq!(session.ask(Request::post("/.cutover/version", "")).await.status(), 405);
}
