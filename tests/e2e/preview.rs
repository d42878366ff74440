//! Previews with the real binary: made by the command line, used by curl as people and CI do.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::http::Request;
use crate::support::stage::Stage;
use crate::support::wait::{until, within};

/// Runs a line of shell with `cutover` in reach, and answers what it printed.
async fn shell(stage: &Stage, line: &str) -> String {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_cutover"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-euc", line]).env("PATH", path).env("PROXY", stage.proxy().to_string());
    command.env("CUTOVER_ADMIN", format!("http://{}", stage.admin_address())).env_remove("CUTOVER_TOKEN");
    command.env("JAR", stage.file("jar")).kill_on_drop(true).stdin(std::process::Stdio::null());
    let output = within(line, command.output()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{line}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

async fn logged(stage: &Stage) -> Vec<Value> {
    let log = std::fs::read_to_string(stage.file("access.log")).unwrap_or_default();
    // The last line may be on its way.
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[tokio::test]
async fn ci_tests_a_staged_version_by_a_header() {
    let stage = Stage::v1_and_v2().await;
    let header =
        r#"header=$(cutover preview web v2 --ttl 15m --json | sed -n 's/.*"header": "\(.*\)".*/\1/p')"#;

    let tried = shell(&stage, &format!("{header}; curl -fsS -H \"$header\" http://$PROXY/set-header")).await;
    let users = shell(&stage, "curl -fsS http://$PROXY/set-header").await;

    assert_eq!((tried.as_str(), users.as_str()), ("version v2\n", "version v1\n"));
    let bad =
        shell(&stage, "curl -s -o /dev/null -w '%{http_code}' -H 'Cutover-Preview: x' http://$PROXY/").await;
    assert_eq!(bad, "403");
}

#[tokio::test]
async fn a_person_opens_the_link_looks_around_and_leaves() {
    let mut cutover = Cutover::stopped(&Config::default());
    let log = cutover.file("access.log").to_string_lossy().into_owned();
    let config = Config::of(Service::new("web")).set("access_log.path", log.as_str());
    cutover.configure(&config.set("access_log.format", "json"));
    cutover.restart().await;
    let mut stage = Stage { cutover, apps: BTreeMap::new() };
    stage.add("a", "v1").await;
    stage.admin().until_role("v1", "active").await;
    stage.add("b", "v2").await;
    let curl = "curl -fsS -L -b $JAR -c $JAR";

    let before = shell(&stage, &format!("{curl} http://$PROXY/set-header")).await;
    let link =
        r#"url=$(cutover preview web v2 --path /set-header --json | sed -n 's/.*"url": "\(.*\)".*/\1/p')"#;
    let opened = shell(&stage, &format!("{link}; {curl} \"$url\"")).await;
    let cookies = shell(&stage, &format!("{curl} http://$PROXY/cookie")).await;
    let told = shell(&stage, &format!("{curl} http://$PROXY/.cutover/version")).await;
    let left = shell(&stage, &format!("{curl} \"http://$PROXY/set-header?cutover-preview=end\"")).await;

    assert_eq!([before, opened, left], ["version v1\n", "version v2\n", "version v1\n"].map(str::to_owned));
    let cookies: Value = serde_json::from_str(&cookies).unwrap();
    assert_eq!(cookies["cookie"], json!([]), "the app learns nothing");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["version"], &told["preview"], &told["active"]),
        (&json!("v2"), &json!(true), &json!("v1"))
    );

    let timeline = stage.admin().get("/v1/services/web/timeline?limit=1").await;
    assert_eq!(timeline["entries"][0]["kind"], "preview_made");
    stage.admin().until_metric("cutover_previews_total", &["opened"], 1.0).await;
    stage.admin().until_metric("cutover_previews_total", &["ended"], 1.0).await;
    until("the page, and what its app was told, are logged as previews", async || {
        let previews = logged(&stage).await.iter().filter(|line| line["pin"] == "preview").count();
        (previews == 2).then_some(())
    })
    .await;
    let lines = logged(&stage).await;
    let targets: Vec<&str> = lines.iter().filter_map(|line| line["target"].as_str()).collect();
    assert!(targets.contains(&"/set-header?cutover-preview=***"), "{targets:?}");
}

#[tokio::test]
async fn a_preview_outlives_a_restart_and_ends_at_its_time() {
    let mut stage = Stage::v1_and_v2().await;
    let body = json!({ "version": "v2", "ttl": "10s" });
    let made = stage.admin().done("POST", "/v1/services/web/preview", body).await;
    let (name, token) = made["header"].as_str().unwrap().split_once(": ").unwrap();
    let ask = || Request::get("/set-header").field(name, token);

    stage.kill9();
    stage.restart().await;
    stage.until_usable("b").await;
    assert_eq!(stage.ask(&ask()).await.text(), "version v2\n");

    until("the preview has expired", async || {
        let answer = stage.ask(&ask()).await;
        (answer.status() == 410 && answer.text().contains("expired")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_its_backends_a_preview_says_so() {
    let mut stage = Stage::v1_and_v2_with(Service::new("web").set("queue_timeout", "100ms")).await;
    let made = stage.cli(&["preview", "web", "v2"]).await;
    assert!(
        made.code == 0 && made.stdout.contains("http://") && made.stdout.contains("Cutover-Preview: "),
        "{made:?}"
    );
    let token = made.stdout.trim().rsplit(' ').next().unwrap().to_owned();
    stage.app("b").kill();

    until("it is known that the backend is gone", async || {
        let ask = Request::get("/").field("Cutover-Preview", &token);
        let answer = stage.ask(&ask).await;
        assert!(answer.status() != 200, "never another version: {answer:?}");
        (answer.status() == 503 && answer.text().contains("the version of this preview")).then_some(())
    })
    .await;

    let nobody = stage.cli(&["preview", "web", "v9"]).await;
    assert!(nobody.code == 1 && nobody.stderr.contains("v9"), "{nobody:?}");
}
