//! A file of `config/` that runs: its addresses and files are carried over to loopback and a directory, nothing else of it changes.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::support::admin::Admin;
use crate::support::child::Child;
use crate::support::port::Port;
use crate::support::wait::until;

/// Where an example's absolute paths are files, and not paths of URLs.
const ROOTS: [&str; 3] = ["/etc/", "/run/", "/var/"];
/// What counts where an example does not say it, written as an example would.
const DEFAULTS: [(&str, &str); 2] =
    [("[node]", "state_dir = \"/var/lib/cutover\""), ("[admin]", "listen = \"127.0.0.1:9900\"")];

/// An example, and what runs by it.
#[derive(Debug)]
pub(super) struct Example {
    // Ends before the directory goes, because its log is in there.
    child: Option<Child>,
    directory: TempDir,
    text: String,
    ports: BTreeMap<u16, Port>,
    tokens: usize,
}

impl Example {
    /// The file `name` of `config/`; `given` are texts of it and what stands for them here, such as the addresses of backends.
    pub(super) fn of(name: &str, given: &[(&str, String)]) -> Self {
        let written = std::fs::read_to_string(directory().join(name)).unwrap();
        // Only root is told where its state is by default; a test may be anybody.
        let mut written = written.replace("state_dir = \"\"", DEFAULTS[0].1);
        for (table, keys) in DEFAULTS {
            if !written.lines().any(|line| line.starts_with(table)) {
                written = format!("{table}\n{keys}\n{written}");
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let mut example =
            Self { child: None, directory, text: String::new(), ports: BTreeMap::new(), tokens: 0 };
        for line in written.lines() {
            let line = example.line(line, given);
            example.text.push_str(&line);
            example.text.push('\n');
        }
        std::fs::write(example.directory.path().join("example.toml"), &example.text).unwrap();
        example
    }

    /// Starts it, by its own words, and waits until it is ready.
    pub(super) async fn start(&mut self) {
        self.launch();
        let admin = self.admin();
        until("the example is ready", async || {
            let ended = self.child.as_mut().and_then(Child::ended);
            assert_eq!(ended, None, "it ended at its start:\n{}\n{}", self.log(), self.text);
            let answer = admin.try_call("GET", "/readyz", &serde_json::Value::Null).await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
    }

    /// Starts it and waits for nothing.
    pub(super) fn launch(&mut self) {
        let mut command = self.command(&["serve", "--leashed", "--config"]);
        self.child = Some(Child::spawn("cutover", &mut command, &self.file("cutover.log")));
    }

    /// What `cutover check` finds wrong with it.
    pub(super) fn check(&self) -> Option<String> {
        let output = self.command(&["check"]).output().unwrap();
        (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Where a port of the example is.
    pub(super) fn port(&self, number: u16) -> SocketAddr {
        self.ports[&number].address()
    }

    /// Where a file of the example is.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        let path = self.directory.path().join(written.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// The admin API, which is at this port in all examples but one.
    pub(super) fn admin(&self) -> Admin {
        Admin::new(self.port(9900))
    }

    /// The same for who holds a token of the example, numbered from one as the file names them.
    pub(super) fn holder(&self, number: usize) -> Admin {
        self.admin().with("Authorization", &format!("Bearer {}", token(number)))
    }

    pub(super) fn process(&self) -> &Child {
        self.child.as_ref().expect("it was not started")
    }

    /// All that it logged.
    pub(super) fn log(&self) -> String {
        self.child.as_ref().map(Child::output).unwrap_or_default()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.args(arguments).arg(self.file("example.toml")).current_dir(self.directory.path());
        command
    }

    /// A line as it is here: what it says in quotes, outside of its comment, is carried over.
    fn line(&mut self, line: &str, given: &[(&str, String)]) -> String {
        let mut carried = String::new();
        for (index, part) in line.split('"').enumerate() {
            if index > 0 {
                carried.push('"');
            }
            match (index % 2, part.split_once('#')) {
                (0, Some((code, _))) => return carried + code.trim_end(),
                (0, None) => carried.push_str(part),
                _ => carried.push_str(&self.carried(part, given)),
            }
        }
        carried
    }

    fn carried(&mut self, text: &str, given: &[(&str, String)]) -> String {
        if let Some((_, here)) = given.iter().find(|(written, _)| *written == text) {
            return here.clone();
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return format!("unix:{}", self.path(path).display());
        }
        if ROOTS.iter().any(|root| text.starts_with(root)) {
            return self.path(text).display().to_string();
        }
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            self.tokens += 1;
            let hash = Sha256::digest(token(self.tokens));
            return hash.iter().map(|byte| format!("{byte:02x}")).collect();
        }
        match text.parse::<SocketAddr>() {
            Ok(address) => self.bound(address).to_string(),
            Err(_) => text.to_owned(),
        }
    }

    fn bound(&mut self, written: SocketAddr) -> SocketAddr {
        let port = self.ports.entry(written.port()).or_insert_with(Port::reserve).address();
        if written.is_ipv6() { (Ipv6Addr::LOCALHOST, port.port()).into() } else { port }
    }
}

/// The names of all files of `config/` that are configurations.
pub(super) fn names() -> Vec<String> {
    let files = std::fs::read_dir(directory()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "toml")).collect()
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn token(number: usize) -> String {
    format!("the token number {number}")
}
