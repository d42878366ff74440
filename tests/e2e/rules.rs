//! What a service does to its messages, and maintenance: by the configuration file, the API and the command line.

use serde_json::{Value, json};

use crate::support::config::{Config, Service};
use crate::support::http::{Answer, Connection, Request};
use crate::support::stage::Stage;
use crate::support::wait::until;

const HTML: &str = "text/html,*/*;q=0.8";

async fn cli(stage: &Stage, arguments: &[&str]) -> String {
    let done = stage.cli(arguments).await;
    assert_eq!(done.code, 0, "{arguments:?}: {done:?}");
    done.stdout
}

async fn shown(connection: &mut Connection) -> Answer {
    connection.ask(&Request::get("/").field("Accept", HTML)).await
}

#[tokio::test]
async fn clients_are_turned_away_while_a_flip_goes_on() {
    let stage = Stage::v1_and_v2_with(Service::new("web").set("pin.idle", "1s")).await;
    let mut client = stage.connect().await;
    let mut slow = stage.connect().await;
    slow.send(Request::get("/slow?ms=1500").render()).await;
    until("it is in flight", async || (stage.admin().version("v1").await["in_flight"] == 1).then_some(()))
        .await;

    cli(&stage, &["maintenance", "web", "on", "--reason", "moving", "--until", "2999-01-01T00:00:00Z"]).await;

    let closed = client.ask(&Request::get("/")).await;
    assert_eq!((closed.status(), closed.json()["status"].clone()), (503, json!(503)), "{closed:?}");
    assert!(closed.field("retry-after").is_some_and(|secs| secs.parse::<u64>().is_ok_and(|secs| secs > 60)));
    assert_eq!(client.ask(&Request::get("/.cutover/version")).await.json()["active"], "v1");
    assert_eq!(slow.answer("GET").await.status(), 200, "what is under way ends as it would");
    assert!(cli(&stage, &["services"]).await.contains("moving until"));
    assert_eq!(stage.admin().flip("v2").await, 2);
    let drained = stage.admin().get("/v1/services/web/versions/v1?wait=drained&timeout=10s").await;
    assert_eq!(drained["role"], "drained");
    assert_eq!(client.ask(&Request::get("/")).await.status(), 503);

    cli(&stage, &["maintenance", "web", "off"]).await;

    assert_eq!(client.ask(&Request::get("/")).await.status(), 200, "the connection is usable");
    assert_eq!(stage.session().version().await, "v2");
    assert_eq!(stage.admin().get("/v1/services/web").await["maintenance"], Value::Null);
    let timeline = cli(&stage, &["timeline", "web"]).await;
    assert!(timeline.contains("clients turned away") && timeline.contains("moving"), "{timeline}");
}

#[tokio::test]
async fn maintenance_outlives_a_crash() {
    let mut stage = Stage::v1().await;
    cli(&stage, &["maintenance", "web", "on"]).await;

    stage.kill9();
    stage.restart().await;

    assert_eq!(stage.ask(&Request::get("/")).await.status(), 503);
    let usage = stage.cli(&["maintenance", "web", "off", "--reason", "done"]).await;
    assert_eq!(usage.code, 2, "{usage:?}");
    cli(&stage, &["maintenance", "web", "off"]).await;
    until("it serves", async || (stage.ask(&Request::get("/")).await.status() == 200).then_some(())).await;
}

#[tokio::test]
async fn a_page_of_the_operator_is_shown_and_shown_anew() {
    let mut stage = Stage::v1().await;
    let page = stage.file("503.html");
    std::fs::write(&page, "<h1>{status}: back soon</h1> {request_id}").unwrap();
    let service = Service::new("web").set("maintenance", true);
    stage.configure(&Config::of(service.set("error_pages.503", page.to_string_lossy().into_owned())));
    stage.signal(rustix::process::Signal::HUP);
    let mut client = stage.connect().await;

    until("the page is shown", async || {
        shown(&mut client).await.text().starts_with("<h1>503: back soon</h1> ").then_some(())
    })
    .await;
    assert_eq!(client.ask(&Request::get("/")).await.field("content-type"), Some("application/problem+json"));
    std::fs::write(&page, "still not").unwrap();
    until("it is shown anew", async || (shown(&mut client).await.text() == "still not").then_some(())).await;
}

#[tokio::test]
async fn a_service_under_a_prefix_has_its_own_paths_and_headers() {
    let service = Service::new("web")
        .set("paths", vec!["/app"])
        .set("strip_prefix", true)
        .set("response.set_headers.Strict-Transport-Security", "max-age=63072000")
        .set("request.set_headers.X-Tenant", "7");
    let stage = Stage::v1_with(service).await;

    let answer = stage.ask(&Request::get("/app/headers")).await;

    assert_eq!((answer.status(), answer.field("strict-transport-security")), (200, Some("max-age=63072000")));
    assert_eq!(answer.seen("x-tenant"), ["7"]);
    assert_eq!(answer.seen("x-forwarded-prefix"), ["/app"]);
}

#[tokio::test]
async fn a_service_may_have_nothing_but_redirects() {
    let stage = Stage::v1().await;
    let redirect = json!([{ "from": "/old", "to": "/new" }]);
    stage
        .admin()
        .done("PUT", "/v1/services/legacy", json!({ "paths": ["/old"], "redirect": redirect }))
        .await;

    let moved = stage.ask(&Request::get("/old/a?b")).await;

    assert_eq!((moved.status(), moved.field("location")), (308, Some("/new/a?b")));
}
