//! What an upgrade keeps: state, tunnels, requests in flight, and the truth about them.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::scene::Scene;
use crate::support::config::Service;
use crate::support::http::Request;
use crate::support::wait::{until, within};

#[tokio::test]
async fn what_was_changed_a_moment_ago_is_there_with_its_sessions_and_the_first_request_is_served() {
    for store in ["embedded", "memory"] {
        let scene = Scene::open(|config| config.set("store.kind", store)).await;
        let admin = scene.cutover.admin();
        let mut old = scene.cutover.session();
        assert_eq!(old.ask(Request::get("/set-header")).await.version(), "v1");
        let epoch = admin.flip("v2").await;

        scene.upgrade().await;

        assert_eq!(scene.cutover.session().ask(Request::get("/set-header")).await.version(), "v2", "{store}");
        assert_eq!(old.ask(Request::get("/set-header")).await.version(), "v1", "{store}");
        assert_eq!(admin.get("/v1/services/web").await["epoch"], epoch, "{store}");
        assert_eq!(admin.metric("cutover_upgrades_total", &["done"]).await, 1.0);
    }
}

#[tokio::test]
async fn a_signal_upgrades_too_and_the_pid_file_names_the_new_process() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let path = pid_file.to_string_lossy().into_owned();
    let mut scene = Scene::open(|config| config.set("node.pid_file", path)).await;
    let before = scene.cutover.pid().await;

    scene.cutover.signal(Signal::USR2);
    scene.cutover.exit().await;

    let after = scene.cutover.pid().await;
    assert_ne!(before, after);
    until("the pid file names the new process", async || {
        (std::fs::read_to_string(&pid_file).ok()?.trim() == after.to_string()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_tunnel_survives_upgrades_and_its_version_drains_only_when_it_is_closed() {
    let scene = Scene::open_with(Service::new("web").set("pin.idle", "1s"), |config| config).await;
    let admin = scene.cutover.admin();
    let stream = TcpStream::connect(scene.cutover.proxy()).await.unwrap();
    let url = format!("ws://{}/ws", scene.cutover.proxy());
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();

    scene.upgrade().await;
    scene.upgrade().await;
    admin.flip("v2").await;

    until("the tunnel is counted", async || (admin.version("v1").await["tunnels"] == 1).then_some(())).await;
    let early = admin.call("GET", "/v1/services/web/versions/v1?wait=drained&timeout=2s", &Value::Null).await;
    assert_eq!(early.status(), 408, "drained under an open tunnel: {early:?}");
    socket.send(Message::text("still here")).await.unwrap();
    let echo = within("an echo", socket.next()).await;
    assert_eq!(echo.unwrap().unwrap(), Message::text("still here"));
    assert!(admin.get("/v1/status").await["predecessor_pid"].is_u64());

    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = within("the end", socket.next()).await {}
    drop(socket);
    let drained = admin.get("/v1/services/web/versions/v1?wait=drained&timeout=15s").await;
    assert_eq!(drained["drained"]["by"], "proof", "{drained}");
    until("the old processes have ended", async || {
        admin.get("/v1/status").await["predecessor_pid"].is_null().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_version_that_is_evicted_after_the_upgrade_loses_its_tunnels_in_the_old_process() {
    let service = Service::new("web").set("drain.spread", "0s");
    let scene = Scene::open_with(service, |config| config).await;
    let admin = scene.cutover.admin();
    let stream = TcpStream::connect(scene.cutover.proxy()).await.unwrap();
    let url = format!("ws://{}/ws", scene.cutover.proxy());
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    scene.upgrade().await;
    admin.flip("v2").await;

    admin.done("POST", "/v1/services/web/versions/v1/evict", json!({})).await;

    let Some(Ok(Message::Close(Some(close)))) = within("a goodbye", socket.next()).await else {
        panic!("the tunnel broke")
    };
    assert_eq!(close.code, CloseCode::Restart);
}

#[tokio::test]
async fn a_request_in_flight_ends_as_it_would_have_and_holds_up_the_drain() {
    let scene = Scene::open_with(Service::new("web").set("pin.idle", "1s"), |config| config).await;
    let admin = scene.cutover.admin();
    let mut events = scene.cutover.connect().await;
    events.send(Request::get("/sse?every_ms=20").render()).await;
    within("the head", events.head()).await.unwrap();

    scene.upgrade().await;
    admin.flip("v2").await;

    for _ in 0..100 {
        let event = within("an event", events.chunk()).await.unwrap();
        assert!(String::from_utf8(event).unwrap().contains(r#""version":"v1""#));
    }
    assert_eq!(admin.version("v1").await["role"], "draining", "drained under an open stream");
    drop(events);
    admin.get("/v1/services/web/versions/v1?wait=drained&timeout=15s").await;
}

#[tokio::test]
async fn the_command_line_upgrades_and_waits_for_the_old_process() {
    let mut scene = Scene::open(|config| config).await;
    let done = scene.cutover.cli(&["upgrade", "--wait", "--timeout", "15s"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("has ended"), "{done:?}");
    assert!(within("the end", scene.cutover.exit()).await.success());
    let again = scene.cutover.cli(&["upgrade", "--json"]).await;
    let said: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(said["pid"], scene.cutover.pid().await, "{again:?}");
}

#[tokio::test]
async fn the_old_process_ends_when_nothing_is_left_and_the_new_one_when_it_is_told() {
    let mut scene = Scene::open(|config| config).await;
    let after = scene.upgrade().await;
    assert!(within("the old process ended", scene.cutover.exit()).await.success());
    assert_eq!(scene.cutover.session().ask(Request::get("/set-header")).await.version(), "v1");

    let pid = rustix::process::Pid::from_raw(after).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    until("the new process has ended", async || {
        rustix::process::test_kill_process(pid).is_err().then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(TcpStream::connect(scene.cutover.proxy()).await.is_err(), "nobody is left who listens");
    // The state is whole: it starts again on it.
    scene.cutover.restart().await;
    assert_eq!(scene.cutover.admin().get("/v1/services/web").await["active"], "v1");
}
