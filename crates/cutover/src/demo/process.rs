//! A child process of the demo: started on a leash, stopped within a limit, its output kept.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use super::{dice::Dice, error::Error};

/// Longest first line of a child, in bytes.
const LINE_BYTES_MAX: u64 = 1024;

/// A running child. Dropping it kills it; the end of this process stops it too, however that comes (see `leash`).
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    _leash: Option<ChildStdin>,
}

impl Process {
    /// Starts this very program with other arguments. Its output goes to `log`, except the first line, which is for
    /// `first_line`, when `talks`.
    pub(super) fn spawn(name: &str, arguments: &[String], log: &Path, talks: bool) -> Result<Self, Error> {
        let spawned = || -> io::Result<Child> {
            let log = File::options().create(true).append(true).open(log)?;
            let output = if talks { Stdio::piped() } else { log.try_clone()?.into() };
            Command::new(std::env::current_exe()?)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(output)
                .stderr(log)
                // Ctrl-C on the terminal is for the demo, which then stops its children in order.
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
        };
        let mut child = spawned().map_err(Error::system(format!("start {name}")))?;
        let leash = child.stdin.take();
        Ok(Self { name: name.to_owned(), child, _leash: leash })
    }

    /// The first line that the child writes, for which it has `limit`.
    pub(super) async fn first_line(&mut self, limit: Duration) -> Result<String, Error> {
        let Some(output) = self.child.stdout.take() else {
            return Err(Error::system(format!("read from {}", self.name))(io::ErrorKind::BrokenPipe.into()));
        };
        let mut line = String::new();
        let mut output = BufReader::new(output).take(LINE_BYTES_MAX);
        match timeout(limit, output.read_line(&mut line)).await {
            Ok(Ok(0)) => Err(self.ended(limit).await),
            Ok(read) => read.map(|_| line).map_err(Error::system(format!("read from {}", self.name))),
            Err(_) => Err(Error::Late { what: format!("{} said its address", self.name), limit }),
        }
    }

    /// Waits for what should not happen: that the child ends by itself.
    pub(super) async fn lost(&mut self) -> Error {
        match self.child.wait().await {
            Ok(status) => Error::Ended { name: self.name.clone(), status },
            Err(source) => Error::system(format!("look after {}", self.name))(source),
        }
    }

    /// Asks the child to finish what it does and end (SIGTERM).
    pub(super) fn terminate(&self) -> Result<(), Error> {
        let raw = self.child.id().and_then(|id| i32::try_from(id).ok());
        let Some(pid) = raw.and_then(Pid::from_raw) else { return Ok(()) };
        kill_process(pid, Signal::TERM)
            .map_err(|errno| Error::system(format!("stop {}", self.name))(errno.into()))
    }

    /// Waits until the child has ended; an error if it takes longer than `limit` or ends otherwise than with 0.
    pub(super) async fn end(&mut self, limit: Duration) -> Result<(), Error> {
        let status = self.exit_status(limit).await?;
        if status.success() { Ok(()) } else { Err(Error::Ended { name: self.name.clone(), status }) }
    }

    /// Ends the child at once (SIGKILL), whatever it is doing.
    pub(super) async fn kill(&mut self) {
        // Only a child that is gone already can't be killed.
        let _ = self.child.kill().await;
    }

    async fn exit_status(&mut self, limit: Duration) -> Result<ExitStatus, Error> {
        match timeout(limit, self.child.wait()).await {
            Ok(status) => status.map_err(Error::system(format!("wait for {}", self.name))),
            Err(_) => Err(Error::Late { what: format!("{} ended", self.name), limit }),
        }
    }

    /// The error for a child that closed its output.
    async fn ended(&mut self, limit: Duration) -> Error {
        match self.exit_status(limit).await {
            Ok(status) => Error::Ended { name: self.name.clone(), status },
            Err(error) => error,
        }
    }
}

/// A directory of the demo's own, removed when it is dropped unless it is to be kept.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Scratch {
    /// Makes a directory that nobody else can enter.
    pub(super) fn create(keep: bool) -> Result<Self, Error> {
        use std::os::unix::fs::DirBuilderExt as _;
        let made = || -> io::Result<PathBuf> {
            let path =
                std::env::temp_dir().join(format!("cutover-demo-{:016x}", Dice::from_entropy()?.roll()));
            std::fs::DirBuilder::new().mode(0o700).create(&path)?;
            Ok(path)
        };
        Ok(Self { path: made().map_err(Error::system("make a temporary directory"))?, keep })
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where it is, if it will stay.
    pub(super) fn kept(&self) -> Option<&Path> {
        self.keep.then_some(self.path.as_path())
    }

    /// The last lines of a file in it, oldest first; nothing if it can't be read.
    pub(super) fn tail(&self, name: &str, lines: usize) -> Vec<String> {
        let text = std::fs::read(self.file(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut tail: Vec<_> = text.lines().rev().take(lines).map(str::to_owned).collect();
        tail.reverse();
        tail
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep {
            // What can't be removed is in the system's temporary directory, which is cleaned by others.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
