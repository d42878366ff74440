//! `cutover demo`, in short: what `make demo` promises.

use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

/// Longer than a short demo takes on two busy cores.
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn the_demo_rolls_by_halves_without_a_failed_request_or_a_mixed_session() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["demo", "--json", "--sessions", "40", "--seconds", "1"]).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.stdin(std::process::Stdio::null()).output());

    let output = output.await.expect("the demo takes too long").unwrap();

    let text = String::from_utf8_lossy(&output.stdout);
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{shown}");
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    eprintln!("{report:#}");
    for flaw in
        ["failed", "sessions_mixed", "sessions_went_back", "new_sessions_on_old_version", "assets_missing"]
    {
        assert_eq!(report[flaw], 0, "{flaw}: {report:#}");
    }
    assert!(report["requests"].as_u64().unwrap() > 0, "{report:#}");
    assert!(report["drained_by"].is_string(), "{report:#}");
    assert!(shown.contains("app-4 waits: sessions may be pinned to version v1"), "{shown}");
}
