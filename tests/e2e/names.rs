//! Backends at names whose addresses change.

use std::collections::BTreeSet;

use crate::dns::NameServer;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::http::Request;
use crate::support::script::{Peer, Script};
use crate::support::wait::until;

#[tokio::test]
async fn every_address_of_a_name_gets_requests_and_new_ones_are_found_by_their_ttl() {
    let stage = Stage::start(&["127.0.0.1", "127.0.0.2"]).await;

    stage.until_served_by(&["127.0.0.1", "127.0.0.2"]).await;

    stage.dns.set(NAME, &["127.0.0.2", "127.0.0.3"], 1);
    until("the first one gets no more", async || {
        let served = stage.served().await;
        (served.contains("127.0.0.3") && !served.contains("127.0.0.1")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_address_that_is_gone_gets_nothing_over_connections_that_are_kept() {
    let stage = Stage::start(&["127.0.0.1"]).await;
    stage.until_served_by(&["127.0.0.1"]).await;

    stage.dns.set(NAME, &["127.0.0.2"], 1);

    until("the other one is asked", async || {
        let served = stage.served_by_kept().await;
        (served == "127.0.0.2").then_some(())
    })
    .await;
}

#[tokio::test]
async fn backends_are_served_on_while_no_name_server_answers() {
    let stage = Stage::start(&["127.0.0.1"]).await;
    stage.until_served_by(&["127.0.0.1"]).await;

    stage.dns.set_down(true);
    let asked = stage.dns.questions();
    until("it asks in vain", async || (stage.dns.questions() > asked + 1).then_some(())).await;

    assert_eq!(stage.served().await, BTreeSet::from(["127.0.0.1".to_owned()]));
}

const NAME: &str = "app.test";
const REQUESTS: usize = 12;

/// A backend at a name, with a process at each of three addresses that says where it is.
struct Stage {
    cutover: Cutover,
    dns: NameServer,
    _processes: Vec<Script>,
}

impl Stage {
    async fn start(addresses: &[&str]) -> Self {
        let dns = NameServer::start();
        dns.set(NAME, addresses, 1);
        let mut processes = vec![Script::start_at("127.0.0.1:0", say_where).await];
        let port = processes[0].address().port();
        for other in ["127.0.0.2", "127.0.0.3"] {
            processes.push(Script::start_at(&format!("{other}:{port}"), say_where).await);
        }
        let service = Service::new("web").set("identity", "label").set("health.protocol", "tcp");
        let service = service.backend("a", format!("{NAME}:{port}"), "v1");
        let config = Config::of(service).set("node.name_servers", vec![dns.address().to_string()]);
        let cutover = Cutover::start(&config).await;
        cutover.admin().until_role("v1", "active").await;
        Self { cutover, dns, _processes: processes }
    }

    /// Who answers some requests, each of which needs a connection of its own to the backend.
    async fn served(&self) -> BTreeSet<String> {
        let mut served = BTreeSet::new();
        for _ in 0..REQUESTS {
            let request = Request::get("/close");
            served.insert(self.cutover.ask(&request).await.text());
        }
        served
    }

    async fn served_by_kept(&self) -> String {
        self.cutover.ask(&Request::get("/")).await.text()
    }

    async fn until_served_by(&self, addresses: &[&str]) {
        let wanted: BTreeSet<String> = addresses.iter().map(|&address| address.to_owned()).collect();
        until("all addresses are used", async || (self.served().await == wanted).then_some(())).await;
    }
}

/// Answers with its own address, and keeps the connection unless it is asked to close it.
async fn say_where(mut peer: Peer) {
    let here = peer.stream.local_addr().unwrap().ip().to_string();
    while let Some(head) = peer.head().await {
        let closes = head.starts_with("GET /close");
        let connection = if closes { "Connection: close\r\n" } else { "" };
        peer.write(format!("HTTP/1.1 200 OK\r\n{connection}Content-Length: {}\r\n\r\n{here}", here.len()))
            .await;
        if closes {
            return;
        }
    }
}
