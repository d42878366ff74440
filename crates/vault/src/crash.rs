//! What a vault is after a SIGKILL at any moment: whole files, of what was written, and room for more.
//!
//! A child process stores assets as fast as it can. It is this test binary again, running the ignored test below. The parent kills it in the
//! middle and looks.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Asset, Coding, Key, Vaults};

const ROUNDS: u32 = 8;
const DIRECTORY: &str = "CUTOVER_TEST_VAULT_DIRECTORY";
const STORED: &str = "stored ";
const SIZE: u64 = 16 << 20;

#[test]
fn what_was_stored_survives_sigkill_and_nothing_is_half_there() {
    let dir = TempDir::new().unwrap();
    let mut stored = 0;
    for round in 0..ROUNDS {
        stored = stored.max(kill_after(dir.path(), 1 + round * 5, random_pause()));
        let vaults = Vaults::start(dir.path().to_owned()).unwrap();
        let vault = vaults.of("web", SIZE).unwrap();
        vaults.flush();
        let listed = vault.list(None, usize::MAX);
        for nth in 0..=stored {
            let found = vault.find(&target(nth), &[Coding::Identity], 1);
            assert_eq!(
                found.map(|(asset, _)| asset.body),
                Some(body(nth)),
                "round {round}: {nth} of {stored}"
            );
        }
        assert!(listed.len() as u64 > stored && listed.len() as u64 <= stored + 3, "round {round}");
        assert_eq!(vault.stats().corrupt, 0, "round {round}: a name is given to whole files only");
        let files = std::fs::read_dir(dir.path().join("service-web")).unwrap().count();
        assert_eq!(files, listed.len(), "round {round}: nothing else is left");
    }
}

#[test]
#[ignore = "the child process of the test above, which ends only by being killed"]
fn store_until_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let vaults = Vaults::start(directory.into()).unwrap();
    let vault = vaults.of("web", SIZE).unwrap();
    vaults.flush();
    for nth in vault.list(None, usize::MAX).len() as u64.. {
        let key = Key { target: Arc::from(target(nth)), coding: Coding::Identity };
        let asset = Asset {
            key,
            version: "v1".to_owned(),
            epoch: 1,
            stored_at: nth,
            fields: Vec::new(),
            body: body(nth),
        };
        let room = vault.reserve(1).unwrap();
        vault.put(asset, room);
        vaults.flush();
        // Fails when the parent is gone, which ends this process too.
        writeln!(std::io::stdout(), "\n{STORED}{nth}").unwrap();
    }
}

fn target(nth: u64) -> String {
    format!("/{nth:06}.js")
}

/// Some 10 KiB that are different for each.
fn body(nth: u64) -> Vec<u8> {
    nth.to_le_bytes().repeat(1300)
}

/// Starts the child, kills it `pause` after it has stored `count` assets, and answers the last one that it said it has stored.
fn kill_after(directory: &Path, count: u32, pause: Duration) -> u64 {
    let name = concat!(module_path!(), "::store_until_killed");
    let (_crate, name) = name.split_once("::").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut stored =
        lines.by_ref().filter_map(|line| line.unwrap().strip_prefix(STORED)?.parse::<u64>().ok());
    let mut last = 0;
    for _ in 0..count {
        last = stored.next().unwrap();
    }
    std::thread::sleep(pause);
    child.kill().unwrap();
    child.wait().unwrap();
    stored.last().unwrap_or(last)
}

fn random_pause() -> Duration {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).unwrap();
    Duration::from_millis(4) * u32::from(u16::from_le_bytes(bytes)) / u32::from(u16::MAX)
}
