//! The guard: a process beside the agent that kills the app's whole process group when the agent is gone.
//!
//! The kernel kills the app itself with the agent (see `launch`), but not what the app has started: the node behind an `npm start`, the
//! workers of a preforking server. The guard's standard input is a pipe from the agent, which the kernel closes however the agent ends,
//! `kill -9` included. Until then it is told which group there is, one line at each start and end of the app.

use std::io::{self, BufRead as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::Signal;

use super::app::{self, Group};
use crate::signals::Signals;

/// The argument that makes this program the guard.
pub(super) const COMMAND: &str = "agent-guard";

/// The agent's end.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    input: Option<ChildStdin>,
}

impl Guard {
    /// Starts the guard.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn start() -> io::Result<Self> {
        let mut child = Command::new(app::this_program()?)
            .arg0("cutover")
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What is sent to the agent's group, as Ctrl-C is by a terminal, is not for the guard.
            .process_group(0)
            .spawn()?;
        let input = child.stdin.take();
        Ok(Self { child, input })
    }

    /// From now on `group` is what must not be left behind; none while there is no app.
    pub(super) fn watch(&mut self, group: Option<Group>) {
        let line = group.map_or_else(|| "\n".to_owned(), |group| format!("{group}\n"));
        // One write of a few bytes, so that the guard never reads half of it.
        let told = self.input.as_ref().map(|mut input| input.write_all(line.as_bytes()));
        if let Some(Err(cause)) = told {
            tracing::warn!(%cause, "the guard is gone: what the app starts may outlive the agent if that is killed");
            self.input = None;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.input = None;
        // It ends at the end of its input. If it is gone already, it has been reaped by nobody else.
        let _ = self.child.wait();
    }
}

/// The guard's end: ends when the agent does.
///
/// # Errors
/// Signals can't be caught, or the pipe fails.
pub(crate) fn run() -> io::Result<()> {
    // Whoever stops a whole service at once must not stop the guard before the agent. Nobody listens to these.
    let _caught = Signals::catch()?;
    let mut group = None;
    for line in io::stdin().lock().lines() {
        group = Group::parse(line?.trim());
    }
    if let Some(group) = group {
        group.send(Signal::KILL);
    }
    Ok(())
}
