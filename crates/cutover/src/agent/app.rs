//! The app: a child in a process group of its own, which is stopped as a whole and leaves nobody behind.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{self, Pid, Signal, WaitOptions};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// The argument that makes this program become the app.
pub(super) const LAUNCH: &str = "agent-launch";
/// Time for the kernel to end what was killed.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);
/// Time between two looks whether the group is empty.
const LOOK: Duration = Duration::from_millis(10);

/// A running app. Dropping it kills it, with everything in its group.
#[derive(Debug)]
pub(super) struct App {
    child: Child,
    group: Group,
    is_over: bool,
}

/// The process group of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group(Pid);

impl App {
    /// Starts `command` with `variables` in its environment. Must be called on a thread that lives as long as the agent: the kernel
    /// kills the app with the thread that started it, not with the process (prctl(2), `PR_SET_PDEATHSIG`).
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn start(command: &[OsString], variables: &[(&str, Option<String>)]) -> io::Result<Self> {
        let mut launch = Command::new(this_program()?);
        launch.arg0("cutover").arg(LAUNCH).arg("--parent").arg(std::process::id().to_string());
        launch.arg("--").args(command).process_group(0).kill_on_drop(true);
        // What the agent may do with the admin API is not the app's to do.
        launch.env_remove("CUTOVER_TOKEN");
        for (name, value) in variables {
            match value {
                Some(value) => launch.env(name, value),
                None => launch.env_remove(name),
            };
        }
        let child = launch.spawn()?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let group = Group(pid.ok_or_else(|| io::Error::other("a process without an id"))?);
        Ok(Self { child, group, is_over: false })
    }

    /// Its process group.
    pub(super) const fn group(&self) -> Group {
        self.group
    }

    /// Waits for the end of the app, after which nothing of its group is left. May be dropped and called again.
    ///
    /// # Errors
    /// The system doesn't know the app.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.bury();
        Ok(status)
    }

    /// Lets the app end (SIGTERM), and kills what is left of its group after `limit`. Then its address is free for the next one.
    ///
    /// # Errors
    /// The system doesn't know the app.
    pub(super) async fn stop(&mut self, limit: Duration) -> io::Result<ExitStatus> {
        let group = self.group;
        adopt_orphans(true);
        if !self.is_over {
            group.send(Signal::TERM);
            // A stopped process acts on nothing else.
            group.send(Signal::CONT);
        }
        let child = &mut self.child;
        // The first process of the group is the app to whoever waits, but those that it started may still finish requests.
        let emptied = async {
            child.wait().await?;
            group.emptied().await;
            io::Result::Ok(())
        };
        match timeout(limit, emptied).await {
            Ok(result) => result?,
            Err(_) => group.send(Signal::KILL),
        }
        let status = self.ended().await;
        // What was killed is gone in a moment; what is not, nobody can end.
        let _ = timeout(KILL_TIMEOUT, group.emptied()).await;
        adopt_orphans(false);
        status
    }

    fn bury(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.group.send(Signal::KILL);
            self.group.reap();
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if !self.is_over {
            self.group.send(Signal::KILL);
        }
    }
}

impl Group {
    /// Reads what [`Group`] writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().and_then(Pid::from_raw).filter(|pid| !pid.is_init()).map(Self)
    }

    /// Sends a signal to everybody in it.
    pub(super) fn send(self, signal: Signal) {
        match process::kill_process_group(self.0, signal) {
            // Nobody there is what a signal is for in the end.
            Ok(()) | Err(Errno::SRCH) => {}
            Err(cause) => tracing::warn!(group = %self, ?signal, %cause, "the app can't be signalled"),
        }
    }

    /// Waits until nobody is in it. Its first process must have been waited for.
    async fn emptied(self) {
        loop {
            self.reap();
            if process::test_kill_process_group(self.0) == Err(Errno::SRCH) {
                return;
            }
            sleep(LOOK).await;
        }
    }

    /// Waits for those in it that ended and are the agent's: see [`adopt_orphans`].
    fn reap(self) {
        while let Ok(Some(_)) = process::waitpgid(self.0, WaitOptions::NOHANG) {}
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_raw_nonzero().fmt(f)
    }
}

/// Whether processes that the app leaves behind become the agent's, so that their end is seen when it comes: a process that nobody
/// waited for is still in its group. Only while the app stops, because nobody waits for them otherwise (prctl(2),
/// `PR_SET_CHILD_SUBREAPER`).
fn adopt_orphans(is_adopting: bool) {
    #[cfg(target_os = "linux")]
    if let Err(cause) = process::set_child_subreaper(is_adopting.then(process::getpid)) {
        tracing::debug!(%cause, "what the app leaves behind is left to others");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = is_adopting;
}

/// This very program, also after its file was replaced by a newer one.
pub(super) fn this_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}
