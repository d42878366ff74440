//! `cutover agent`: a real app beside a real cutover, registered, restarted with permits, drained, and never left behind.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::admin::Admin;
use crate::support::child::Child;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::http::{Connection, Request};
use crate::support::load::Load;
use crate::support::port::Port;
use crate::support::wait::until;

/// The demo's app server, as its environment says. `$0` is the program.
const APP: &str = "exec \"$0\" demo-app --leashed --listen $CUTOVER_ADDRESS --version $CUTOVER_VERSION --boot-id $CUTOVER_BOOT_ID";

#[tokio::test]
async fn an_app_is_registered_and_served_and_what_is_in_flight_finishes_before_it_stops() {
    let cutover = Cutover::start(&Config::of(Service::new("web"))).await;
    let mut agent = Agent::start(&cutover, "a", "v1", &["--metadata", "rack=7", "--weight", "3"], APP);
    let admin = cutover.admin();
    admin.until_role("v1", "active").await;
    assert_eq!(cutover.session().version().await, "v1");
    let backend = admin.backend("a").await;
    assert_eq!((&backend["metadata"]["rack"], &backend["weight"]), (&json!("7"), &json!(3)), "{backend}");
    let mut connection = cutover.connect().await;
    connection.send("GET /slow?ms=1000 HTTP/1.1\r\nHost: web.test\r\n\r\n").await;
    until("it is in flight", async || (admin.version("v1").await["in_flight"] == 1).then_some(())).await;

    agent.signal(Signal::TERM);
    let answer = connection.answer("GET").await;

    assert_eq!((answer.status(), answer.json()["version"].as_str()), (200, Some("v1")));
    assert_eq!(agent.exit_code().await, 0);
    assert!(!is_registered(&admin, "a").await, "it did not leave");
}

#[tokio::test]
async fn a_drain_may_take_longer_than_the_lease() {
    let cutover = Cutover::start(&Config::of(Service::new("web"))).await;
    let mut agent = Agent::start(&cutover, "a", "v1", &["--ttl", "1s"], APP);
    let admin = cutover.admin();
    admin.until_role("v1", "active").await;
    let mut connection = cutover.connect().await;
    connection.send("GET /slow?ms=3000 HTTP/1.1\r\nHost: web.test\r\n\r\n").await;
    until("it is in flight", async || (admin.version("v1").await["in_flight"] == 1).then_some(())).await;

    agent.signal(Signal::TERM);
    tokio::time::sleep(Duration::from_secs(2)).await;

    assert!(!admin.backend("a").await["leaving_until"].is_null());
    assert_eq!(agent.lines("left the service"), 0, "{}", agent.log());
    assert_eq!(connection.answer("GET").await.status(), 200);
    assert_eq!(agent.exit_code().await, 0);
}

#[tokio::test]
async fn an_app_may_tell_its_version_and_its_boot_id_itself() {
    let cutover = Cutover::start(&Config::of(Service::new("web").set("min_capacity", 0.0))).await;
    let app = "exec \"$0\" demo-app --leashed --listen $CUTOVER_ADDRESS --version $(cat next || echo v1)";
    let agent = Agent::start(&cutover, "a", "", &["--ttl", "1s"], app);
    let admin = cutover.admin();
    admin.until_role("v1", "active").await;

    // Several heartbeats long, none of which may look like a restart.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(cutover.log().matches("is known to run").count(), 1, "{}", cutover.log());
    std::fs::write(agent.file("next"), "v2").unwrap();
    agent.signal(Signal::HUP);

    admin.until_usable("v2", 1).await;
    assert_eq!(agent.lines("the app is started"), 2, "{}", agent.log());
}

#[tokio::test]
async fn an_app_finds_its_backend_in_its_environment() {
    let cutover = Cutover::start(&Config::of(Service::new("web"))).await;
    let variables = "echo $CUTOVER_SERVICE $CUTOVER_BACKEND $CUTOVER_VERSION ${#CUTOVER_BOOT_ID} $PORT ${CUTOVER_TOKEN:-no} > env";

    let mut agent = Agent::start(&cutover, "a", "v7", &["--token", "secret"], variables);

    assert_eq!(agent.exit_code().await, 0);
    let said = std::fs::read_to_string(agent.file("env")).unwrap();
    assert_eq!(said.trim(), format!("web a v7 16 {} no", agent.address().port()));
}

#[tokio::test]
async fn the_exit_code_is_the_app_s_and_an_app_that_ended_is_no_backend() {
    let cutover = Cutover::start(&Config::of(Service::new("web"))).await;
    for (script, code) in
        [("exit 7", 7), ("sleep 0.3; exit 0", 0), ("kill -9 $$", 137), ("exec /nowhere/app", 127)]
    {
        let mut agent = Agent::start(&cutover, "a", "v1", &[], script);
        assert_eq!(agent.exit_code().await, code, "{script}: {}", agent.log());
        assert!(!is_registered(&cutover.admin(), "a").await, "{script}");
    }
    let mut absent = Agent::of(&cutover, "a", "v1", &[], &["/nowhere/app"]);
    assert_eq!(absent.exit_code().await, 127, "{}", absent.log());
}

#[tokio::test]
async fn an_agent_that_is_killed_leaves_neither_the_app_nor_what_the_app_started() {
    let cutover = Cutover::start(&Config::of(Service::new("web"))).await;
    // As `npm start` does, the shell starts the app and waits for it.
    let script = format!("sleep 600 & echo $! > worker; echo $$ > shell; {APP}");
    let mut agent = Agent::start(&cutover, "a", "v1", &[], &script);
    cutover.admin().until_role("v1", "active").await;
    let processes = [agent.pid_in("worker"), agent.pid_in("shell")];
    assert!(processes.iter().all(|&pid| runs(pid)));

    agent.child.kill();

    for pid in processes {
        until(&format!("{pid} is gone"), async || (!runs(pid)).then_some(())).await;
    }
}

#[tokio::test]
async fn an_app_that_is_stopped_leaves_nobody_behind() {
    let cutover = Cutover::start(&Config::of(Service::new("web"))).await;
    let script = "trap 'exit 3' TERM; sh -c 'trap \"\" TERM; echo $$ > worker; sleep 600' & while :; do sleep 0.02; done";
    let mut agent = Agent::start(&cutover, "a", "v1", &["--stop-timeout", "500ms"], script);
    let worker = agent.pid_in("worker");

    agent.signal(Signal::TERM);

    assert_eq!(agent.exit_code().await, 3, "{}", agent.log());
    assert!(!runs(worker), "{worker} outlives its app");
}

#[tokio::test]
async fn an_app_that_will_not_stop_is_killed_in_time_or_when_somebody_insists() {
    let cutover = Cutover::start(&Config::of(Service::new("web"))).await;
    let deaf = "trap '' TERM; echo $$ > shell; while :; do sleep 0.02; done";

    let mut late = Agent::start(&cutover, "a", "v1", &["--stop-timeout", "300ms"], deaf);
    late.pid_in("shell");
    late.signal(Signal::TERM);
    assert_eq!(late.exit_code().await, 137, "{}", late.log());

    let mut insisted = Agent::start(&cutover, "a", "v1", &["--stop-timeout", "10m"], deaf);
    insisted.pid_in("shell");
    insisted.signal(Signal::INT);
    insisted.until_logged("the app is to stop", 1).await;
    insisted.signal(Signal::TERM);
    assert_eq!(insisted.exit_code().await, 137, "{}", insisted.log());
}

#[tokio::test]
async fn other_signals_are_for_the_app() {
    let cutover = Cutover::start(&Config::of(Service::new("web"))).await;
    let script = "trap 'echo 1 >> heard' USR1; trap 'echo 2 >> heard' USR2; trap 'exit 9' QUIT; echo $$ > shell; while :; do sleep 0.02; done";
    let mut agent = Agent::start(&cutover, "a", "v1", &[], script);
    agent.pid_in("shell");

    for (signal, heard) in [(Signal::USR1, "1\n"), (Signal::USR2, "1\n2\n")] {
        agent.signal(signal);
        until(&format!("the app heard {signal:?}"), async || {
            std::fs::read_to_string(agent.file("heard")).ok().filter(|said| said == heard)
        })
        .await;
    }
    agent.signal(Signal::QUIT);

    assert_eq!(agent.exit_code().await, 9, "{}", agent.log());
}

#[tokio::test]
async fn an_app_runs_while_cutover_is_away_and_is_registered_when_it_is_back() {
    let mut cutover = Cutover::stopped(&Config::of(Service::new("web")));
    let agent = Agent::start(&cutover, "a", "v1", &["--ttl", "1s"], APP);
    agent.until_logged("the app goes on", 1).await;
    until("the app serves", async || {
        let mut connection = Connection::try_open(agent.address()).await.ok()?;
        connection.try_ask(&Request::get("/up")).await.ok().filter(|answer| answer.status() == 200)
    })
    .await;

    cutover.restart().await;
    cutover.admin().until_role("v1", "active").await;
    cutover.kill9();
    agent.until_logged("the app goes on", 2).await;
    // Longer than many pauses: what was said is not said again.
    tokio::time::sleep(Duration::from_secs(2)).await;
    cutover.restart().await;
    cutover.admin().until_usable("v1", 1).await;
    agent.until_logged("registered", 2).await;

    assert_eq!(agent.lines("the app goes on"), 2, "{}", agent.log());
    assert_eq!(agent.lines("the app is started"), 1, "{}", agent.log());
}

#[tokio::test]
async fn a_backend_that_cutover_lost_is_registered_again() {
    let cutover = Cutover::start(&Config::of(Service::new("web"))).await;
    let agent = Agent::start(&cutover, "a", "v1", &["--ttl", "1s"], APP);
    let admin = cutover.admin();
    admin.until_role("v1", "active").await;

    admin.done("DELETE", "/v1/services/web/backends/a?drain=0s", Value::Null).await;
    agent.until_logged("does not know this backend any more", 1).await;

    admin.until_usable("v1", 1).await;
    assert_eq!(agent.lines("the app is started"), 1, "{}", agent.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_apps_are_restarted_with_another_version_under_load_without_a_failed_request() {
    let cutover = Cutover::start(&Config::of(Service::new("web").set("pin.idle", "1s"))).await;
    let agents = ["a", "b"].map(|id| Agent::start(&cutover, id, "v1", &["--ttl", "2s"], APP));
    let admin = cutover.admin();
    admin.until_usable("v1", 2).await;
    let load = Load::start(cutover.proxy(), 8);
    load.change("v1", load.go_on(200)).await;

    agents.iter().for_each(|agent| agent.deploy("v2"));
    agents[0].signal(Signal::HUP);
    admin.until_usable("v2", 1).await;
    agents[1].signal(Signal::HUP);
    agents[1].until_logged("no restart yet", 1).await;
    // It waits already: this is the same restart.
    agents[1].signal(Signal::HUP);
    load.go_on(200).await;
    load.change("v2", admin.flip("v2")).await;
    admin.until_usable("v2", 2).await;
    load.go_on(200).await;
    let report = load.stop().await;

    report.assert_flawless();
    assert_eq!(report.by_version.len(), 2, "{report:#?}");
    assert_eq!(agents[1].lines("a restart is asked for"), 1, "{}", agents[1].log());
    assert_eq!(agents[1].lines("the app is started"), 2, "{}", agents[1].log());
    assert_eq!(admin.version("v1").await["role"], "retired");
}

#[tokio::test]
async fn an_agent_that_waits_for_a_permit_can_be_stopped() {
    let cutover = Cutover::start(&Config::of(Service::new("web"))).await;
    let mut agent = Agent::start(&cutover, "a", "v1", &[], APP);
    let admin = cutover.admin();
    admin.until_role("v1", "active").await;

    agent.signal(Signal::HUP);
    // It is the only one.
    agent.until_logged("min_capacity", 1).await;
    agent.signal(Signal::TERM);

    assert_eq!(agent.exit_code().await, 0, "{}", agent.log());
    assert!(!is_registered(&admin, "a").await, "it did not leave");
}

#[tokio::test]
async fn without_its_next_version_an_app_goes_on_as_it_is() {
    let cutover = Cutover::start(&Config::of(Service::new("web").set("min_capacity", 0.0))).await;
    let agent = Agent::start(&cutover, "a", "v1", &[], APP);
    let admin = cutover.admin();
    admin.until_role("v1", "active").await;

    agent.deploy("no version");
    agent.signal(Signal::HUP);
    agent.until_logged("no restart: the old process goes on", 1).await;

    until("it takes traffic again", async || (admin.backend("a").await["usable"] == true).then_some(()))
        .await;
    assert_eq!(cutover.session().version().await, "v1");
    assert_eq!(agent.lines("the app is started"), 1, "{}", agent.log());
}

#[tokio::test]
async fn a_new_version_that_does_not_start_ends_the_agent_with_its_exit_code() {
    let cutover = Cutover::start(&Config::of(Service::new("web").set("min_capacity", 0.0))).await;
    let script = format!("[ $CUTOVER_VERSION = v1 ] || exit 5; {APP}");
    let mut agent = Agent::start(&cutover, "a", "v1", &[], &script);
    let admin = cutover.admin();
    admin.until_role("v1", "active").await;

    agent.deploy("v2");
    agent.signal(Signal::HUP);

    assert_eq!(agent.exit_code().await, 5, "{}", agent.log());
    assert!(!is_registered(&admin, "a").await);
}

#[tokio::test]
async fn a_backend_of_the_configuration_file_is_restarted_with_permits_too() {
    let port = Port::reserve();
    let service = Service::new("web").set("min_capacity", 0.0).backend("a", port.address(), "");
    let cutover = Cutover::start(&Config::of(service)).await;
    let mut agent = Agent::on(port, &cutover, "a", "v1", &[], &shell(APP));
    let admin = cutover.admin();
    admin.until_role("v1", "active").await;
    agent.until_logged("it has no lease", 1).await;

    agent.deploy("v2");
    agent.signal(Signal::HUP);
    admin.until_usable("v2", 1).await;
    agent.signal(Signal::TERM);

    assert_eq!(agent.exit_code().await, 0, "{}", agent.log());
    assert!(is_registered(&admin, "a").await, "only the configuration file takes it out");
}

/// An agent with its app, in a directory with the file `VERSION` unless that is to be empty.
struct Agent {
    // Ends before the directory goes, because its log is in there.
    child: Child,
    port: Port,
    directory: TempDir,
}

impl Agent {
    /// Starts an agent whose app is a shell script.
    fn start(cutover: &Cutover, id: &str, version: &str, options: &[&str], script: &str) -> Self {
        Self::of(cutover, id, version, options, &shell(script))
    }

    fn of(cutover: &Cutover, id: &str, version: &str, options: &[&str], app: &[&str]) -> Self {
        Self::on(Port::reserve(), cutover, id, version, options, app)
    }

    fn on(port: Port, cutover: &Cutover, id: &str, version: &str, options: &[&str], app: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.current_dir(directory.path()).env_remove("CUTOVER_TOKEN").env_remove("RUST_LOG");
        command.args(["agent", "--admin", &format!("http://{}", cutover.admin_address())]);
        command.args(["--id", id, "--address", &port.address().to_string()]);
        if !version.is_empty() {
            std::fs::write(directory.path().join("VERSION"), version).unwrap();
            command.args(["--version-file", "VERSION"]);
        }
        command.args(options).arg("--").args(app);
        let child = Child::spawn(&format!("agent {id}"), &mut command, &directory.path().join("log"));
        Self { child, port, directory }
    }

    fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Where the next start of the app finds its version.
    fn deploy(&self, version: &str) {
        std::fs::write(self.file("VERSION"), version).unwrap();
    }

    fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    async fn exit_code(&mut self) -> i32 {
        self.child.exit().await.code().unwrap_or(-1)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The process id that the app writes into a file.
    fn pid_in(&self, name: &str) -> u32 {
        for _ in 0..2000 {
            let text = std::fs::read_to_string(self.file(name)).unwrap_or_default();
            if let Some(pid) = text.strip_suffix('\n').and_then(|text| text.parse().ok()) {
                return pid;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no process id in {name}:\n{}", self.log());
    }

    fn log(&self) -> String {
        self.child.output()
    }

    /// How many lines of the log have `text`.
    fn lines(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    async fn until_logged(&self, text: &str, times: usize) {
        let what = format!("{times} lines of the log have {text:?}");
        until(&what, async || (self.lines(text) >= times).then_some(())).await;
    }
}

fn shell(script: &str) -> [&str; 4] {
    ["/bin/sh", "-c", script, env!("CARGO_BIN_EXE_cutover")]
}

async fn is_registered(admin: &Admin, id: &str) -> bool {
    let all = admin.get("/v1/services/web/backends").await;
    all["backends"].as_array().unwrap().iter().any(|backend| backend["id"] == id)
}

/// Whether a process runs. One that ended counts as gone before anybody waited for it (proc(5): state `Z`).
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
