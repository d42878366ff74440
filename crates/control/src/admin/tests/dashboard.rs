//! The dashboard as browsers get it, and what it reads of the API.

use serde_json::json;

use super::stage::{Stage, get, post};

#[tokio::test]
async fn anybody_gets_the_page_and_nothing_may_run_in_it_but_its_own_files() {
    let stage = Stage::guarded().await;
    let page = stage.call(get("/")).await;
    assert_eq!(
        (page.status, &page.headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "connect-src 'self'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    let field = |name: &str| page.headers[name].to_str().unwrap().to_owned();
    assert_eq!(
        (field("x-content-type-options"), field("referrer-policy"), field("cache-control")),
        ("nosniff".to_owned(), "no-referrer".to_owned(), "no-cache".to_owned())
    );
}

#[tokio::test]
async fn the_files_of_the_page_are_there_and_kept_for_good() {
    let stage = Stage::guarded().await;
    let page = stage.call(get("/")).await.text;
    let named: Vec<&str> =
        page.split("./assets/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(named.len() >= 3, "{page}");
    for name in named {
        let path = format!("/assets/{name}");
        let plain = stage.call(get(path.clone())).await;
        assert_eq!(plain.status, 200, "{name}");
        assert_eq!(plain.headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(plain.headers["x-content-type-options"], "nosniff");
        let packed = stage.send(get(path).header("accept-encoding", "gzip, br")).await;
        assert_eq!(
            (&packed.headers()["content-encoding"], &packed.headers()["vary"]),
            (&"gzip".parse().unwrap(), &"accept-encoding".parse().unwrap())
        );
    }
    assert_eq!(stage.status(get("/assets/none.js")).await, 404);
    assert_eq!(stage.status(post("/")).await, 405);
}

#[tokio::test]
async fn a_page_of_another_name_is_not_served() {
    let stage = Stage::new().await;
    assert_eq!(stage.status(get("/").header("host", "evil.example")).await, 421);
}

#[tokio::test]
async fn the_status_tells_callers_who_they_are() {
    let stage = Stage::guarded().await;
    for (owner, role) in [("reader", "read"), ("app", "register"), ("deploy", "operate"), ("root", "admin")] {
        let status = stage.ok(get("/v1/status").token(owner)).await;
        assert_eq!((&status["caller"]["name"], &status["caller"]["role"]), (&json!(owner), &json!(role)));
        let services = if role == "register" { json!(["web"]) } else { json!(null) };
        assert_eq!(status["caller"]["services"], services);
    }
    let open = Stage::new().await.ok(get("/v1/status")).await;
    assert_eq!(open["caller"], json!({"name": "local", "role": "admin"}));
}

#[tokio::test]
async fn latencies_are_listed_where_they_are_asked_for() {
    let stage = Stage::with_two_versions().await;
    let versions = "/v1/services/web/versions";
    let plain = stage.ok(get(versions)).await;
    let listed = stage.ok(get(format!("{versions}?latencies=true"))).await;
    assert_eq!(plain["versions"][0].get("latencies"), None);
    assert_eq!(listed["versions"][0]["latencies"], json!([]));
    let (status, codes) = stage.problem(get(format!("{versions}?latencies=yes"))).await;
    assert_eq!((status, codes), (400, vec!["malformed_parameter".to_owned()]));
}
