//! How it starts: where it listens, what it writes, and what it refuses to start with.

use serde_json::Value;

use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::cutover::{Cutover, run};
use crate::support::http::{Connection, Request};
use crate::support::port::Port;
use crate::support::wait::until;

#[tokio::test]
async fn the_admin_api_can_be_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", directory.path().join("admin.sock").display());
    let mut cutover = Cutover::stopped(&Config::of(Service::new("web")).set("admin.listen", &*socket));
    cutover.launch();

    let status = until("it answers", async || {
        let done = run(&socket, &["status", "--json"], directory.path()).await;
        (done.code == 0).then_some(done.stdout)
    })
    .await;

    assert_eq!(serde_json::from_str::<Value>(&status).unwrap()["node"], "e2e");
    let services = run(&socket, &["services"], directory.path()).await;
    assert!(services.stdout.contains("web"), "{services:?}");
}

#[tokio::test]
async fn two_of_them_never_share_one_state() {
    let state = tempfile::tempdir().unwrap();
    let config =
        Config::of(Service::new("web")).set("node.state_dir", state.path().to_string_lossy().into_owned());
    let first = Cutover::start(&config).await;

    let mut second = Cutover::stopped(&config);
    second.launch();
    let ended = second.exit().await;

    assert_eq!(ended.code(), Some(1), "{}", second.log());
    assert!(second.log().contains(&*state.path().to_string_lossy()), "{}", second.log());
    assert_eq!(first.admin().get("/v1/status").await["ready"], true);
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    for config in [
        Config::default().listener("bind", vec![address.clone()]),
        Config::default().set("admin.listen", &*address),
        Config::default().set("metrics.listen", &*address),
    ] {
        let mut cutover = Cutover::stopped(&config);
        cutover.launch();
        let ended = cutover.exit().await;
        assert!(ended.code() == Some(1) && cutover.log().contains(&address), "{ended}: {}", cutover.log());
    }
}

#[tokio::test]
async fn an_open_admin_api_is_refused_where_others_can_reach_it() {
    let mut cutover = Cutover::stopped(&Config::default().set("admin.listen", "0.0.0.0:0"));

    cutover.launch();

    assert_eq!(cutover.exit().await.code(), Some(1));
    assert!(cutover.log().contains("token"), "{}", cutover.log());
}

#[tokio::test]
async fn the_pid_file_and_the_metrics_listener_are_where_they_were_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let (pid_file, metrics) = (directory.path().join("pid"), Port::reserve());
    let config = Config::of(Service::new("web"))
        .set("node.pid_file", pid_file.to_string_lossy().into_owned())
        .set("metrics.listen", metrics.address().to_string());
    let cutover = Cutover::start(&config).await;

    let pid = std::fs::read_to_string(&pid_file).unwrap();
    let request = Request::get("/metrics").field("Host", &metrics.address().to_string());
    let answer = Connection::open(metrics.address()).await.ask(&request).await;
    let flip = Request::post("/v1/services/web/flip", "{}").field("Host", &metrics.address().to_string());
    let beside = Connection::open(metrics.address()).await.ask(&flip).await;

    assert_eq!(pid.trim(), cutover.admin().get("/v1/status").await["pid"].to_string());
    assert!(
        answer.status() == 200 && answer.text().contains("cutover_version_epoch{service=\"web\"} 0"),
        "{answer:?}"
    );
    assert_eq!(beside.status(), 404, "the metrics listener serves the admin API: {beside:?}");
}

#[tokio::test]
async fn several_listeners_serve_the_same_services() {
    let (app, second) = (App::start("v1").await, Port::reserve());
    let proxy = Port::reserve();
    let bind = vec![proxy.address().to_string(), second.address().to_string()];
    let config = Config::of(Service::new("web").backend("a", app.address(), "")).listener("bind", bind);
    let cutover = Cutover::start(&config).await;
    cutover.admin().until_role("v1", "active").await;

    for port in [&proxy, &second] {
        let answer = Connection::open(port.address()).await.ask(&Request::get("/set-header")).await;
        assert_eq!(answer.version(), "v1");
    }
}

#[tokio::test]
async fn without_a_store_nothing_is_kept_and_nothing_is_written() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("state");
    let config = Config::of(Service::new("web"))
        .set("store.kind", "memory")
        .set("node.state_dir", path.to_string_lossy().into_owned());
    let mut cutover = Cutover::start(&config).await;
    let body = serde_json::json!({ "address": "127.0.0.1:1", "ttl": "0" });
    cutover.admin().done("PUT", "/v1/services/web/backends/x", body).await;

    cutover.kill9();
    cutover.restart().await;

    let backends = cutover.admin().get("/v1/services/web/backends").await;
    assert_eq!(backends["backends"], serde_json::json!([]));
    let written: Vec<_> = path.read_dir().map(|entries| entries.flatten().collect()).unwrap_or_default();
    assert!(written.is_empty(), "{written:?}");
}
