//! Hooks: receivers that check signatures, refuse, are slow or away, and a cutover that is killed before it told.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::config::{Config, Service};
use crate::support::receiver::{Receiver, SECRET, documented};
use crate::support::script::{Peer, Script};
use crate::support::stage::Stage;
use crate::support::wait::{until, within};

/// A service without sessions, so that drains end at once.
fn service() -> Service {
    Service::new("web").set("pin.policy", "none")
}

fn telling(url: &str) -> Service {
    ["post_flip", "drained", "rolled_back"]
        .iter()
        .fold(service(), |service, on| service.hook(on, url, SECRET))
}

/// A receiver that gives this answer to every call, after so long.
async fn answering(answer: &'static str, after: Duration) -> Script {
    Script::start(move |mut peer: Peer| async move {
        if peer.head().await.is_some() {
            tokio::time::sleep(after).await;
            let _ = peer.stream.write_all(answer.as_bytes()).await;
        }
    })
    .await
}

#[tokio::test]
async fn the_receiver_of_the_documentation_hears_of_every_turn_and_takes_only_what_is_signed() {
    let receiver = Receiver::start().await;
    let stage = Stage::v1_and_v2_with(telling(&receiver.url())).await;
    stage.admin().flip("v2").await;
    receiver.hears("post_flip web v2").await;
    receiver.hears("drained web v1").await;
    stage.admin().done("POST", "/v1/services/web/rollback", json!({})).await;
    receiver.hears("rolled_back web v1").await;
    until("nothing is owed", async || {
        (stage.admin().get("/v1/services/web").await["hooks"]["owed"] == 0).then_some(())
    })
    .await;
    assert!(!receiver.output().contains("401"), "{}", receiver.output());

    let stranger = Stage::v1_with(service().hook("post_flip", &receiver.url(), "another secret")).await;
    until("a stranger's call is refused", async || {
        let hooks = stranger.admin().get("/v1/services/web").await["hooks"].clone();
        (hooks["recent"][0]["status"] == 401 && hooks["recent"][0]["tries"] == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_owed_outlives_kill_9_and_a_receiver_that_is_away() {
    let mut receiver = Receiver::away();
    let mut stage = Stage::v1_and_v2_with(telling(&receiver.url())).await;
    stage.admin().flip("v2").await;
    stage.kill9();
    receiver.come_back().await;
    stage.restart().await;
    receiver.hears("post_flip web v2").await;
    receiver.hears("post_flip web v1").await;
    until("nothing is owed", async || {
        (stage.admin().get("/v1/services/web").await["hooks"]["owed"] == 0).then_some(())
    })
    .await;
    let told = receiver.output();
    assert_eq!(told.lines().filter(|line| *line == "post_flip web v2").count(), 1, "{told}");
}

#[tokio::test]
async fn a_hook_that_refuses_stands_in_the_way_of_a_flip_until_it_is_forced() {
    let ci = answering(
        "HTTP/1.1 409 No\r\ncontent-length: 16\r\nconnection: close\r\n\r\n3 checks failed\n",
        Duration::ZERO,
    )
    .await;
    let url = format!("http://{}/", ci.address());
    let stage = Stage::v1_and_v2_with(service().hook("pre_flip", &url, SECRET)).await;

    let plan = stage.cli(&["flip", "web", "v2", "--dry-run"]).await;
    assert!(
        plan.code == 0 && plan.stdout.contains(&format!("asks       {}", url.trim_end_matches('/'))),
        "{plan:?}"
    );
    let refused = stage.cli(&["flip", "web", "v2"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("409: 3 checks failed"), "{refused:?}");
    let json = stage.cli(&["flip", "web", "v2", "--json"]).await;
    assert!(json.stdout.contains("hook_failed"), "{json:?}");
    assert_eq!(stage.admin().get("/v1/services/web").await["active"], "v1");

    let forced = stage.cli(&["flip", "web", "v2", "--force"]).await;
    assert!(forced.code == 0, "{forced:?}");
    for (text, log) in [("timeline", stage.cli(&["timeline", "web"]).await.stdout), ("log", stage.log())] {
        assert!(log.contains("hook_failed") && !log.contains(SECRET), "{text}: {log}");
    }
}

#[tokio::test]
async fn nobody_waits_for_a_slow_hook_but_the_flip() {
    let ci = answering("HTTP/1.1 204 Yes\r\nconnection: close\r\n\r\n", Duration::from_millis(1500)).await;
    let url = format!("http://{}/", ci.address());
    let service = service().set("flip.mode", "auto").hook("pre_flip", &url, SECRET);
    let stage = Stage::v1_and_v2_with(service).await;
    let admin = stage.admin();
    until("the hook is asked", async || {
        (admin.get("/v1/services/web").await["hooks"]["pre_flip"]["state"] == "asked").then_some(())
    })
    .await;
    let gate = json!({"open": true});
    let set = admin.done("PUT", "/v1/services/web/versions/v2/gates/smoke", gate);
    tokio::time::timeout(Duration::from_secs(1), set).await.expect("the controller waits for the hook");
    assert_eq!(admin.get("/v1/services/web").await["active"], "v1");
    admin.until_role("v2", "active").await;
}

#[tokio::test]
async fn a_new_secret_in_its_file_takes_no_reload() {
    let receiver = Receiver::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "an old one").unwrap();
    let hook = service().hook("post_flip", &receiver.url(), &format!("file:{}", file.display()));
    let stage = Stage::open(&Config::of(hook)).await;
    until("the old one is refused", async || {
        let hooks = stage.admin().get("/v1/services/web").await["hooks"].clone();
        (hooks["recent"][0]["status"] == 401).then_some(())
    })
    .await;
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let mut stage = stage;
    stage.add("b", "v2").await;
    stage.admin().flip("v2").await;
    receiver.hears("post_flip web v2").await;
}

#[tokio::test]
async fn the_documented_check_by_openssl_knows_a_genuine_signature() {
    let [check] = documented("sh").try_into().unwrap();
    // Made by another program: Python's hmac.
    let (body, timestamp) = (r#"{"event":"drained"}"#, "1700000000");
    let genuine = "v1=a0aeda9667074e3ac3a29457205b697e861d1adaf439f13cc3c35a9d63b46dd8";
    for (signature, is_genuine) in [(genuine, true), ("v1=00", false)] {
        let mut command = Command::new("sh");
        command.args(["-c", &check]).env("HOOK_SECRET", "s3cret").env("signature", signature);
        command.env("body", body).env("timestamp", timestamp);
        let ended = within("openssl", command.status()).await.unwrap();
        assert_eq!(ended.success(), is_genuine, "{signature}");
    }
}
