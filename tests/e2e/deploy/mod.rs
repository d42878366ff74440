//! `cutover deploy`: with a real database and a column that is renamed, and ended at every step.

mod canary;
mod ended;
mod in_place;
mod people;
mod postgres;
mod refused;
mod rename;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::child::Child;
use crate::support::config::Service;
use crate::support::stage::Stage;

/// What a deploy may take here, below the limit of a test.
const TIMEOUT: &str = "60s";

/// A service whose sessions, and so its drains, end soon, and that watches nobody.
fn service() -> Service {
    Service::new("web").set("pin.idle", "1s").set("bake.duration", "0s")
}

/// `cutover deploy web --to v2`, while it runs; what it prints is in `log`.
fn deploy(stage: &Stage, log: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["deploy", "web", "--to", "v2"]).args(arguments);
    if !arguments.contains(&"--timeout") {
        command.args(["--timeout", TIMEOUT]);
    }
    command.arg("--logs").arg(stage.file("logs"));
    start(stage, log, command)
}

/// Starts a command against the admin API of a stage, in its directory.
fn start(stage: &Stage, log: &str, mut command: Command) -> Child {
    let directory = stage.file("");
    command.env("CUTOVER_ADMIN", format!("http://{}", stage.admin_address())).env_remove("CUTOVER_TOKEN");
    command.env("PATH", path()).env("TMPDIR", &directory).current_dir(&directory);
    Child::spawn("cutover deploy", command.stdin(Stdio::null()), &stage.file(log))
}

/// The path of programs, with the one under test.
fn path() -> std::ffi::OsString {
    let own = Path::new(env!("CARGO_BIN_EXE_cutover")).parent().unwrap().to_owned();
    let others = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&others))).unwrap()
}

/// Waits for the end of a deploy, which must have succeeded.
async fn succeeded(mut deploy: Child) {
    let status = finish(&mut deploy).await;
    assert_eq!(status, 0, "{}", deploy.output());
}

/// Waits for the end of a deploy, for as long as one may take.
async fn finish(deploy: &mut Child) -> i32 {
    for _ in 0..6000 {
        if let Some(status) = deploy.ended() {
            return status.code().unwrap_or(-1);
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the deploy does not end:\n{}", deploy.output());
}

/// What the API says about the service.
async fn web(stage: &Stage) -> Value {
    stage.admin().get("/v1/services/web").await
}

/// Makes a backend of v2 known, as whatever starts it would.
async fn register(stage: &Stage, id: &str, address: &str) {
    let path = format!("/v1/services/web/backends/{id}");
    stage.admin().done("PUT", &path, json!({ "address": address, "ttl": "0" })).await;
}
