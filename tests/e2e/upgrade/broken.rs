//! A program that can't take over changes nothing.

use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::scene::Scene;
use crate::support::http::Request;
use crate::support::load::Load;
use crate::support::wait::until;

/// What works before has to work after.
async fn works(scene: &Scene) {
    let admin = scene.cutover.admin();
    let from = admin.get("/v1/services/web").await["active"].clone();
    let to = if from == "v1" { "v2" } else { "v1" };
    admin.flip(to).await;
    assert_eq!(scene.cutover.session().ask(Request::get("/set-header")).await.version(), to);
    assert!(admin.metric("cutover_upgrades_total", &["failed"]).await >= 1.0);
    assert_eq!(admin.metric("cutover_upgrades_total", &["done"]).await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ends_at_once_is_told_about_and_changes_nothing() {
    let scene = Scene::open(|config| config).await;
    let load = Load::start_paced(scene.cutover.proxy(), 4, Duration::from_millis(10));
    load.go_on(50).await;
    scene.replace_program("exit 1");

    let why = scene.fail().await;

    assert!(why.contains("exit status: 1"), "{why}");
    load.go_on(50).await;
    works(&scene).await;
    load.stop().await.assert_flawless();
}

#[tokio::test]
async fn a_program_that_is_gone_is_told_about() {
    let scene = Scene::open(|config| config).await;
    std::fs::remove_file(scene.cutover.file("cutover")).unwrap();
    let why = scene.fail().await;
    assert!(why.contains("can't start"), "{why}");
    works(&scene).await;
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_when_its_time_is_over() {
    let scene = Scene::open(|config| config.set("node.upgrade_timeout", "1s")).await;
    scene.replace_program(&format!("echo $$ > {}; exec sleep 60", scene.cutover.file("hung").display()));

    let why = scene.fail().await;

    assert!(why.contains("1s"), "{why}");
    let hung = std::fs::read_to_string(scene.cutover.file("hung")).unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{}", hung.trim())).exists());
    works(&scene).await;
}

#[tokio::test]
async fn a_configuration_that_is_wrong_by_now_is_told_about_and_changes_nothing() {
    let scene = Scene::open(|config| config).await;
    let right = std::fs::read_to_string(scene.cutover.config_file()).unwrap();
    scene.cutover.write_config("colour = \"blue\"");

    let why = scene.fail().await;

    assert!(why.contains("colour"), "{why}");
    scene.cutover.write_config(&right);
    works(&scene).await;
    scene.upgrade().await;
}

#[tokio::test]
async fn a_new_process_that_is_killed_before_it_is_ready_changes_nothing() {
    let scene = Scene::open(|config| config).await;
    let admin = scene.cutover.admin();
    // It is killed at ever later moments of its start.
    let mut outcomes = Vec::new();
    for delay in [0.0, 0.02, 0.05, 0.1, 0.15, 0.2] {
        let real = env!("CARGO_BIN_EXE_cutover");
        scene.replace_program(&format!(
            "(sleep {delay}; kill -9 $$) </dev/null >/dev/null 2>&1 & exec {real} \"$@\""
        ));
        let before = scene.cutover.pid().await;
        let answer = admin.call("POST", "/v1/upgrade", &Value::Null).await;
        if answer.status() == 200 {
            // It was faster than its end: that is a crash of the one process that served.
            break;
        }
        assert_eq!(scene.cutover.pid().await, before);
        outcomes.push(answer.json()["detail"].as_str().unwrap().to_owned());
        works(&scene).await;
    }
    assert!(!outcomes.is_empty(), "every process was faster than its end");
}

#[tokio::test]
async fn only_one_upgrade_goes_on_at_a_time_and_a_stop_ends_it() {
    let mut scene = Scene::open(|config| config).await;
    let admin = scene.cutover.admin();
    let pid_file = scene.cutover.file("hung");
    scene.replace_program(&format!("echo $$ > {}; exec sleep 60", pid_file.display()));
    let first = {
        let admin = admin.clone();
        tokio::spawn(async move { admin.try_call("POST", "/v1/upgrade", &Value::Null).await })
    };
    let hung = until("the new process runs", async || {
        let text = std::fs::read_to_string(&pid_file).ok()?;
        text.trim().parse::<i32>().ok()
    })
    .await;

    let second = admin.refused(409, "POST", "/v1/upgrade", Value::Null).await;
    scene.cutover.signal(Signal::TERM);
    let ended = scene.cutover.exit().await;

    assert_eq!(second, ["upgrade_under_way"]);
    assert!(ended.success(), "{ended}");
    let hung = Pid::from_raw(hung).unwrap();
    until("the new process is gone", async || {
        rustix::process::test_kill_process(hung).is_err().then_some(())
    })
    .await;
    drop(first.await);
}
