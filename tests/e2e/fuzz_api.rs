//! The admin API as its own description has it: schemathesis makes up calls that fit the description and calls that don't, and holds the
//! answers against it. What it is told beside that is in `tests/fuzz_api`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;

/// What is in the repository, and where scripts/setup.sh puts the program.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[tokio::test]
async fn whoever_may_do_everything_is_answered_as_described() {
    let Some(fuzzer) = Fuzzer::find() else { return };
    let scene = Scene::start().await;

    let statuses = fuzzer.run(&scene, Some("admin"), "coverage,fuzzing", 6).await;

    // Both kinds of calls have arrived, and what they were about was there.
    assert!(statuses.get(&200).is_some_and(|&count| count > 100), "{statuses:?}");
    assert!(statuses.get(&400).is_some_and(|&count| count > 100), "{statuses:?}");
    scene.look().await;
}

#[tokio::test]
async fn whoever_may_do_less_is_answered_as_described() {
    let Some(fuzzer) = Fuzzer::find() else { return };
    let scene = Scene::start().await;

    for (role, calls) in [("operate", 3), ("register", 2), ("read", 2)] {
        let statuses = fuzzer.run(&scene, Some(role), "fuzzing", calls).await;
        assert!(statuses.contains_key(&200) && statuses.contains_key(&403), "{role}: {statuses:?}");
        assert!(!statuses.contains_key(&401), "{role}: {statuses:?}");
    }
    let statuses = fuzzer.run(&scene, None, "fuzzing", 2).await;

    // Nothing but the two probes is for everybody.
    let let_in = statuses.range(200..300).map(|(_, &count)| count).sum::<u32>();
    assert!(let_in < statuses[&401] / 5, "{statuses:?}");
    scene.look().await;
}

/// A cutover with an app in two versions that everybody asks for a token.
struct Scene {
    cutover: Cutover,
    _apps: [App; 2],
}

impl Scene {
    async fn start() -> Self {
        let apps = [App::start("v1").await, App::start("v2").await];
        let web =
            Service::new("web").backend("a", apps[0].address(), "v1").backend("b", apps[1].address(), "v2");
        let mut config = Config::of(web).set("admin.open", false);
        for role in ["admin", "operate", "read"] {
            config = config.admin_token(role, &hash(role), role);
        }
        let cutover = Cutover::start(&config.app_token("register", &hash("register"), "web")).await;
        Self { cutover, _apps: apps }
    }

    /// It still runs, and nothing in it broke.
    async fn look(&self) {
        let admin = self.cutover.admin().with("authorization", "Bearer read");
        assert_eq!(admin.get("/v1/status").await["node"], "e2e");
        assert!(!self.cutover.log().contains("panicked"), "{}", self.cutover.log());
    }
}

/// The program, and how hard it tries.
struct Fuzzer {
    program: PathBuf,
    /// Calls for each operation, if more are asked for than there are in an ordinary run.
    calls: Option<u32>,
    seed: String,
}

impl Fuzzer {
    fn find() -> Option<Self> {
        let program = Path::new(ROOT).join("target/tools/schemathesis/bin/st");
        if !program.exists() {
            eprintln!("skipped: schemathesis is not installed (scripts/setup.sh test)");
            return None;
        }
        let calls = std::env::var("CUTOVER_E2E_API_CALLS").ok().map(|calls| calls.parse().unwrap());
        let seed = std::env::var("CUTOVER_E2E_API_SEED").unwrap_or_else(|_| "1".to_owned());
        Some(Self { program, calls, seed })
    }

    /// Lets it ask with this token; fails with its report when it has found something. Answers how often there was which status.
    async fn run(&self, scene: &Scene, token: Option<&str>, phases: &str, calls: u32) -> BTreeMap<u16, u32> {
        let directory = TempDir::new().unwrap();
        let admin = scene.cutover.admin().with("authorization", "Bearer read");
        let document = admin.call("GET", "/openapi.json", &serde_json::Value::Null).await;
        std::fs::write(directory.path().join("openapi.json"), &document.body).unwrap();
        let mut command = Command::new(&self.program);
        command
            .arg("--no-color")
            .arg("--config-file")
            .arg(format!("{ROOT}/tests/fuzz_api/schemathesis.toml"));
        command.args(["run", "openapi.json", "--no-shrink", "--phases", phases, "--seed", &self.seed]);
        command.args(["--url", &format!("http://{}", scene.cutover.admin_address())]);
        command.args(["--max-examples", &self.calls.unwrap_or(calls).to_string()]);
        match token {
            Some(token) => command.args(["-H", &format!("Authorization: Bearer {token}")]),
            None => command.args(["--generation-with-security-parameters", "false"]),
        };
        // Whatever it and Python leave behind goes with the directory.
        command.env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONPATH", format!("{ROOT}/tests/fuzz_api"));
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("HOME", directory.path());
        command.current_dir(directory.path()).kill_on_drop(true).stdin(Stdio::null());
        let output = command.output().await.unwrap();
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
        if self.calls.is_some() {
            println!("{report}");
        }
        let statuses = std::fs::read(directory.path().join("statuses.json")).unwrap();
        serde_json::from_slice(&statuses).unwrap()
    }
}

fn hash(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}
