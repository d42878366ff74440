//! Calls of every kind, over clear text and TLS.

use std::time::Duration;

use futures_util::stream;
use tokio::sync::mpsc;
use tonic::{Code, Request};

use super::client::{Client, version};
use super::server::Server;
use crate::h2::edge::Edge;
use crate::support::config::{Config, Service};
use crate::support::wait::{until, within};

#[tokio::test]
async fn every_kind_of_call_comes_through() {
    let (edge, _servers) = stage().await;
    for client in [Client::plain(&edge).await, Client::secure(&edge).await] {
        let large = vec![7; 1 << 20];
        let answer = client.unary("/e2e.Echo/Unary", Request::new(large.clone())).await.unwrap();
        assert_eq!(version(&answer), "v1");
        assert!(answer.into_inner() == large, "another message came back");

        let sum = client.send_all("/e2e.Echo/Sum", stream::iter(vec![vec![0; 1000]; 100])).await.unwrap();
        assert_eq!(sum.into_inner(), b"100000");

        let mut numbers =
            client.stream("/e2e.Echo/Count", stream::iter([vec![50]])).await.unwrap().into_inner();
        for number in 0..50 {
            assert_eq!(within("a number", numbers.message()).await.unwrap(), Some(vec![number]));
        }
        assert_eq!(within("the end", numbers.message()).await.unwrap(), None);
        is_chatting(&client).await;
    }
}

#[tokio::test]
async fn errors_of_the_app_and_of_the_proxy_have_their_own_words() {
    let (edge, _servers) = stage().await;
    let client = Client::secure(&edge).await;

    let missing = client.unary("/e2e.Echo/Fail", Request::new(Vec::new())).await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::NotFound, "it is not there, nor is é"));
    let unknown = client.unary("/e2e.Echo/Nothing", Request::new(Vec::new())).await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (Code::Unimplemented, "no such method"));
    let nowhere = client.unary("/another.Service/Call", Request::new(Vec::new())).await.unwrap_err();
    assert_eq!(nowhere.code(), Code::Unimplemented, "{nowhere:?}");
}

#[tokio::test]
async fn a_deadline_and_a_caller_that_gives_up_end_the_call_upstream() {
    let (edge, servers) = stage().await;
    let client = Client::secure(&edge).await;

    let mut request = Request::new(Vec::new());
    request.set_timeout(Duration::from_millis(300));
    let late = client.unary("/e2e.Echo/Wait", request).await.unwrap_err();
    assert!(matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled), "{late:?}");
    until("the late call is over upstream", async || (servers[0].waiting() == 0).then_some(())).await;

    let call = tokio::spawn({
        let client = client.clone();
        async move { client.unary("/e2e.Echo/Wait", Request::new(Vec::new())).await }
    });
    until("the call arrived", async || (servers[0].waiting() == 1).then_some(())).await;
    call.abort();
    until("the call is over upstream", async || (servers[0].waiting() == 0).then_some(())).await;
}

#[tokio::test]
async fn calls_under_way_outlive_a_flip_and_none_is_lost() {
    let (edge, _servers) = stage().await;
    let client = Client::secure(&edge).await;
    let (send, receive) = mpsc::channel(1);
    let messages = stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)));
    let mut chat = client.stream("/e2e.Echo/Chat", Box::pin(messages)).await.unwrap();
    assert_eq!(version(&chat), "v1");

    let calling = async {
        let mut seen = Vec::new();
        for _ in 0..500 {
            let answer = client.unary("/e2e.Echo/Unary", Request::new(vec![1; 100])).await.unwrap();
            seen.push(version(&answer).to_owned());
        }
        seen
    };
    let flipping = async {
        for to in ["v2", "v1", "v2"] {
            edge.admin().flip(to).await;
        }
    };
    let (seen, ()) = tokio::join!(calling, flipping);

    assert!(seen.iter().all(|version| version == "v1" || version == "v2"), "{seen:?}");
    let last = client.unary("/e2e.Echo/Unary", Request::new(Vec::new())).await.unwrap();
    assert_eq!(version(&last), "v2");
    for number in 0..20 {
        send.send(vec![number]).await.unwrap();
        let echoed = within("an echo", chat.get_mut().message()).await.unwrap();
        assert_eq!(echoed, Some(vec![number]), "the call stays with the version it began on");
    }
    drop(send);
    assert_eq!(within("the end", chat.get_mut().message()).await.unwrap(), None);
}

#[tokio::test]
async fn a_drain_and_a_new_certificate_lose_no_call() {
    let (edge, _servers) = stage().await;
    let other = Server::start("v1").await;
    let body = serde_json::json!({ "address": other.address().to_string(), "version": "v1", "ttl": "0" });
    edge.admin().done("PUT", "/v1/services/web/backends/c", body).await;
    edge.admin().until_usable("v1", 2).await;
    let client = Client::secure(&edge).await;

    let calling = async {
        for number in 0..500_u32 {
            // Now and then over a connection that knows only the certificate of the time.
            let fresh = if number % 50 == 0 { Some(Client::secure(&edge).await) } else { None };
            let answer =
                fresh.as_ref().unwrap_or(&client).unary("/e2e.Echo/Unary", Request::new(vec![1; 100])).await;
            assert_eq!(version(&answer.unwrap()), "v1");
        }
    };
    let changing = async {
        let drained = edge.cli(&["drain", "web", "a", "--wait", "--timeout", "15s"]).await;
        assert_eq!(drained.code, 0, "{drained:?}");
    };
    tokio::join!(calling, changing);

    edge.renew();
    until("the new certificate is shown", async || Client::try_secure(&edge).await).await;
    let last = client.unary("/e2e.Echo/Unary", Request::new(Vec::new())).await.unwrap();
    assert_eq!(version(&last), "v1", "a connection that is open goes on");
}

/// Messages go back and forth on one call, each after the one before it.
async fn is_chatting(client: &Client) {
    let (send, receive) = mpsc::channel(1);
    let messages = stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)));
    let mut chat = client.stream("/e2e.Echo/Chat", Box::pin(messages)).await.unwrap().into_inner();
    for number in 0..10 {
        send.send(vec![number; 2000]).await.unwrap();
        assert_eq!(within("an echo", chat.message()).await.unwrap(), Some(vec![number; 2000]));
    }
    drop(send);
    assert_eq!(within("the end", chat.message()).await.unwrap(), None);
}

/// Servers of v1, which is active, and of v2, both asked for their health as gRPC has it.
async fn stage() -> (Edge, [Server; 2]) {
    let servers = [Server::start("v1").await, Server::start("v2").await];
    let service = Service::new("web")
        .set("paths", vec!["/e2e.Echo"])
        .set("upstream.protocol", "h2c")
        .set("health.protocol", "grpc")
        .set("pin.policy", "none")
        .backend("a", servers[0].address(), "v1")
        .backend("b", servers[1].address(), "v2");
    let edge = Edge::start(&Config::of(service)).await;
    edge.admin().until_usable("v1", 1).await;
    edge.admin().until_usable("v2", 1).await;
    edge.begin_with("v1").await;
    (edge, servers)
}
