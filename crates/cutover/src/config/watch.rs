//! Notices that the configuration file changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::read_file;

/// Editors and configuration tools write in several steps: this long after the first one the file is read.
const DEBOUNCE: Duration = Duration::from_millis(250);

/// Watches one file, by its directory: a file that is replaced by renaming, or reached over a link that is, is another file.
#[derive(Debug)]
pub struct FileWatch {
    path: PathBuf,
    /// What it held when it was last looked at.
    text: Option<String>,
    events: mpsc::Receiver<()>,
    /// Sends to `events` as long as it lives.
    _watcher: RecommendedWatcher,
}

impl FileWatch {
    /// Watches the file at `path` from now on.
    ///
    /// # Errors
    /// The system can't watch its directory.
    pub fn start(path: &Path) -> notify::Result<Self> {
        // One event that waits is as good as many.
        let (sender, events) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_change(event.kind)) {
                let _ = sender.try_send(());
            }
        })?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        watcher.watch(directory.unwrap_or(Path::new(".")), RecursiveMode::NonRecursive)?;
        let text = read_file(path).ok();
        Ok(Self { path: path.to_owned(), text, events, _watcher: watcher })
    }

    /// Waits until the file has another content than when it was last looked at. May be dropped and called again.
    pub async fn changed(&mut self) {
        loop {
            if self.events.recv().await.is_none() {
                // The watcher lives as long as this value, so this is never reached; waiting is right if it is.
                std::future::pending::<()>().await;
            }
            sleep(DEBOUNCE).await;
            let _ = self.events.try_recv();
            let text = read_file(&self.path).ok();
            if text != self.text {
                self.text = text;
                return;
            }
        }
    }
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
        let mut watch = FileWatch::start(&path).unwrap();

        std::fs::write(&path, "b").unwrap();
        timeout(SOON, watch.changed()).await.unwrap();

        std::fs::write(dir.path().join("new"), "c").unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        timeout(SOON, watch.changed()).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_read_or_written_with_the_same_content_has_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "a").unwrap();
        let mut watch = FileWatch::start(&path).unwrap();

        std::fs::write(&path, "a").unwrap();
        std::fs::write(dir.path().join("other"), "x").unwrap();
        std::fs::read(&path).unwrap();

        assert!(timeout(Duration::from_secs(1), watch.changed()).await.is_err());
    }
}
