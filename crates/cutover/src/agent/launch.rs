//! What the agent starts in the place of the app: it ties itself to the life of the agent, then becomes the app.
//!
//! The kernel forgets the tie at `fork` and keeps it over `execve` (prctl(2), `PR_SET_PDEATHSIG`), so it must be made by the process
//! that becomes the app. An app that is set-user-id or has capabilities on its file loses it; the guard sees to that one.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use super::args::Launch;
use crate::run::fail;

/// What shells answer for a command that is not there, and for one that can't be run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// Why the app did not begin.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("can't run {command:?}")]
    Exec { command: std::ffi::OsString, source: io::Error },
    #[error("the agent is gone")]
    Orphan,
    #[cfg(target_os = "linux")]
    #[error("can't tie the app to the agent")]
    Tie(#[source] rustix::io::Errno),
}

/// Becomes the app. Only a failure returns.
pub(crate) fn run(launch: &Launch) -> ExitCode {
    let error = become_the_app(launch);
    fail(&error);
    match &error {
        Error::Exec { source, .. } if source.kind() == io::ErrorKind::NotFound => NOT_FOUND.into(),
        Error::Exec { .. } => NOT_RUNNABLE.into(),
        _ => ExitCode::FAILURE,
    }
}

fn become_the_app(launch: &Launch) -> Error {
    #[cfg(target_os = "linux")]
    if let Err(errno) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
    {
        return Error::Tie(errno);
    }
    // An agent that ended before the tie was made sends no signal any more.
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent.and_then(|pid| u32::try_from(pid).ok()) != Some(launch.parent) {
        return Error::Orphan;
    }
    let Some((program, arguments)) = launch.command.split_first() else { return Error::Orphan };
    let source = Command::new(program).args(arguments).exec();
    Error::Exec { command: program.clone(), source }
}
