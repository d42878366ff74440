//! A column is renamed while both versions write it, as `docs/migrations.md` tells it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::people::People;
use super::postgres::Postgres;
use super::{finish, service, start, succeeded, web};
use crate::support::child::Child;
use crate::support::config::Config;
use crate::support::port::Port;
use crate::support::stage::Stage;

const DOCS: &str = include_str!("../../../docs/migrations.md");
/// What the application and its migrations are.
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/deploy");

/// Two versions of an application on one database, behind a cutover. v1 is active, v2 runs and is not registered.
#[derive(Debug)]
struct Shop {
    stage: Stage,
    postgres: Postgres,
    apps: [(Port, Child); 2],
}

#[test]
fn the_documentation_shows_what_is_run_here() {
    for file in ["expand.sql", "contract.sql"] {
        let text = std::fs::read_to_string(Path::new(FILES).join(file)).unwrap();
        assert!(DOCS.contains(&text), "docs/migrations.md does not show {file} as it is");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_is_renamed_under_load_without_a_failed_request() {
    let Some(shop) = Shop::open(false).await else { return };
    let people = People::start(shop.stage.proxy(), 6);
    people.go_on(150).await;
    assert_eq!(shop.postgres.columns("people"), "id name");

    let deploy = shop.deploy();
    succeeded(deploy).await;
    people.go_on(150).await;
    let met = people.stop().await;

    assert_eq!(met.failed, [""; 0], "{met:#?}");
    assert!(met.across > 0 && met.by.iter().all(|count| *count > 100), "both versions used it: {met:#?}");
    assert_eq!(shop.postgres.columns("people"), "full_name id");
    assert_eq!(shop.postgres.value("SELECT count(*) FROM people WHERE full_name IS NULL"), "0");
    let service = web(&shop.stage).await;
    assert_eq!((&service["active"], &service["contract"]["floor"]), (&"v2".into(), &"v2".into()));

    let back = shop.stage.cli(&["rollback", "web"]).await;
    assert!(back.code == 1 && back.stderr.contains("(below_floor)"), "{back:?}");
    let back = shop.stage.cli(&["flip", "web", "v1", "--force"]).await;
    assert!(back.code == 1 && back.stderr.contains("(below_floor)"), "{back:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_version_is_rolled_back_and_its_contract_never_runs() {
    let Some(shop) = Shop::open(true).await else { return };
    let people = People::start(shop.stage.proxy(), 6);
    people.go_on(150).await;

    let mut deploy = shop.deploy();
    let status = finish(&mut deploy).await;
    people.stop().await;

    let said = deploy.output();
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("v2 was rolled back") && said.contains("`cutover clear web v2`"), "{said}");
    assert_eq!(shop.postgres.columns("people"), "full_name id name", "expanded, and not contracted");
    let service = web(&shop.stage).await;
    assert_eq!((&service["active"], &service["contract"]), (&"v1".into(), &Value::Null));
    let again = finish(&mut shop.deploy()).await;
    assert_eq!(again, 1, "a rejected version is not deployed again by itself");
}

#[tokio::test]
async fn a_migration_that_fails_changes_nothing() {
    let Some(shop) = Shop::open(false).await else { return };
    std::fs::write(shop.stage.file("expand.sql"), "ALTER TABLE nobody ADD COLUMN full_name text;").unwrap();

    let mut deploy = shop.deploy();
    let status = finish(&mut deploy).await;

    let said = deploy.output();
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("relation \"nobody\" does not exist") && said.contains("v1 is active"), "{said}");
    assert_eq!(shop.postgres.columns("people"), "id name");
    let service = web(&shop.stage).await;
    assert_eq!((&service["active"], &service["epoch"]), (&"v1".into(), &1.into()));
    assert_eq!(service["versions"].as_array().unwrap().len(), 1, "{service}");
}

impl Shop {
    /// Opens it; `None` where something that it needs is not installed.
    async fn open(is_bad: bool) -> Option<Self> {
        let python = python()?;
        let postgres = Postgres::start().await?;
        postgres.carry_out(&Path::new(FILES).join("schema.sql"));
        let bake = if is_bad { "60s" } else { "1s" };
        let service =
            service().set("flip.gates", vec!["expand"]).set("bake.duration", bake).set("bake.rollback", true);
        let mut stage = Stage::empty(&Config::of(service)).await;
        let run = |version: &str, is_bad: bool| {
            let port = Port::reserve();
            let mut command = Command::new(&python);
            command.arg(Path::new(FILES).join("app.py")).args([&port.address().port().to_string(), version]);
            command.args(is_bad.then_some("bad")).envs(postgres.variables());
            let app = Child::spawn(&format!("app {version}"), &mut command, &stage.file(version));
            (port, app)
        };
        let apps = [run("v1", false), run("v2", is_bad)];
        super::register(&stage, "a", &apps[0].0.address().to_string()).await;
        stage.admin().until_role("v1", "active").await;
        for file in ["expand.sql", "contract.sql"] {
            std::fs::copy(Path::new(FILES).join(file), stage.file(file)).unwrap();
        }
        let register = format!("cutover register web b --ttl 0s --address {}", apps[1].0.address());
        script(&stage.file("start-v2"), &register);
        stage.apps.clear();
        Some(Self { stage, postgres, apps })
    }

    /// The command of the documentation, while it runs.
    fn deploy(&self) -> Child {
        let block =
            DOCS.split("```").find(|block| block.starts_with("sh\ncutover deploy web --to v2")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", block.strip_prefix("sh\n").unwrap()]).envs(self.postgres.variables());
        let log = format!("deploy-{}", self.apps.len());
        start(&self.stage, &log, command)
    }
}

fn script(path: &Path, command: &str) {
    std::fs::write(path, format!("#!/bin/sh\nexec {command}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A Python that knows PostgreSQL: the first one in the path may be another than the system's, which has the system's packages.
fn python() -> Option<PathBuf> {
    let knows = |python: &str| {
        let asked = Command::new(python).args(["-c", "import psycopg2"]).output();
        asked.is_ok_and(|asked| asked.status.success())
    };
    let found = ["python3", "/usr/bin/python3"].iter().find(|python| knows(python));
    if found.is_none() {
        eprintln!("skipped: no Python with psycopg2 is installed");
    }
    found.map(PathBuf::from)
}
