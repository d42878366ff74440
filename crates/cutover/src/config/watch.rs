//! Notices that the configuration file, or one that it names, changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Editors and configuration tools write in several steps: this long after the first one the file is read.
const DEBOUNCE: Duration = Duration::from_millis(250);

/// Watches files, by their directories: a file that is replaced by renaming, or reached over a link that is, is another file.
#[derive(Debug)]
pub struct FileWatch {
    files: Vec<Watched>,
    events: mpsc::Receiver<()>,
    /// Sends to `events` as long as it lives.
    _watcher: RecommendedWatcher,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// The hash of what it held when it was last looked at: some are secret.
    content: Option<[u8; 32]>,
}

impl FileWatch {
    /// Watches `files` from now on.
    ///
    /// # Errors
    /// The system can't watch one of their directories.
    pub fn start<P: AsRef<Path>>(files: impl IntoIterator<Item = P>) -> notify::Result<Self> {
        // One event that waits is as good as many.
        let (sender, events) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_change(event.kind)) {
                let _ = sender.try_send(());
            }
        })?;
        let paths: BTreeSet<PathBuf> = files.into_iter().map(|path| path.as_ref().to_owned()).collect();
        let directories: BTreeSet<_> = paths.iter().map(|path| directory(path)).collect();
        for directory in directories {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
        }
        let files = paths.into_iter().map(|path| Watched { content: content(&path), path }).collect();
        Ok(Self { files, events, _watcher: watcher })
    }

    /// Waits until one of the files has another content than when it was last looked at. May be dropped and called again.
    pub async fn changed(&mut self) {
        loop {
            if self.events.recv().await.is_none() {
                // The watcher lives as long as this value, so this is never reached; waiting is right if it is.
                std::future::pending::<()>().await;
            }
            sleep(DEBOUNCE).await;
            let _ = self.events.try_recv();
            let mut has_changed = false;
            for file in &mut self.files {
                let content = content(&file.path);
                has_changed |= file.content != content;
                file.content = content;
            }
            if has_changed {
                return;
            }
        }
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn content(path: &Path) -> Option<[u8; 32]> {
    Some(Sha256::digest(super::read_bytes(path).ok()?).into())
}

/// Whether something was written, as opposed to read: our own reading must not wake us again.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_file_that_is_written_or_replaced_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "a").unwrap();
        let mut watch = FileWatch::start([&path]).unwrap();

        std::fs::write(&path, "b").unwrap();
        timeout(SOON, watch.changed()).await.unwrap();

        std::fs::write(dir.path().join("new"), "c").unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        timeout(SOON, watch.changed()).await.unwrap();
    }

    #[tokio::test]
    async fn one_of_several_files_that_changes_is_noticed_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("keys")).unwrap();
        let paths = [dir.path().join("a.pem"), dir.path().join("keys/a.key")];
        let mut watch = FileWatch::start(&paths).unwrap();

        std::fs::write(&paths[1], "k").unwrap();
        timeout(SOON, watch.changed()).await.unwrap();

        std::fs::remove_file(&paths[1]).unwrap();
        timeout(SOON, watch.changed()).await.unwrap();
        assert!(timeout(Duration::from_millis(600), watch.changed()).await.is_err());
    }

    #[tokio::test]
    async fn a_file_that_is_read_or_written_with_the_same_content_has_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "a").unwrap();
        let mut watch = FileWatch::start([&path]).unwrap();

        std::fs::write(&path, "a").unwrap();
        std::fs::write(dir.path().join("other"), "x").unwrap();
        std::fs::read(&path).unwrap();

        assert!(timeout(Duration::from_secs(1), watch.changed()).await.is_err());
    }
}
