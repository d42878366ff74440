//! One configuration twice: as it is, run by the program that it was written for, and as cutover imports it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::generate_simple_self_signed;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::NOWHERE;
use super::origin::Origin;
use crate::support::child::Child;
use crate::support::config::{Config, Service};
use crate::support::cutover::{Cutover, run};
use crate::support::http::{Connection, Request};
use crate::support::port::Port;
use crate::support::wait::until;

/// Ports at which the samples listen.
const FRONTS: [u16; 4] = [8080, 8443, 8404, 5432];
/// Modules of Apache that the sample needs.
const MODULES: [&str; 16] = [
    "mpm_event",
    "authz_core",
    "authz_host",
    "alias",
    "deflate",
    "env",
    "filter",
    "headers",
    "lbmethod_byrequests",
    "proxy",
    "proxy_balancer",
    "proxy_http",
    "proxy_wstunnel",
    "rewrite",
    "slotmem_shm",
    "ssl",
];

/// A request, and what is to come of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    host: &'static str,
    target: &'static str,
    expected: &'static str,
}

/// The program, if it is installed, and cutover with the servers behind both.
#[derive(Debug)]
pub(super) struct Scene {
    // Ends before the directory goes, because its log is in there.
    peer: Option<Child>,
    directory: TempDir,
    main: PathBuf,
    source: &'static str,
    fronts: BTreeMap<u16, Port>,
    _origins: Vec<Origin>,
}

impl From<(&'static str, &'static str, &'static str)> for Case {
    fn from((host, target, expected): (&'static str, &'static str, &'static str)) -> Self {
        Self { host, target, expected }
    }
}

impl Scene {
    /// A sample of the importer with its servers, by the names that they have at its ports.
    pub(super) async fn new(sample: &'static str, names: &[(u16, &'static str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (source, file) = sample.split_once('/').unwrap();
        let mut replaced = Vec::new();
        let mut origins = Vec::new();
        for (port, name) in names {
            let origin = Origin::start(name).await;
            replaced.push((format!("127.0.0.1:{port}"), origin.address().to_owned()));
            origins.push(origin);
        }
        let fronts: BTreeMap<_, _> = FRONTS.map(|port| (port, Port::reserve())).into();
        replaced.extend(
            fronts.iter().map(|(port, here)| (format!("127.0.0.1:{port}"), here.address().to_string())),
        );
        let from =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/cutover/src/import/samples").join(source);
        copy(&from, directory.path(), &replaced);
        let made = generate_simple_self_signed(["shop.example.com".to_owned()]).unwrap();
        std::fs::create_dir(directory.path().join("tls")).unwrap();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        std::fs::write(directory.path().join("tls/shop.key"), &key).unwrap();
        std::fs::write(directory.path().join("tls/shop.pem"), cert + &key).unwrap();
        let main = directory.path().join(file);
        Self { peer: None, directory, main, source, fronts, _origins: origins }
    }

    /// Runs Apache, after it said itself that the sample is right.
    pub(super) async fn apache(&mut self) {
        let directory = self.directory.path().display();
        let mut text = format!(
            "ServerRoot {directory}\nDefaultRuntimeDir {directory}\nPidFile {directory}/apache.pid\nErrorLog {directory}/error.log\n\
             ServerName localhost\nDefine APACHE_LOG_DIR {directory}\n<IfModule unixd_module>\nUser www-data\nGroup www-data\n</IfModule>\n"
        );
        for module in MODULES {
            let _ = writeln!(text, "LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so");
        }
        let _ = writeln!(text, "Include {}", self.main.display());
        let wrapper = self.directory.path().join("apache.conf");
        std::fs::write(&wrapper, text).unwrap();
        let wrapper = wrapper.display().to_string();
        self.start("apache2", &["-t", "-f", &wrapper], &["-X", "-f", &wrapper]).await;
    }

    /// Runs nginx, likewise.
    pub(super) async fn nginx(&mut self) {
        let (main, directory) = (self.main.display().to_string(), self.directory.path().display());
        let own = format!("pid {directory}/nginx.pid; error_log {directory}/error.log;");
        let alone = format!("{own} daemon off; master_process off;");
        self.start("nginx", &["-t", "-c", &main, "-g", &own], &["-c", &main, "-g", &alone]).await;
    }

    /// Runs HAProxy, likewise.
    pub(super) async fn haproxy(&mut self) {
        let main = self.main.display().to_string();
        self.start("haproxy", &["-c", "-f", &main], &["-db", "-f", &main]).await;
    }

    async fn start(&mut self, program: &str, check: &[&str], serve: &[&str]) {
        let command = |arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(self.directory.path());
            // Where Debian has servers.
            command.env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
            command
        };
        let checked = match command(check).output() {
            Ok(checked) => checked,
            Err(error) => return eprintln!("skipped: {program} can't be run: {error}"),
        };
        assert!(checked.status.success(), "{program}: {}", String::from_utf8_lossy(&checked.stderr));
        let log = self.directory.path().join("peer.log");
        let mut child = Child::spawn(program, &mut command(serve), &log);
        let address = self.fronts[&8080].address();
        until(&format!("{program} listens"), async || {
            assert_eq!(child.ended(), None, "{program} ended: {}", child.output());
            TcpStream::connect(address).await.ok()
        })
        .await;
        self.peer = Some(child);
    }

    /// Imports the sample, starts cutover on what came of it, and asks both.
    pub(super) async fn compare(&self, cases: &[Case]) {
        let directory = self.directory.path();
        let main = self.main.display().to_string();
        let made = run(NOWHERE, &["import", self.source, &main, "-o", "made.toml"], directory).await;
        assert_eq!(made.code, 0, "{made:?}");
        let checked = run(NOWHERE, &["check", "made.toml"], directory).await;
        assert_eq!(checked.code, 0, "{checked:?}");
        let mut cutover = Cutover::stopped(&Config::of(Service::new("unused")));
        let mut text = std::fs::read_to_string(directory.join("made.toml")).unwrap();
        let elsewhere: Vec<_> =
            self.fronts.values().map(|port| (port.address().to_string(), Port::reserve())).collect();
        for (written, here) in &elsewhere {
            let here = if *written == self.fronts[&8080].address().to_string() {
                cutover.proxy()
            } else {
                here.address()
            };
            text = text.replace(written, &here.to_string());
        }
        let (state, admin) = (cutover.file("state"), cutover.admin_address());
        assert!(!text.contains("[node]") && !text.contains("[admin]"), "{text}");
        cutover
            .write_config(&format!("{text}\n[node]\nstate_dir = {state:?}\n[admin]\nlisten = \"{admin}\"\n"));
        cutover.restart().await;
        let mut fronts = vec![("cutover", cutover.proxy())];
        fronts.extend(self.peer.as_ref().map(|_| (self.source, self.fronts[&8080].address())));
        for case in cases {
            for &(who, address) in &fronts {
                until(&format!("{who} answers {case:?}, not {:?}", ask(address, case).await), async || {
                    let answer = ask(address, case).await;
                    (answer.starts_with(&case.expected[..4]) && answer.ends_with(&case.expected[4..]))
                        .then_some(())
                })
                .await;
            }
        }
    }
}

/// The status, and the body or where one is sent.
async fn ask(address: SocketAddr, case: &Case) -> String {
    let request = Request::get(case.target).field("Host", case.host);
    let answer = Connection::open(address).await.ask(&request).await;
    let said = answer.field("location").map_or_else(|| answer.text(), str::to_owned);
    format!("{} {said}", answer.status())
}

fn copy(from: &Path, to: &Path, replaced: &[(String, String)]) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&from, &to, replaced);
        } else {
            let text = std::fs::read_to_string(&from).unwrap();
            std::fs::write(&to, with(text, replaced)).unwrap();
        }
    }
}

/// All of them at once: what is put in may look like what is taken out.
fn with(text: String, replaced: &[(String, String)]) -> String {
    let marked = replaced
        .iter()
        .enumerate()
        .fold(text, |text, (at, (from, _))| text.replace(from, &format!("@{at}@")));
    replaced.iter().enumerate().fold(marked, |text, (at, (_, to))| text.replace(&format!("@{at}@"), to))
}
