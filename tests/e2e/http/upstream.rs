//! What upstreams do to the proxy's connections, and what clients must not notice of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::http::Request;
use crate::support::script::Script;
use crate::support::wait::{until, within};

use super::messages::scripted;

#[tokio::test]
async fn backends_are_reached_by_unix_socket_and_by_name() {
    let app = App::unix("v1").await;
    let named = App::start("v1").await;
    let port = named.socket().port();
    let addresses = [app.address(), format!("localhost:{port}")];

    for address in addresses {
        let cutover = Cutover::start(&Config::of(Service::new("web").backend("a", &address, ""))).await;
        cutover.admin().until_role("v1", "active").await;
        assert_eq!(cutover.session().version().await, "v1", "{address}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_request_upstream() {
    let (seen, mut events) = mpsc::unbounded_channel();
    let upstream = Script::start(move |mut peer| {
        let seen = seen.clone();
        async move {
            if peer.head().await.is_some() {
                seen.send("asked").unwrap();
                peer.gone().await;
                seen.send("cancelled").unwrap();
            }
        }
    })
    .await;
    let cutover = scripted(&upstream).await;
    let mut connection = cutover.connect().await;

    connection.send(Request::get("/").render()).await;
    assert_eq!(within("the request upstream", events.recv()).await, Some("asked"));
    drop(connection);

    assert_eq!(within("the end of it", events.recv()).await, Some("cancelled"));
}

#[tokio::test]
async fn an_answer_that_was_cut_off_never_looks_complete() {
    let cut_off = [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
    ];
    for answer in cut_off {
        let upstream = Script::start(move |mut peer| async move {
            if peer.head().await.is_some() {
                peer.write(answer).await;
            }
        })
        .await;
        let cutover = scripted(&upstream).await;
        let mut connection = cutover.connect().await;

        let asked = within("the end", connection.try_ask(&Request::get("/"))).await;

        assert!(asked.is_err(), "{answer:?} became {asked:?}");
    }
}

#[tokio::test]
async fn an_app_that_closes_after_each_answer_costs_no_error() {
    let upstream = Script::start(async |mut peer| {
        if peer.head().await.is_some() {
            // It does not say that it will close.
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let cutover = scripted(&upstream).await;
    let mut connection = cutover.connect().await;

    for number in 0..300 {
        let answer = connection.ask(&Request::get("/")).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"), "request {number}: {answer:?}");
    }
}

#[tokio::test]
async fn an_app_that_closes_idle_connections_costs_no_error() {
    const PATIENCE: Duration = Duration::from_millis(20);
    let upstream = Script::start(async |mut peer| {
        let mut head = peer.head().await;
        while head.is_some() {
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            head = tokio::time::timeout(PATIENCE, peer.head()).await.unwrap_or(None);
        }
    })
    .await;
    let cutover = scripted(&upstream).await;
    let mut connection = cutover.connect().await;

    for number in 0..150 {
        // Around the time at which the app closes: sometimes before, sometimes after, sometimes at once.
        tokio::time::sleep(Duration::from_millis(15 + number % 10)).await;
        let answer = connection.ask(&Request::get("/")).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"), "request {number}: {answer:?}");
    }
}

#[tokio::test]
async fn an_app_that_is_removed_has_no_connection_of_the_proxy_left_to_wait_for() {
    let open = Arc::<AtomicU64>::default();
    let shared = Arc::clone(&open);
    let upstream = Script::start(move |mut peer| {
        let open = Arc::clone(&shared);
        async move {
            // Probes leave without a word.
            let mut head = peer.head().await;
            let is_asked = u64::from(head.is_some());
            open.fetch_add(is_asked, Ordering::SeqCst);
            while head.is_some() {
                peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                head = peer.head().await;
            }
            open.fetch_sub(is_asked, Ordering::SeqCst);
        }
    })
    .await;
    let service = Service::new("web").set("health.protocol", "tcp").set("identity", "label");
    let cutover = Cutover::start(&Config::of(service.set("upstream.idle_timeout", "1h"))).await;
    let (admin, path) = (cutover.admin(), "/v1/services/web/backends/a");
    let body = json!({ "address": upstream.address().to_string(), "version": "v1", "ttl": "0" });
    admin.done("PUT", path, body).await;
    admin.until_role("v1", "active").await;
    assert_eq!(cutover.ask(&Request::get("/")).await.status(), 200);
    assert_eq!(open.load(Ordering::SeqCst), 1, "it is kept");

    admin.done("DELETE", &format!("{path}?drain=0s"), Value::Null).await;

    until("it is closed", async || (open.load(Ordering::SeqCst) == 0).then_some(())).await;
}
