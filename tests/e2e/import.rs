//! `cutover import`: what it makes of a real configuration answers as Apache, nginx and HAProxy themselves do.

mod origin;
mod scene;

use std::path::Path;

use crate::support::cutover::run;

use scene::{Case, Scene};

/// No server listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn an_imported_apache_serves_the_same_paths_by_the_same_servers() {
    let cases = [
        ("shop.example.com", "/", "200 app /"),
        ("www.shop.example.com", "/cart?x=1", "200 app /cart?x=1"),
        ("unknown.test", "/x", "200 app /x"),
        ("eu.shop.example.net", "/api/items", "200 app /api/items"),
        ("shop.example.com", "/legacy/a/b", "200 chat /old/a/b"),
        ("shop.example.com", "/reports/q", "200 other /q"),
        ("admin.example.com", "/anything", "200 other /anything"),
        ("old.example.com", "/x/y", "301 http://shop.example.com/x/y"),
    ];
    let names = [(3001, "app"), (3002, "app"), (3005, "chat"), (3006, "other")];
    let mut scene = Scene::new("apache/shop.conf", &names).await;
    scene.apache().await;
    scene.compare(&cases.map(Case::from)).await;
}

#[tokio::test]
async fn an_imported_nginx_serves_the_same_paths_by_the_same_servers() {
    let cases = [
        ("app.example.com", "/", "200 app /"),
        ("unknown.test", "/x?y=1", "200 app /x?y=1"),
        ("app.example.com", "/api/v1", "200 app /api/v1"),
        ("a.example.net", "/cable", "200 chat /cable"),
        ("app.example.com", "/legacy/a", "200 other /old/a"),
        ("app.example.com", "/stripped/a/b", "200 other /a/b"),
        ("app.example.com", "/moved", "301 /new-place"),
        ("www.old.example", "/p?q=1", "301 http://app.example.com/p?q=1"),
    ];
    let names = [(3001, "app"), (3002, "app"), (3005, "chat"), (3006, "other")];
    let mut scene = Scene::new("nginx/rails.conf", &names).await;
    scene.nginx().await;
    scene.compare(&cases.map(Case::from)).await;
}

#[tokio::test]
async fn an_imported_haproxy_serves_the_same_paths_by_the_same_servers() {
    let cases = [
        ("any.test", "/", "200 app /"),
        ("any.test", "/static/x", "200 other /static/x"),
        ("api.example.com", "/v1", "200 api /v1"),
        ("api.example.net", "/static/x", "200 other /static/x"),
        ("any.test", "/api/x", "200 api /api/x"),
        ("any.test", "/old", "301 /new"),
    ];
    let names = [(3001, "app"), (3002, "app"), (3004, "api"), (3006, "other")];
    let mut scene = Scene::new("haproxy/site.cfg", &names).await;
    scene.haproxy().await;
    scene.compare(&cases.map(Case::from)).await;
}

#[tokio::test]
async fn an_import_overwrites_nothing_and_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    file("site.conf", "server { listen 80; location / { proxy_pass http://h; } }");
    file("bad.conf", "server {\n  listen 80\n}\n");
    let cli = async |line: &str| run(NOWHERE, &line.split(' ').collect::<Vec<_>>(), directory.path()).await;

    let made = cli("import nginx site.conf -o made.toml").await;
    let checked = cli("check made.toml").await;
    let again = cli("import nginx site.conf -o made.toml").await;
    let forced = cli("import nginx site.conf -o made.toml --force").await;
    let json = cli("import nginx site.conf --json").await;
    let shown = cli("import nginx site.conf").await;
    let bad = cli("import nginx bad.conf").await;
    let gone = cli("import nginx gone.conf").await;

    assert_eq!((made.code, checked.code, forced.code), (0, 0, 0), "{made:?} {checked:?} {forced:?}");
    assert!(again.code == 1 && again.stderr.contains("made.toml is there already"), "{again:?}");
    assert_eq!(shown.stdout, std::fs::read_to_string(directory.path().join("made.toml")).unwrap());
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(json["services"] == 1 && json["notes"].is_array() && json["config"] == shown.stdout, "{json}");
    assert!(
        bad.code == 1 && bad.stderr.contains("bad.conf:3:1: there is no ';' behind \"listen 80\""),
        "{bad:?}"
    );
    assert!(gone.code == 1 && gone.stderr.contains("can't read gone.conf"), "{gone:?}");
}

/// The page about Apache: its configuration becomes the one that it says, but for what the page says to change by hand.
#[tokio::test]
async fn the_example_of_the_page_about_apache_is_true() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/from-apache.md")).unwrap();
    let block = |language: &str| {
        let after = page.split(&format!("```{language}\n")).nth(1).unwrap();
        after.split("```").next().unwrap().to_owned()
    };
    let (old, new) = (block("apache"), block("toml"));
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("shop.conf"), old).unwrap();
    let imported = run(NOWHERE, &["import", "apache", "shop.conf", "--json"], directory.path()).await;
    let imported: serde_json::Value = serde_json::from_str(&imported.stdout).unwrap();
    let config = imported["config"].as_str().unwrap();
    // What the page changes by hand is the version and the health; all else is as it was made.
    for line in
        new.lines().filter(|line| line.contains('=') && !line.contains("path") && !line.contains("mode"))
    {
        assert!(config.contains(line.trim_end_matches(" },")), "{line}\n{config}");
    }
    for said in ["NOT CARRIED OVER shop.conf:14: <Location", "CHANGED shop.conf:8: ProxySet"] {
        assert!(config.contains(said), "{config}");
    }
    std::fs::write(directory.path().join("new.toml"), new).unwrap();
    let checked = run(NOWHERE, &["check", "new.toml"], directory.path()).await;
    assert_eq!(checked.code, 0, "{checked:?}");
}
