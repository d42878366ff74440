//! The disk of the state: it can be full, and it can be slow.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::Process;

/// Written at once to fill it.
static BLOCK: [u8; 64 * 1024] = [0; 64 * 1024];
/// How long a slow disk takes to say that something is written, in microseconds.
const SLOW_US: u32 = 300_000;

/// A file system of its own.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    ballast: PathBuf,
    log: PathBuf,
}

impl Disk {
    pub(crate) fn new(state: &Path, log: &Path) -> Self {
        Self { ballast: state.join("ballast"), log: log.to_owned() }
    }

    /// Takes all the space that is left.
    pub(crate) fn fill(&self) {
        let Ok(mut ballast) = File::create(&self.ballast) else { return };
        while ballast.write_all(&BLOCK).is_ok() {}
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        // What was never filled is free.
        let _ = std::fs::remove_file(&self.ballast);
    }

    /// Makes every sync of this process slow, until what is answered is dropped.
    pub(crate) fn slow(&self, pid: u32) -> Option<Process> {
        // Only its threads of the control plane write there: the others are not slowed down by being traced.
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let is_control = |path: &Path| {
            let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
            !name.starts_with("worker")
        };
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync,sync_file_range", "-e"]);
        command.arg(format!("inject=fsync,fdatasync:delay_exit={SLOW_US}"));
        for thread in threads.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_control(path)) {
            command.arg("-p").arg(thread.file_name()?);
        }
        command.stderr(Stdio::null());
        Some(Process::spawn(&mut command, &self.log))
    }
}
