//! Migrations with the real binary: gates, contracts and schemas by the command line, and what of it outlives kill -9.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::stage::Stage;
use crate::support::wait::until;

/// A service without sessions and bakes, so that drains end at once and contracts wait for nothing else.
fn service() -> Service {
    Service::new("web").set("pin.policy", "none").set("bake.duration", "0s")
}

#[tokio::test]
async fn the_way_of_a_migration_by_the_command_line() {
    let mut stage = Stage::v1_and_v2_with(service().set("flip.gates", vec!["expand"])).await;
    let refused = stage.cli(&["flip", "web", "v2"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("gate expand"), "{refused:?}");
    assert_eq!(stage.cli(&["gate", "web", "v2", "expand", "--note", "added full_name"]).await.code, 0);
    let early = stage.cli(&["contract", "web", "--dry-run"]).await;
    assert!(early.code == 0 && early.stdout.contains("may run now"), "nothing is older than v1: {early:?}");
    assert_eq!(stage.cli(&["flip", "web", "v2"]).await.code, 0);
    stage.admin().until_role("v1", "drained").await;

    let done = stage.cli(&["contract", "web", "--note", "dropped name", "--schema", "42"]).await;
    assert!(done.code == 0 && done.stdout.contains("nothing older than v2"), "{done:?}");
    let again = stage.cli(&["contract", "web", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&again.stdout).unwrap()["already"], true);
    stage.kill9();
    stage.restart().await;
    stage.until_usable("a").await;

    let back = stage.cli(&["rollback", "web"]).await;
    assert!(back.code == 1 && back.stderr.contains("dropped name"), "{back:?}");
    let forced = stage.cli(&["flip", "web", "v1", "--force", "--json"]).await;
    assert!(forced.code == 1 && forced.stdout.contains("below_floor"), "{forced:?}");
    let shown = stage.cli(&["services", "web"]).await.stdout;
    assert!(shown.contains("the database is at schema 42") && shown.contains("(dropped name)"), "{shown}");
}

#[tokio::test]
async fn a_contract_waits_for_whoever_still_uses_the_old_version() {
    let stage = Stage::v1_and_v2_with(service()).await;
    let admin = stage.admin();
    let hold = "/v1/services/web/versions/v1/holds/worker";
    admin.done("PUT", hold, json!({"ttl": "1h"})).await;
    admin.flip("v2").await;
    let refused = stage.cli(&["contract", "web"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("held by worker"), "{refused:?}");
    admin.done("DELETE", hold, Value::Null).await;
    admin.until_role("v1", "drained").await;
    assert_eq!(stage.cli(&["contract", "web"]).await.code, 0);
}

#[tokio::test]
async fn a_contract_waits_for_what_a_version_without_backends_still_answers() {
    let stage = Stage::v1_and_v2_with(service()).await;
    let admin = stage.admin();
    let mut connection = stage.connect().await;
    connection.send("GET /slow?ms=60000 HTTP/1.1\r\nHost: web.test\r\n\r\n").await;
    until("it is in flight", async || (admin.version("v1").await["in_flight"] == 1).then_some(())).await;
    admin.flip("v2").await;
    admin.done("DELETE", "/v1/services/web/backends/a?drain=0s", Value::Null).await;
    admin.until_role("v1", "retired").await;

    let early = stage.cli(&["contract", "web", "--dry-run"]).await;
    let refused = stage.cli(&["contract", "web"]).await;
    for told in [early.stdout, refused.stderr] {
        assert!(told.contains("v1 is retired and still answers 1"), "{told}");
    }
    assert_eq!(refused.code, 1);
    drop(connection);
    until("nothing is in flight", async || (admin.version("v1").await["in_flight"] == 0).then_some(())).await;
    assert_eq!(stage.cli(&["contract", "web"]).await.code, 0);
}

#[tokio::test]
async fn a_version_waits_for_the_schema_that_it_needs() {
    let (old, new) = (App::start("v1").await, App::start("v2").await);
    let config = Config::of(service().backend("a", old.address(), "v1"));
    let stage = Stage::empty(&config).await;
    stage.admin().until_role("v1", "active").await;
    assert_eq!(stage.cli(&["schema", "web", "41"]).await.code, 0);
    let address = new.address();
    let register = [
        "register",
        "web",
        "b",
        "--address",
        &address,
        "--schema-min",
        "42",
        "--schema-max",
        "43",
        "--ttl",
        "0s",
    ];
    assert_eq!(stage.cli(&register).await.code, 0);
    stage.until_usable("b").await;

    let refused = stage.cli(&["flip", "web", "v2"]).await;
    assert!(
        refused.stderr.contains("needs a schema from 42 to 43, and the database of web is at 41"),
        "{refused:?}"
    );
    assert_eq!(stage.cli(&["schema", "web", "42", "--note", "expand ran"]).await.code, 0);
    assert_eq!(stage.cli(&["flip", "web", "v2"]).await.code, 0);
    let wrong = stage.cli(&["schema", "web", "44"]).await;
    assert!(wrong.code == 1 && wrong.stderr.contains("v2 is active"), "{wrong:?}");
    let shown = stage.cli(&["schema", "web", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&shown.stdout).unwrap(), json!({"schema": 42}));
    until("the timeline tells why", async || {
        stage.cli(&["timeline", "web"]).await.stdout.contains("[expand ran]").then_some(())
    })
    .await;
}
