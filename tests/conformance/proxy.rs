//! The product under test: a running `cutover serve` with one worker in front of one scripted upstream.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
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
    tls: SocketAddr,
    directory: TempDir,
}

/// What is not as usual about a proxy: lines of its configuration file, each in its place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Config {
    /// At the top.
    pub(crate) global: &'static str,
    pub(crate) listener: &'static str,
    pub(crate) service: &'static str,
    /// Whether there is a second listener, with TLS.
    pub(crate) has_tls: bool,
}

impl Proxy {
    /// Starts it, and waits until `is_ready` says so.
    pub(crate) fn start(config: Config, upstream: SocketAddr, is_ready: impl Fn(SocketAddr) -> bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (reserve(), reserve());
        let (address, tls) = (first.local_addr().unwrap(), second.local_addr().unwrap());
        let file = directory.path().join("cutover.toml");
        let mut text = render(config, address, upstream, directory.path());
        if config.has_tls {
            text.push_str(&secured(tls, directory.path()));
        }
        std::fs::write(&file, text).unwrap();
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
        let mut proxy = Self { child, address, tls, directory };
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

    /// Where it listens for TLS, if it does.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        self.tls
    }

    /// The certificate that it shows, in DER.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        std::fs::read(self.directory.path().join("certificate.der")).unwrap()
    }

    /// Asks it to finish and to end.
    pub(crate) fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Waits until it has ended, and answers whether it did so well.
    pub(crate) fn has_ended_well(&mut self) -> bool {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            if let Some(ended) = self.child.try_wait().unwrap() {
                return ended.success();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
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

/// A port that is bound and never listens: the kernel gives it to nobody else, and the server can bind beside it.
fn reserve() -> TcpSocket {
    let reserved = TcpSocket::new_v4().unwrap();
    reserved.set_reuseaddr(true).unwrap();
    reserved.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    reserved
}

/// A listener with TLS, and its files.
fn secured(address: SocketAddr, directory: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
    let file = |name: &str| directory.join(name);
    std::fs::write(file("certificate.pem"), made.cert.pem()).unwrap();
    std::fs::write(file("certificate.der"), made.cert.der()).unwrap();
    std::fs::write(file("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (file("certificate.pem"), file("key.pem"));
    format!(
        "[[listener]]\nbind = [\"{address}\"]\nprotocol = \"https\"\ntls.certs = [{{ cert = {certificate:?}, key = {key:?} }}]\n"
    )
}

/// The configuration file. One worker, so that the order of things is one order; a health check once, at the start; a backend that stays
/// in service whatever nonsense it talks.
fn render(config: Config, address: SocketAddr, upstream: SocketAddr, directory: &Path) -> String {
    let Config { global, listener, service, has_tls: _ } = config;
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
