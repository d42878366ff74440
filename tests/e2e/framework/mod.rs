//! App servers that others wrote: a WSGI application on Python's wsgiref, and Node's http server.

use std::process::Command;

use serde_json::json;

use crate::support::child::Child;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::http::Request;
use crate::support::port::Port;

#[tokio::test]
async fn a_wsgi_application_is_proxied_flipped_and_drained() {
    if is_missing("python3") {
        return;
    }
    play("python3", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/framework/wsgi.py")).await;
}

#[tokio::test]
async fn a_node_server_is_proxied_flipped_and_drained() {
    if is_missing("node") {
        return;
    }
    play("node", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/framework/server.mjs")).await;
}

async fn play(interpreter: &str, script: &str) {
    let (old, new) = (Port::reserve(), Port::reserve());
    let directory = tempfile::tempdir().unwrap();
    let start = |port: &Port, version: &str| {
        let mut command = Command::new(interpreter);
        command.args([script, &port.address().port().to_string(), version]);
        Child::spawn(&format!("{interpreter} {version}"), &mut command, &directory.path().join(version))
    };
    let _servers = (start(&old, "v1"), start(&new, "v2"));
    let service = Service::new("web").set("pin.idle", "1s").backend("a", old.address(), "");
    let cutover = Cutover::start(&Config::of(service)).await;
    let admin = cutover.admin();
    admin.until_role("v1", "active").await;
    let body = json!({ "address": new.address().to_string(), "ttl": "0" });
    admin.done("PUT", "/v1/services/web/backends/b", body).await;
    admin.until_role("v2", "staged").await;
    admin.until_usable("v2", 1).await;
    let mut session = cutover.session();

    assert_eq!(
        session.get("/page?x=1").await.json(),
        json!({ "version": "v1", "method": "GET", "bytes": 0, "sum": 0 })
    );
    for size in [0, 1, 1000, 3_000_000] {
        let body = vec![7_u8; size];
        let answer = session.ask(Request::post("/form", body)).await;
        assert_eq!(
            answer.json(),
            json!({ "version": "v1", "method": "POST", "bytes": size, "sum": 7 * size })
        );
    }
    let large = session.get("/large?n=3000000").await;
    assert_eq!((large.status(), large.body.len()), (200, 3_000_000));
    assert!(large.body.iter().all(|byte| *byte == b'x'));
    let head = session.ask(Request::new("HEAD", "/page")).await;
    assert_eq!((head.status(), head.body.len()), (200, 0));
    admin.flip("v2").await;

    assert_eq!(session.get("/page").await.json()["version"], "v1");
    assert_eq!(cutover.session().get("/page").await.json()["version"], "v2");
    admin.get("/v1/services/web/versions/v1?wait=drained&timeout=15s").await;
    assert_eq!(session.get("/page").await.json()["version"], "v2");
}

fn is_missing(program: &str) -> bool {
    let is_missing = Command::new(program).arg("--version").output().is_err();
    if is_missing {
        eprintln!("skipped: {program} is not installed");
    }
    is_missing
}
