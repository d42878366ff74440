//! Rolls of a fixed fleet: permits, `cutover roll`, and whatever ends in the middle of one.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::child::Child;
use crate::support::config::{Config, Service};
use crate::support::deployer::Deployer;
use crate::support::http::{Connection, Request};
use crate::support::load::Load;
use crate::support::stage::Stage;
use crate::support::wait::until;

const IDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// What a command may take here, far below the limit of a test.
const TIMEOUT: &str = "60s";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_over_all_hosts_is_a_roll_by_halves() {
    let mut stage = six(auto()).await;
    let load = paced(&stage);
    load.go_on(100).await;

    let mut roles = Vec::new();
    for id in IDS {
        permit(&stage, id).await;
        roles.push(old_role(&stage).await);
        stage.app(id).restart("v2").await;
    }
    stage.admin().until_usable("v2", 6).await;
    until_roll(&stage, "done").await;
    load.go_on(200).await;
    let report = load.stop().await;

    report.assert_flawless();
    assert_eq!(report.by_version.len(), 2, "{report:#?}");
    assert_eq!(roles, ["active", "active", "active", "drained", "drained", "drained"]);
    assert_eq!(stage.admin().get("/v1/services/web").await["epoch"], 2, "one flip");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_never_gets_healthy_freezes_the_roll_and_everybody_stays() {
    let mut stage = six(auto().set("roll.permit_deadline", "4s")).await;
    let deployer = deployer(&mut stage);
    deployer.set_broken("b", true);
    let load = paced(&stage);

    let failed = stage.cli(&["roll", "web", "--run", &deployer.command()]).await;
    load.go_on(200).await;
    let report = load.stop().await;

    report.assert_flawless();
    assert!(report.by_version.keys().eq(["v1"]), "{report:#?}");
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stdout.contains("b: it did not come back"), "{failed:?}");
    assert_eq!(deployer.done(), ["a", "b"]);
    let status = stage.cli(&["status"]).await.stdout;
    assert!(
        status.contains("web: the roll is frozen in batch 1 of 2: backend b did not come back"),
        "{status}"
    );
    let events = stage.cli(&["timeline", "web", "--limit", "50"]).await.stdout;
    assert!(events.contains("did not come back"), "{events}");
    let asked = stage.cli(&["permit", "web", "c"]).await;
    assert!(asked.code == 1 && asked.stderr.contains("roll_frozen"), "{asked:?}");

    deployer.set_broken("b", false);
    let resumed = stage.cli(&["roll", "web", "--resume", "--run", &deployer.command()]).await;
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!(deployer.done(), ["a", "b", "b", "c", "d", "e", "f"]);
    until_roll(&stage, "done").await;
}

#[tokio::test]
async fn a_roll_goes_on_when_cutover_was_killed_in_the_middle() {
    let mut stage = six(auto()).await;
    let deployer = deployer(&mut stage);
    deployer.hold(&["b"]);
    let mut client = roll(&stage, &["--run", &deployer.command()]);

    deployer.until_wanted("b").await;
    stage.kill9();
    deployer.release();
    until("b runs again", async || (deployer.done().len() == 2).then_some(())).await;
    stage.restart().await;

    assert!(client.exit().await.success(), "{}", client.output());
    assert_eq!(deployer.done(), IDS);
    until_roll(&stage, "done").await;
    assert_eq!(stage.admin().get("/v1/services/web").await["epoch"], 2, "one flip");
}

#[tokio::test]
async fn a_roll_whose_client_was_killed_is_resumed_where_it_was() {
    let mut stage = six(auto()).await;
    let deployer = deployer(&mut stage);
    deployer.hold(&["c"]);
    let mut client = roll(&stage, &["--run", &deployer.command()]);
    deployer.until_wanted("c").await;
    client.kill();

    let again = stage.cli(&["roll", "web", "--run", &deployer.command()]).await;
    deployer.release();
    let resumed = stage.cli(&["roll", "web", "--resume", "--run", &deployer.command()]).await;

    assert!(again.code == 1 && again.stderr.contains("--resume"), "{again:?}");
    assert_eq!(resumed.code, 0, "{resumed:?}");
    let mut done = deployer.done();
    // The command that lost its client may have done its work already.
    done.dedup();
    assert_eq!(done, IDS);
    until_roll(&stage, "done").await;
}

#[tokio::test]
async fn a_manual_roll_says_what_to_run_and_goes_on_after_the_flip() {
    let mut stage = six(manual()).await;
    let deployer = deployer(&mut stage);
    let mut client = roll(&stage, &["--run", &deployer.command()]);

    until("it says what to run", async || client.output().contains("`cutover flip web v2`").then_some(()))
        .await;
    assert_eq!(deployer.done(), ["a", "b", "c"]);
    assert_eq!(stage.admin().version("v2").await["role"], "staged");
    stage.admin().flip("v2").await;

    assert!(client.exit().await.success(), "{}", client.output());
    assert!(client.output().contains("6 of 6 backends were restarted and came back with v2"));
    until_roll(&stage, "done").await;
}

#[tokio::test]
async fn a_batch_is_restarted_in_parallel_and_never_more() {
    let mut stage = six(auto()).await;
    let deployer = deployer(&mut stage);
    deployer.hold(&IDS);
    let mut client = roll(&stage, &["--parallel", "6", "--run", &deployer.command()]);

    for id in ["a", "b", "c"] {
        deployer.until_wanted(id).await;
    }
    until("the others are told to wait", async || {
        ["d", "e", "f"].iter().all(|id| client.output().contains(&format!("{id}: waits"))).then_some(())
    })
    .await;
    assert!(!["d", "e", "f"].iter().any(|id| deployer.is_wanted(id)));
    deployer.release();

    assert!(client.exit().await.success(), "{}", client.output());
    assert_eq!(deployer.done().len(), 6);
}

#[tokio::test]
async fn a_restart_that_leaves_no_trace_counts_when_it_had_its_time() {
    // The same version, no boot id, no connection that breaks, and next to no probe: often nobody sees the restart.
    let service = manual().set("boot_id_header", "x-none").set("health.interval", "1h");
    let mut stage = Stage::v1_with(service).await;
    stage.add("b", "v1").await;
    let deployer = Deployer::start(std::mem::take(&mut stage.apps), "v1");

    let done = stage.cli(&["roll", "web", "--settle", "200ms", "--run", &deployer.command()]).await;

    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!((deployer.done(), permits(&stage).await), (vec!["a".to_owned(), "b".to_owned()], vec![]));
    for id in ["a", "b"] {
        assert_eq!(stage.admin().backend(id).await["admin"], "ready", "{id}");
    }
}

#[tokio::test]
async fn a_roll_that_somebody_aborts_ends() {
    let mut stage = six(manual()).await;
    let deployer = deployer(&mut stage);
    let mut client = roll(&stage, &["--run", &deployer.command()]);
    until("it waits for the flip", async || client.output().contains("cutover flip").then_some(())).await;

    let aborted = stage.cli(&["roll", "web", "--abort", "--reason", "not today"]).await;

    assert_eq!(aborted.code, 0, "{aborted:?}");
    assert_eq!(client.exit().await.code(), Some(1), "{}", client.output());
    assert!(client.output().contains("d: the roll was aborted"), "{}", client.output());
    assert_eq!((deployer.done().len(), permits(&stage).await), (3, vec![]));
    assert_eq!(stage.admin().version("v2").await["role"], "rejected");
}

#[tokio::test]
async fn a_dry_run_prints_the_plan_and_asks_for_nothing() {
    let stage = six(manual()).await;
    let before = stage.admin().get("/v1/services/web").await;

    let plan = stage.cli(&["roll", "web", "--dry-run", "--parallel", "3"]).await;
    let json = stage.cli(&["roll", "web", "--dry-run", "--parallel", "3", "--json"]).await;

    assert_eq!((plan.code, json.code), (0, 0), "{plan:?} {json:?}");
    for words in ["a, b, c", "d, e, f", "`cutover flip web VERSION`", "drain"] {
        assert!(plan.stdout.contains(words), "{words}: {plan:?}");
    }
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    let usable = json!({ "before": 6, "meanwhile": 3, "after": 3 });
    assert_eq!((&json["steps"][0]["usable"], &json["steps"][1]["do"]), (&usable, &json!("flip")), "{json}");
    assert_eq!(stage.admin().get("/v1/services/web").await, before);
}

#[tokio::test]
async fn a_command_that_fails_ends_the_roll_and_its_output_is_kept() {
    let stage = six(auto()).await;
    let logs = stage.file("logs");
    let command = "echo \"$0 meets {host}:{port}\"; echo no such disk >&2; exit 7";

    let failed =
        stage.cli(&["roll", "web", "--run", command, "--logs", &logs.to_string_lossy(), "--json"]).await;

    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stderr.contains("no such disk"), "{failed:?}");
    let report: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(report["failed"][0]["backend"], "a", "{report}");
    assert_eq!(report["left"], json!(["b", "c", "d", "e", "f"]), "{report}");
    let log = std::fs::read_to_string(logs.join("a.log")).unwrap();
    let address = stage.apps["a"].address();
    assert!(log.contains(&format!("sh meets {address}\nno such disk\n")), "{log}");
    // What has its permit still may come back; nobody else is asked for.
    assert_eq!(permits(&stage).await, ["a"]);
    let aborted = stage.cli(&["roll", "web", "--abort", "--reason", "disk"]).await;
    assert_eq!((aborted.code, permits(&stage).await), (0, vec![]), "{aborted:?}");
}

#[tokio::test]
async fn an_interrupted_roll_lets_its_commands_end_and_asks_for_no_more() {
    let mut stage = six(auto()).await;
    let deployer = deployer(&mut stage);
    deployer.hold(&["b"]);
    let mut client = roll(&stage, &["--run", &deployer.command()]);
    deployer.until_wanted("b").await;

    client.signal(Signal::INT);
    until("it is told", async || client.output().contains("interrupted").then_some(())).await;
    deployer.release();

    assert_eq!(client.exit().await.code(), Some(1), "{}", client.output());
    assert_eq!(deployer.done(), ["a", "b"]);
    assert_eq!(permits(&stage).await, [""; 0]);
    assert!(client.output().contains("not restarted, because the roll stopped before: c, d, e, f"));
}

#[tokio::test]
async fn a_second_interruption_ends_the_command() {
    let stage = six(auto()).await;
    let mut client = roll(&stage, &["--run", "echo begun; sleep 60"]);
    until("the command runs", async || client.output().contains("the command runs").then_some(())).await;

    client.signal(Signal::INT);
    until("it is told", async || client.output().contains("interrupted").then_some(())).await;
    client.signal(Signal::INT);

    assert_eq!(client.exit().await.code(), Some(1), "{}", client.output());
    assert!(client.output().contains("the command was ended"), "{}", client.output());
}

#[tokio::test]
async fn a_permit_that_would_leave_too_little_is_refused_with_its_reason() {
    let stage = Stage::v1().await;

    let refused = stage.cli(&["permit", "web", "a"]).await;
    let json = stage.cli(&["permit", "web", "a", "--json"]).await;
    let late = stage.cli(&["permit", "web", "a", "--wait", "--timeout", "300ms"]).await;
    let unknown = stage.cli(&["permit", "web", "nobody", "--wait"]).await;

    assert!(refused.code == 1 && refused.stderr.contains("below_min_capacity"), "{refused:?}");
    assert_eq!(json.code, 1, "{json:?}");
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["reasons"][0]["code"], "below_min_capacity", "{json}");
    assert!(late.code == 4 && late.stderr.contains("min_capacity"), "{late:?}");
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert_eq!(stage.admin().backend("a").await["admin"], "ready");
}

#[tokio::test]
async fn a_permit_takes_the_backend_out_and_can_be_given_back() {
    let stage = six(auto()).await;

    permit(&stage, "a").await;
    let while_out = stage.admin().backend("a").await;
    let services = stage.cli(&["services"]).await.stdout;
    let returned = stage.cli(&["permit", "web", "a", "--return"]).await;
    let twice = stage.cli(&["permit", "web", "a", "--return"]).await;

    assert_eq!(while_out["admin"], "drain", "{while_out}");
    assert!(services.contains("running, batch 1 of 2") && services.contains("permits: a"), "{services}");
    assert_eq!((returned.code, twice.code), (0, 1), "{returned:?} {twice:?}");
    assert_eq!(stage.admin().backend("a").await["admin"], "ready");
}

#[tokio::test]
async fn whoever_is_interrupted_while_a_backend_drains_leaves_no_permit() {
    let mut stage = Stage::v1().await;
    stage.add("b", "v1").await;
    // A request in flight on each, so that whichever drains is not empty.
    let (proxy, log) = (stage.proxy(), stage.file("permit.log"));
    let slow = || {
        tokio::spawn(async move { Connection::open(proxy).await.ask(&Request::get("/slow?ms=60000")).await })
    };
    let busy: Vec<_> = std::iter::repeat_with(slow).take(8).collect();
    until("both are busy", async || {
        let is_busy = async |id: &str| stage.admin().backend(id).await["in_flight"] != 0;
        (is_busy("a").await && is_busy("b").await).then_some(())
    })
    .await;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["permit", "web", "a", "--wait", "--admin", &format!("http://{}", stage.admin_address())]);
    let mut client = Child::spawn("cutover permit", &mut command, &log);

    until("it drains", async || client.output().contains("web/a: drains").then_some(())).await;
    let while_draining = permits(&stage).await;
    client.signal(Signal::INT);

    assert_eq!(client.exit().await.code(), Some(1), "{}", client.output());
    assert_eq!((while_draining, permits(&stage).await), (vec!["a".to_owned()], vec![]));
    busy.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Six backends of v1, which is active.
async fn six(service: Service) -> Stage {
    let mut stage = Stage::empty(&Config::of(service)).await;
    for id in IDS {
        stage.add(id, "v1").await;
    }
    stage.admin().until_usable("v1", 6).await;
    stage
}

/// Sessions end soon, so that an old version is drained soon.
fn manual() -> Service {
    Service::new("web").set("pin.idle", "1s")
}

fn auto() -> Service {
    manual().set("flip.mode", "auto").set("flip.stable_for", "100ms")
}

fn deployer(stage: &mut Stage) -> Deployer {
    Deployer::start(std::mem::take(&mut stage.apps), "v2")
}

/// Visitors all the time, few enough that the tests beside this one have a machine too.
fn paced(stage: &Stage) -> Load {
    Load::start_paced(stage.proxy(), 4, std::time::Duration::from_millis(10))
}

/// `cutover roll web`, while it runs.
fn roll(stage: &Stage, arguments: &[&str]) -> Child {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["roll", "web", "--timeout", TIMEOUT]).args(arguments);
    command.env("CUTOVER_ADMIN", format!("http://{}", stage.admin_address())).env_remove("CUTOVER_TOKEN");
    command.arg("--logs").arg(stage.file("logs"));
    Child::spawn("cutover roll", command.stdin(Stdio::null()), &stage.file("roll.log"))
}

async fn permit(stage: &Stage, id: &str) {
    let granted = stage.cli(&["permit", "web", id, "--wait", "--timeout", TIMEOUT]).await;
    assert!(granted.code == 0 && granted.stdout.contains("may be restarted"), "{granted:?}");
}

async fn old_role(stage: &Stage) -> String {
    stage.admin().version("v1").await["role"].as_str().unwrap().to_owned()
}

async fn until_roll(stage: &Stage, state: &str) {
    until(&format!("the roll is {state}"), async || {
        (stage.admin().get("/v1/services/web/roll").await["state"] == state).then_some(())
    })
    .await;
}

/// Who has a permit.
async fn permits(stage: &Stage) -> Vec<String> {
    let roll = stage.admin().get("/v1/services/web/roll").await;
    let permits = roll["permits"].as_array().unwrap().iter();
    permits.map(|permit| permit["backend"].as_str().unwrap().to_owned()).collect()
}
