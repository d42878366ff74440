//! The store of a single node: one redb file in the state directory, synced to disk at every commit.

#[cfg(test)]
mod crash;
mod open;
mod tables;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::redb::Database;
use cutover_core::id::Revision;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

pub use self::open::OpenError;
use self::tables::Outcome;
use super::{Cause, Commit, CommitError, Loaded, OperationId, ReadError, Store};

/// Keeps the control state in `cutover.redb` in the state directory.
///
/// A commit blocks its thread for an fsync, about 0.3 ms on a good disk and without any bound on a bad one. So each
/// call runs on tokio's blocking pool. A writer thread of our own would save the hand-over of some ten microseconds and
/// cost a queue, its limit and its end; the controller sends one commit at a time, so there is nothing to batch.
/// Calls wait for each other before they take a thread of the pool, so the store never holds more than one.
///
/// Must be used on a tokio runtime.
pub struct RedbStore {
    engine: Arc<Mutex<Engine>>,
}

impl RedbStore {
    /// Opens the store in `state_dir`, and creates both if they are missing: the directory with mode 0700, the file
    /// with 0600. Blocks on the disk: it reads and checks the whole file.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. A damaged file is an error too, it is never replaced by an empty one.
    pub fn open(state_dir: &Path) -> Result<Self, OpenError> {
        let database = Some(open::open(state_dir)?);
        let engine = Engine { state_dir: state_dir.to_owned(), database, is_closed: false };
        Ok(Self { engine: Arc::new(Mutex::new(engine)) })
    }

    /// Finishes the call that is under way and lets go of the file, so that another process can open it. Until
    /// [`reopen`](Self::reopen) every call fails and changes nothing.
    pub async fn close(&self) {
        let mut engine = Arc::clone(&self.engine).lock_owned().await;
        engine.is_closed = true;
        // Closing writes to the disk.
        let closed = spawn_blocking(move || drop(engine.database.take())).await;
        if let Err(error) = closed {
            tracing::error!(%error, "closing the store failed");
        }
    }

    /// Opens the file again, with the next call.
    pub async fn reopen(&self) {
        self.engine.lock().await.is_closed = false;
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let mut engine = Arc::clone(&self.engine).lock_owned().await;
        match spawn_blocking(move || engine.run(work)).await {
            Ok(outcome) => outcome,
            // The runtime is ending and never started the call.
            Err(error) if error.is_cancelled() => Err(Failure::Before(error.into())),
            Err(panicked) => Err(Failure::During(panicked.into())),
        }
    }
}

impl Store for RedbStore {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, ReadError>> {
        async { Ok(self.run(tables::load).await?) }.boxed()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Revision, CommitError>> {
        async {
            match self.run(move |database| tables::commit(database, &commit)).await? {
                Outcome::Written(revision) | Outcome::Repeated(revision) => Ok(revision),
                Outcome::Conflict(revision) => Err(CommitError::Conflict { revision }),
            }
        }
        .boxed()
    }

    fn committed(&self, operation: OperationId) -> BoxFuture<'_, Result<Option<Revision>, ReadError>> {
        async move { Ok(self.run(move |database| tables::committed(database, operation)).await?) }.boxed()
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").finish_non_exhaustive()
    }
}

/// The open file, or none after a failure.
struct Engine {
    state_dir: PathBuf,
    database: Option<Database>,
    /// Whether another process has the file.
    is_closed: bool,
}

impl Engine {
    /// redb refuses all work after an I/O error until the file is opened again, so a handle that failed or panicked is
    /// closed and the next call opens a new one: a disk that was full for a while needs no restart. After an fsync that
    /// failed, the reopened file shows what the kernel still has in memory, which a power cut may take; the disk has to
    /// be distrusted then anyhow.
    fn run<T>(&mut self, work: impl FnOnce(&Database) -> Result<T, Failure>) -> Result<T, Failure> {
        if self.is_closed {
            return Err(Failure::Before("another process has it".into()));
        }
        let database = match self.database.take() {
            Some(database) => database,
            None => open::reopen(&self.state_dir).map_err(|error| Failure::Before(error.into()))?,
        };
        let done = work(&database)?;
        self.database = Some(database);
        Ok(done)
    }
}

/// When the engine failed, which is what the caller has to know.
enum Failure {
    /// Before a commit took effect, or in a call that changes nothing.
    Before(Cause),
    /// Where a commit may have taken effect.
    During(Cause),
    /// Never: what it read makes no sense.
    Corrupt(Cause),
}

impl From<Failure> for CommitError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Before(source) | Failure::Corrupt(source) => Self::Unavailable { source },
            Failure::During(source) => Self::Unknown { source },
        }
    }
}

impl From<Failure> for ReadError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Before(source) | Failure::During(source) => Self::Unavailable { source },
            Failure::Corrupt(source) => Self::Corrupt { source },
        }
    }
}

fn before(error: impl Into<::redb::Error>) -> Failure {
    Failure::Before(error.into().into())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::suite::{Subject, conformance, operation, put};
    use super::*;

    fn subject() -> Subject {
        let dir = TempDir::new().expect("a temporary directory");
        let store = RedbStore::open(dir.path()).expect("a new store opens");
        Subject::new(Arc::new(store)).keeping(dir)
    }

    conformance!(subject);

    #[tokio::test]
    async fn all_is_there_after_opening_again() {
        let dir = TempDir::new().expect("a temporary directory");
        let store = RedbStore::open(dir.path()).expect("a new store opens");
        store.commit(put(1, &["a", "b"])).await.expect("a commit");
        let loaded = store.load().await.expect("a load");
        drop(store);

        let store = RedbStore::open(dir.path()).expect("the store opens again");

        assert_eq!(store.load().await.expect("a load"), loaded);
        assert_eq!(store.committed(operation(1)).await.expect("a look-up"), Some(Revision(1)));
        assert_eq!(store.commit(put(2, &["c"])).await.expect("a commit"), Revision(2));
    }

    #[tokio::test]
    async fn a_commit_that_panics_is_in_doubt_and_the_next_one_works() {
        let dir = TempDir::new().expect("a temporary directory");
        let store = RedbStore::open(dir.path()).expect("a new store opens");

        let broken = store.run(|_| -> Result<(), Failure> { panic!("a bug in the engine") }).await;

        assert!(matches!(broken, Err(Failure::During(_))));
        assert_eq!(store.commit(put(1, &["a"])).await.expect("a commit"), Revision(1));
    }

    #[tokio::test]
    async fn a_failed_handle_is_replaced_by_a_new_one() {
        let dir = TempDir::new().expect("a temporary directory");
        let store = RedbStore::open(dir.path()).expect("a new store opens");
        store.commit(put(1, &["a"])).await.expect("a commit");

        let failed = store.run(|_| -> Result<(), Failure> { Err(Failure::During("disk full".into())) }).await;

        assert!(failed.is_err() && store.engine.lock().await.database.is_none());
        assert_eq!(store.commit(put(2, &["b"])).await.expect("a commit"), Revision(2));
    }

    #[tokio::test]
    async fn a_store_that_is_closed_can_be_opened_by_somebody_else_and_again() {
        let dir = TempDir::new().expect("a temporary directory");
        let first = RedbStore::open(dir.path()).expect("a new store opens");
        first.commit(put(1, &["a"])).await.expect("a commit");

        first.close().await;
        let second = RedbStore::open(dir.path()).expect("the file is free");
        let refused = first.commit(put(2, &["b"])).await;
        second.commit(put(3, &["c"])).await.expect("a commit");
        drop(second);
        first.reopen().await;

        assert!(matches!(refused, Err(CommitError::Unavailable { .. })), "{refused:?}");
        assert_eq!(first.load().await.expect("a load").revision, Revision(2));
    }

    #[tokio::test]
    async fn a_file_that_is_gone_is_not_replaced_by_an_empty_one() {
        let dir = TempDir::new().expect("a temporary directory");
        let store = RedbStore::open(dir.path()).expect("a new store opens");
        store.commit(put(1, &["a"])).await.expect("a commit");
        std::fs::remove_file(dir.path().join("cutover.redb")).expect("a removal");
        drop(store.run(|_| -> Result<(), Failure> { Err(Failure::Before("disk gone".into())) }).await);

        let outcome = store.commit(put(2, &["b"])).await;

        assert!(matches!(outcome, Err(CommitError::Unavailable { .. })), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_key_that_is_not_ours_is_named() {
        let dir = TempDir::new().expect("a temporary directory");
        let store = RedbStore::open(dir.path()).expect("a new store opens");
        let foreign = |database: &Database| {
            let transaction = database.begin_write().map_err(before)?;
            transaction
                .open_table(tables::RECORDS)
                .map_err(before)?
                .insert("50%", (1, "{}"))
                .map_err(before)?;
            transaction.commit().map_err(before)
        };
        store.run(foreign).await.ok().expect("a write behind our back");

        let Err(ReadError::Corrupt { source }) = store.load().await else { panic!("the key was taken") };

        assert_eq!(source.to_string(), r#""50%" is not the written form of a key"#);
    }
}
