//! `config/production.toml`: who the clients are, what each may take, and what they are told when things go wrong.

use std::net::{Ipv4Addr, SocketAddr};

use rustix::process::Signal;

use super::app::App;
use super::example::Example;
use crate::support::http::{Connection, Request};
use crate::support::wait::until;

/// The page of the example.
pub(super) const PAGE: &str = "/etc/cutover/pages/unavailable.html";
/// Where the balancers of the example are here, and somebody who is none.
const BALANCERS: &str = "127.0.0.0/24";
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 9, 9, 9);

#[tokio::test]
async fn who_the_client_is_comes_from_balancers_only() {
    let stage = Stage::start().await;

    let told = stage.client("203.0.113.7").await.ask(&request("/")).await;
    assert!(told.text().contains("\r\nX-Forwarded-For: 203.0.113.7\r\n"), "{told:?}");
    let forged = request("/").field("X-Forwarded-For", "198.51.100.1");
    let told = stage.client("203.0.113.7").await.ask(&forged).await;
    assert!(!told.text().contains("198.51.100.1"), "{told:?}");
    let answer = Connection::open_from(STRANGER, stage.front()).await.ask(&forged).await;
    assert!(
        answer.text().contains("\r\nX-Forwarded-For: 127.9.9.9\r\n"),
        "a stranger speaks for himself: {answer:?}"
    );
    let mut liar = Connection::open_from(STRANGER, stage.front()).await;
    liar.send(header("203.0.113.7")).await;
    let answer = liar.try_ask(&request("/")).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 400));
    let silent = Connection::open(stage.front()).await.try_ask(&request("/")).await;
    assert!(silent.is_err(), "a balancer begins with its header: {silent:?}");
}

#[tokio::test]
async fn no_client_may_take_more_than_its_share() {
    let stage = Stage::start().await;
    let mut client = stage.client("203.0.113.7").await;
    let mut served = 0;
    let refused = loop {
        let answer = client.ask(&request("/short")).await;
        match answer.status() {
            200 => served += 1,
            _ => break answer,
        }
        assert!(served < 5000, "nobody is held back");
    };
    assert!(served >= 200, "{served}");
    assert_eq!((refused.status(), refused.field("retry-after")), (429, Some("1")), "{refused:?}");
    assert_eq!(
        stage.client("203.0.113.8").await.ask(&request("/short")).await.status(),
        200,
        "others don't suffer"
    );

    let mut open = Vec::new();
    for _ in 0..200 {
        open.push(stage.client("203.0.113.9").await);
    }
    assert_eq!(open[199].ask(&request("/short")).await.status(), 200);
    let mut last = stage.client("203.0.113.9").await;
    assert!(last.try_ask(&request("/short")).await.is_err(), "it has 200 connections");

    let large =
        Request::new("POST", "/").field("Host", "shop.example.com").field("Content-Length", "10485761");
    assert_eq!(stage.client("203.0.113.10").await.ask(&large).await.status(), 413);
}

#[tokio::test]
async fn answers_are_compressed_and_say_nothing_of_what_made_them() {
    let stage = Stage::start().await;
    let mut client = stage.client("203.0.113.7").await;

    let long = client.ask(&request("/").field("Accept-Encoding", "gzip")).await;
    assert_eq!((long.field("content-encoding"), long.field("vary")), (Some("gzip"), Some("Accept-Encoding")));
    assert!(long.body.len() < 1024, "{}", long.body.len());
    let short = client.ask(&request("/short").field("Accept-Encoding", "gzip")).await;
    assert_eq!((short.field("content-encoding"), short.text()), (None, "shop 3".to_owned()));
    for answer in [long, short] {
        let hidden = (answer.field("server"), answer.field("x-powered-by"));
        assert_eq!((hidden, answer.field("x-content-type-options")), ((None, None), Some("nosniff")));
    }
}

#[tokio::test]
async fn what_goes_wrong_is_said_on_the_page_and_found_in_the_log() {
    let mut stage = Stage::start().await;
    stage.apps.clear();

    let shown = request("/?lost").field("Accept", "text/html");
    let answer = stage.client("203.0.113.7").await.ask(&shown).await;

    let text = answer.text();
    assert!(matches!(answer.status(), 502 | 503), "{answer:?}");
    let id = text.strip_prefix("sorry, say ").and_then(|rest| rest.strip_suffix(" to us")).unwrap();
    let log = stage.example.path("/var/log/cutover/access.log");
    let line = until("it is logged", async || {
        let lines = std::fs::read_to_string(&log).unwrap_or_default();
        lines.lines().find(|line| line.contains("/?lost")).map(str::to_owned)
    })
    .await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(line.to_string().contains(id) && line.to_string().contains("203.0.113.7"), "{id} {line}");

    std::fs::rename(&log, log.with_extension("1")).unwrap();
    stage.example.process().signal(Signal::USR1);
    until("there is a log again", async || log.exists().then_some(())).await;
    assert!(stage.example.path("/run/cutover.pid").is_file());
    let metrics = Connection::open(stage.example.port(9901)).await.ask(&Request::get("/metrics")).await;
    assert!(metrics.text().contains("cutover_requests_total"), "{metrics:?}");
}

/// The example with both of its servers.
struct Stage {
    example: Example,
    apps: Vec<App>,
}

impl Stage {
    async fn start() -> Self {
        let apps = vec![App::start("shop", "3").await, App::start("shop", "3").await];
        let given = [
            ("10.0.0.0/24", BALANCERS.to_owned()),
            ("10.0.1.1:3000", apps[0].address()),
            ("10.0.1.2:3000", apps[1].address()),
        ];
        let mut example = Example::of("production.toml", &given);
        std::fs::write(example.path(PAGE), "sorry, say {request_id} to us").unwrap();
        example.start().await;
        let path = "/v1/services/shop/versions/3";
        until("both are usable", async || {
            let found = example.admin().call("GET", path, &serde_json::Value::Null).await;
            (found.status() == 200
                && found.json()["usable_backends"] == 2
                && found.json()["role"] == "active")
                .then_some(())
        })
        .await;
        Self { example, apps }
    }

    fn front(&self) -> SocketAddr {
        self.example.port(80)
    }

    /// A connection of the client at `address`, by way of a balancer.
    async fn client(&self, address: &str) -> Connection {
        let mut connection = Connection::open(self.front()).await;
        connection.send(header(address)).await;
        connection
    }
}

fn header(address: &str) -> String {
    format!("PROXY TCP4 {address} 198.51.100.80 40000 80\r\n")
}

fn request(target: &str) -> Request {
    Request::get(target).field("Host", "shop.example.com")
}
