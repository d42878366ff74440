//! Who may do what, and from where.

use http::Method;
use serde_json::json;

use super::stage::{Call, Stage, get, post, put};
use crate::admin::document;

const OWNERS: [&str; 4] = ["reader", "app", "deploy", "root"];

/// Every operation of the document, with the role that it asks for.
fn operations() -> Vec<(Method, String, Option<String>)> {
    let document = serde_json::to_value(document()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let role = operation["security"][0]["token"][0].as_str().map(str::to_owned);
            let method = method.to_uppercase().parse().unwrap();
            operations.push((method, path.replace("{service}", "web"), role));
        }
    }
    operations
}

#[tokio::test]
async fn each_role_reaches_its_routes_and_no_others() {
    let stage = Stage::guarded().await;
    let ranks = ["read", "register", "operate", "admin"];
    let operations = operations();
    assert_eq!(operations.len(), 42);
    for (method, path, role) in operations {
        let asked =
            role.as_deref().map_or(0, |role| ranks.iter().position(|rank| *rank == role).unwrap() + 1);
        for (rank, owner) in OWNERS.iter().enumerate() {
            // A body of the wrong type: whoever is let in changes nothing.
            let call =
                Call::new(method.clone(), path.as_str()).token(owner).body("x").header("content-type", "x/y");
            let response = stage.send(call).await;
            let is_let_in = response.status() != 403;
            assert_ne!(response.status(), 401, "{owner}: {method} {path}");
            assert_eq!(is_let_in, rank + 1 >= asked, "{owner}: {method} {path}");
        }
        let response = stage.send(Call::new(method.clone(), path.as_str())).await;
        assert_eq!(response.status() == 401, asked > 0, "nobody: {method} {path}");
        if asked > 0 {
            assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        }
    }
}

#[tokio::test]
async fn an_app_registers_for_its_own_services_only() {
    let stage = Stage::guarded().await;
    for service in ["web", "api"] {
        let document = json!({"paths": [format!("/{service}")]});
        stage.ok(put(format!("/v1/services/{service}")).token("root").json(document)).await;
    }
    let register = |service: &str, owner: &str| {
        let body = json!({"address": "127.0.0.1:1", "version": "v1"});
        put(format!("/v1/services/{service}/backends/a")).token(owner).json(body)
    };
    assert_eq!(stage.status(register("web", "app")).await, 201);
    assert_eq!(stage.problem(register("api", "app")).await, (403, vec!["role_missing".into()]));
    assert_eq!(stage.status(register("api", "deploy")).await, 201);
    // The name counts as it is decoded.
    assert_eq!(stage.status(register("%77eb", "app")).await, 200);
    assert_eq!(stage.status(register("%61pi", "app")).await, 403);
    assert_eq!(stage.status(get("/v1/services/api").token("app")).await, 200);
}

#[tokio::test]
async fn the_timeline_tells_who_asked_from_where_and_why() {
    let stage = Stage::guarded().await;
    stage.ok(put("/v1/services/web").token("root").body("{}")).await;
    let freeze = put("/v1/services/web/freeze").token("deploy").json(json!({"reason": "audit"}));
    stage.ok(freeze).await;
    let timeline = stage.ok(get("/v1/services/web/timeline").token("reader")).await;
    let latest = &timeline["entries"][0];
    assert_eq!((&latest["kind"], &latest["actor"]), (&json!("frozen"), &json!("deploy")));
    assert_eq!((&latest["remote"], &latest["reason"]), (&json!("127.0.0.1"), &json!("audit")));
}

#[tokio::test]
async fn a_request_for_another_host_is_421() {
    let stage = Stage::new().await;
    for host in ["evil.example", "localhost.evil.example:9900", "10.0.0.1", ""] {
        let answer = stage.call(get("/livez").header("host", host)).await;
        assert_eq!((answer.status, &answer.problem()[0]["code"]), (421, &json!("foreign_host")), "{host}");
    }
    for host in ["localhost", "127.0.0.1:9900", "LOCALHOST:1"] {
        assert_eq!(stage.status(get("/livez").header("host", host)).await, 200, "{host}");
    }
    // The target names the host itself: the header does not count.
    let absolute = get("http://evil.example/livez").header("host", "localhost");
    assert_eq!(stage.status(absolute).await, 421);
}

#[tokio::test]
async fn a_page_of_another_origin_is_403() {
    let stage = Stage::with_two_versions().await;
    let flip =
        |origin: &str| post("/v1/services/web/flip").json(json!({"to": "v2"})).header("origin", origin);
    for origin in ["https://evil.example", "null", "http://localhost:3000", "localhost:9900", "file://"] {
        assert_eq!(stage.problem(flip(origin)).await, (403, vec!["foreign_origin".into()]), "{origin}");
    }
    assert_eq!(stage.ok(get("/v1/services/web")).await["active"], "v1");
    assert_eq!(stage.status(flip("http://localhost:9900")).await, 200);
}

#[tokio::test]
async fn no_answer_invites_other_sites() {
    let stage = Stage::new().await;
    let preflight = Call::new(Method::OPTIONS, "/v1/services")
        .header("origin", "http://localhost:9900")
        .header("access-control-request-method", "PUT");
    let answer = stage.call(preflight).await;
    assert_eq!(answer.status, 405);
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
}

#[tokio::test]
async fn who_guesses_is_told_to_wait_and_keeps_nobody_out() {
    let stage = Stage::guarded().await;
    let guess = |token: &str| get("/v1/services").token(token);
    for nth in 0..10 {
        let guessed = stage.problem(guess(&format!("guess {nth}"))).await;
        assert_eq!(guessed, (401, vec!["token_unknown".into()]), "{nth}");
    }

    let limited = stage.call(guess("one too many")).await;

    assert_eq!((limited.status, &limited.problem()[0]["code"]), (429, &json!("wrong_tokens")));
    let wait: u64 = limited.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=6).contains(&wait), "{limited:?}");
    assert!(!limited.headers.contains_key("www-authenticate"));
    assert_eq!(stage.status(guess("reader")).await, 200, "a right token of the same address");
    assert_eq!(stage.problem(get("/v1/services")).await, (401, vec!["token_missing".into()]));
    let metrics = stage.call(get("/metrics").token("reader")).await.text;
    for line in ["{outcome=\"refused\"} 10", "{outcome=\"limited\"} 1"] {
        assert!(metrics.contains(&format!("cutover_admin_wrong_tokens_total{line}")), "{metrics}");
    }
}
