//! By the steps of the service: each takes its time, they pause and go on, they outlive cutover, and in mode `auto` they end in a flip.

use serde_json::{Value, json};

use super::{CANARY, Crowd, canary, count};
use crate::support::config::Service;
use crate::support::stage::Stage;
use crate::support::wait::until;

#[tokio::test]
async fn it_grows_step_by_step_and_waits_for_its_flip() {
    let stage = Stage::v1_and_v2_with(stepped(&[(0.5, "1s"), (0.9, "500ms")])).await;

    let begun = stage.admin().done("POST", CANARY, json!({ "to": "v2" })).await["canary"].clone();
    let mut crowd = Crowd::open(&stage, 40).await;
    let versions = crowd.versions().await;
    let complete = until_canary(&stage, "is through", |canary| canary["complete"] == true).await;

    let place = |canary: &Value| (canary["share"].clone(), canary["step"].clone(), canary["steps"].clone());
    assert_eq!(place(&begun), (json!(0.5), json!(1), json!(2)), "{begun}");
    assert!(begun["next_at"].is_string() && complete["next_at"].is_null(), "{begun} {complete}");
    assert_eq!(place(&complete), (json!(0.9), json!(2), json!(2)), "{complete}");
    assert_eq!(crowd.versions().await, versions, "steps move nobody");
    assert_eq!(stage.admin().get("/v1/services/web").await["active"], "v1");
}

#[tokio::test]
async fn who_pauses_it_by_the_command_line_keeps_it_at_its_step_until_it_is_resumed() {
    let stage = Stage::v1_and_v2_with(stepped(&[(0.2, "1500ms"), (0.6, "1h")])).await;
    let cli = async |line: &str| {
        let done = stage.cli(&line.split(' ').collect::<Vec<_>>()).await;
        assert_eq!(done.code, 0, "{line}: {done:?}");
        done.stdout
    };

    assert_eq!(cli("canary web").await, "web: no version is a canary\n");
    let begun = cli("canary web --to v2").await;
    assert!(
        begun.starts_with("web: v2 is the canary with 20 % of new sessions, step 1 of 2 until "),
        "{begun}"
    );
    let paused = "web: v2 is the canary with 20 % of new sessions, step 1 of 2, paused\n";
    assert_eq!(cli("canary web --pause --reason lunch").await, paused);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    for look in ["canary web", "services web", "services", "status"] {
        assert!(cli(look).await.contains(paused), "{look} does not say that it pauses");
    }
    assert!(cli("versions web").await.contains("canary, 20 %"));
    let shown: Value = serde_json::from_str(&cli("canary web --json").await).unwrap();
    assert_eq!((&shown["canary"]["paused"], &shown["epoch"]), (&json!(true), &json!(1)), "{shown}");

    cli("canary web --resume").await;
    until_canary(&stage, "goes on", |canary| canary["share"] == 0.6).await;
    let held = cli("canary web --share 70% --if-epoch 1").await;
    assert_eq!(held, "web: v2 is the canary with 70 % of new sessions, until somebody changes it\n");
    let ended = cli("canary web --abort").await;
    assert_eq!(ended, "web: v2 is no canary any more; its sessions go back in epoch 2\n");
    let none = stage.cli(&["canary", "web", "--abort"]).await;
    assert!(none.code == 1 && none.stderr.contains("web has no canary"), "{none:?}");
    assert!(cli("timeline web").await.contains("[lunch]"));
}

#[tokio::test]
async fn its_step_goes_on_after_a_power_cut() {
    let mut stage = Stage::v1_and_v2_with(stepped(&[(0.3, "3s"), (0.7, "1h")])).await;
    stage.admin().done("POST", CANARY, json!({ "to": "v2" })).await;
    let before = canary(&stage).await;

    stage.kill9();
    stage.restart().await;

    let after = canary(&stage).await;
    assert_eq!((&after["share"], &after["step"]), (&json!(0.3), &json!(1)), "{after}");
    // While it is not known yet whether its backend runs it keeps its step, and the step its end.
    assert_eq!(after["next_at"], before["next_at"], "{before} {after}");
    until_canary(&stage, "has its second step", |canary| canary["step"] == 2).await;
}

#[tokio::test]
async fn in_mode_auto_a_new_version_goes_through_the_steps_and_becomes_active() {
    let service = stepped(&[(0.4, "1s"), (0.8, "500ms")]).set("flip.mode", "auto");
    let mut stage = Stage::v1_with(service).await;

    stage.add("b", "v2").await;
    stage.admin().until_role("v2", "canary").await;
    let mut crowd = Crowd::open(&stage, 40).await;
    let versions = crowd.versions().await;
    stage.admin().until_role("v2", "active").await;

    assert!(count(&versions, "v2") > 0 && count(&versions, "v1") > 0, "{versions:?}");
    assert_eq!(crowd.versions().await, versions, "who was on the canary stays, and who was not drains");
    assert_eq!(stage.session().version().await, "v2");
    assert_eq!(stage.admin().get("/v1/services/web").await["epoch"], 2);
    assert_eq!(stage.admin().metric("cutover_canaries_total", &["outcome=\"promoted\""]).await, 1.0);
}

fn stepped(steps: &[(f64, &str)]) -> Service {
    let step = |(share, lasts): &(f64, &str)| json!({ "share": share, "for": lasts });
    Service::new("web").set("canary.steps", steps.iter().map(step).collect::<Vec<_>>())
}

async fn until_canary(stage: &Stage, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    until(&format!("the canary {what}"), async || Some(canary(stage).await).filter(|found| is_so(found)))
        .await
}
