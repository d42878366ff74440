//! Header fields: which end at the proxy, which it adds, and which it must not touch.

use crate::support::config::{Config, Service};
use crate::support::http::Request;
use crate::support::stage::Stage;

#[tokio::test]
async fn hop_by_hop_fields_and_those_that_connection_names_end_at_the_proxy() {
    let stage = Stage::v1().await;
    let request = Request::get("/headers")
        .field("Connection", "keep-alive, X-Gone")
        .field("X-Gone", "1")
        .field("Keep-Alive", "timeout=5")
        .field("Proxy-Connection", "keep-alive")
        .field("Upgrade", "h2c")
        .field("X-Stays", "1");

    let answer = stage.ask(&request).await;
    let target = "/set-header?Connection=X-Gone&X-Gone=1&Keep-Alive=timeout%3D5&X-Stays=1";
    let from_the_app = stage.ask(&Request::get(target)).await;

    for name in ["x-gone", "keep-alive", "proxy-connection", "upgrade"] {
        assert!(answer.seen(name).is_empty(), "the app saw {name}: {answer:?}");
        assert_eq!(from_the_app.field(name), None);
    }
    assert_eq!((answer.seen("x-stays"), from_the_app.field("x-stays")), (vec!["1".to_owned()], Some("1")));
}

#[tokio::test]
async fn what_a_stranger_says_about_where_it_comes_from_is_not_believed() {
    let config = Config::of(Service::new("web")).listener("trusted_proxies", Vec::<String>::new());
    let stage = Stage::open(&config).await;

    let answer = stage.ask(&forwarded()).await;

    assert_eq!(answer.seen("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(answer.seen("x-forwarded-proto"), ["http"]);
    assert_eq!(answer.seen("x-forwarded-host"), ["web.test"]);
    assert_eq!(answer.seen("forwarded").len(), 1, "{answer:?}");
    let forwarded = &answer.seen("forwarded")[0];
    assert!(forwarded.contains("for=127.0.0.1") && !forwarded.contains("203.0.113.9"), "{forwarded}");
}

#[tokio::test]
async fn what_a_trusted_proxy_says_about_where_a_request_comes_from_is_kept() {
    let stage = Stage::v1().await;

    let answer = stage.ask(&forwarded()).await;

    assert_eq!(answer.seen("x-forwarded-for"), ["203.0.113.9, 127.0.0.1"]);
    assert_eq!(answer.seen("x-forwarded-proto"), ["https"]);
    assert_eq!(answer.seen("x-forwarded-host"), ["shop.example"]);
    let forwarded = answer.seen("forwarded").join(", ");
    assert!(forwarded.starts_with("for=203.0.113.9;proto=https;host=shop.example,"), "{forwarded}");
    assert!(forwarded.contains("for=127.0.0.1"), "{forwarded}");
}

#[tokio::test]
async fn the_way_of_a_request_is_in_via_and_its_id_is_kept_or_made() {
    let stage = Stage::v1().await;

    let given =
        stage.ask(&Request::get("/headers").field("X-Request-Id", "abc-1").field("Via", "1.0 old")).await;
    let made = stage.ask(&Request::get("/headers")).await;

    let via = given.seen("via").join(", ");
    assert!(via.starts_with("1.0 old, 1.1 "), "{via}");
    assert_eq!(given.seen("x-request-id"), ["abc-1"]);
    assert_eq!((made.seen("x-request-id").len(), made.seen("x-request-id")[0].is_empty()), (1, false));
}

#[tokio::test]
async fn the_apps_cookies_pass_byte_for_byte() {
    let stage = Stage::v1().await;
    let cookie = "a=1; b=\"x y\"; =c;; cutover_=2;d=%41=; cutover2=x;  e=\u{e9}";

    let request = Request::get("/cookie").field("Cookie", cookie).field("Cookie", "second=line");
    let answer = stage.ask(&request).await;
    let set = "/set-header?Set-Cookie=a%3D%22x%22;%20Path=/;%20Max-Age%3D5&Set-Cookie=b=2";
    let setting = stage.ask(&Request::get(set)).await;

    assert_eq!(answer.json()["cookie"], serde_json::json!([cookie, "second=line"]));
    let cookies: Vec<_> =
        setting.head.all("set-cookie").filter(|cookie| !cookie.starts_with("cutover=")).collect();
    assert_eq!(cookies, ["a=\"x\"; Path=/; Max-Age=5", "b=2"]);
}

#[tokio::test]
async fn host_target_and_method_reach_the_app_as_they_were_sent() {
    let stage = Stage::v1().await;
    let target = "/headers?a=%2F%20&b=//..;x=1&&c";

    let answer = stage.ask(&Request::new("PROPFIND", target).field("Host", "Shop.Example:8080")).await;

    assert_eq!(answer.json()["target"], target);
    assert_eq!(answer.json()["method"], "PROPFIND");
    assert_eq!(answer.seen("host"), ["Shop.Example:8080"]);
}

#[tokio::test]
async fn the_version_header_ends_at_the_proxy_unless_it_is_exposed() {
    let hidden = Stage::v1_with(Service::new("web").set("expose_version", false)).await;
    assert_eq!(hidden.ask(&Request::get("/")).await.field("x-app-version"), None);

    let exposed = Stage::v1().await;
    assert_eq!(exposed.ask(&Request::get("/")).await.version(), "v1");
}

fn forwarded() -> Request {
    Request::get("/headers")
        .field("X-Forwarded-For", "203.0.113.9")
        .field("X-Forwarded-Proto", "https")
        .field("X-Forwarded-Host", "shop.example")
        .field("Forwarded", "for=203.0.113.9;proto=https;host=shop.example")
}
