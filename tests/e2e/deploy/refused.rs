//! What a deploy says when something is against it, and what it does not do then.

use serde_json::Value;

use super::{deploy, finish, register, service, web};
use crate::support::app::App;
use crate::support::stage::Stage;

#[tokio::test]
async fn a_frozen_service_is_left_alone() {
    let stage = Stage::v1_and_v2_with(service()).await;
    assert_eq!(stage.cli(&["freeze", "web", "--reason", "sale"]).await.code, 0);

    let mut client = deploy(&stage, "deploy.log", &["--expand", "touch ran"]);

    assert_eq!(finish(&mut client).await, 1, "{}", client.output());
    assert!(client.output().contains("frozen by local: sale (frozen)"), "{}", client.output());
    assert!(!stage.file("ran").exists(), "nothing ran");
}

#[tokio::test]
async fn a_command_that_fails_is_named_with_the_end_of_its_output() {
    let stage = Stage::v1_and_v2_with(service()).await;

    let mut client =
        deploy(&stage, "deploy.log", &["--gate", "smoke=echo it smells of $CUTOVER_VERSION; exit 7"]);

    let status = finish(&mut client).await;
    let said = client.output();
    assert_eq!(status, 1, "{said}");
    for part in [
        "at gates: its command ended with exit status: 7",
        "logs/smoke.log",
        "    it smells of v2",
        "v1 is active",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert_eq!(web(&stage).await["epoch"], 1);
}

#[tokio::test]
async fn commands_are_told_what_is_deployed() {
    let stage = Stage::v1_and_v2_with(service()).await;
    let print =
        "echo $CUTOVER_SERVICE $CUTOVER_FROM $CUTOVER_VERSION $CUTOVER_EPOCH $CUTOVER_ADMIN > told; exit 1";

    let mut client = deploy(&stage, "deploy.log", &["--expand", print]);

    assert_eq!(finish(&mut client).await, 1, "{}", client.output());
    let told = std::fs::read_to_string(stage.file("told")).unwrap();
    assert_eq!(told.trim(), format!("web v1 v2 1 http://{}", stage.admin_address()));
}

#[tokio::test]
async fn a_gate_that_people_open_is_waited_for() {
    let stage = Stage::v1_and_v2_with(service().set("flip.gates", vec!["people"])).await;

    let mut late = deploy(&stage, "late.log", &["--timeout", "1s"]);
    assert_eq!(finish(&mut late).await, 4, "{}", late.output());
    assert!(late.output().contains("gate people is closed"), "{}", late.output());
    assert!(late.output().contains("v1 is active (epoch 1), as before"), "{}", late.output());

    assert_eq!(stage.cli(&["gate", "web", "v2", "people"]).await.code, 0);
    let mut client = deploy(&stage, "deploy.log", &["--timeout", "30s"]);
    assert_eq!(finish(&mut client).await, 0, "{}", client.output());
}

#[tokio::test]
async fn it_goes_on_when_cutover_was_away() {
    let mut stage = Stage::v1_and_v2_with(service()).await;
    std::fs::write(stage.file("held"), "").unwrap();
    let expand = "touch begun; while test -e held; do sleep 0.02; done";
    let mut client = deploy(&stage, "deploy.log", &["--expand", expand]);
    crate::support::wait::until("it runs", async || stage.file("begun").exists().then_some(())).await;

    stage.kill9();
    std::fs::remove_file(stage.file("held")).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    stage.restart().await;

    assert_eq!(finish(&mut client).await, 0, "{}", client.output());
    assert_eq!(web(&stage).await["active"], "v2");
}

#[tokio::test]
async fn nobody_there_is_another_exit_code() {
    let mut stage = Stage::v1_with(service()).await;
    stage.kill9();

    let mut client = deploy(&stage, "deploy.log", &[]);

    assert_eq!(finish(&mut client).await, 3, "{}", client.output());
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let stage = Stage::v1_with(service()).await;
    let dry =
        ["deploy", "web", "--to", "v2", "--dry-run", "--expand", "touch ran", "--contract", "touch ran"];

    let plan = stage.cli(&dry).await;

    assert_eq!(plan.code, 0, "{plan:?}");
    for part in [
        "web: from v1 to v2",
        "`touch ran`, then gate expand is opened",
        "v1 is waited for until it is unused",
    ] {
        assert!(plan.stdout.contains(part), "no {part:?} in {plan:?}");
    }
    assert!(!stage.file("ran").exists());
    let service = web(&stage).await;
    assert_eq!(service["versions"].as_array().unwrap().len(), 1, "{service}");

    assert_eq!(stage.cli(&["freeze", "web", "--reason", "sale"]).await.code, 0);
    let frozen = stage.cli(&[&dry[..], &["--json"]].concat()).await;
    let document: Value = serde_json::from_str(&frozen.stdout).unwrap();
    assert_eq!((frozen.code, &document["allowed"]), (1, &false.into()), "{document}");
    assert_eq!(document["reasons"][0]["code"], "frozen");
}

#[tokio::test]
async fn a_report_for_programs_has_every_step() {
    let stage = Stage::v1_with(service()).await;
    let app = App::start("v2").await;
    register(&stage, "b", &app.address()).await;

    let mut client = deploy(&stage, "deploy.log", &["--json", "--expand", "true"]);

    assert_eq!(finish(&mut client).await, 0, "{}", client.output());
    let said = client.output();
    let report: Value = serde_json::from_str(&said[said.find("\n{").unwrap()..]).unwrap();
    assert_eq!(
        (&report["result"], &report["active"], &report["from"]),
        (&"done".into(), &"v2".into(), &"v1".into())
    );
    let steps: Vec<&str> =
        report["steps"].as_array().unwrap().iter().map(|step| step["state"].as_str().unwrap()).collect();
    assert_eq!(steps.len(), 8, "{report}");
    assert!(steps.iter().all(|state| matches!(*state, "done" | "not_wanted")), "{report}");
}
