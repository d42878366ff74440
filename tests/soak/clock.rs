//! The clock that cutover sees: the machine's, with steps. Only the time of day steps; time that passes does not.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file that tells libfaketime how far the time of day is off.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    library: Option<PathBuf>,
    file: PathBuf,
}

impl Clock {
    pub(crate) fn new(library: Option<PathBuf>, directory: &Path) -> Self {
        let clock = Self { library, file: directory.join("clock") };
        clock.set(0);
        clock
    }

    /// Lets the program of `command` see this clock.
    pub(crate) fn show_to(&self, command: &mut Command) {
        let Some(library) = &self.library else { return };
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &self.file);
        // Read anew at most once a second; the times of files and the time that passes stay what they are.
        command.env("FAKETIME_CACHE_DURATION", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command.env("NO_FAKE_STAT", "1");
    }

    /// Steps to this many seconds off the machine's.
    pub(crate) fn set(&self, offset_secs: i64) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{offset_secs:+}\n")).unwrap();
        std::fs::rename(&new, &self.file).unwrap();
    }
}
