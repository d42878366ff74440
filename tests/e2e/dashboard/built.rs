//! That the dashboard which is committed is the one that its sources make, and its unit tests. Only where its tools are installed.

use std::path::Path;
use std::process::Command;

#[test]
fn a_rebuild_gives_the_same_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join("dashboard/node_modules/.package-lock.json").exists() {
        eprintln!("skipped: the tools of the dashboard are not installed (scripts/setup.sh test)");
        return;
    }
    let built = Command::new(root.join("scripts/dashboard.sh")).arg("--check").output().unwrap();
    let said = [built.stdout, built.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(built.status.success(), "run `make dashboard` and commit what it builds:\n{}", said.join("\n"));
}
