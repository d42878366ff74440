//! Versions that clients ask for by name: how, which of them they reach, and what becomes of the rest.

use serde_json::json;

use crate::support::config::Service;
use crate::support::http::{Answer, Request};
use crate::support::stage::Stage;

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// With a header and two query parameters of the service's own, v1 draining, v2 active and v3 staged.
async fn three_versions(on_missing_version: &str) -> Stage {
    let service = Service::new("web")
        .set("on_missing_version", on_missing_version)
        .set("pin.headers", json!(["x-deployment-id"]))
        .set("pin.query", json!(["dpl", "v"]));
    let mut stage = Stage::v1_and_v2_with(service).await;
    // A session, or v1 would be drained at once.
    stage.session().version().await;
    stage.admin().flip("v2").await;
    stage.add("c", "v3").await;
    assert_eq!(stage.admin().version("v3").await["role"], "staged");
    stage
}

async fn ask(stage: &Stage, target: &str, fields: Pairs<'_>) -> Answer {
    let mut request = Request::get(target);
    for (name, value) in fields {
        request = request.field(name, value);
    }
    stage.ask(&request).await
}

#[tokio::test]
async fn a_version_is_named_by_our_header_then_the_configured_one_then_the_query() {
    let stage = three_versions("active").await;
    const OURS: &str = "X-Cutover-Version";
    let cases: [(&str, Pairs<'_>, &str); 16] = [
        ("/set-header", &[], "v2"),
        ("/set-header", &[(OURS, "v1")], "v1"),
        ("/set-header", &[("x-cutover-version", "v1")], "v1"),
        ("/set-header", &[("X-Deployment-Id", "v1")], "v1"),
        ("/set-header?dpl=v1", &[], "v1"),
        ("/set-header?dpl=v1", &[("x-deployment-id", "v2")], "v2"),
        ("/set-header?dpl=v2", &[("x-deployment-id", "v2"), (OURS, "v1")], "v1"),
        ("/set-header?v=v2&dpl=v1", &[], "v1"),
        ("/set-header?dpl=&v=v1", &[], "v1"),
        ("/set-header?dpl=v1&dpl=v2", &[], "v1"),
        ("/set-header?dpl=%76%31", &[], "v1"),
        ("/set-header?%64pl=v1", &[], "v2"),
        ("/set-header?DPL=v1", &[], "v2"),
        ("/set-header?x=dpl=v1", &[], "v2"),
        ("/set-header?dpl=v1", &[(OURS, "")], "v1"),
        ("/set-header", &[(OURS, "v1"), (OURS, "v2")], "v1"),
    ];
    for (target, fields, version) in cases {
        let answer = ask(&stage, target, fields).await;
        assert_eq!((answer.status(), answer.version()), (200, version), "{target} {fields:?}");
    }
}

#[tokio::test]
async fn nobody_reaches_a_staged_version_by_its_name() {
    let stage = three_versions("active").await;
    let names = ["v3", " v3 ", "%763", "v%33", "V3", "v3\t", "v1, v3", "v3,v1", "\"v3\"", "*", "staged"];
    for name in names {
        for field in ["X-Cutover-Version", "X-Deployment-Id"] {
            assert_eq!(
                ask(&stage, "/set-header", &[(field, name)]).await.version(),
                "v2",
                "{field}: {name:?}"
            );
        }
        let name = name.replace(' ', "%20").replace('\t', "%09").replace('"', "%22");
        for target in [format!("?dpl={name}"), format!("?dpl=v9&dpl={name}"), format!("?v={name}&dpl=v3")] {
            let answer = ask(&stage, &format!("/{target}"), &[]).await;
            assert_eq!(answer.version(), "v2", "{target}");
        }
    }

    let posted = Request::post("/sink?dpl=v3", "x").field("X-Cutover-Version", "v3");
    assert_eq!(stage.ask(&posted).await.version(), "v2");
    assert_eq!(stage.admin().metric("cutover_requests_total", &["version=\"v3\""]).await, 0.0);
}

#[tokio::test]
async fn what_can_not_be_reached_is_refused_as_configured_and_all_of_it_alike() {
    for (on_missing, status) in [("409", 409), ("503", 503)] {
        let stage = three_versions(on_missing).await;
        let staged = ask(&stage, "/", &[("X-Cutover-Version", "v3")]).await;
        let unknown = ask(&stage, "/?dpl=v9", &[]).await;
        let live = ask(&stage, "/set-header?dpl=v1", &[]).await;
        let none = ask(&stage, "/set-header?dpl=", &[]).await;

        assert_eq!((staged.status(), unknown.status()), (status, status), "{staged:?} {unknown:?}");
        assert_eq!(
            staged.json()["detail"],
            unknown.json()["detail"],
            "who asks learns that a version is staged"
        );
        assert_eq!((staged.set_cookie("cutover"), staged.field("cache-control")), (None, Some("no-store")));
        assert_eq!((live.version(), none.version()), ("v1", "v2"));
    }
}

#[tokio::test]
async fn a_drained_version_is_out_of_reach_though_its_servers_run() {
    let stage = three_versions("409").await;
    stage.admin().done("POST", "/v1/services/web/versions/v1/evict", json!({})).await;
    stage.admin().until_role("v1", "drained").await;

    assert_eq!(ask(&stage, "/?dpl=v1", &[]).await.status(), 409);
}

#[tokio::test]
async fn a_rejected_version_is_out_of_reach() {
    let stage = three_versions("409").await;
    stage.admin().done("POST", "/v1/services/web/rollback", json!({})).await;

    assert_eq!(ask(&stage, "/?dpl=v2", &[]).await.status(), 409);
    assert_eq!(ask(&stage, "/set-header?dpl=v1", &[]).await.version(), "v1");
}

#[tokio::test]
async fn asking_for_another_version_leaves_the_session_where_it_is() {
    let stage = three_versions("active").await;
    let mut session = stage.session();
    assert_eq!(session.version().await, "v2");
    let pin = session.cookie_field();

    let other = session.ask(Request::get("/set-header?dpl=v1")).await;

    assert_eq!((other.version(), other.set_cookie("cutover")), ("v1", None));
    assert_eq!(other.field("cutover-update"), Some("v2"));
    assert_eq!((session.cookie_field(), session.version().await.as_str()), (pin, "v2"));
    let without = ask(&stage, "/set-header?dpl=v1", &[]).await;
    assert_eq!(without.set_cookie("cutover"), None, "naming a version begins no session");
}

#[tokio::test]
async fn a_session_that_only_names_its_version_stays_alive_and_on_its_server() {
    let service = Service::new("web")
        .set("affinity", "backend")
        .set("pin.idle", "12s")
        .set("pin.query", json!(["dpl"]));
    let mut stage = Stage::v1_with(service).await;
    stage.add("a2", "v1").await;
    stage.add("b", "v2").await;
    let mut session = stage.session();
    let home = session.get("/").await.field("x-app-pid").unwrap().to_owned();
    stage.admin().flip("v2").await;

    // A quarter of `idle`, and what a busy machine adds to it.
    let mut is_refreshed = false;
    for _ in 0..60 {
        let answer = session.get("/?dpl=v1").await;
        assert_eq!((answer.version(), answer.field("x-app-pid")), ("v1", Some(home.as_str())));
        is_refreshed = answer.set_cookie("cutover").is_some();
        if is_refreshed {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    }

    assert!(is_refreshed, "its pin runs out while it is used");
}

#[tokio::test]
async fn the_same_holds_over_http2() {
    let stage = three_versions("409").await;
    let curl = async |arguments: &[&str]| -> String {
        let mut command = tokio::process::Command::new("curl");
        command.args([
            "--silent",
            "--http2-prior-knowledge",
            "--max-time",
            "15",
            "--write-out",
            " %{http_code} %{http_version}",
        ]);
        let output = command.args(arguments).kill_on_drop(true).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let url = |query: &str| format!("http://{}/set-header{query}", stage.proxy());

    assert_eq!(curl(&[&url("?dpl=v1")]).await, "version v1\n 200 2");
    assert_eq!(curl(&[&url("?dpl=v1"), "-H", "x-deployment-id: v2"]).await, "version v2\n 200 2");
    assert_eq!(curl(&[&url(""), "-H", "X-Cutover-Version: v1"]).await, "version v1\n 200 2");
    for refused in [curl(&[&url("?dpl=v3")]).await, curl(&[&url(""), "-H", "X-Cutover-Version: v3"]).await] {
        assert!(refused.ends_with(" 409 2"), "{refused}");
    }
}
