//! Flips and rollbacks: what is held back, who moves and who stays, and what stands in the way.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::load::Load;
use crate::support::stage::Stage;
use crate::support::wait::until;

const FLIP: &str = "/v1/services/web/flip";

#[tokio::test]
async fn a_staged_version_gets_no_request() {
    let stage = Stage::v1_and_v2().await;

    for _ in 0..100 {
        assert_eq!(stage.session().version().await, "v1");
    }

    assert_eq!(stage.admin().version("v2").await["role"], "staged");
    assert_eq!(stage.admin().metric("cutover_requests_total", &["version=\"v2\""]).await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flip_under_load_fails_nothing_and_moves_new_sessions_in_one_step() {
    let stage = Stage::v1_and_v2().await;
    let mut before = stage.session();
    assert_eq!(before.version().await, "v1");
    let load = Load::start(stage.proxy(), 16);
    load.change("v1", load.go_on(500)).await;

    let epoch = load.change("v2", stage.admin().flip("v2")).await;
    load.go_on(500).await;
    let report = load.stop().await;

    report.assert_flawless();
    assert!(report.judged > 10 && report.by_version.len() == 2, "{report:#?}");
    assert_eq!((epoch, before.version().await.as_str()), (2, "v1"));
    assert_eq!(stage.session().version().await, "v2");
    assert_eq!(stage.admin().version("v1").await["role"], "draining");
}

#[tokio::test]
async fn a_rollback_moves_the_sessions_of_the_bad_version_and_rejects_it() {
    let stage = Stage::v1_and_v2().await;
    let admin = stage.admin();
    admin.flip("v2").await;
    let mut session = stage.session();
    assert_eq!(session.version().await, "v2");

    let back = admin.done("POST", "/v1/services/web/rollback", json!({ "reason": "it is red" })).await;

    assert_eq!((&back["epoch"], &back["to"], &back["from"]), (&json!(3), &json!("v1"), &json!("v2")));
    assert_eq!(
        (session.version().await, stage.session().version().await),
        ("v1".to_owned(), "v1".to_owned())
    );
    assert_eq!(admin.version("v2").await["role"], "rejected");
    assert_eq!(admin.refused(409, "POST", FLIP, json!({ "to": "v2" })).await, ["rejected"]);
    assert_eq!(admin.refused(409, "POST", FLIP, json!({ "to": "v2", "force": true })).await, ["rejected"]);
    admin.done("POST", "/v1/services/web/versions/v2/clear", json!({})).await;
    assert_eq!(admin.flip("v2").await, 4);
}

#[tokio::test]
async fn a_rollback_can_leave_the_sessions_where_they_are() {
    let stage = Stage::v1_and_v2().await;
    stage.admin().flip("v2").await;
    let mut session = stage.session();
    assert_eq!(session.version().await, "v2");

    stage.admin().done("POST", "/v1/services/web/rollback", json!({ "sessions": "keep" })).await;

    assert_eq!(
        (session.version().await, stage.session().version().await),
        ("v2".to_owned(), "v1".to_owned())
    );
}

#[tokio::test]
async fn all_that_stands_in_the_way_of_a_flip_is_said_at_once_and_force_overrides_it() {
    let service = Service::new("web")
        .set("flip.gates", vec!["expand", "smoke"])
        .set("flip.quorum.count", 2)
        .set("flip.quorum.share", 0.9);
    let mut stage = Stage::empty(&Config::of(service)).await;
    stage.add("a", "v1").await;
    stage.add("a2", "v1").await;
    let admin = stage.admin();
    admin.until_role("v1", "active").await;
    stage.add("b", "v2").await;
    admin.done("PUT", "/v1/services/web/freeze", json!({ "reason": "black friday" })).await;

    let mut codes = admin.refused(409, "POST", FLIP, json!({ "to": "v2" })).await;
    let plan = admin.done("POST", FLIP, json!({ "to": "v2", "dry_run": true })).await;

    codes.sort_unstable();
    assert_eq!(codes, ["frozen", "gate_closed", "gate_closed", "quorum_count", "quorum_share"]);
    assert_eq!((&plan["allowed"], plan["reasons"].as_array().unwrap().len()), (&json!(false), 5), "{plan}");
    assert_eq!(admin.get("/v1/services/web").await["epoch"], 1);
    let forced = admin.done("POST", FLIP, json!({ "to": "v2", "force": true, "reason": "now" })).await;
    assert_eq!((&forced["epoch"], stage.session().version().await.as_str()), (&json!(2), "v2"));
}

#[tokio::test]
async fn gates_open_one_by_one_and_close_again() {
    let stage = Stage::v1_and_v2_with(Service::new("web").set("flip.gates", vec!["expand", "smoke"])).await;
    let admin = stage.admin();
    let gate = async |name: &str, open: bool| {
        let path = format!("/v1/services/web/versions/v2/gates/{name}");
        admin.done("PUT", &path, json!({ "open": open, "note": "by hand" })).await;
    };

    gate("expand", true).await;
    assert_eq!(admin.refused(409, "POST", FLIP, json!({ "to": "v2" })).await, ["gate_closed"]);
    gate("smoke", true).await;
    gate("expand", false).await;
    assert_eq!(admin.refused(409, "POST", FLIP, json!({ "to": "v2" })).await, ["gate_closed"]);
    gate("expand", true).await;

    assert_eq!(admin.flip("v2").await, 2);
}

#[tokio::test]
async fn a_freeze_ends_when_it_is_lifted() {
    let stage = Stage::v1_and_v2().await;
    let admin = stage.admin();
    admin.done("PUT", "/v1/services/web/freeze", json!({ "reason": "black friday" })).await;

    let refused = admin.call("POST", FLIP, &json!({ "to": "v2" })).await;
    assert!(refused.text().contains("black friday"), "{refused:?}");
    admin.done("DELETE", "/v1/services/web/freeze", Value::Null).await;

    assert_eq!(admin.flip("v2").await, 2);
}

#[tokio::test]
async fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let stage = Stage::v1_and_v2().await;
    let admin = stage.admin();
    let before = admin.get("/v1/services/web").await;

    let plan = admin.done("POST", FLIP, json!({ "to": "v2", "dry_run": true })).await;

    assert_eq!((&plan["allowed"], &plan["reasons"]), (&json!(true), &json!([])), "{plan}");
    assert_eq!((&plan["plan"]["to"], &plan["plan"]["epoch"]), (&json!("v2"), &json!(2)));
    assert_eq!(admin.get("/v1/services/web").await, before);
}

#[tokio::test]
async fn a_flip_that_expects_another_epoch_is_412() {
    let stage = Stage::v1_and_v2().await;
    let admin = stage.admin();

    admin.refused(412, "POST", FLIP, json!({ "to": "v2", "if_epoch": 7 })).await;

    assert_eq!(admin.get("/v1/services/web").await["active"], "v1");
    assert_eq!(admin.done("POST", FLIP, json!({ "to": "v2", "if_epoch": 1 })).await["epoch"], 2);
}

#[tokio::test]
async fn not_even_force_flips_to_a_version_that_nobody_serves() {
    let mut stage = Stage::v1_and_v2().await;
    stage.app("b").kill();
    let admin = stage.admin();
    until("b is down", async || (admin.backend("b").await["usable"] == false).then_some(())).await;

    let codes = admin.refused(409, "POST", FLIP, json!({ "to": "v2", "force": true })).await;

    assert_eq!(codes, ["nothing_usable"]);
    admin.refused(404, "POST", FLIP, json!({ "to": "v9", "force": true })).await;
    assert_eq!(stage.session().version().await, "v1");
}

#[tokio::test]
async fn a_backend_that_fails_its_health_check_gets_no_request_while_another_of_its_version_serves() {
    let mut stage = Stage::v1().await;
    stage.add("a2", "v1").await;

    stage.app("a").set_health(500).await;
    let admin = stage.admin();
    until("a is down", async || (admin.backend("a").await["usable"] == false).then_some(())).await;

    let a2 = stage.app("a2").pid().to_string();
    for _ in 0..30 {
        assert_eq!(stage.session().get("/").await.field("x-app-pid"), Some(a2.as_str()));
    }
    stage.app("a").set_health(0).await;
    stage.until_usable("a").await;
}

#[tokio::test]
async fn a_version_must_be_there_for_a_while_before_it_is_flipped_to() {
    let mut stage = Stage::v1_with(Service::new("web").set("flip.stable_for", "1s")).await;
    let admin = stage.admin();
    stage.add("b", "v2").await;

    assert_eq!(admin.refused(409, "POST", FLIP, json!({ "to": "v2" })).await, ["not_stable"]);
    until("the flip is allowed", async || {
        (admin.call("POST", FLIP, &json!({ "to": "v2" })).await.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn in_auto_mode_the_newest_version_becomes_active_by_itself_and_an_older_one_never_again() {
    let service = Service::new("web").set("flip.mode", "auto").set("flip.stable_for", "100ms");
    let mut stage = Stage::v1_with(service).await;

    stage.add("b", "v2").await;
    stage.admin().until_role("v2", "active").await;
    stage.add("late", "v1").await;
    stage.add("c", "v3").await;
    stage.admin().until_role("v3", "active").await;

    assert_eq!(stage.admin().get("/v1/services/web").await["epoch"], 3);
}

#[tokio::test]
async fn a_flip_back_moves_no_session() {
    let stage = Stage::v1_and_v2().await;
    stage.admin().flip("v2").await;
    let mut session = stage.session();
    assert_eq!(session.version().await, "v2");

    stage.admin().flip("v1").await;

    assert_eq!(
        (session.version().await, stage.session().version().await),
        ("v2".to_owned(), "v1".to_owned())
    );
    assert_eq!(stage.admin().version("v2").await["role"], "draining");
}

#[tokio::test]
async fn versions_can_be_named_by_the_request_unless_they_are_staged() {
    let service =
        Service::new("web").set("pin.query", vec!["dpl"]).set("pin.headers", vec!["x-deployment-id"]);
    let mut stage = Stage::v1_and_v2_with(service).await;
    let named = async |stage: &Stage, target: &str, field: (&str, &str)| -> String {
        let request = crate::support::http::Request::get(target).field(field.0, field.1);
        stage.ask(&request).await.version().to_owned()
    };
    assert_eq!(named(&stage, "/?dpl=v2", ("X-A", "b")).await, "v1", "a staged version was reached");
    stage.admin().flip("v2").await;
    stage.adopt("a2", App::start("v1").await).await;

    assert_eq!(named(&stage, "/", ("X-A", "b")).await, "v2");
    assert_eq!(named(&stage, "/?x=1&dpl=v1", ("X-A", "b")).await, "v1");
    assert_eq!(named(&stage, "/", ("X-Deployment-Id", "v1")).await, "v1");
    assert_eq!(named(&stage, "/", ("X-Cutover-Version", "v1")).await, "v1");
}
