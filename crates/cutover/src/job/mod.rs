//! One run of a command: in a process group of its own, its output in a file, ended when its time is over. And what the work of
//! commands is shown, kept and stopped with.

mod logs;
pub(crate) mod progress;
pub(crate) mod stop;
pub(crate) mod told;
pub(crate) mod waiting;

use std::fs::File;
use std::io::{self, Write as _};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub(crate) use self::logs::Logs;

/// Time from SIGTERM to SIGKILL for a command that is ended.
const GRACE: Duration = Duration::from_secs(10);

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself.
    By(ExitStatus),
    /// By us: its time was over.
    Late,
    /// By us: somebody wanted it.
    Killed,
}

/// Runs `command` by `sh -c` with `variables` in its environment, and ends it after `limit` or when `kill` resolves. What it prints goes
/// to `log`.
///
/// # Errors
/// It can't be started, or the system loses it.
pub(crate) async fn run(
    command: &str,
    variables: &[(&str, String)],
    mut log: File,
    limit: Duration,
    kill: impl Future<Output = ()>,
) -> io::Result<Ended> {
    writeln!(log, "$ {command}")?;
    let mut child = Command::new("sh")
        .args(["-c", command])
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C at the terminal is for us, who let the commands end.
        .process_group(0)
        .spawn()?;
    tokio::select! {
        status = child.wait() => Ok(Ended::By(status?)),
        () = tokio::time::sleep(limit) => end(&mut child).await.map(|()| Ended::Late),
        () = kill => end(&mut child).await.map(|()| Ended::Killed),
    }
}

/// Ends a command with all that it started.
async fn end(child: &mut Child) -> io::Result<()> {
    signal(child, Signal::TERM);
    if timeout(GRACE, child.wait()).await.is_err() {
        signal(child, Signal::KILL);
        child.wait().await?;
    }
    Ok(())
}

/// Signals the process group of a child that was not waited for yet, so that its id is still its own.
fn signal(child: &Child, signal: Signal) {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(id) = id {
        // It can only fail because the group is gone.
        let _ = kill_process_group(id, signal);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::path::Path;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    async fn run_in(
        directory: &Path,
        command: &str,
        limit: Duration,
        kill: impl Future<Output = ()>,
    ) -> (Ended, String) {
        let path = directory.join("log");
        let ended =
            run(command, &[("NAME", "a value".to_owned())], File::create(&path).unwrap(), limit, kill)
                .await
                .unwrap();
        (ended, std::fs::read_to_string(path).unwrap())
    }

    #[tokio::test]
    async fn all_output_is_kept_below_the_command() {
        let directory = tempfile::tempdir().unwrap();
        let (ended, log) =
            run_in(directory.path(), "echo $NAME; echo err >&2; exit 3", LONG, pending()).await;
        assert!(matches!(ended, Ended::By(status) if status.code() == Some(3)), "{ended:?}");
        assert_eq!(log, "$ echo $NAME; echo err >&2; exit 3\na value\nerr\n");
    }

    #[tokio::test]
    async fn a_command_that_is_late_or_unwanted_is_ended_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        // The shell waits for its child, which writes its id first.
        let command = "sleep 60 & echo $!; wait";
        let (late, log) = run_in(directory.path(), command, Duration::from_millis(300), pending()).await;
        let (killed, _) = run_in(directory.path(), command, LONG, ready(())).await;
        assert_eq!((late, killed), (Ended::Late, Ended::Killed));
        let sleeper: i32 = log.lines().last().unwrap().parse().unwrap();
        let is_gone = || {
            let state = std::fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
            // It may stay a zombie where nobody collects orphans.
            state.is_empty() || state.contains(") Z ")
        };
        for _ in 0..1000 {
            if is_gone() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{sleeper} lives on");
    }
}
