//! Kept assets: listed page by page, dropped, and told of.

use std::sync::Arc;

use cutover_vault::{Asset, Coding, Key, Vaults};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::{Stage, delete, get, put};
use crate::admin::AdminConfig;

struct Keeping {
    stage: Stage,
    vaults: Arc<Vaults>,
    #[expect(dead_code, reason = "it is held, not read")]
    dir: TempDir,
}

impl Keeping {
    async fn new(targets: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let vaults = Arc::new(Vaults::start(dir.path().to_owned()).unwrap());
        let config = AdminConfig { vaults: Arc::clone(&vaults), is_open: true, ..AdminConfig::default() };
        let stage = Stage::with(config).await;
        let vault = vaults.of("web", 1 << 20).unwrap();
        for target in targets {
            let asset = Asset {
                key: Key { target: Arc::from(*target), coding: Coding::Br },
                version: "v1".to_owned(),
                epoch: 1,
                stored_at: 1_795_388_828_042,
                fields: vec![("content-type".to_owned(), b"text/css".to_vec())],
                body: b"body".to_vec(),
            };
            vault.put(asset, vault.reserve(4).unwrap());
        }
        vaults.flush();
        stage.put_web(json!({})).await;
        Self { stage, vaults, dir }
    }

    async fn paths(&self, query: &str) -> (Vec<String>, Value) {
        let body = self.stage.ok(get(format!("/v1/services/web/assets{query}"))).await;
        let paths =
            body["assets"].as_array().unwrap().iter().map(|asset| asset["path"].as_str().unwrap().to_owned());
        (paths.collect(), body["next"].clone())
    }
}

#[tokio::test]
async fn assets_are_listed_page_by_page() {
    let keeping = Keeping::new(&["/a.css", "/b.css?v=1", "/c.css"]).await;
    let body = keeping.stage.ok(get("/v1/services/web/assets")).await;
    assert_eq!(body["vault"], json!({"size": "1MiB", "bytes": 12288, "entries": 3, "is_complete": true}));
    let expected = json!({
        "path": "/a.css", "coding": "br", "size": 4, "type": "text/css", "version": "v1",
        "stored_at": "2026-11-22T23:07:08.042Z", "last_used": "2026-11-22T23:07:08.042Z",
    });
    assert_eq!(body["assets"][0], expected);
    assert_eq!(
        keeping.paths("?limit=2").await,
        (vec!["/a.css".into(), "/b.css?v=1".into()], json!("/b.css?v=1"))
    );
    assert_eq!(keeping.paths("?limit=2&after=/b.css%3Fv%3D1").await, (vec!["/c.css".into()], json!(null)));
}

#[tokio::test]
async fn what_is_dropped_is_gone_and_told() {
    let keeping = Keeping::new(&["/a.css?v=1", "/b.css", "/c.css"]).await;
    for (query, left) in [("?path=/a.css", 2), ("?path=/nothing", 2), ("", 0)] {
        assert_eq!(
            keeping.stage.status(delete(format!("/v1/services/web/assets{query}"))).await,
            204,
            "{query}"
        );
        assert_eq!(keeping.vaults.find("web").unwrap().stats().entries, left, "{query}");
    }
    let timeline = keeping.stage.ok(get("/v1/services/web/timeline")).await;
    let told: Vec<_> = timeline["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["kind"] == "assets_dropped")
        .collect();
    let texts: Vec<_> = told.iter().map(|entry| entry["text"].as_str().unwrap()).collect();
    assert_eq!(
        texts,
        ["all kept assets dropped", "kept assets dropped: /nothing", "kept assets dropped: /a.css"]
    );
}

#[tokio::test]
async fn a_service_without_a_vault_has_nothing_to_show_and_one_that_is_not_there_is_not_found() {
    let keeping = Keeping::new(&[]).await;
    keeping.stage.ok(put("/v1/services/api").json(json!({"paths": ["/api"]}))).await;
    let stage = &keeping.stage;
    let body = stage.ok(get("/v1/services/api/assets")).await;
    assert_eq!(body, json!({"vault": null, "assets": [], "next": null}));
    let wrong = [
        (delete("/v1/services/api/assets"), 204),
        (get("/v1/services/nobody/assets"), 404),
        (delete("/v1/services/nobody/assets"), 404),
        (get("/v1/services/web/assets?limit=0"), 422),
        (delete("/v1/services/web/assets?path=a"), 422),
    ];
    for (call, status) in wrong {
        assert_eq!(stage.status(call).await, status);
    }
}
