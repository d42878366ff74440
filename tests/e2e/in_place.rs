//! An app that is restarted in place with a new version: it is staged, not served, until the flip.

use serde_json::json;

use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::load::Load;
use crate::support::stage::Stage;
use crate::support::wait::until;

#[tokio::test]
async fn a_health_check_sees_the_new_version_of_an_app_that_was_restarted_in_place() {
    let mut stage = Stage::v1().await;
    stage.add("b", "v1").await;

    let drained = stage.cli(&["drain", "web", "b", "--wait", "--timeout", "10s"]).await;
    stage.app("b").restart("v2").await;
    stage.admin().until_usable("v2", 1).await;

    assert_eq!(drained.code, 0, "{drained:?}");
    assert_eq!(stage.admin().version("v2").await["role"], "staged");
    let backend = stage.admin().backend("b").await;
    assert_eq!(backend["identity"], json!({ "state": "known", "version": "v2" }), "{backend}");
    for _ in 0..50 {
        assert_eq!(stage.session().version().await, "v1");
    }
    stage.admin().flip("v2").await;
    assert_eq!(stage.session().version().await, "v2");
}

#[tokio::test]
async fn a_heartbeat_tells_the_new_version_of_an_app_that_was_restarted_in_place() {
    let old = App::start("v1").await;
    let service = Service::new("web").set("identity", "label").backend("a", old.address(), "v1");
    let cutover = Cutover::start(&Config::of(service)).await;
    let admin = cutover.admin();
    admin.until_role("v1", "active").await;
    let mut app = App::start("v1").await;
    let path = "/v1/services/web/backends/b";
    let body = json!({ "address": app.address(), "version": "v1", "boot_id": "one", "ttl": "60s" });
    admin.done("PUT", path, body).await;
    admin.until_usable("v1", 2).await;

    let drained = cutover.cli(&["drain", "web", "b", "--wait", "--timeout", "10s"]).await;
    app.restart("v2").await;
    let beat = json!({ "version": "v2", "boot_id": "two" });
    let answer = admin.done("POST", &format!("{path}/heartbeat"), beat).await;
    admin.until_usable("v2", 1).await;

    assert_eq!(drained.code, 0, "{drained:?}");
    // The drain was for the process that is gone.
    assert_eq!((&answer["admin"], &answer["role"]), (&json!("ready"), &json!("staged")), "{answer}");
    assert_eq!(admin.version("v2").await["role"], "staged");
    for _ in 0..20 {
        assert_eq!(cutover.session().version().await, "v1");
    }
}

#[tokio::test]
async fn after_a_crash_an_app_that_comes_back_with_another_version_gets_no_request() {
    let mut stage = Stage::v1_with(Service::new("web").set("health.interval", "200ms")).await;
    stage.add("b", "v1").await;

    stage.app("b").kill();
    let admin = stage.admin();
    until("the loss is noticed", async || (admin.backend("b").await["usable"] == false).then_some(())).await;
    stage.app("b").restart("v2").await;

    until("v2 is staged", async || {
        // Whoever answers meanwhile is v1.
        assert_eq!(stage.session().version().await, "v1");
        let backend = stage.admin().backend("b").await;
        (backend["identity"]["version"] == "v2" && backend["usable"] == true).then_some(())
    })
    .await;
    assert_eq!(stage.admin().version("v2").await["role"], "staged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_of_two_is_upgraded_in_place_under_load_without_a_failed_request() {
    let mut stage = Stage::v1_with(Service::new("web").set("pin.idle", "1s")).await;
    stage.add("b", "v1").await;
    let load = Load::start(stage.proxy(), 8);
    load.change("v1", load.go_on(200)).await;

    assert_eq!(stage.cli(&["drain", "web", "b", "--wait"]).await.code, 0);
    stage.app("b").restart("v2").await;
    stage.admin().until_usable("v2", 1).await;
    load.go_on(200).await;
    load.change("v2", stage.admin().flip("v2")).await;
    stage.admin().get("/v1/services/web/versions/v1?wait=drained&timeout=15s").await;
    stage.app("a").restart("v2").await;
    stage.admin().until_usable("v2", 2).await;
    load.go_on(200).await;
    let report = load.stop().await;

    report.assert_flawless();
    assert_eq!(report.by_version.len(), 2, "{report:#?}");
    assert_eq!(stage.admin().version("v1").await["role"], "retired");
}
