//! The file with the process id.

use std::io;
use std::path::{Path, PathBuf};

/// A file that holds the id of this process, and goes when the process ends in order.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file. An older one is replaced: its process is gone, or has its ports taken.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn write(path: &Path) -> io::Result<Self> {
        // By renaming, so that nobody ever reads half a number.
        let draft = path.with_added_extension("new");
        std::fs::write(&draft, format!("{}\n", std::process::id()))?;
        std::fs::rename(&draft, path)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Another process may have taken over the file: then it is not ours to remove.
        let is_ours =
            std::fs::read_to_string(&self.0).is_ok_and(|text| text.trim() == std::process::id().to_string());
        if is_ours && let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "can't remove the pid file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_the_process_id_and_goes_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cutover.pid");
        let file = PidFile::write(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_another_process_took_over_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cutover.pid");
        let file = PidFile::write(&path).unwrap();
        std::fs::write(&path, "1\n").unwrap();
        drop(file);
        assert!(path.exists());
    }
}
