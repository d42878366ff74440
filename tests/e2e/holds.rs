//! Holds while commands run, drains that are ended, and freezes with an owner, a reason and an end: by the command line.

use serde_json::{Value, json};

use crate::support::config::Service;
use crate::support::cutover::Done;
use crate::support::stage::Stage;
use crate::support::wait::until;

/// Sessions end soon, so that holds are what keeps a version.
fn service() -> Service {
    Service::new("web").set("pin.idle", "1s")
}

fn good(done: Done) -> String {
    assert_eq!(done.code, 0, "{done:?}");
    done.stdout
}

async fn holds(stage: &Stage, version: &str) -> Vec<String> {
    let holds = stage.admin().version(version).await["holds"].as_object().cloned().unwrap_or_default();
    holds.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn a_version_is_held_while_a_command_runs_and_no_longer() {
    let stage = Stage::v1_and_v2_with(service()).await;
    let go = stage.file("go");
    let command = format!("until [ -e {} ]; do sleep 0.05; done; exit 7", go.display());
    let held = ["hold", "web", "v1", "nightly", "--ttl", "1s", "--while", &command];
    let running = stage.cli(&held);
    let watching = async {
        until("the hold is taken", async || (holds(&stage, "v1").await == ["nightly"]).then_some(())).await;
        stage.admin().flip("v2").await;
        let late = stage.cli(&["wait", "web", "v1", "--for", "drained", "--timeout", "3s"]).await;
        assert_eq!(late.code, 4, "it is renewed: {late:?}");
        std::fs::write(&go, "").unwrap();
    };

    let (ended, ()) = tokio::join!(running, watching);

    assert_eq!(ended.code, 7, "as the command: {ended:?}");
    assert_eq!(holds(&stage, "v1").await, [""; 0]);
    good(stage.cli(&["wait", "web", "v1", "--for", "drained", "--timeout", "15s"]).await);
    let late = stage.cli(&["hold", "web", "v1", "nightly", "--while", "echo ran"]).await;
    assert!(late.code == 1 && late.stdout.is_empty(), "it comes too late, and is not begun: {late:?}");
}

#[tokio::test]
async fn a_drain_is_ended_at_once_or_when_its_time_is_over() {
    let stage = Stage::v1_and_v2_with(Service::new("web")).await;
    let mut session = stage.session();
    assert_eq!(session.version().await, "v1");

    good(stage.cli(&["flip", "web", "v2", "--evict"]).await);
    let drained = stage.admin().version("v1").await;
    assert_eq!((&drained["role"], &drained["drained"]["by"]), (&json!("drained"), &json!("deadline")));
    assert_eq!(session.version().await, "v2", "it moved at its next request");

    good(stage.cli(&["flip", "web", "v1", "--force"]).await);
    good(stage.cli(&["wait", "web", "v2", "--evict", "--timeout", "300ms"]).await);
    assert_eq!(stage.admin().version("v2").await["role"], "drained");
    assert_eq!(session.version().await, "v1");
    let active = stage.cli(&["wait", "web", "v1", "--evict", "--timeout", "100ms"]).await;
    assert_eq!(active.code, 1, "what is active does not drain: {active:?}");
}

#[tokio::test]
async fn a_freeze_has_an_owner_a_reason_and_an_end() {
    let stage = Stage::v1_and_v2().await;
    assert_eq!(good(stage.cli(&["freeze"]).await), "nothing is frozen\n");
    let freeze = ["freeze", "web", "--reason", "black friday", "--owner", "ana", "--for", "2s"];
    good(stage.cli(&freeze).await);

    let listed: Value = serde_json::from_str(&good(stage.cli(&["freeze", "--json"]).await)).unwrap();
    assert_eq!((&listed["web"]["by"], &listed["web"]["reason"]), (&json!("ana"), &json!("black friday")));
    let end = listed["web"]["until"].as_str().unwrap().to_owned();
    let shown = good(stage.cli(&["freeze", "web"]).await);
    assert!(shown.contains("ana") && shown.contains("black friday"), "{shown}");
    let refused = stage.cli(&["flip", "web", "v2"]).await;
    assert_eq!(refused.code, 1);
    for word in ["ana", "black friday", &end[..16]] {
        assert!(refused.stderr.contains(word), "{word}: {refused:?}");
    }
    let plan = stage.cli(&["flip", "web", "v2", "--dry-run"]).await;
    assert!(plan.code == 1 && plan.stdout.contains("ana"), "{plan:?}");

    until("the freeze ends", async || {
        stage.admin().get("/v1/services/web").await["freeze"].is_null().then_some(())
    })
    .await;
    let timeline = stage.admin().get("/v1/services/web/timeline?limit=1").await;
    let entry = &timeline["entries"][0];
    assert_eq!((&entry["kind"], &entry["actor"]), (&json!("unfrozen"), &json!("cutover")));
    for wrong in [&["freeze", "web", "--for", "1h"][..], &["freeze", "--reason", "x"], &["freeze", "--off"]] {
        assert_eq!(stage.cli(wrong).await.code, 2, "{wrong:?}");
    }
}
