//! A PostgreSQL of the test's own: on a Unix socket in a temporary directory, by an unprivileged user.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getuid};
use tempfile::TempDir;

use crate::support::child::Child;
use crate::support::wait::until;

/// Who runs it where the test is root, which PostgreSQL refuses to be run by.
const NOBODY: u32 = 65534;
/// Time for it to end.
const END: Duration = Duration::from_secs(5);

/// A running server with an empty database.
#[derive(Debug)]
pub(super) struct Postgres {
    // Ends before the directory goes.
    child: Child,
    directory: TempDir,
}

impl Postgres {
    /// Starts one; `None` where it is not installed.
    pub(super) async fn start() -> Option<Self> {
        let programs = programs()?;
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        if getuid().is_root() {
            chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut initdb = unprivileged(&programs.join("initdb"), directory.path());
        initdb.args([
            "--auth=trust",
            "--username=app",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
            "--pgdata",
        ]);
        let made = initdb.arg(&data).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut server = unprivileged(&programs.join("postgres"), directory.path());
        server.arg("-D").arg(&data).arg("-k").arg(directory.path());
        // What is lost in a crash of the machine is lost with the test.
        server.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"]);
        let child = Child::spawn("postgres", &mut server, &directory.path().join("postgres.log"));
        let postgres = Self { child, directory };
        until("PostgreSQL answers", async || {
            postgres.command("psql").args(["-c", "SELECT 1"]).output().unwrap().status.success().then_some(())
        })
        .await;
        Some(postgres)
    }

    /// Variables by which programs find it.
    pub(super) fn variables(&self) -> [(&'static str, String); 3] {
        let socket = self.directory.path().display().to_string();
        [("PGHOST", socket), ("PGUSER", "app".to_owned()), ("PGDATABASE", "postgres".to_owned())]
    }

    /// Carries out a file of statements.
    pub(super) fn carry_out(&self, file: &Path) {
        let done = self.command("psql").args(["-v", "ON_ERROR_STOP=1", "-f"]).arg(file).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// The one value that a query answers.
    pub(super) fn value(&self, query: &str) -> String {
        let done = self.command("psql").args(["-At", "-c", query]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// The columns of a table, sorted.
    pub(super) fn columns(&self, table: &str) -> String {
        self.value(&format!(
            "SELECT string_agg(column_name, ' ' ORDER BY column_name) FROM information_schema.columns \
             WHERE table_name = '{table}'"
        ))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(self.variables());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Killed, it would leave shared memory behind.
        self.child.signal(Signal::INT);
        let began = Instant::now();
        while self.child.ended().is_none() && began.elapsed() < END {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn unprivileged(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory);
    if getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Where its programs are: Debian keeps those of servers out of the path, in a directory for each release.
fn programs() -> Option<PathBuf> {
    let releases = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut places: Vec<PathBuf> = releases.map(|release| release.path().join("bin")).collect();
    places.sort();
    places.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let found =
        places.into_iter().find(|place| place.join("initdb").is_file() && place.join("postgres").is_file());
    if found.is_none() {
        eprintln!("skipped: PostgreSQL is not installed");
    }
    found
}
