//! A deploy with a canary: by the steps of the service or by its own, and ended by whoever ends the canary.

use std::time::Duration;

use serde_json::json;

use super::{deploy, finish, service, succeeded, web};
use crate::support::child::Child;
use crate::support::config::Service;
use crate::support::load::Load;
use crate::support::stage::Stage;
use crate::support::wait::until;

/// Time between two requests of a connection of the load.
const PACE: Duration = Duration::from_millis(20);

#[tokio::test]
async fn it_goes_by_the_steps_of_the_service_and_then_becomes_active() {
    let stage = Stage::v1_and_v2_with(stepped()).await;

    succeeded(deploy(&stage, "deploy.log", &["--canary"])).await;

    let said = std::fs::read_to_string(stage.file("deploy.log")).unwrap();
    let at = |text: &str| said.find(text).unwrap_or_else(|| panic!("no {text:?} in {said}"));
    assert!(at("20 % of the sessions, step 1 of 2") < at("60 % of the sessions, step 2 of 2"), "{said}");
    assert!(at("60 % of the sessions, step 2 of 2") < at("v2 is deployed"), "{said}");
    let found = web(&stage).await;
    assert_eq!((&found["active"], &found["epoch"]), (&json!("v2"), &json!(2)), "one flip, and no way back");
    assert_eq!(stage.admin().metric("cutover_canaries_total", &["outcome=\"promoted\""]).await, 1.0);
}

#[tokio::test]
async fn in_mode_auto_it_follows_the_service() {
    let stage = Stage::v1_and_v2_with(stepped().set("flip.mode", "auto")).await;

    let mut own = deploy(&stage, "own.log", &["--canary", "5%:1s"]);
    let status = finish(&mut own).await;
    succeeded(deploy(&stage, "deploy.log", &["--canary"])).await;

    assert!(status == 1 && own.output().contains("flip_mode"), "{}", own.output());
    let found = web(&stage).await;
    assert_eq!((&found["active"], &found["epoch"]), (&json!("v2"), &json!(2)));
}

#[tokio::test]
async fn who_ends_the_canary_ends_the_deploy() {
    let stage = Stage::v1_and_v2_with(service()).await;
    let mut deploy = at_half(&stage).await;

    let ended = stage.cli(&["canary", "web", "--abort", "--reason", "it looks odd"]).await;
    let status = finish(&mut deploy).await;

    assert_eq!((ended.code, status), (0, 1), "{ended:?}");
    let said = deploy.output();
    assert!(said.contains("the canary of v2 is over: somebody ended it (canary_ended)"), "{said}");
    assert!(said.contains("v1 is active (epoch 2), as before; v2 is staged"), "{said}");
    assert_eq!(web(&stage).await["active"], "v1");
}

#[tokio::test]
async fn who_rejects_the_version_ends_the_deploy() {
    let stage = Stage::v1_and_v2_with(service()).await;
    let mut deploy = at_half(&stage).await;

    let rejected = stage.cli(&["reject", "web", "v2", "--reason", "it smells"]).await;
    let status = finish(&mut deploy).await;

    assert_eq!((rejected.code, status), (0, 1), "{rejected:?}");
    let said = deploy.output();
    assert!(said.contains("v2 was rejected: it smells (rejected)"), "{said}");
    assert!(said.contains("to go on: `cutover clear web v2`"), "{said}");
    let found = web(&stage).await;
    assert_eq!((&found["active"], &found["canary"]), (&json!("v1"), &json!(null)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_is_judged_bad_and_ended_ends_the_deploy() {
    let stage = broken_v2(service().set("bake.rollback", true)).await;
    let load = Load::start_paced(stage.proxy(), 8, PACE);

    let mut deploy = at_half(&stage).await;
    let status = finish(&mut deploy).await;
    load.stop().await;

    let said = deploy.output();
    assert!(status == 1 && said.contains("v2 was rejected: judged bad: "), "{said}");
    assert!(said.contains("to go on: `cutover clear web v2`"), "{said}");
    let found = web(&stage).await;
    assert_eq!((&found["active"], &found["canary"]), (&json!("v1"), &json!(null)));
    assert_eq!((&found["verdict"]["kind"], &found["verdict"]["state"]), (&json!("canary"), &json!("bad")));
    assert_eq!(stage.admin().metric("cutover_canaries_total", &["outcome=\"rejected\""]).await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_is_judged_bad_and_stays_ends_the_deploy_too() {
    let stage = broken_v2(stepped_for("1h")).await;
    let load = Load::start_paced(stage.proxy(), 8, PACE);

    let mut deploy = deploy(&stage, "deploy.log", &["--canary"]);
    let status = finish(&mut deploy).await;
    load.stop().await;

    let said = deploy.output();
    assert!(status == 1 && said.contains("v2 was judged bad as a canary: "), "{said}");
    assert!(said.contains("to go on: if v2 is good all the same: `cutover canary web --resume`"), "{said}");
    let shown = stage.cli(&["canary", "web"]).await.stdout;
    assert!(
        shown.contains("step 1 of 2, paused; it was judged bad, and stays until somebody decides"),
        "{shown}"
    );
}

#[tokio::test]
async fn without_steps_nothing_is_begun() {
    let stage = Stage::v1_and_v2_with(service()).await;

    let mut deploy = deploy(&stage, "deploy.log", &["--expand", "touch ran", "--canary"]);
    let status = finish(&mut deploy).await;

    assert!(status == 1 && deploy.output().contains("no_steps"), "{}", deploy.output());
    assert!(!stage.file("ran").exists(), "the migration ran");
}

/// A deploy whose canary has half of the sessions for an hour.
async fn at_half(stage: &Stage) -> Child {
    let deploy = deploy(stage, "deploy.log", &["--canary", "10%:200ms,50%:1h"]);
    until("the second step", async || {
        deploy.output().contains("50 % of the sessions, step 2 of 2").then_some(())
    })
    .await;
    deploy
}

/// v2 fails half of its requests.
async fn broken_v2(service: Service) -> Stage {
    let mut stage = Stage::v1_and_v2_with(service).await;
    stage.app("b").restart_with("v2", &["--error-rate", "0.5"]).await;
    stage.until_usable("b").await;
    stage
}

fn stepped() -> Service {
    stepped_for("1500ms")
}

fn stepped_for(lasts: &str) -> Service {
    let steps = [json!({ "share": 0.2, "for": lasts }), json!({ "share": 0.6, "for": lasts })];
    service().set("canary.steps", steps.to_vec())
}
