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

    /// Follows a file from its end as it is now.
    ///
    /// # Errors
    /// It can't be read.
    pub(crate) fn follow(&self, name: &str) -> io::Result<Follower> {
        let mut file = File::open(self.file(name))?;
        file.seek(SeekFrom::End(0))?;
        Ok(Follower { file, begun: Vec::new() })
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

/// The end of a file that somebody else writes to.
#[derive(Debug)]
pub(crate) struct Follower {
    file: File,
    /// A line that has no end yet.
    begun: Vec<u8>,
}

impl Follower {
    /// The lines that were finished since the last call; of much at once only the first part, the rest in the next call.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        // What can't be read now is still in the file for whoever looks there.
        let _ = (&self.file).take(TAIL_BYTES).read_to_end(&mut bytes);
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.begun.extend_from_slice(part);
            let is_whole =
                part.ends_with(b"\n") || u64::try_from(self.begun.len()).is_ok_and(|len| len >= TAIL_BYTES);
            if is_whole {
                lines.push(String::from_utf8_lossy(&std::mem::take(&mut self.begun)).trim_end().to_owned());
            }
        }
        lines
    }

    /// What is there at the end, when nothing more comes: all lines, and what follows the last one.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let lines = self.lines();
            if lines.is_empty() {
                break;
            }
            all.extend(lines);
        }
        if !self.begun.is_empty() {
            all.push(String::from_utf8_lossy(&std::mem::take(&mut self.begun)).into_owned());
        }
        all
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

    #[test]
    fn what_is_written_can_be_followed_line_by_line() {
        let directory = tempfile::tempdir().unwrap();
        let logs = Logs::open(Some(directory.path()), "roll").unwrap();
        let mut file = logs.append("a").unwrap();
        writeln!(file, "before").unwrap();
        let mut follower = logs.follow("a").unwrap();

        assert_eq!(follower.lines(), [""; 0]);
        write!(file, "one\ntw").unwrap();
        assert_eq!(follower.lines(), ["one"]);
        write!(file, "o\nthree").unwrap();
        assert_eq!(follower.rest(), ["two", "three"]);
    }

    #[test]
    fn a_line_without_end_is_told_in_parts() {
        let directory = tempfile::tempdir().unwrap();
        let logs = Logs::open(Some(directory.path()), "roll").unwrap();
        let mut file = logs.append("a").unwrap();
        let mut follower = logs.follow("a").unwrap();

        write!(file, "{}", "x".repeat(200_000)).unwrap();

        let lengths: Vec<usize> = follower.rest().iter().map(String::len).collect();
        assert_eq!(lengths, [65_536, 65_536, 65_536, 3_392]);
    }
}
