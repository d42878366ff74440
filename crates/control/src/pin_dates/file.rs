//! The file that keeps the latest date of pins, beside the store.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use cutover_core::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Moment, PinDates, Uptime};

const FILE_NAME: &str = "pin-dates.json";
/// A new file has this name until it is complete.
const NEW_FILE_NAME: &str = "pin-dates.json.new";

/// Why the file tells nothing.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// It can't be read.
    #[error("can't read {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// It is not what cutover writes.
    #[error("{} is damaged", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
}

/// The file of a state directory.
#[derive(Debug, Clone)]
pub(crate) struct DatesFile {
    dir: PathBuf,
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    latest_ms: u64,
    wall_ms: u64,
    boot_id: Option<String>,
    uptime_ms: Option<u64>,
}

impl DatesFile {
    pub(crate) fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// What an earlier process kept; `None` if there was none.
    pub(crate) fn read(&self) -> Result<Option<PinDates>, ReadError> {
        let path = self.dir.join(FILE_NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ReadError::Io { path, source }),
        };
        let record: Record =
            serde_json::from_slice(&bytes).map_err(|source| ReadError::Damaged { path, source })?;
        Ok(Some(record.into()))
    }

    /// Replaces the file. After a crash, also of the machine, it is the old one or the new one: its name may be lost with the power, which
    /// makes it older by a term.
    pub(crate) fn write(&self, dates: &PinDates) -> io::Result<()> {
        let new = self.dir.join(NEW_FILE_NAME);
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&Record::from(dates))?)?;
        file.sync_all()?;
        std::fs::rename(new, self.dir.join(FILE_NAME))
    }
}

impl From<&PinDates> for Record {
    fn from(PinDates { latest, seen }: &PinDates) -> Self {
        let uptime = seen.uptime.as_ref();
        Self {
            latest_ms: latest.0,
            wall_ms: seen.wall.0,
            boot_id: uptime.map(|uptime| uptime.boot_id.clone()),
            uptime_ms: uptime.map(|uptime| uptime.span.0),
        }
    }
}

impl From<Record> for PinDates {
    fn from(record: Record) -> Self {
        let uptime = record.boot_id.zip(record.uptime_ms);
        let uptime = uptime.map(|(boot_id, ms)| Uptime { boot_id, span: Millis(ms) });
        Self::new(Timestamp(record.latest_ms), Moment { wall: Timestamp(record.wall_ms), uptime })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dates(uptime: Option<Uptime>) -> PinDates {
        PinDates::new(Timestamp(1_700_000_090_000), Moment { wall: Timestamp(1_700_000_000_000), uptime })
    }

    #[test]
    fn what_is_kept_is_read_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = DatesFile::in_dir(dir.path());
        let up = Uptime { boot_id: "9ca16dfc".to_owned(), span: Millis(5) };
        for dates in [dates(None), dates(Some(up))] {
            file.write(&dates).expect("a file");
            assert_eq!(file.read().expect("our own file"), Some(dates));
        }
        assert!(!dir.path().join(NEW_FILE_NAME).exists());
    }

    #[test]
    fn a_missing_file_is_nothing_and_a_damaged_one_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = DatesFile::in_dir(dir.path());
        assert_eq!(file.read().expect("nothing to read"), None);
        file.write(&dates(None)).expect("a file");
        let path = dir.path().join(FILE_NAME);
        let whole = std::fs::read(&path).expect("it is there");
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).expect("a file");
            assert!(matches!(file.read(), Err(ReadError::Damaged { .. })), "cut to {len} bytes");
        }
    }

    #[test]
    fn a_file_that_can_not_be_read_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join(FILE_NAME)).expect("a directory");
        assert!(matches!(DatesFile::in_dir(dir.path()).read(), Err(ReadError::Io { .. })));
    }
}
