//! A running `cutover serve`, which can be stopped, killed and started again on the same ports and state.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use rustix::process::Signal;
use tempfile::TempDir;

use super::admin::Admin;
use super::child::Child;
use super::config::Config;
use super::http::{Answer, Connection, Request};
use super::port::Port;
use super::session::Session;
use super::wait::until;

/// The product under test, and where it lives.
#[derive(Debug)]
pub(crate) struct Cutover {
    // Ends before the directory goes, because its log is in there.
    child: Option<Child>,
    directory: TempDir,
    proxy: Port,
    admin: Port,
}

/// How a command of the command line ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Cutover {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(config: &Config) -> Self {
        let mut cutover = Self::stopped(config);
        cutover.restart().await;
        cutover
    }

    /// Not running yet.
    pub(crate) fn stopped(config: &Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cutover = Self { directory, proxy: Port::reserve(), admin: Port::reserve(), child: None };
        cutover.configure(config);
        cutover
    }

    /// Starts it again, whatever ended it, and waits until it is ready.
    pub(crate) async fn restart(&mut self) {
        self.launch();
        self.until_ready().await;
    }

    /// Waits until it is ready, after it was launched.
    pub(crate) async fn until_ready(&mut self) {
        let admin = self.admin();
        until("cutover is ready", async || {
            let ended = self.child.as_mut().and_then(Child::ended);
            assert_eq!(ended, None, "cutover ended at its start:\n{}", self.log());
            let answer = admin.try_call("GET", "/readyz", &serde_json::Value::Null).await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
    }

    /// Starts it and waits for nothing.
    pub(crate) fn launch(&mut self) {
        self.launch_by(Command::new(env!("CARGO_BIN_EXE_cutover")));
    }

    /// The same by a command that runs a cutover, without its arguments.
    pub(crate) fn launch_by(&mut self, mut command: Command) {
        command.args(["serve", "--leashed", "--config"]).arg(self.config_file());
        self.child = Some(Child::spawn("cutover", &mut command, &self.file("cutover.log")));
    }

    /// Writes another configuration file.
    pub(crate) fn configure(&self, config: &Config) {
        self.write_config(&config.render(self.proxy(), self.admin.address(), self.directory.path()));
    }

    /// Writes this as its configuration file, in one step.
    pub(crate) fn write_config(&self, text: &str) {
        let new = self.file("cutover.toml.new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, self.config_file()).unwrap();
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.file("cutover.toml")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where visitors connect to.
    pub(crate) fn proxy(&self) -> SocketAddr {
        self.proxy.address()
    }

    pub(crate) fn admin(&self) -> Admin {
        Admin::new(self.admin.address())
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    pub(crate) fn session(&self) -> Session {
        Session::new(self.proxy())
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.proxy()).await
    }

    /// The answer to one request on a connection of its own.
    pub(crate) async fn ask(&self, request: &Request) -> Answer {
        self.connect().await.ask(request).await
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill9(&mut self) {
        self.running().kill();
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.running().signal(signal);
    }

    /// Waits for the end that somebody asked for.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        self.running().exit().await
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.running().ended().is_none()
    }

    /// All that it logged.
    pub(crate) fn log(&self) -> String {
        self.child.as_ref().map(Child::output).unwrap_or_default()
    }

    /// The memory that it has in use, and the most that it ever had, in KiB (proc(5): `VmRSS`, `VmHWM`).
    pub(crate) fn memory_kib(&mut self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running().id())).unwrap();
        let value = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (value("VmRSS:"), value("VmHWM:"))
    }

    /// Runs a command of the command line against it.
    pub(crate) async fn cli(&self, arguments: &[&str]) -> Done {
        run(&format!("http://{}", self.admin.address()), arguments, self.directory.path()).await
    }

    /// The process that serves now.
    pub(crate) async fn pid(&self) -> i32 {
        let status = self.admin().get("/v1/status").await;
        status["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap()
    }

    fn running(&mut self) -> &mut Child {
        self.child.as_mut().expect("cutover was not started")
    }
}

/// Runs the command line with an admin API that may not be there.
pub(crate) async fn run(admin: &str, arguments: &[&str], directory: &Path) -> Done {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(arguments).current_dir(directory).env("CUTOVER_ADMIN", admin);
    // Whatever it leaves behind goes with the test.
    command.env("TMPDIR", directory);
    command.env_remove("CUTOVER_TOKEN").kill_on_drop(true).stdin(std::process::Stdio::null());
    let output = super::wait::within(&format!("the end of {arguments:?}"), command.output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Done {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}
