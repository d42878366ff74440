//! Health checks: how a version is told, and when a backend is up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::script::Script;
use crate::support::stage::Stage;
use crate::support::wait::until;

#[tokio::test]
async fn a_version_can_stand_in_the_health_answer() {
    let upstream = answering("200 OK", r#"{"build":{"version":"2026-11-22"}}"#).await;
    let service =
        Service::new("web").set("version_pointer", "/build/version").set("health.path", "/healthz?full");
    let cutover = Cutover::start(&Config::of(service.backend("a", upstream.address(), ""))).await;

    cutover.admin().until_role("2026-11-22", "active").await;

    assert!(upstream.heads()[0].starts_with("GET /healthz?full HTTP/1.1\r\n"), "{:?}", upstream.heads()[0]);
}

#[tokio::test]
async fn a_backend_whose_health_answer_names_no_version_gets_no_request() {
    for (status, body) in
        [("200 OK", "{}"), ("200 OK", "not json"), ("200 OK", r#"{"v":{}}"#), ("503 No", r#"{"v":"1"}"#)]
    {
        let upstream = answering(status, body).await;
        let service = Service::new("web").set("version_pointer", "/v").set("queue_timeout", "0s");
        let cutover = Cutover::start(&Config::of(service.backend("a", upstream.address(), ""))).await;

        until("it was probed", async || (upstream.heads().len() > 3).then_some(())).await;

        let backend = cutover.admin().backend("a").await;
        assert_eq!(backend["usable"], false, "{status} {body}: {backend}");
        assert_eq!(cutover.ask(&crate::support::http::Request::get("/")).await.status(), 503);
    }
}

#[tokio::test]
async fn statuses_count_as_they_were_configured() {
    let upstream = answering("401 Who", "").await;
    let service = Service::new("web").set("identity", "label").set("health.expect", "200-299,401");
    let cutover = Cutover::start(&Config::of(service.backend("a", upstream.address(), "v1"))).await;

    cutover.admin().until_role("v1", "active").await;
}

#[tokio::test]
async fn a_backend_is_up_after_rise_and_down_after_fall() {
    let failures = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    let upstream = Script::start(move |mut peer| {
        let counted = Arc::clone(&counted);
        async move {
            while peer.head().await.is_some() {
                let fails = counted.load(Ordering::SeqCst) > 0;
                if fails {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
                let status = if fails { "500 No" } else { "200 OK" };
                peer.write(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")).await;
            }
        }
    })
    .await;
    let service = Service::new("web").set("identity", "label").set("health.rise", 3).set("health.fall", 4);
    let cutover = Cutover::start(&Config::of(service.backend("a", upstream.address(), "v1"))).await;
    let admin = cutover.admin();
    let operational = async || admin.backend("a").await["operational"].as_str().unwrap().to_owned();

    until("it is up", async || (operational().await == "up").then_some(())).await;
    let probes = upstream.heads().len();
    failures.store(1, Ordering::SeqCst);
    until("it is down", async || (operational().await == "down").then_some(())).await;

    // After a start of cutover the first answer decides, so `rise` shows only after the fall.
    assert!(probes >= 1);
    assert!(
        failures.load(Ordering::SeqCst) >= 5,
        "down after {} failures",
        failures.load(Ordering::SeqCst) - 1
    );
    let before = upstream.heads().len();
    failures.store(0, Ordering::SeqCst);
    until("it is up again", async || (operational().await == "up").then_some(())).await;
    assert!(
        upstream.heads().len() - before >= 3,
        "up after {} good answers",
        upstream.heads().len() - before
    );
}

#[tokio::test]
async fn a_changed_boot_id_alone_is_a_new_process() {
    let mut stage = Stage::v1().await;
    let boot_id = |backend: &serde_json::Value| backend["boot_id"].as_str().map(str::to_owned);
    let before = stage.admin().backend("a").await;
    assert!(boot_id(&before).is_some(), "{before}");

    stage.app("a").restart("v1").await;

    until("its new process is known", async || {
        let now = stage.admin().backend("a").await;
        (boot_id(&now) != boot_id(&before) && now["usable"] == true).then_some(())
    })
    .await;
    assert_eq!(stage.session().version().await, "v1");
}

#[tokio::test]
async fn a_probe_that_hangs_is_a_failed_one() {
    let upstream = Script::start(async |mut peer| peer.gone().await).await;
    let service =
        Service::new("web").set("identity", "label").set("health.timeout", "100ms").set("health.fall", 1);
    let cutover = Cutover::start(&Config::of(service.backend("a", upstream.address(), "v1"))).await;

    until("it is down", async || (cutover.admin().backend("a").await["operational"] == "down").then_some(()))
        .await;
}

#[tokio::test]
async fn health_can_be_asked_at_another_port() {
    let (app, health) = (App::start("v1").await, answering("200 OK", r#"{"v":"v1"}"#).await);
    let service =
        Service::new("web").set("version_pointer", "/v").set("health.port", health.address().port());
    let cutover = Cutover::start(&Config::of(service.backend("a", app.address(), ""))).await;

    cutover.admin().until_role("v1", "active").await;

    assert_eq!(cutover.session().version().await, "v1");
}

/// A backend with one answer to everything.
async fn answering(status: &'static str, body: &'static str) -> Script {
    Script::start(move |mut peer| async move {
        while peer.head().await.is_some() {
            let length = body.len();
            peer.write(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")).await;
        }
    })
    .await
}
