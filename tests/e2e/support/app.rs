//! Real app servers: `cutover demo-app`, each a process with a port of its own that outlives its restarts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixStream};

use super::child::Child;
use super::port::Port;
use super::wait::until;

/// One app server.
#[derive(Debug)]
pub(crate) struct App {
    // Ends before the directory goes, because its log is in there.
    child: Option<Child>,
    listen: Listen,
    directory: TempDir,
}

#[derive(Debug)]
enum Listen {
    Tcp(Port),
    Unix(PathBuf),
}

impl App {
    /// Starts a server of `version` and waits until it listens.
    pub(crate) async fn start(version: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::start_on(Listen::Tcp(Port::reserve()), version, directory).await
    }

    /// Starts a server that listens on a unix socket.
    pub(crate) async fn unix(version: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::start_on(Listen::Unix(directory.path().join("app.sock")), version, directory).await
    }

    async fn start_on(listen: Listen, version: &str, directory: TempDir) -> Self {
        let mut app = Self { child: None, listen, directory };
        app.restart(version).await;
        app
    }

    /// Where it listens, as backends are written.
    pub(crate) fn address(&self) -> String {
        match &self.listen {
            Listen::Tcp(port) => port.address().to_string(),
            Listen::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// Where it listens, if that is TCP.
    pub(crate) fn socket(&self) -> SocketAddr {
        match &self.listen {
            Listen::Tcp(port) => port.address(),
            Listen::Unix(path) => panic!("{} is no port", path.display()),
        }
    }

    /// The id of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Stops what runs, gracefully, and starts `version` on the same port.
    pub(crate) async fn restart(&mut self, version: &str) {
        self.restart_with(version, &[]).await;
    }

    /// The same with more options of `cutover demo-app`.
    pub(crate) async fn restart_with(&mut self, version: &str, options: &[&str]) {
        self.stop().await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.args(["demo-app", "--leashed", "--version", version, "--listen"]);
        command.arg(self.address()).args(options);
        let log = self.directory.path().join("app.log");
        let mut child = Child::spawn(&format!("app {version}"), &mut command, &log);
        until(&format!("the app {version} listens"), async || {
            assert_eq!(child.ended(), None, "the app {version} ended at its start");
            match &self.listen {
                Listen::Tcp(port) => TcpStream::connect(port.address()).await.map(drop).ok(),
                Listen::Unix(path) => UnixStream::connect(path).await.map(drop).ok(),
            }
        })
        .await;
        self.child = Some(child);
    }

    /// Lets it finish what it does.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.signal(Signal::TERM);
            child.exit().await;
        }
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill();
        }
    }

    /// Lets its health check answer `status`, 0 = what is true.
    pub(crate) async fn set_health(&self, status: u16) {
        let request = super::http::Request::new("POST", &format!("/up?status={status}"));
        super::http::Connection::open(self.socket()).await.ask(&request).await;
    }
}
