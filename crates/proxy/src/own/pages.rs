//! Error pages: HTML files of the operator's, which are sent in place of the proxy's own words.
//!
//! They are read beside the request path: one worker of the process looks after the files, on a thread that may block, and all of them serve
//! what it found last.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use cutover_core::policy::ErrorPage;
use http::StatusCode;
use tokio::time::Instant;

use crate::worker::Worker;

/// Bytes of the largest page.
const PAGE_MAX: u64 = 256 << 10;
/// Files that are read, over all services: what they may take up in memory is bounded by it.
const FILES_MAX: usize = 1024;
/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The pages of all services, as they were read last.
#[derive(Debug, Default)]
pub(crate) struct Pages(ArcSwap<Shelf>);

/// What is known of each file, by its path.
type Shelf = BTreeMap<String, Kept>;

#[derive(Debug, Clone)]
struct Kept {
    stamp: Option<Stamp>,
    /// `None` while it can't be read.
    page: Option<Arc<str>>,
}

/// What tells a file from the one that was read: another one under its name, or another state of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// Why a file is no page.
#[derive(Debug, thiserror::Error)]
enum PageError {
    /// It can't be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is a directory, a pipe or the like.
    #[error("it is no file")]
    NoFile,
    /// It is larger than a page may be.
    #[error("it has more than {PAGE_MAX} bytes")]
    TooLarge,
    /// It is in no encoding that pages are sent in.
    #[error("it is not UTF-8")]
    NotText,
}

impl Pages {
    /// The page among `wanted` for a status, if it could be read.
    pub(crate) fn find(&self, wanted: &[ErrorPage], status: StatusCode) -> Option<Arc<str>> {
        let wanted = wanted.iter().find(|page| page.status == status.as_u16())?;
        self.0.load().get(&wanted.path)?.page.clone()
    }

    /// Reads what changed of the files at `paths`, and forgets all others. Blocks.
    fn read(&self, paths: &[String]) {
        let before = self.0.load_full();
        if paths.len() > FILES_MAX {
            tracing::error!(files = paths.len(), "only {FILES_MAX} error pages are read");
        }
        let shelf =
            paths.iter().take(FILES_MAX).map(|path| (path.clone(), Kept::read(path, before.get(path))));
        self.0.store(Arc::new(shelf.collect()));
    }
}

impl Kept {
    /// The file as it is now. What happened to it is logged once.
    fn read(path: &str, before: Option<&Self>) -> Self {
        let found = fs::metadata(path).map_err(PageError::from);
        let stamp = found.as_ref().ok().map(Stamp::of);
        if let Some(before) = before.filter(|before| before.stamp == stamp) {
            return before.clone();
        }
        match found.and_then(|found| text(path, &found)) {
            Ok(page) => Self { stamp, page: Some(page) },
            Err(error) => {
                tracing::error!(path, %error, "an error page can't be read: clients get the proxy's own words");
                Self { stamp, page: None }
            }
        }
    }
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        let changed = (found.ctime(), found.ctime_nsec());
        Self { device: found.dev(), inode: found.ino(), size: found.size(), changed }
    }
}

fn text(path: &str, found: &Metadata) -> Result<Arc<str>, PageError> {
    // Opening a pipe would wait for its other end.
    if !found.is_file() {
        return Err(PageError::NoFile);
    }
    let mut text = Vec::new();
    File::open(path)?.take(PAGE_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > PAGE_MAX {
        return Err(PageError::TooLarge);
    }
    String::from_utf8(text).map(Arc::from).map_err(|_| PageError::NotText)
}

/// Keeps the pages that the services of this worker's view name, for as long as it runs.
pub(crate) async fn keep(worker: Rc<Worker>) {
    let (mut known, mut looked_at) = (Vec::new(), Instant::now());
    loop {
        let paths = paths(&worker);
        if paths != known || (looked_at.elapsed() >= LOOK_EVERY && !paths.is_empty()) {
            let (pages, wanted) = (Arc::clone(&worker.pages), paths.clone());
            if let Err(error) = tokio::task::spawn_blocking(move || pages.read(&wanted)).await {
                tracing::error!(%error, "error pages can't be read");
            }
            (known, looked_at) = (paths, Instant::now());
        }
        worker.changed(Instant::now() + LOOK_EVERY).await;
    }
}

/// The files that are named, each once.
fn paths(worker: &Worker) -> Vec<String> {
    let view = worker.view();
    let pages = view.services.iter().flat_map(|service| &service.set.policy.error_pages);
    let mut paths: Vec<String> = pages.map(|page| page.path.clone()).collect();
    paths.sort();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pages: &Pages, path: &str) -> Option<Arc<str>> {
        let wanted = [ErrorPage { status: 503, path: path.to_owned() }];
        pages.find(&wanted, StatusCode::SERVICE_UNAVAILABLE)
    }

    #[test]
    fn a_page_is_read_again_when_its_file_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("503.html");
        let path = path.to_str().unwrap();
        let pages = Pages::default();
        let read = || pages.read(&[path.to_owned()]);
        read();
        assert_eq!(shown(&pages, path), None, "there is none");
        fs::write(path, "<h1>later</h1>").unwrap();
        read();
        assert_eq!(shown(&pages, path).as_deref(), Some("<h1>later</h1>"));
        fs::write(path, "<h1>after</h1>").unwrap();
        read();
        assert_eq!(shown(&pages, path).as_deref(), Some("<h1>after</h1>"));
        fs::remove_file(path).unwrap();
        read();
        assert_eq!(shown(&pages, path), None);
        assert!(pages.find(&[], StatusCode::SERVICE_UNAVAILABLE).is_none());
    }

    #[test]
    fn what_is_no_page_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("large"), vec![b'x'; 256 * 1024 + 1]).unwrap();
        fs::write(path("most"), vec![b'x'; 256 * 1024]).unwrap();
        fs::write(path("latin"), b"caf\xe9").unwrap();
        let pages = Pages::default();
        pages.read(&["large", "most", "latin", "."].map(path));
        let is_shown = ["large", "most", "latin", "."].map(|name| shown(&pages, &path(name)).is_some());
        assert_eq!(is_shown, [false, true, false, false]);
    }
}
