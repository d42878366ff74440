//! Assets across versions: pages from before a flip find their files in the version that drains, and then in the vault.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::config::{Config, Service};
use crate::support::http::Request;
use crate::support::load::Load;
use crate::support::stage::Stage;
use crate::support::wait::until;

const JS: &str = "/assets/app.v1.js";

fn keeping() -> Service {
    Service::new("web").set("assets.paths", vec!["/assets/**"]).set("assets.vault", "1MiB")
}

/// Files in the vault of `web`.
fn files(stage: &Stage) -> Vec<PathBuf> {
    let directory = stage.file("state").join("assets/service-web");
    std::fs::read_dir(directory)
        .map_or_else(|_| Vec::new(), |files| files.map(|file| file.unwrap().path()).collect())
}

async fn kept(stage: &Stage) -> Value {
    stage.admin().get("/v1/services/web/assets?limit=1000").await
}

/// Waits until this many assets are kept: that is done beside the answers.
async fn until_kept(stage: &Stage, count: u64) {
    until("the assets are kept", async || (kept(stage).await["vault"]["entries"] == count).then_some(()))
        .await;
}

/// Takes the last server of v1 away.
async fn end_v1(stage: &mut Stage) {
    stage.app("a").kill();
    until("v1 has no server", async || {
        (stage.admin().version("v1").await["usable_backends"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_page_from_before_the_flip_finds_its_files_as_long_as_it_is_open() {
    let mut stage = Stage::v1_and_v2_with(keeping()).await;
    let original = stage.ask(&Request::get(JS)).await;
    assert_eq!((original.status(), original.version()), (200, "v1"));
    until_kept(&stage, 1).await;
    // The page is open: its session keeps v1 from being drained.
    assert_eq!(stage.session().version().await, "v1");
    stage.admin().flip("v2").await;
    let found = async |stage: &Stage, outcome: &str| {
        stage.admin().until_metric("cutover_assets_total", &[&format!("outcome=\"{outcome}\"")], 1.0).await;
    };

    let from_v1 = stage.ask(&Request::get(JS)).await;
    assert_eq!((from_v1.status(), from_v1.version(), &from_v1.body), (200, "v1", &original.body));
    assert_eq!(from_v1.set_cookie("cutover"), None);
    found(&stage, "hit").await;
    found(&stage, "other_version").await;

    end_v1(&mut stage).await;
    let from_vault = stage.ask(&Request::get(JS)).await;
    assert_eq!((from_vault.status(), &from_vault.body), (200, &original.body));
    assert_eq!(from_vault.field("cache-control"), original.field("cache-control"));
    assert_eq!(from_vault.field("x-app-version"), None);
    found(&stage, "vault").await;
    assert_eq!(stage.session().version().await, "v2", "nobody is moved by where a file was");

    stage.kill9();
    stage.restart().await;
    stage.until_usable("b").await;
    assert_eq!(stage.ask(&Request::get(JS)).await.body, original.body, "it survives a crash");
    assert_eq!(stage.ask(&Request::get("/assets/app.v2.js")).await.version(), "v2");

    let missing = stage.ask(&Request::get("/assets/app.v0.js")).await;
    assert_eq!((missing.status(), missing.field("cache-control")), (404, Some("no-store")));
}

#[tokio::test]
async fn what_the_disk_has_changed_is_never_served() {
    let mut stage = Stage::v1_and_v2_with(keeping()).await;
    stage.ask(&Request::get(JS)).await;
    until_kept(&stage, 1).await;
    stage.admin().flip("v2").await;
    end_v1(&mut stage).await;
    let [file] = &*files(&stage) else { panic!("{:?}", files(&stage)) };
    let mut bytes = std::fs::read(file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(file, bytes).unwrap();

    let missing = stage.ask(&Request::get(JS)).await;

    assert_eq!((missing.status(), missing.field("cache-control")), (404, Some("no-store")));
    assert!(files(&stage).is_empty());
    stage.admin().until_metric("cutover_vault_corrupt_total", &["web"], 1.0).await;
    assert!(stage.log().contains("a file of the asset vault is broken"), "{}", stage.log());
}

#[tokio::test]
async fn assets_are_served_while_every_server_is_gone() {
    let mut stage = Stage::v1_with(keeping().set("queue_timeout", "50ms")).await;
    let original = stage.ask(&Request::get(JS)).await;
    until_kept(&stage, 1).await;

    end_v1(&mut stage).await;

    assert_eq!(stage.ask(&Request::get(JS)).await.body, original.body);
    assert_eq!(stage.ask(&Request::get("/")).await.status(), 503);
}

#[tokio::test]
async fn a_vault_takes_up_no_more_than_it_may_and_is_listed_and_emptied() {
    let stage = Stage::v1_with(keeping()).await;
    // Each takes up two blocks of the disk: there is room for 128.
    for nth in 0..200 {
        assert_eq!(stage.ask(&Request::get(&format!("{JS}?n={nth:05}"))).await.status(), 200);
    }
    stage.admin().until_metric("cutover_vault_stored_total", &["web"], 200.0).await;
    assert_eq!(stage.admin().metric("cutover_vault_evictions_total", &["web"]).await, 72.0);
    let on_disk: u64 = files(&stage).iter().map(|file| std::fs::metadata(file).unwrap().len()).sum();
    assert!(on_disk <= 1 << 20, "{on_disk}");
    let last = format!("{JS}?n=00199");
    assert!(kept(&stage).await["assets"].as_array().unwrap().iter().any(|asset| asset["path"] == *last));

    let shown = stage.cli(&["assets", "web", "--limit", "1"]).await;
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(
        shown.stdout.contains(JS) && shown.stdout.contains("v1") && shown.stdout.contains("of 1MiB"),
        "{shown:?}"
    );
    let page = stage.cli(&["assets", "web", "--limit", "1", "--json"]).await;
    let page: Value = serde_json::from_str(&page.stdout).unwrap();
    assert_eq!(page["next"], page["assets"][0]["path"]);
    assert_eq!(stage.cli(&["assets", "web", "--drop", &last]).await.code, 0);
    assert!(kept(&stage).await["assets"].as_array().unwrap().iter().all(|asset| asset["path"] != *last));
    assert_eq!(stage.cli(&["assets", "web", "--drop-all"]).await.code, 0);

    assert_eq!((&kept(&stage).await["assets"], files(&stage).len()), (&json!([]), 0));
    let timeline = stage.cli(&["timeline", "web"]).await.stdout;
    assert!(timeline.contains("all kept assets dropped") && timeline.contains(&last), "{timeline}");
    assert_eq!(stage.ask(&Request::get(JS)).await.status(), 200);
    until_kept(&stage, 1).await;
}

#[tokio::test]
async fn hostile_paths_keep_nothing_and_find_nothing() {
    let mut stage = Stage::v1_and_v2_with(keeping()).await;
    let hostile = [
        "/assets/../assets/app.v1.js",
        "/assets/./app.v1.js",
        "/assets//app.v1.js",
        "/assets/%2e%2e/assets/app.v1.js",
        "/assets/..%2fassets/app.v1.js",
        "/assets/app.v1.js%00",
        "/assets/..;/assets/app.v1.js",
        "/%61ssets/app.v1.js",
        "/assets/%252e%252e/x.js",
        "/assets/..\\..\\x.js",
        "/assets/../../../../../../etc/passwd",
        "/x/assets/app.v1.js",
    ];
    for path in hostile {
        stage.ask(&Request::get(path)).await;
    }
    stage.ask(&Request::get(JS)).await;
    until_kept(&stage, 1).await;
    stage.admin().flip("v2").await;
    end_v1(&mut stage).await;
    for path in hostile {
        let answer = stage.ask(&Request::get(path)).await;
        assert!((400..500).contains(&answer.status()), "{path}: {answer:?}");
    }
    let entries = std::fs::read_dir(stage.file("state").join("assets")).unwrap().count();
    assert_eq!((entries, files(&stage).len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_switches_it_on_and_off_without_a_failed_request() {
    let stage = Stage::v1_and_v2().await;
    let load = Load::start(stage.proxy(), 4);
    for service in [keeping(), keeping().set("assets.vault", "2MiB"), Service::new("web"), keeping()] {
        let wanted = service.clone();
        stage.configure(&Config::of(service));
        let text = format!("{wanted:?}");
        let vault = if text.contains("2MiB") {
            "2MiB"
        } else if text.contains("1MiB") {
            "1MiB"
        } else {
            "0"
        };
        until("the file is taken over", async || {
            let service = stage.admin().get("/v1/services/web").await;
            (service["policy"]["assets"]["vault"] == vault).then_some(())
        })
        .await;
        load.go_on(100).await;
    }
    load.stop().await.assert_flawless();
    stage.ask(&Request::get(JS)).await;
    until_kept(&stage, 1).await;
}
