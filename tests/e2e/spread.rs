//! How requests are spread over the backends of one version: weights, affinity, ejection, and what is logged and counted.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::http::Request;
use crate::support::script::Script;
use crate::support::stage::Stage;
use crate::support::wait::until;

#[tokio::test]
async fn backends_get_their_share_by_weight() {
    for balance in ["power-of-two", "round-robin", "least-connections"] {
        let mut stage = Stage::v1_with(Service::new("web").set("balance", balance)).await;
        stage.add("b", "v1").await;
        stage.admin().done("PATCH", "/v1/services/web/backends/b", json!({ "weight": 3 })).await;

        let shares = shares(&stage, 800, &Request::get("/")).await;

        let mut counts: Vec<_> = shares.into_values().collect();
        counts.sort_unstable();
        assert_eq!(counts.len(), 2, "{balance}: {counts:?}");
        // One at a time every backend is idle: chance and weight alone decide. 200 expected, five deviations are 62.
        assert!((138..262).contains(&counts[0]), "{balance}: {counts:?}");
    }
}

#[tokio::test]
async fn a_version_shows_how_it_answers() {
    let stage = Stage::v1().await;
    let before = stage.admin().version("v1").await;
    for path in ["/status/200", "/status/404", "/status/503", "/slow?ms=60"] {
        stage.ask(&Request::get(path)).await;
    }

    let after = until("all four are counted", async || {
        let version = stage.admin().version("v1").await;
        (version["error_rate"] == 0.25).then_some(version)
    })
    .await;

    assert_eq!((&before["error_rate"], &before["p99_ms"]), (&Value::Null, &Value::Null));
    assert!((60.0..5000.0).contains(&after["p99_ms"].as_f64().unwrap()), "{after}");
}

#[tokio::test]
async fn a_session_stays_on_its_backend_where_that_is_wanted() {
    let mut stage = Stage::v1_with(Service::new("web").set("affinity", "backend")).await;
    stage.add("b", "v1").await;
    stage.add("c", "v1").await;

    for _ in 0..10 {
        let mut session = stage.session();
        let first = session.get("/").await;
        for _ in 0..10 {
            assert_eq!(session.get("/").await.field("x-app-pid"), first.field("x-app-pid"));
        }
    }
}

#[tokio::test]
async fn equal_keys_meet_the_same_backend() {
    let service = Service::new("web").set("balance", "hash").set("hash_on", "header:X-Tenant");
    let mut stage = Stage::v1_with(service).await;
    stage.add("b", "v1").await;
    let mut backends = BTreeMap::new();

    for tenant in 0..20 {
        let request = Request::get("/").field("X-Tenant", &format!("tenant {tenant}"));
        let met = shares(&stage, 5, &request).await;
        assert_eq!(met.len(), 1, "tenant {tenant}: {met:?}");
        backends.extend(met);
    }

    assert_eq!(backends.len(), 2, "twenty tenants all met one backend");
}

#[tokio::test]
async fn a_backend_that_fails_again_and_again_is_ejected_but_never_the_last_one() {
    let broken = Script::start(async |mut peer| {
        while let Some(head) = peer.head().await {
            let status = if head.starts_with("GET /up ") { "200 OK" } else { "503 No" };
            peer.write(format!("HTTP/1.1 {status}\r\nX-App-Version: v1\r\nContent-Length: 0\r\n\r\n")).await;
        }
    })
    .await;
    let service = Service::new("web").set("outlier.base_ejection", "10m").set("balance", "round-robin");
    let stage = Stage::v1_with(service).await;
    let body = json!({ "address": broken.address().to_string(), "ttl": "0" });
    stage.admin().done("PUT", "/v1/services/web/backends/broken", body).await;
    stage.until_usable("broken").await;

    until("it is ejected", async || {
        stage.ask(&Request::get("/")).await;
        (stage.admin().backend("broken").await["ejected_until"].is_string()).then_some(())
    })
    .await;

    for _ in 0..20 {
        assert_eq!(stage.ask(&Request::get("/")).await.status(), 200);
    }
    stage.admin().done("DELETE", "/v1/services/web/backends/a?drain=0s", Value::Null).await;
    until("the last one serves, such as it is", async || {
        (stage.ask(&Request::get("/")).await.status() == 503).then_some(())
    })
    .await;
    assert!(broken.heads().len() > 5);
}

#[tokio::test]
async fn the_access_log_says_who_served_whom_and_why() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let config = Config::of(Service::new("web"))
        .set("access_log.path", log.to_string_lossy().into_owned())
        .set("access_log.format", "json");
    let stage = Stage::open(&config).await;
    let mut session = stage.session();
    session.get("/bytes?n=70000").await;
    session
        .ask(
            Request::post("/sink", "abc").field("X-Request-Id", "r-1").field("User-Agent", "a \"b\"\t\u{e9}"),
        )
        .await;

    let lines = until("both requests are in the log", async || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (lines.len() == 2).then_some(lines)
    })
    .await;

    let expected = json!({ "method": "GET", "target": "/bytes?n=70000", "status": 200, "sent_bytes": 70000, "service": "web",
        "version": "v1", "epoch": 1, "backend": "a", "pin": "new", "client": "127.0.0.1" });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&lines[0][name], value, "{name}: {}", lines[0]);
    }
    assert_eq!((&lines[1]["pin"], &lines[1]["received_bytes"]), (&json!("kept"), &json!(3)));
    assert_eq!(lines[1]["request_id"], "r-1");
}

#[tokio::test]
async fn requests_are_counted_by_service_version_and_class() {
    let stage = Stage::v1_and_v2().await;
    let admin = stage.admin();
    for (path, times) in [("/", 3), ("/status/404", 2), ("/status/500", 1)] {
        for _ in 0..times {
            stage.ask(&Request::get(path)).await;
        }
    }
    admin.flip("v2").await;
    stage.ask(&Request::get("/")).await;

    for (version, class, count) in
        [("v1", "2xx", 3.0), ("v1", "4xx", 2.0), ("v1", "5xx", 1.0), ("v2", "2xx", 1.0)]
    {
        let labels = [&*format!("version=\"{version}\""), &*format!("class=\"{class}\""), "service=\"web\""];
        admin.until_metric("cutover_requests_total", &labels, count).await;
    }
    assert_eq!(admin.metric("cutover_version_epoch", &["service=\"web\""]).await, 2.0);
    assert_eq!(admin.metric("cutover_backend_up", &["backend=\"b\""]).await, 1.0);
    admin.until_metric("cutover_request_duration_seconds_count", &["version=\"v1\""], 6.0).await;
}

#[tokio::test]
async fn routes_go_by_the_most_specific_host_and_the_longest_path() {
    let routes: [(&str, &[&str], &str); 4] = [
        ("any", &[], "/"),
        ("exact", &["shop.test"], "/"),
        ("api", &["shop.test"], "/api"),
        ("wild", &["*.test"], "/"),
    ];
    let mut config = Config::default();
    let mut backends = Vec::new();
    for (name, hosts, path) in routes {
        let backend = Script::start(move |mut peer| async move {
            while peer.head().await.is_some() {
                peer.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len())).await;
            }
        })
        .await;
        let service = Service::new(name).set("hosts", hosts.to_vec()).set("paths", vec![path]);
        let service =
            service.set("identity", "label").set("health.protocol", "tcp").set("queue_timeout", "15s");
        config = config.and(service.backend("b", backend.address(), "v1"));
        backends.push(backend);
    }
    let cutover = Cutover::start(&config).await;
    let routed =
        async |host: &str, path: &str| cutover.ask(&Request::get(path).field("Host", host)).await.text();

    for (host, service) in [
        ("shop.test", "exact"),
        ("SHOP.test:81", "exact"),
        ("a.test", "wild"),
        ("a.b.test", "wild"),
        ("x.org", "any"),
    ] {
        assert_eq!(routed(host, "/").await, service, "{host}");
    }
    for (path, service) in
        [("/api", "api"), ("/api/x", "api"), ("/api?x", "api"), ("/apix", "exact"), ("/x/api", "exact")]
    {
        assert_eq!(routed("shop.test", path).await, service, "{path}");
    }
}

/// How often each process answered.
async fn shares(stage: &Stage, requests: usize, request: &Request) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    let mut connection = stage.connect().await;
    for _ in 0..requests {
        let answer = connection.ask(request).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        *shares.entry(answer.field("x-app-pid").unwrap().to_owned()).or_default() += 1;
    }
    shares
}
