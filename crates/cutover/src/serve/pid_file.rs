//! The file with the process id.

use std::io;
use std::path::{Path, PathBuf};

/// The file with the id of this process, under a name of its own: it is not yet what others read.
#[derive(Debug)]
pub(super) struct PidDraft {
    draft: PathBuf,
    path: PathBuf,
}

/// A file that holds the id of this process, and goes when the process ends in order.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidDraft {
    /// Writes what is to become the file `path`.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn write(path: &Path) -> io::Result<Self> {
        let pid = std::process::id();
        let draft = path.with_added_extension(format!("{pid}.new"));
        std::fs::write(&draft, format!("{pid}\n"))?;
        Ok(Self { draft, path: path.to_owned() })
    }

    /// Makes it the file. An older one is replaced: its process is gone, or has its ports taken.
    ///
    /// # Errors
    /// The file can't be replaced.
    pub(super) fn publish(self) -> io::Result<PidFile> {
        // By renaming, so that nobody ever reads half a number.
        std::fs::rename(&self.draft, &self.path)?;
        Ok(PidFile(self.path.clone()))
    }
}

impl Drop for PidDraft {
    fn drop(&mut self) {
        // It is not there any more where it became the file.
        let _ = std::fs::remove_file(&self.draft);
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
        let file = PidDraft::write(&path).unwrap().publish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_draft_touches_no_file_of_others_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cutover.pid");
        std::fs::write(&path, "1\n").unwrap();
        drop(PidDraft::write(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(PidDraft::write(&dir.path().join("none/cutover.pid")).is_err());
    }

    #[test]
    fn a_file_that_another_process_took_over_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cutover.pid");
        let file = PidDraft::write(&path).unwrap().publish().unwrap();
        std::fs::write(&path, "1\n").unwrap();
        drop(file);
        assert!(path.exists());
    }
}
