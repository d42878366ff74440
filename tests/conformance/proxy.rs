//! The product under test: a running `cutover serve` with one worker in front of one scripted upstream.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::wire::LIMIT;

/// Plays the table against another build than the one of this workspace.
const BINARY: &str = "CUTOVER_CONFORMANCE_BINARY";

/// A running proxy. It ends with this.
#[derive(Debug)]
pub(crate) struct Proxy {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

/// What is not as usual about a proxy: lines of its configuration file, each in its place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Config {
    /// At the top.
    pub(crate) global: &'static str,
    pub(crate) listener: &'static str,
    pub(crate) service: &'static str,
}

impl Proxy {
    /// Starts it, and waits until `is_ready` says so.
    pub(crate) fn start(config: Config, upstream: SocketAddr, is_ready: impl Fn(SocketAddr) -> bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Bound and never listening: the kernel gives the port to nobody else, and the server can bind beside it.
        let reserved = TcpSocket::new_v4().unwrap();
        reserved.set_reuseaddr(true).unwrap();
        reserved.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = reserved.local_addr().unwrap();
        let file = directory.path().join("cutover.toml");
        std::fs::write(&file, render(config, address, upstream, directory.path())).unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        let binary = std::env::var_os(BINARY).unwrap_or_else(|| env!("CARGO_BIN_EXE_cutover").into());
        let child = Command::new(binary)
            .args(["serve", "--leashed", "--config"])
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut proxy = Self { child, address, directory };
        let deadline = Instant::now() + LIMIT;
        while !is_ready(address) {
            let ended = proxy.child.try_wait().unwrap();
            assert!(ended.is_none(), "cutover ended at its start: {}", proxy.log());
            assert!(Instant::now() < deadline, "cutover is not ready: {}", proxy.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        proxy
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its memory, in KiB (proc(5), VmRSS).
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// All that it logged.
    pub(crate) fn log(&self) -> String {
        let path: PathBuf = self.directory.path().join("log");
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        if !std::thread::panicking() {
            assert!(!log.contains("panicked at"), "cutover panicked:\n{log}");
        }
    }
}

/// The configuration file. One worker, so that the order of things is one order; a health check once, at the start; a backend that stays
/// in service whatever nonsense it talks.
fn render(config: Config, address: SocketAddr, upstream: SocketAddr, directory: &std::path::Path) -> String {
    let Config { global, listener, service } = config;
    let directory = directory.display();
    format!(
        "\
node.workers = 1
node.state_dir = \"{directory}/state\"
admin.listen = \"unix:{directory}/admin\"
access_log.path = \"\"
{global}
[[listener]]
bind = [\"{address}\"]
{listener}
[[service]]
name = \"web\"
identity = \"label\"
backends = [{{ id = \"a\", address = \"{upstream}\", version = \"v1\" }}]
health.protocol = \"tcp\"
health.interval = \"1h\"
health.rise = 1
outlier.consecutive_errors = 0
{service}
"
    )
}
