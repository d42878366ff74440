//! The one cutover: started, killed, upgraded, reloaded; its files in the place of the run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;
use serde_json::Value;

use super::admin::Outcome;
use super::clock::Clock;
use super::process::{self, Process};
use super::run::Run;

/// Whom the certificate is for.
pub(crate) const NAME: &str = "web.test";
/// How long a version serves its pins after a flip.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);
/// To be ready after a start, on a machine that is busy with other things.
const START_LIMIT: Duration = Duration::from_secs(60);
/// What the services have in common. Patience is long everywhere, so that a machine that is busy with other things is no server that fell silent.
const POLICY: &str = r#"
expose_version = true
queue_timeout = "20s"
health.timeout = "8s"
health.rise = 1
flip.stable_for = "0s"
flip.quorum = { count = 1, share = 0.3 }
drain.deadline = "40s"
drain.spread = "2s"
upstream.connect_timeout = "5s"
upstream.response_timeout = "30s"
upstream.idle_timeout = "4s"
outlier.base_ejection = "1s"
"#;
/// What each service has of its own.
const SERVICES: [(&str, &str); 3] = [
    (
        "web",
        "identity = \"response\"\npin.idle = \"12s\"\npin.life = \"1h\"\nhealth.interval = \"400ms\"\nhealth.path = \"/up\"\n",
    ),
    (
        "rpc",
        "paths = [\"/e2e.Echo\"]\nidentity = \"response\"\nupstream.protocol = \"h2c\"\nhealth.protocol = \"grpc\"\nhealth.interval = \"400ms\"\n\
         pin.policy = \"none\"\n",
    ),
    (
        "ledger",
        "hosts = [\"ledger.test\"]\nidentity = \"label\"\nhealth.protocol = \"tcp\"\nhealth.interval = \"20s\"\n",
    ),
];

/// The process, and the file by which it is started.
#[derive(Debug)]
pub(crate) struct Cutover {
    /// Every process that was started by us and not by another cutover. One that was replaced has left its leash to its successor,
    /// so that none is let go of.
    started: Vec<Process>,
    /// Processes that were started by another cutover, and that have been replaced.
    replaced: Vec<u32>,
    /// A link, so that another program can lie there.
    program: PathBuf,
    directory: PathBuf,
    clock: Clock,
}

impl Cutover {
    pub(crate) fn new(directory: &Path, clock: Clock) -> Self {
        let program = directory.join("cutover");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_cutover"), &program).unwrap();
        Self { started: Vec::new(), replaced: Vec::new(), program, directory: directory.to_owned(), clock }
    }

    /// Writes its configuration and the certificate that it shows.
    pub(crate) fn configure(run: &Run, directory: &Path, state: &Path) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(directory.join("edge.key"), key.serialize_pem()).unwrap();
        std::fs::write(directory.join("edge.pem"), certificate.pem()).unwrap();
        std::fs::write(directory.join("edge.der"), certificate.der()).unwrap();
        write_config(run, directory, state, 128);
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(&mut self, run: &Run) {
        let mut command = Command::new(&self.program);
        command.args(["serve", "--leashed", "--config"]).arg(self.directory.join("cutover.toml"));
        self.clock.show_to(&mut command);
        let process = Process::spawn(&mut command, &self.directory.join("cutover.log"));
        run.pid.store(process.id(), Ordering::Relaxed);
        self.started.push(process);
        if !run.admin.is_ready(START_LIMIT).await {
            let ended = self.started.last_mut().and_then(Process::ended);
            run.find(format!("cutover was not ready {START_LIMIT:?} after its start ({ended:?})"));
        }
    }

    /// Ends the process that serves, as a power cut would.
    pub(crate) fn kill(&mut self, run: &Run) {
        process::signal(run.pid(), Signal::KILL);
        while process::is_running(run.pid())
            && self.started.last_mut().is_none_or(|last| last.ended().is_none())
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.bury();
    }

    /// Lets it replace itself; answers what it said.
    pub(crate) async fn upgrade(&mut self, run: &Run) -> Outcome {
        self.bury();
        self.replaced.push(run.pid());
        let outcome = run.admin.call("POST", "/v1/upgrade", &Value::Null).await;
        let status = run.admin.get("/v1/status").await.unwrap_or_default();
        if let Some(pid) = status["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()) {
            run.pid.store(pid, Ordering::Relaxed);
        }
        outcome
    }

    /// Lets it try to replace itself by something that fails, which must change nothing.
    pub(crate) async fn upgrade_to_broken(&mut self, run: &Run) -> Outcome {
        let good = self.directory.join("cutover.good");
        std::fs::rename(&self.program, &good).unwrap();
        std::os::unix::fs::symlink("/bin/false", &self.program).unwrap();
        let outcome = self.upgrade(run).await;
        std::fs::rename(&good, &self.program).unwrap();
        outcome
    }

    /// Lets it read its configuration again, which has changed.
    pub(crate) fn reload(&self, run: &Run, state: &Path, max_idle: u64) {
        write_config(run, &self.directory, state, max_idle);
        process::signal(run.pid(), Signal::HUP);
    }

    /// Asks it to end, and waits for that; false if it does not.
    pub(crate) async fn stop(&mut self, run: &Run) -> bool {
        process::signal(run.pid(), Signal::TERM);
        for _ in 0..400 {
            if !process::is_running(run.pid())
                || self
                    .started
                    .last_mut()
                    .is_some_and(|last| last.ended().is_some() && last.id() == run.pid())
            {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    /// Takes leave of those that are gone.
    fn bury(&mut self) {
        for process in &mut self.started {
            process.ended();
        }
        self.replaced.retain(|pid| process::is_running(*pid));
    }

    /// All that it said.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.directory.join("cutover.log")).unwrap_or_default())
            .into_owned()
    }
}

fn write_config(run: &Run, directory: &Path, state: &Path, max_idle: u64) {
    let (pem, key) = (directory.join("edge.pem"), directory.join("edge.key"));
    let mut text = format!(
        "node.name = \"soak\"\nnode.workers = 2\nnode.state_dir = {state:?}\nadmin.listen = \"{}\"\naccess_log.path = \"\"\n\
         limits.header_timeout = \"60s\"\nlimits.handshake_timeout = \"60s\"\nnode.upgrade_timeout = \"60s\"\n\n\
         [[listener]]\nbind = [\"{}\"]\n\n\
         [[listener]]\nbind = [\"{}\"]\nprotocol = \"https\"\ntls.certs = [{{ cert = {pem:?}, key = {key:?} }}]\n",
        run.admin.address(),
        run.plain,
        run.tls,
    );
    for (name, own) in SERVICES {
        let _ =
            write!(text, "\n[[service]]\nname = \"{name}\"\n{own}upstream.max_idle = {max_idle}\n{POLICY}");
    }
    // In one step: it is watched.
    let new = directory.join("cutover.toml.new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, directory.join("cutover.toml")).unwrap();
}
