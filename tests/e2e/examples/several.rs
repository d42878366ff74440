//! `config/several-services.toml`: services by host and path, and backends that register themselves with tokens.

use serde_json::{Value, json};

use super::app::App;
use super::example::Example;
use crate::support::admin::Admin;
use crate::support::http::{Connection, Request};
use crate::support::wait::until;

/// The tokens of the example, in its order.
const DEPLOY: usize = 1;
const SHOP: usize = 2;
const GRAFANA: usize = 3;

#[tokio::test]
async fn services_are_told_apart_and_registered_by_their_own_tokens() {
    let fallback = App::start("fallback", "1").await;
    let mut example = Example::of("several-services.toml", &[("127.0.0.1:8000", fallback.address())]);
    example.start().await;
    let (shop, api, chat) =
        (App::start("shop", "s1").await, App::start("api", "a1").await, App::start("chat", "c1").await);
    let register = async |by: &Admin, service: &str, id: &str, app: &App| {
        let path = format!("/v1/services/{service}/backends/{id}");
        by.call("PUT", &path, &json!({ "address": app.address(), "ttl": "0" })).await.status()
    };
    assert_eq!(register(&example.admin(), "shop", "a", &shop).await, 401, "nobody may without a token");
    assert_eq!(register(&example.holder(GRAFANA), "shop", "a", &shop).await, 403, "who reads may not");
    assert_eq!(register(&example.holder(SHOP), "chat", "a", &chat).await, 403, "it is for other services");
    let other = App::start("shop", "s1").await;
    assert!(register(&example.holder(SHOP), "shop", "a2", &other).await < 300, "it needs two");
    for (by, service, app) in [(SHOP, "shop", &shop), (SHOP, "shop-api", &api), (DEPLOY, "chat", &chat)] {
        assert!(register(&example.holder(by), service, "a", app).await < 300, "{service}");
    }

    for (host, target, expected) in [
        ("shop.example.com", "/short", "shop s1"),
        ("north.shop.example.com", "/short", "shop s1"),
        ("shop.example.com", "/apishort", "shop s1"),
        ("shop.example.com", "/api/short", "api a1"),
        ("chat.example.com", "/short", "chat c1"),
        ("elsewhere.example", "/short", "fallback 1"),
    ] {
        let asked = Request::get(target).field("Host", host);
        until(&format!("{host}{target} is served"), async || {
            let answer = Connection::open(example.port(80)).await.ask(&asked).await;
            answer.text().starts_with(expected).then_some(())
        })
        .await;
    }
    let cookie = async |host: &str, target: &str| {
        let asked = Request::get(target).field("Host", host);
        Connection::open(example.port(80)).await.ask(&asked).await.field("set-cookie").is_some()
    };
    assert!(cookie("shop.example.com", "/short").await, "pages have sessions");
    assert!(!cookie("shop.example.com", "/api/short").await, "the API has none");
    let large =
        Request::new("POST", "/api").field("Host", "shop.example.com").field("Content-Length", "104857601");
    assert_eq!(Connection::open(example.port(80)).await.ask(&large).await.status(), 413);

    let (new, newest) = (App::start("shop", "s2").await, App::start("chat", "c2").await);
    register(&example.holder(SHOP), "shop", "b", &new).await;
    register(&example.holder(DEPLOY), "chat", "b", &newest).await;
    let read = example.holder(GRAFANA);
    until("the chat switches by itself", async || {
        (read.get("/v1/services/chat").await["active"] == "c2").then_some(())
    })
    .await;
    let reasons =
        example.holder(DEPLOY).refused(409, "POST", "/v1/services/shop/flip", json!({ "to": "s2" })).await;
    assert_eq!(reasons.len(), 2, "the migration did not run, and there is one server of two: {reasons:?}");
    assert_eq!(
        example.holder(GRAFANA).call("POST", "/v1/services/shop/flip", &json!({ "to": "s2" })).await.status(),
        403
    );
    let metrics = Connection::open(example.port(9901)).await.ask(&Request::get("/metrics")).await;
    assert_eq!(metrics.status(), 200);
    assert_eq!(example.admin().call("GET", "/v1/services", &Value::Null).await.status(), 401);
}
