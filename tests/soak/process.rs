//! Processes of the run: on a leash, their output in a file, ended by their id.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// The environment variable that names the role of a process of this program.
pub(crate) const ROLE: &str = "CUTOVER_SOAK_ROLE";
/// Plays the run, in its place.
pub(crate) const PLAYER: &str = "player";
/// An app server of gRPC.
pub(crate) const SERVER: &str = "server";

/// A running process. It is killed when this is dropped; its standard input ends with the run, however that ends.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts `command`; what it prints is appended to `log`.
    pub(crate) fn spawn(command: &mut Command, log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::piped()).stdout(output.try_clone().unwrap()).stderr(output);
        Self(command.spawn().unwrap_or_else(|error| panic!("can't start {command:?}: {error}")))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        // Whoever `is_running` has taken leave of is nobody's child any more.
        self.0.try_wait().unwrap_or_else(|_| Some(ExitStatus::default()))
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal; false if there is no such process.
pub(crate) fn signal(pid: u32, signal: Signal) -> bool {
    raw(pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// Whether a process runs. One that has ended and that is left to us is taken leave of.
pub(crate) fn is_running(pid: u32) -> bool {
    let Some(raw) = raw(pid) else { return false };
    // Of those whose parent has ended we are the parent, where the run has process ids of its own.
    let _ = waitpid(Some(raw), WaitOptions::NOHANG);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let is_over = stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'));
    // The first thread may be gone while others are on their way out, and hold what it had open.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    !is_over || threads > 1
}

/// Runs a command to its end; false if it can't be started or fails. What it complains about is kept in `log`.
pub(crate) fn is_done(program: &str, arguments: &[&str], log: &Path) -> bool {
    let Ok(complaints) = File::options().create(true).append(true).open(log) else { return false };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints);
    command.status().is_ok_and(|status| status.success())
}

fn raw(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}
