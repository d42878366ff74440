//! Bakes: a bad version is rolled back by itself or told, a good one is left alone, and a restart changes neither.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::load::Load;
use crate::support::stage::Stage;

/// Connections of the load, and the time between two requests of each: 400 requests in a second.
const CONNECTIONS: usize = 8;
const PACE: Duration = Duration::from_millis(20);
/// Requests that the old version answers first, so that it is known how good it is.
const BEFORE: u64 = 1500;
/// A machine that has much else to do must not decide: only the verdict counts, and that it came within the bake.
const PATIENCE: Duration = Duration::from_secs(90);

fn service(duration: &str, rollback: bool) -> Service {
    Service::new("web").set("bake.duration", duration).set("bake.rollback", rollback)
}

/// v2, with these options of the app, is to replace v1, which has answered for a while under load that goes on.
async fn deploying(service: Service, options: &[&str]) -> (Stage, Load) {
    let mut stage = Stage::v1_and_v2_with(service).await;
    stage.app("b").restart_with("v2", options).await;
    stage.until_usable("b").await;
    let load = Load::start_paced(stage.proxy(), CONNECTIONS, PACE);
    load.go_on(BEFORE).await;
    (stage, load)
}

async fn web(cutover: &Cutover) -> Value {
    cutover.admin().get("/v1/services/web").await
}

/// Waits until the bake of v2 ended, and answers the service as it is then.
async fn ended(cutover: &Cutover) -> Value {
    let began = Instant::now();
    loop {
        let service = web(cutover).await;
        if service["bake"]["state"] != "running" {
            return service;
        }
        assert!(began.elapsed() < PATIENCE, "still running: {service}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn kinds(cutover: &Cutover) -> Vec<String> {
    let timeline = cutover.admin().get("/v1/services/web/timeline").await;
    let entries = timeline["entries"].as_array().unwrap().iter();
    entries.map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_with_three_per_cent_of_errors_is_rolled_back_by_itself() {
    let (stage, load) = deploying(service("5m", true), &["--error-rate", "0.03"]).await;
    stage.admin().flip("v2").await;
    let mut session = stage.session();
    let running = web(&stage).await;

    let service = ended(&stage).await;

    load.stop().await;
    assert_eq!((&running["bake"]["state"], &running["bake"]["from"]), (&json!("running"), &json!("v1")));
    assert_eq!((&service["bake"]["state"], &service["active"]), (&json!("rolled_back"), &json!("v1")));
    let verdict = &service["verdict"];
    assert_eq!((&verdict["state"], &verdict["kind"]), (&json!("bad"), &json!("bake")), "{verdict}");
    let number = |key: &str| verdict[key].as_f64().unwrap();
    assert!(
        (0.01..0.08).contains(&number("error_rate")) && number("baseline_error_rate") < 0.01,
        "{verdict}"
    );
    assert!(number("evidence") >= 100.0 && number("requests") >= 20.0, "{verdict}");
    let v2 = stage.admin().version("v2").await;
    assert_eq!(v2["role"], "rejected", "{v2}");
    assert!(v2["rejected"].as_str().unwrap().starts_with("judged bad: too many errors"), "{v2}");
    assert_eq!(session.version().await, "v1");
    let kinds = kinds(&stage).await;
    assert!(
        ["bake_began", "judged_bad", "bake_ended"].iter().all(|kind| kinds.iter().any(|it| it == kind)),
        "{kinds:?}"
    );
    let metric = async |name, part| stage.admin().metric(name, &[part]).await;
    assert_eq!(metric("cutover_verdicts_total", "verdict=\"bad\"").await, 1.0);
    assert_eq!(metric("cutover_bake_state", "state=\"rolled_back\"").await, 1.0);
    let shown = stage.cli(&["services"]).await.stdout;
    assert!(shown.contains("web: v2 was judged bad and rolled back: too many errors"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_version_passes_its_bake() {
    let (stage, load) = deploying(service("8s", true), &[]).await;
    stage.admin().flip("v2").await;
    load.go_on(400).await;
    let shown = stage.cli(&["services"]).await.stdout;

    let service = ended(&stage).await;

    load.stop().await.assert_flawless();
    assert_eq!((&service["bake"]["state"], &service["active"]), (&json!("passed"), &json!("v2")));
    assert_eq!((&service["verdict"]["state"], &service["verdict"]["errors"]), (&json!("good"), &json!(0)));
    assert!(service["verdict"]["requests"].as_u64() > Some(400), "{service}");
    assert_eq!(kinds(&stage).await[0], "baked");
    assert!(shown.contains("web: v2 is compared with v1 until "), "{shown}");
    let v2 = stage.admin().version("v2").await;
    assert!(v2["requests"].as_u64() > Some(400) && v2["failed"] == 0 && v2["resets"] == 0, "{v2}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_rollback_off_a_broken_version_is_only_told() {
    let (stage, load) = deploying(service("5m", false), &["--error-rate", "0.9"]).await;
    stage.admin().flip("v2").await;

    let service = ended(&stage).await;

    load.stop().await;
    assert_eq!((&service["bake"]["state"], &service["active"]), (&json!("failed"), &json!("v2")));
    let reason = service["verdict"]["reason"].as_str().unwrap();
    assert!(reason.contains("requests failed within 3 s"), "{reason}");
    assert_eq!(kinds(&stage).await.iter().filter(|kind| *kind == "judged_bad").count(), 1);
    assert_eq!(stage.admin().version("v2").await["role"], "active");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixed_limit_of_errors_is_kept_though_the_old_version_was_no_better() {
    let service = service("5m", true).set("bake.max_error_rate", 0.05);
    let mut stage = Stage::v1_and_v2_with(service).await;
    for (id, version) in [("a", "v1"), ("b", "v2")] {
        stage.app(id).restart_with(version, &["--error-rate", "0.3"]).await;
        stage.until_usable(id).await;
    }
    let load = Load::start_paced(stage.proxy(), CONNECTIONS, PACE);
    load.go_on(BEFORE).await;
    stage.admin().flip("v2").await;

    let service = ended(&stage).await;

    load.stop().await;
    let reason = service["verdict"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("more errors than 5.00 %"), "{reason}");
    assert_eq!(service["bake"]["state"], "rolled_back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixed_limit_of_latency_is_kept() {
    let service = service("5m", true).set("bake.max_p99", "40ms");
    let mut stage = Stage::v1_and_v2_with(service).await;
    for (id, version) in [("a", "v1"), ("b", "v2")] {
        stage.app(id).restart_with(version, &["--latency-ms", "80"]).await;
        stage.until_usable(id).await;
    }
    let load = Load::start_paced(stage.proxy(), CONNECTIONS, PACE);
    load.go_on(300).await;
    stage.admin().flip("v2").await;

    let service = ended(&stage).await;

    load.stop().await;
    let reason = service["verdict"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("the 99th percentile is above 40ms"), "{reason}");
    assert_eq!(service["bake"]["state"], "rolled_back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_the_middle_keeps_the_bake_and_what_it_is_compared_with() {
    let (mut stage, load) = deploying(service("5m", true), &["--error-rate", "0.2"]).await;
    load.stop().await;
    stage.admin().flip("v2").await;
    let before = web(&stage).await["bake"].clone();

    stage.kill9();
    stage.restart().await;
    for id in ["a", "b"] {
        stage.until_usable(id).await;
    }

    let service = web(&stage).await;
    assert_eq!((&service["bake"], &before["state"]), (&before, &json!("running")));
    let load = Load::start_paced(stage.proxy(), CONNECTIONS, PACE);
    let service = ended(&stage).await;
    load.stop().await;
    assert_eq!((&service["bake"]["state"], &service["active"]), (&json!("rolled_back"), &json!("v1")));
    assert!(service["verdict"]["baseline_error_rate"].as_f64() < Some(0.01), "{service}");
}

#[tokio::test]
async fn a_bake_that_nobody_visited_passes_and_says_so() {
    let stage = Stage::v1_and_v2_with(service("1s", true)).await;
    stage.admin().flip("v2").await;
    let service = ended(&stage).await;
    assert_eq!(service["bake"]["state"], "passed");
    assert!(service["verdict"]["reason"].as_str().unwrap().contains("asked only 0 times"), "{service}");
}

#[tokio::test]
async fn the_example_of_the_docs_is_a_configuration() {
    let docs = include_str!("../../docs/judging.md");
    let example = docs.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let cutover = Cutover::stopped(&Config::of(Service::new("web")));
    cutover.write_config(example);
    let done = cutover.cli(&["check", &cutover.config_file().to_string_lossy()]).await;
    assert_eq!(done.code, 0, "{done:?}");
    let keys = ["duration", "rollback", "max_error_rate", "max_p99"];
    assert!(keys.iter().all(|key| example.contains(key)), "{example}");
}
