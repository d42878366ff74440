//! A place of its own for a run: namespaces of processes, mounts and networks, which end with it, whatever is in them.

use std::process::{Command, Stdio};

use super::options::Options;
use super::process::{PLAYER, ROLE};

/// What says to the player that it is alone in its namespaces.
pub(crate) const APART: &str = "CUTOVER_SOAK_APART";
const NAMESPACES: [&str; 6] = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Starts this program again in a place of its own, if the machine allows that, and takes its verdict.
pub(crate) fn enter() {
    let options = Options::from_environment();
    if options.out.join("diary.log").exists() {
        std::fs::remove_dir_all(&options.out).unwrap();
    }
    std::fs::create_dir_all(&options.out).unwrap();
    let is_clean = play(&options);
    if is_clean && !options.is_kept {
        // What can't be removed is below the build's own directory.
        let _ = std::fs::remove_dir_all(&options.out);
    } else {
        eprintln!("logs, curves and picture are in {}", options.out.display());
    }
    assert!(is_clean, "see above");
}

/// Answers whether everything was kept.
fn play(options: &Options) -> bool {
    let way = ways().into_iter().find(|way| {
        let probe = Command::new("unshare").args(way).arg("true").stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    });
    let program = std::env::current_exe().unwrap();
    let mut command = match &way {
        Some(way) => {
            let mut command = Command::new("unshare");
            command.args(way).arg(&program).env(APART, "1");
            command
        }
        None => Command::new(&program),
    };
    command.args(["--exact", "promises_are_kept_under_chaos", "--nocapture", "--test-threads", "1"]);
    command.env("CUTOVER_SOAK_OUT", &options.out).env("CUTOVER_SOAK_SEED", options.seed.to_string());
    // Where tools of the system are, which others than root may not look for.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    command.env("PATH", path);
    // The pipe is the leash: however this process ends, the player hears of it.
    let mut player = command.env(ROLE, PLAYER).stdin(Stdio::piped()).spawn().unwrap();
    let leash = player.stdin.take();
    let status = player.wait().unwrap();
    drop(leash);
    status.success()
}

/// Ends this process, and with it everything in its namespaces, when whoever started it is gone.
pub(crate) fn hold_leash() {
    std::thread::spawn(|| {
        use std::io::Read as _;
        let mut ignored = [0; 16];
        while matches!(std::io::stdin().read(&mut ignored), Ok(count) if count > 0) {}
        std::process::exit(130);
    });
}

/// As root the user need not change; as anybody else he must, to be root in there.
fn ways() -> Vec<Vec<&'static str>> {
    let with_user = [["--user", "--map-root-user"].as_slice(), &NAMESPACES].concat();
    if rustix::process::geteuid().is_root() { vec![NAMESPACES.to_vec(), with_user] } else { vec![with_user] }
}
