//! Where the output of commands is kept: a directory with a file for each backend or step.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Bytes from the end of a file in which its last lines are looked for.
const TAIL_BYTES: u64 = 64 << 10;

/// A directory of logs.
#[derive(Debug)]
pub(crate) struct Logs(PathBuf);

impl Logs {
    /// Opens `directory`, made if it isn't there; without one a new temporary directory that nobody else can enter, named after
    /// `work`.
    ///
    /// # Errors
    /// It can't be made.
    pub(crate) fn open(directory: Option<&Path>, work: &str) -> io::Result<Self> {
        if let Some(directory) = directory {
            std::fs::create_dir_all(directory)?;
            return Ok(Self(directory.to_owned()));
        }
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(io::Error::other)?;
        let path = std::env::temp_dir().join(format!("cutover-{work}-{:016x}", u64::from_ne_bytes(name)));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// The directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    /// The file of a backend or step. Its name has no slash.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.log"))
    }

    /// The file of a backend or step, to be written at its end: an earlier run's output stays.
    ///
    /// # Errors
    /// It can't be made.
    pub(crate) fn append(&self, name: &str) -> io::Result<File> {
        File::options().create(true).append(true).open(self.file(name))
    }

    /// The last lines of a file, oldest first; none if it can't be read.
    pub(crate) fn tail(&self, name: &str, lines: usize) -> Vec<String> {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(self.file(name))?;
            let len = file.metadata()?.len();
            file.seek(SeekFrom::Start(len.saturating_sub(TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let mut tail: Vec<String> = text.lines().rev().take(lines).map(str::to_owned).collect();
        tail.reverse();
        tail
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn output_is_kept_over_several_runs_and_its_end_can_be_shown() {
        let directory = tempfile::tempdir().unwrap();
        let logs = Logs::open(Some(&directory.path().join("made/of/these")), "roll").unwrap();

        for run in 0..2 {
            writeln!(logs.append("10.0.0.1:80").unwrap(), "begin {run}\nend {run}").unwrap();
        }

        assert_eq!(logs.tail("10.0.0.1:80", 3), ["end 0", "begin 1", "end 1"]);
        assert_eq!(logs.tail("another", 3), [""; 0]);
    }

    #[test]
    fn the_end_of_a_long_file_is_read_without_its_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let logs = Logs::open(Some(directory.path()), "roll").unwrap();
        let long = "x".repeat(1 << 20);

        write!(logs.append("a").unwrap(), "{long}\nlast").unwrap();

        assert_eq!(logs.tail("a", 1), ["last"]);
        assert!(logs.tail("a", 9)[0].len() < 1 << 17);
    }
}
