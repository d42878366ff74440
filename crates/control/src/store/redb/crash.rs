//! The promise that a store is for: what was acknowledged is there after a SIGKILL at any moment.
//!
//! A child process opens the store, commits as fast as it can and prints each revision after its acknowledgement. It is
//! this test binary again, running the ignored test below. The parent kills it in the middle and looks.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::super::suite::{operation, put};
use super::super::{Key, Store};
use super::RedbStore;

const ROUNDS: u8 = 10;
const DIRECTORY: &str = "CUTOVER_TEST_STORE_DIRECTORY";
const ACKNOWLEDGED: &str = "acknowledged ";
/// About the time from the start of a child to its first commit, and that of some commits. Nothing is asserted on
/// them; they only say where the kills fall.
const STARTING: Duration = Duration::from_millis(30);
const COMMITTING: Duration = Duration::from_millis(4);

#[tokio::test]
async fn every_acknowledged_commit_survives_sigkill() {
    let dir = TempDir::new().expect("a temporary directory");
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let last = kill_after(dir.path(), 1 + u32::from(round) * 3, random_pause(COMMITTING));
        acknowledged = acknowledged.max(last);

        let store = RedbStore::open(dir.path()).expect("the store opens after a kill");
        let loaded = store.load().await.expect("the store loads after a kill");

        assert!(
            loaded.revision.0 >= acknowledged,
            "round {round}: {acknowledged} was acknowledged, {} is there",
            loaded.revision
        );
        let expected: BTreeSet<Key> = (1..=loaded.revision.0).flat_map(keys_of).collect();
        let found: BTreeSet<Key> = loaded.records.into_keys().collect();
        assert_eq!(found, expected, "round {round}: a commit is torn or missing");
        let operation = operation(loaded.revision.0.into());
        assert_eq!(store.committed(operation).await.expect("a look-up"), Some(loaded.revision));
    }
}

#[tokio::test]
async fn a_creation_cut_short_by_sigkill_leaves_a_directory_that_opens() {
    for _ in 0..ROUNDS {
        let dir = TempDir::new().expect("a temporary directory");
        let acknowledged = kill_after(dir.path(), 0, random_pause(STARTING));
        let store = RedbStore::open(dir.path()).expect("the store opens after a kill");
        assert!(store.load().await.expect("a load").revision.0 >= acknowledged);
    }
}

#[tokio::test]
#[ignore = "the child process of the tests above, which ends only by being killed"]
async fn commit_until_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let store = RedbStore::open(Path::new(&directory)).expect("the store opens");
    loop {
        let next = store.load().await.expect("a load").revision.0 + 1;
        let [left, right] = keys_of(next);
        let revision =
            store.commit(put(next.into(), &[left.as_str(), right.as_str()])).await.expect("a commit");
        // Fails when the parent is gone, which ends this process too.
        writeln!(std::io::stdout(), "\n{ACKNOWLEDGED}{}", revision.0).expect("the parent listens");
    }
}

/// Two keys that are far from each other in the tree, so that a torn commit would show.
fn keys_of(revision: u64) -> [Key; 2] {
    [Key::new(&format!("left-{revision}")), Key::new(&format!("right-{revision}"))]
}

/// Starts the child, kills it `pause` after it has acknowledged `count` commits, and answers the last revision that it
/// acknowledged, 0 for none.
fn kill_after(directory: &Path, count: u32, pause: Duration) -> u64 {
    let this = std::env::current_exe().expect("the path of this test");
    let name = concat!(module_path!(), "::commit_until_killed");
    let (_crate, name) = name.split_once("::").expect("the path of a test");
    let child = Command::new(this)
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut child = Killed(child);
    let mut lines = BufReader::new(child.0.stdout.take().expect("it is piped")).lines();
    let mut revisions = lines.by_ref().filter_map(|line| {
        line.expect("the child writes text").strip_prefix(ACKNOWLEDGED)?.parse::<u64>().ok()
    });
    let mut last = 0;
    for _ in 0..count {
        last = revisions.next().expect("the child commits until it is killed");
    }
    std::thread::sleep(pause);
    drop(child);
    revisions.last().unwrap_or(last)
}

/// A random part of `longest`.
fn random_pause(longest: Duration) -> Duration {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).expect("the system has entropy");
    longest * u32::from(u16::from_le_bytes(bytes)) / u32::from(u16::MAX)
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().expect("the child has not been waited for");
        self.0.wait().expect("a killed child ends");
    }
}
