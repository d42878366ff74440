//! Chromium over TLS and HTTP/2: a page, what it fetches, a WebSocket and server-sent events.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use super::edge::{Edge, service};
use crate::support::app::App;
use crate::support::browser::{chromium, is_installed};
use crate::support::config::{Config, Service};
use crate::support::script::Script;
use crate::support::wait::until;

/// Does all of it, and tells what it saw in the query of a last request.
const PAGE: &str = r#"<!doctype html><title>test</title><script type="module">
const tell = (seen) => fetch("/page/seen?" + encodeURIComponent(JSON.stringify(seen)));
try {
  const page = performance.getEntriesByType("navigation")[0].nextHopProtocol;
  const fetched = await (await fetch("/set-header")).text();
  const socket = new WebSocket(`wss://${location.host}/ws?greet=1`);
  const messages = [];
  await new Promise((done, fail) => {
    socket.onmessage = (event) => {
      messages.push(event.data);
      messages.length === 1 ? socket.send("hello") : done();
    };
    socket.onerror = () => fail(new Error("the WebSocket"));
  });
  const source = new EventSource("/sse?every_ms=20");
  const events = [];
  await new Promise((done, fail) => {
    source.addEventListener("tick", (event) => { events.push(event.lastEventId); if (events.length === 3) done(); });
    source.onerror = () => fail(new Error("the event source"));
  });
  source.close();
  const protocols = performance.getEntriesByType("resource").map((entry) => entry.nextHopProtocol);
  await tell({ page, fetched, messages, events: events.length, protocols: [...new Set(protocols)] });
} catch (error) {
  await tell({ error: String(error) });
}
</script>"#;

#[tokio::test]
async fn chromium_uses_everything_over_http2() {
    let page = Script::start(async |mut peer: crate::support::script::Peer| {
        while peer.head().await.is_some() {
            let length = PAGE.len();
            peer.write(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{PAGE}"
            ))
            .await;
        }
    })
    .await;
    let app = App::start("v1").await;
    let pages = Service::new("pages")
        .set("paths", vec!["/page"])
        .set("health.protocol", "tcp")
        .set("identity", "label");
    let config =
        Config::of(service().backend("a", app.address(), "")).and(pages.backend("p", page.address(), "v1"));
    let edge = Edge::start(&config).await;
    edge.admin().until_usable("v1", 1).await;
    if !is_installed() {
        return;
    }
    let mut chromium = Command::from(chromium(&edge.file("profile")));
    chromium.arg(format!("https://{}/page", edge.tls()));
    chromium.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut browser = chromium.spawn().unwrap();
    let seen =
        until("the page tells what it saw", async || page.heads().iter().find_map(|head| told(head))).await;
    // Its processes go with it; the profile is in a directory that goes too.
    let _ = browser.kill().await;

    assert_eq!(seen["page"], "h2", "{seen}");
    assert_eq!(seen["fetched"], "version v1\n", "{seen}");
    assert_eq!(seen["messages"], json!(["v1", "hello"]), "{seen}");
    assert_eq!(seen["events"], 3, "{seen}");
    assert_eq!(seen["protocols"], json!(["h2"]), "{seen}");
}

/// What the page saw, if this is the request that tells it.
fn told(head: &str) -> Option<Value> {
    let query = head.strip_prefix("GET /page/seen?")?.split(' ').next()?;
    let (mut bytes, mut rest) = (Vec::new(), query.bytes());
    while let Some(byte) = rest.next() {
        let digits = if byte == b'%' { [rest.next()?, rest.next()?] } else { [0; 2] };
        let decoded = std::str::from_utf8(&digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(if byte == b'%' { decoded? } else { byte });
    }
    serde_json::from_slice(&bytes).ok()
}
