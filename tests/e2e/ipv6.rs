//! IPv6 from end to end: clients, backends, the admin API, and what is told about them.

use std::net::SocketAddr;

use crate::support::config::{Config, Service};
use crate::support::cutover::{Cutover, run};
use crate::support::http::{Answer, Connection, Request};
use crate::support::script::{Peer, Script};
use crate::support::wait::until;

#[tokio::test]
async fn clients_and_backends_may_be_at_addresses_of_ipv6() {
    let stage = Stage::start(|listener| listener).await;

    let answer = stage.ask(&Request::get("/").field("Host", "[::1]")).await;

    let head = answer.text();
    assert_eq!(answer.status(), 200, "{head}");
    assert!(has(&head, "X-Forwarded-For: ::1"), "{head}");
    assert!(has(&head, "Forwarded: for=\"[::1]\";proto=http;host=\"[::1]\""), "{head}");
    assert!(has(&head, "Host: [::1]"), "{head}");
}

#[tokio::test]
async fn a_proxy_is_trusted_by_its_network_of_ipv6() {
    let forwarded = Request::get("/").field("Host", "[::1]").field("X-Forwarded-For", "2001:db8::7");

    let trusting = Stage::start(|config| config.listener("trusted_proxies", vec!["::1/128"])).await;
    let head = trusting.ask(&forwarded).await.text();
    assert!(has(&head, "X-Forwarded-For: 2001:db8::7, ::1"), "{head}");

    let other = Stage::start(|config| config.listener("trusted_proxies", vec!["fd00::/8"])).await;
    let head = other.ask(&forwarded).await.text();
    assert!(has(&head, "X-Forwarded-For: ::1"), "{head}");
}

#[tokio::test]
async fn the_access_log_tells_addresses_of_ipv6() {
    let stage = Stage::start(|config| config.set("access_log.path", "-")).await;

    stage.ask(&Request::get("/logged").field("Host", "[::1]")).await;

    let line = until("it is logged", async || {
        stage.cutover.log().lines().find(|line| line.contains("GET /logged")).map(str::to_owned)
    })
    .await;
    assert!(line.starts_with("::1 "), "{line}");
}

#[tokio::test]
async fn the_admin_api_may_be_at_an_address_of_ipv6() {
    let admin = free();
    let mut cutover =
        Cutover::stopped(&Config::of(Service::new("web")).set("admin.listen", admin.to_string()));
    cutover.launch();
    let directory = tempfile::tempdir().unwrap();

    until("it tells its services", async || {
        let done = run(&format!("http://{admin}"), &["services"], directory.path()).await;
        (done.code == 0 && done.stdout.contains("web")).then_some(())
    })
    .await;
}

/// A listener and a backend, both at `::1`. The backend answers with the head that it was asked with.
struct Stage {
    cutover: Cutover,
    address: SocketAddr,
    _backend: Script,
}

impl Stage {
    async fn start(configure: impl FnOnce(Config) -> Config) -> Self {
        let backend = Script::start_at("[::1]:0", echo).await;
        let address = free();
        let service = Service::new("web").set("identity", "label").set("health.protocol", "tcp");
        let service = service.backend("a", backend.address(), "v1").set("hosts", vec!["[::1]"]);
        let config = Config::of(service).listener("bind", vec![address.to_string()]);
        let cutover = Cutover::start(&configure(config)).await;
        cutover.admin().until_role("v1", "active").await;
        Self { cutover, address, _backend: backend }
    }

    async fn ask(&self, request: &Request) -> Answer {
        Connection::open(self.address).await.ask(request).await
    }
}

async fn echo(mut peer: Peer) {
    while let Some(head) = peer.head().await {
        peer.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len())).await;
    }
}

/// A port of `::1` that is free for now.
fn free() -> SocketAddr {
    std::net::TcpListener::bind("[::1]:0").unwrap().local_addr().unwrap()
}

/// Whether the head has this line, whatever the case of the field's name.
fn has(head: &str, line: &str) -> bool {
    let normal =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    head.lines().any(|given| normal(given) == normal(line))
}
