//! The admin API over real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the scenery of a test fails by panicking"
)]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use cutover_control::admin::wire::service::read_policy;
use cutover_control::admin::{AdminConfig, AdminHandle, Listen, ServeError, serve};
use cutover_control::clock::Clock;
use cutover_control::handle::Request;
use cutover_control::run::{Running, Settings, start};
use cutover_control::store::MemoryStore;
use cutover_control::timeline::Actor;
use cutover_core::command::Command;
use cutover_core::publish::channel;
use cutover_core::snapshot::Snapshot;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prometheus::Registry;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;

const LIVEZ: &str = "GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

async fn control(registry: &Registry) -> Running {
    let wake = Arc::new(Notify::new());
    let (publisher, _) = channel(Snapshot::default(), Vec::new(), {
        let wake = Arc::clone(&wake);
        Box::new(move || wake.notify_one())
    });
    let settings = Settings {
        node: "lb-1".to_owned(),
        store: Arc::new(MemoryStore::new()),
        store_kind: "memory",
        state_dir: None,
        publisher,
        wake,
        clock: Clock::start(),
        read_policy,
        registry: registry.clone(),
        connectors: Arc::default(),
        names: cutover_resolve::Names::default(),
    };
    let running = start(settings).await.unwrap();
    let configure = Request::new(Command::Configure(Vec::new()), Actor::config());
    running.control().submit(configure).await.unwrap();
    running
}

fn any_port() -> Listen {
    Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
}

async fn served(config: AdminConfig) -> (AdminHandle, Running) {
    let registry = Registry::new();
    let running = control(&registry).await;
    (serve(config, running.control(), registry).await.unwrap(), running)
}

async fn connect(handle: &AdminHandle) -> TcpStream {
    let Listen::Tcp(address) = handle.address() else { panic!("no TCP listener") };
    TcpStream::connect(address).await.unwrap()
}

/// Sends `request` and reads until the other side closes.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    // A refusal may reset the connection after its answer.
    let _ = read.expect("an end");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn it_speaks_http_1_and_http_2_on_one_port() {
    let config = AdminConfig { listen: any_port(), ..AdminConfig::default() };
    let (handle, _running) = served(config).await;
    let answer = exchange(connect(&handle).await, LIVEZ).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");

    let stream = TokioIo::new(connect(&handle).await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get("http://localhost/v1/status").body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, hyper::Version::HTTP_2));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap()["node"], "lb-1");
}

#[tokio::test]
async fn a_unix_socket_is_for_its_owner_only_and_goes_with_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    // Left behind by a process that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let config = AdminConfig { listen: Listen::Unix(path.clone()), ..AdminConfig::default() };
    let (handle, running) = served(config.clone()).await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let request = LIVEZ.replace("localhost", "whatever");
    let answer = exchange(UnixStream::connect(&path).await.unwrap(), &request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let second = serve(config, running.control(), Registry::new()).await;
    assert!(matches!(second, Err(ServeError::Bind { .. })), "a socket in use was taken over");
    handle.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_listener_that_others_can_reach_needs_tokens() {
    let registry = Registry::new();
    let running = control(&registry).await;
    let everywhere = Listen::Tcp(SocketAddr::from(([0, 0, 0, 0], 0)));
    for is_open in [true, false] {
        let config = AdminConfig { listen: everywhere.clone(), is_open, ..AdminConfig::default() };
        let refused = serve(config, running.control(), registry.clone()).await;
        assert!(matches!(refused, Err(ServeError::Unprotected { .. })));
    }
}

#[tokio::test]
async fn metrics_have_a_listener_of_their_own_if_wanted() {
    let config = AdminConfig { listen: any_port(), metrics: Some(any_port()), ..AdminConfig::default() };
    let (handle, _running) = served(config).await;
    let Some(Listen::Tcp(address)) = handle.metrics_address() else { panic!("no listener for metrics") };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: scraper\r\nconnection: close\r\n\r\n");
    let answer = exchange(TcpStream::connect(address).await.unwrap(), &get("/metrics")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("# TYPE cutover_"), "{answer}");
    let other = exchange(TcpStream::connect(address).await.unwrap(), &get("/v1/services")).await;
    assert!(other.starts_with("HTTP/1.1 404"), "{other}");
}

#[tokio::test]
async fn a_stop_finishes_what_was_begun() {
    let config = AdminConfig { listen: any_port(), ..AdminConfig::default() };
    let (handle, running) = served(config).await;
    let mut idle = connect(&handle).await;
    let revision = running.control().current().revision;
    let path = format!("/v1/services?revision={revision}&timeout=10m");
    let waiting = connect(&handle).await;
    let waiting = tokio::spawn(async move { exchange(waiting, &LIVEZ.replace("/livez", &path)).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::timeout(Duration::from_secs(5), handle.stop()).await.expect("a stop in time");
    let answer = waiting.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("cutover-revision"), "{answer}");
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
}

/// A connection with a request that is answered in ten minutes.
async fn waiting(handle: &AdminHandle, running: &Running) -> TcpStream {
    let path = format!("/v1/services?revision={}&timeout=10m", running.control().current().revision);
    let mut stream = connect(handle).await;
    stream.write_all(LIVEZ.replace("/livez", &path).as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn whoever_is_silent_makes_way_for_whoever_asks() {
    let config = AdminConfig { listen: any_port(), connections_max: 2, ..AdminConfig::default() };
    let (handle, running) = served(config).await;
    let mut busy = waiting(&handle, &running).await;
    for preface in ["", "PRI * HTTP/2.0\r\n", "GET /v1/ser"] {
        let mut silent = connect(&handle).await;
        silent.write_all(preface.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let answer = exchange(connect(&handle).await, LIVEZ).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{preface:?}: {answer}");
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{preface:?}: the silent one is still there");
    }
    let early = tokio::time::timeout(Duration::from_millis(50), busy.read_u8()).await;
    assert!(early.is_err(), "a request in progress was cut off");
}

#[tokio::test]
async fn heads_and_connections_are_bounded() {
    let config = AdminConfig { listen: any_port(), connections_max: 2, ..AdminConfig::default() };
    let (handle, running) = served(config).await;
    let long = LIVEZ.replace("host:", &format!("x: {}\r\nhost:", "y".repeat(100_000)));
    let answer = exchange(connect(&handle).await, &long).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");

    let held = [waiting(&handle, &running).await, waiting(&handle, &running).await];
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut third = connect(&handle).await;
    third.write_all(LIVEZ.as_bytes()).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), third.read_u8()).await;
    assert!(early.is_err(), "a third connection was answered");
    drop(held);
    assert_eq!(third.read_u8().await.unwrap(), b'H');
}

#[tokio::test]
async fn a_caller_who_writes_its_whole_body_first_is_told_that_it_is_too_long() {
    let config = AdminConfig { listen: any_port(), ..AdminConfig::default() };
    let (handle, _running) = served(config).await;
    let body = "x".repeat(4 * 1024 * 1024);
    let head = format!(
        "PUT /v1/services/web HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = exchange(connect(&handle).await, &format!("{head}{body}")).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{answer}");
}
