//! Where the agent learns which version it starts: read anew at every start, because a deploy changes it in between.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use cutover_core::id::{NameError, VersionLabel};
use tokio::process::Command;
use tokio::time::timeout;

/// Time for the command that prints the version.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the version comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The app's answers tell it, to cutover and not to the agent.
    Answers,
    /// It never changes.
    Given(VersionLabel),
    /// The first line of a file.
    File(PathBuf),
    /// The first line that a shell command prints.
    Command(String),
}

/// Why the version is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The file can't be read.
    #[error("can't read the version from {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The shell can't be started.
    #[error("can't run `{command}`, which tells the version")]
    Run {
        /// The command.
        command: String,
        /// Why not.
        source: io::Error,
    },
    /// The command failed.
    #[error("`{command}`, which tells the version, failed: {status}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The command takes too long.
    #[error("`{command}`, which tells the version, takes longer than {COMMAND_TIMEOUT:?}")]
    Late {
        /// The command.
        command: String,
    },
    /// What was read is no version.
    #[error("the version {text:?} {source}")]
    Label {
        /// What was read.
        text: String,
        /// What is wrong with it.
        source: NameError,
    },
}

impl Source {
    /// The version as it is now; none where the app's answers tell it.
    ///
    /// # Errors
    /// It can't be read, or is no version.
    pub(super) async fn read(&self) -> Result<Option<VersionLabel>, Error> {
        let text = match self {
            Self::Answers => return Ok(None),
            Self::Given(version) => return Ok(Some(version.clone())),
            Self::File(path) => {
                tokio::fs::read(path).await.map_err(|source| Error::File { path: path.clone(), source })?
            }
            Self::Command(command) => output(command).await?,
        };
        label(&text).map(Some)
    }
}

async fn output(command: &str) -> Result<Vec<u8>, Error> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = timeout(COMMAND_TIMEOUT, shell.output())
        .await
        .map_err(|_| Error::Late { command: command.to_owned() })?
        .map_err(|source| Error::Run { command: command.to_owned(), source })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Error::Failed { command: command.to_owned(), status: output.status })
    }
}

fn label(text: &[u8]) -> Result<VersionLabel, Error> {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().next().unwrap_or_default().trim();
    VersionLabel::parse(line).map_err(|source| Error::Label { text: line.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_version_is_read_anew_every_time() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("VERSION");
        let from_file = Source::File(file.clone());
        let from_command = Source::Command(format!("cat {}", file.display()));

        for version in ["v1", "v2"] {
            std::fs::write(&file, format!("{version}\nbuilt by hand\n")).unwrap();
            for source in [&from_file, &from_command] {
                assert_eq!(source.read().await.unwrap().unwrap().as_str(), version);
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_version_is_refused_with_its_cause() {
        let cause = async |source: Source| source.read().await.unwrap_err().to_string();

        assert!(cause(Source::File("/nowhere/VERSION".into())).await.contains("/nowhere/VERSION"));
        assert!(cause(Source::Command("exit 3".to_owned())).await.contains('3'));
        assert!(cause(Source::Command("echo".to_owned())).await.contains("empty"));
        assert!(cause(Source::Command("echo a b".to_owned())).await.contains("visible ASCII"));
    }
}
