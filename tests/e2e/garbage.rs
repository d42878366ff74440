//! Garbage in every field of the API and in every key of a configuration: an error that names it, and nothing is lost.

use serde_json::{Value, json};

use crate::support::cutover::run;
use crate::support::http::Request;
use crate::support::stage::Stage;

/// What no field takes.
fn garbage() -> Vec<Value> {
    let long = "x".repeat(5000);
    vec![
        json!("\u{0}\u{7f}é"),
        json!("a b/c"),
        json!(-1),
        json!(1e300),
        json!([[1]]),
        json!({ "": [] }),
        json!(long),
    ]
}

#[tokio::test]
async fn garbage_in_a_field_of_the_api_is_refused_by_name_and_changes_nothing() {
    let stage = Stage::v1_and_v2().await;
    let admin = stage.admin();
    let before = admin.get("/v1/services/web").await;
    let calls = [
        (
            "PUT",
            "/v1/services/web/backends/x",
            vec!["address", "version", "weight", "ttl", "boot_id", "zone", "metadata"],
        ),
        ("POST", "/v1/services/web/backends/a/heartbeat", vec!["version", "boot_id"]),
        ("PATCH", "/v1/services/web/backends/a", vec!["admin", "weight", "force"]),
        ("POST", "/v1/services/web/flip", vec!["to", "if_epoch", "reason", "force", "dry_run"]),
        ("POST", "/v1/services/web/rollback", vec!["if_epoch", "reason", "sessions"]),
        ("PUT", "/v1/services/web/versions/v2/gates/g", vec!["open", "note"]),
        ("PUT", "/v1/services/web/versions/v2/holds/h", vec!["ttl"]),
        ("POST", "/v1/services/web/versions/v2/reject", vec!["reason"]),
        ("PUT", "/v1/services/web/freeze", vec!["reason", "until"]),
        ("PUT", "/v1/services/web/maintenance", vec!["reason", "until"]),
    ];
    let good = json!({
        "address": "127.0.0.1:1", "admin": "ready", "to": "v1", "open": true, "ttl": "5s", "reason": "r", "sessions": "keep",
    });

    for (method, path, fields) in calls {
        for field in fields.iter().copied().chain(["no_such_field"]) {
            for value in garbage() {
                let needed =
                    good.as_object().unwrap().iter().filter(|(name, _)| fields.contains(&name.as_str()));
                let mut body: serde_json::Map<_, _> =
                    needed.map(|(name, value)| (name.clone(), value.clone())).collect();
                body.insert(field.to_owned(), value.clone());
                let answer = admin.call(method, path, &Value::Object(body)).await;
                // Free text takes any sane text.
                let is_free_text = ["reason", "note", "zone", "boot_id"].contains(&field) && value == "a b/c";
                assert!(
                    is_free_text || (400..500).contains(&answer.status()),
                    "{method} {path} {field} {value}: {answer:?}"
                );
                if matches!(answer.status(), 400 | 422) {
                    assert!(
                        answer.text().contains(field),
                        "{method} {path} {field} {value} is not named: {answer:?}"
                    );
                }
            }
        }
    }

    // What was taken with a text that may be any text is taken back.
    admin.call("DELETE", "/v1/services/web/freeze", &Value::Null).await;
    admin.call("DELETE", "/v1/services/web/maintenance", &Value::Null).await;
    admin.call("POST", "/v1/services/web/versions/v2/clear", &json!({})).await;
    admin.call("DELETE", "/v1/services/web/backends/x?drain=0s", &Value::Null).await;
    assert_eq!(admin.get("/v1/services/web").await, before);
    assert_eq!(stage.session().version().await, "v1");
}

#[tokio::test]
async fn garbage_instead_of_a_request_to_the_api_is_an_error_and_changes_nothing() {
    let stage = Stage::v1_and_v2().await;
    let admin = stage.admin();
    let before = admin.get("/v1/services").await;
    let flip = "/v1/services/web/flip";
    let bodies = [
        "",
        "{",
        "[]",
        "null",
        "\"to\"",
        "{\"to\":\"v2\",\"to\":\"v1\"}",
        "{\"to\":}",
        "\u{0}",
        "{\"to\":\"v2\"} x",
    ];

    for body in bodies {
        let request = Request::post(flip, body).field("Content-Type", "application/json");
        let answer = ask(&stage, request).await;
        assert!((400..500).contains(&answer.status()), "{body:?}: {answer:?}");
    }
    let deep = format!("{{\"to\":{}", "[".repeat(100_000));
    let large = format!("{{\"to\":\"{}\"}}", "x".repeat(8 << 20));
    for body in [deep, large] {
        let request = Request::post(flip, body).field("Content-Type", "application/json");
        let request = request.field("Host", &stage.admin_address().to_string());
        let asked =
            crate::support::http::Connection::open(stage.admin_address()).await.try_ask(&request).await;
        // The connection may be closed while the client still writes.
        assert!(asked.as_ref().map_or(true, |answer| (400..500).contains(&answer.status())), "{asked:?}");
    }
    for path in [
        "/v1/services/%00",
        "/v1/services/web/backends/..%2f..",
        "/v1/services/web/versions/%ff",
        "/v1/x",
        "//",
    ] {
        let answer = ask(&stage, Request::get(path)).await;
        assert!((400..500).contains(&answer.status()), "{path}: {answer:?}");
    }
    for query in ["revision=x", "revision=-1", "revision=1&timeout=soon", "wat=1"] {
        let answer = ask(&stage, Request::get(&format!("/v1/services/web?{query}"))).await;
        assert_eq!(answer.status(), 400, "{query}: {answer:?}");
    }
    for (name, value) in [("Host", "evil.example"), ("Origin", "https://evil.example"), ("Origin", "null")] {
        let answer = admin.with(name, value).call("POST", flip, &json!({ "to": "v2" })).await;
        assert!([403, 421].contains(&answer.status()), "{name}: {value}: {answer:?}");
    }

    assert_eq!(admin.get("/v1/services").await, before);
}

#[tokio::test]
async fn garbage_in_a_key_of_the_configuration_is_reported_with_its_place_and_name() {
    let reference =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/reference.toml")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("garbage.toml");
    let path = file.to_string_lossy();
    let lines: Vec<&str> = reference.lines().collect();
    let keys = lines.iter().enumerate().filter_map(|(at, line)| {
        let (key, _) = line.split_once(" = ")?;
        // Headers of tables and whole-line comments have no key, whatever their remarks say.
        (!key.starts_with(['#', '['])).then_some((at, key))
    });

    let mut checked = 0;
    for (at, key) in keys {
        for garbage in ["[[[1]]]", "-1.5", "{ \"\" = 1 }"] {
            let mut broken: Vec<String> = lines.iter().map(ToString::to_string).collect();
            broken[at] = format!("{key} = {garbage}");
            std::fs::write(&file, broken.join("\n")).unwrap();
            let done = run("http://127.0.0.1:1", &["check", &path], directory.path()).await;
            let place = format!("{path}:{}:", at + 1);
            let said = done.stdout + &done.stderr;
            let named = said.lines().any(|line| line.contains(&place) && line.contains(key));
            assert!(done.code == 1 && named, "{key} = {garbage}: exit {}\n{said}", done.code);
        }
        checked += 1;
    }
    assert!(checked > 60, "only {checked} keys");
}

#[tokio::test]
async fn garbage_instead_of_a_configuration_is_an_error_and_no_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("garbage.toml");
    let path = file.to_string_lossy();
    let files: [&[u8]; 6] = [
        b"[",
        b"\xff\xfe\x00",
        b"a = \"${NOBODY_SET_THIS}\"",
        b"[[service]]\n[[service]]",
        b"\0",
        b"listener = 1",
    ];

    for text in files {
        std::fs::write(&file, text).unwrap();
        for command in [vec!["check", &path], vec!["serve", "--config", &path]] {
            let done = run("http://127.0.0.1:1", &command, directory.path()).await;
            let said = done.stdout + &done.stderr;
            assert!(done.code == 1 && said.contains(&*path), "{text:?}: exit {}\n{said}", done.code);
        }
    }
}

/// Asks the admin API whatever it is.
async fn ask(stage: &Stage, request: Request) -> crate::support::http::Answer {
    let host = stage.admin_address().to_string();
    crate::support::http::Connection::open(stage.admin_address())
        .await
        .ask(&request.field("Host", &host))
        .await
}
