//! Opening the store's file: made whole or not at all, held by one process, checked before it is believed.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ::redb::backends::FileBackend;
use ::redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageError};
use thiserror::Error;

use super::tables::{FORMAT, META, OPERATIONS, RECORDS, REVISION};

const FILE_NAME: &str = "cutover.redb";
/// A new file has this name until it is complete.
const NEW_FILE_NAME: &str = "cutover.redb.new";
/// The format of the file that this code writes: tables, their types and what they mean.
const CURRENT_FORMAT: u64 = 1;
/// The controller holds the state itself and reads it here once, so redb's cache (by default 1 GiB) has little to do.
const CACHE_BYTES: usize = 8 << 20;

/// Why the store can't be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The directory or the file can't be created, read or written.
    #[error("{} can't be used", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else has it open; a cutover that still runs, mostly.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The store's file, or its directory when the file is being created.
        path: PathBuf,
    },
    /// The file is damaged or not ours. It is never replaced by an empty one.
    #[error("{} is not a usable store", path.display())]
    Corrupt {
        /// The store's file.
        path: PathBuf,
        /// What does not fit.
        source: ::redb::Error,
    },
    /// A newer cutover wrote the file.
    #[error("{} has format {found}, this cutover reads up to {CURRENT_FORMAT}; start a newer one", path.display())]
    NewerFormat {
        /// The store's file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
}

/// Opens the file in `state_dir`, creating what is missing.
pub(super) fn open(state_dir: &Path) -> Result<Database, OpenError> {
    let path = state_dir.join(FILE_NAME);
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(io_at(state_dir))?;
    if !path.try_exists().map_err(io_at(&path))? {
        create(state_dir, &path)?;
    }
    reopen(state_dir)
}

/// Opens the file that is there. One that is gone is an error: an empty store in its place would pass for the state.
pub(super) fn reopen(state_dir: &Path) -> Result<Database, OpenError> {
    let path = state_dir.join(FILE_NAME);
    // Of the two ways to open it, only the one that checks every page answers damage with an error.
    let database =
        builder().set_check_integrity_on_open(true).open(&path).map_err(|error| classify(&path, error))?;
    check_format(&database, &path)?;
    Ok(database)
}

/// Makes a complete file under another name first: a process killed in the middle would leave one that redb refuses.
fn create(state_dir: &Path, path: &Path) -> Result<(), OpenError> {
    let directory = File::open(state_dir).map_err(io_at(state_dir))?;
    // Until this returns. The kernel lets go of it when the process dies.
    match directory.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: state_dir.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(io_at(state_dir)(source)),
    }
    if path.try_exists().map_err(io_at(path))? {
        return Ok(());
    }
    let new_path = state_dir.join(NEW_FILE_NAME);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new_path)
        .map_err(io_at(&new_path))?;
    initialise(file).map_err(|source| OpenError::Corrupt { path: new_path.clone(), source })?;
    std::fs::rename(&new_path, path).map_err(io_at(path))?;
    // Else a power cut could take the name of the file and with it every commit.
    directory.sync_all().map_err(io_at(state_dir))
}

fn initialise(file: File) -> Result<(), ::redb::Error> {
    let database = builder().create_with_backend(FileBackend::new(file)?)?;
    let transaction = database.begin_write()?;
    transaction.open_table(RECORDS)?;
    transaction.open_table(OPERATIONS)?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(FORMAT, CURRENT_FORMAT)?;
        meta.insert(REVISION, 0)?;
    }
    transaction.commit()?;
    database.close()?;
    Ok(())
}

/// Lets only the current format pass. A migration is one more arm: it brings a file of its format to the next in one
/// transaction, and the check starts over.
fn check_format(database: &Database, path: &Path) -> Result<(), OpenError> {
    let corrupt = |source| OpenError::Corrupt { path: path.to_owned(), source };
    match read_format(database).map_err(corrupt)? {
        Some(CURRENT_FORMAT) => Ok(()),
        Some(found) if found > CURRENT_FORMAT => Err(OpenError::NewerFormat { path: path.to_owned(), found }),
        Some(_) | None => Err(corrupt(::redb::Error::Corrupted("it names no format of cutover".to_owned()))),
    }
}

fn read_format(database: &Database) -> Result<Option<u64>, ::redb::Error> {
    let meta = database.begin_read()?.open_table(META)?;
    Ok(meta.get(FORMAT)?.map(|format| format.value()))
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn classify(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => OpenError::InUse { path },
        // A file that is too short, or does not begin like one of redb, comes as an I/O error.
        DatabaseError::Storage(StorageError::Io(source))
            if !matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            OpenError::Io { path, source }
        }
        other => OpenError::Corrupt { path, source: other.into() },
    }
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it exists").permissions().mode() & 0o777
    }

    fn state_dir() -> (TempDir, PathBuf) {
        let parent = TempDir::new().expect("a temporary directory");
        let state_dir = parent.path().join("state");
        (parent, state_dir)
    }

    /// A closed store with some pages of records, of which the file was then changed by `damage`.
    fn damaged(damage: impl FnOnce(&Path)) -> (TempDir, PathBuf) {
        let (parent, state_dir) = state_dir();
        let database = open(&state_dir).expect("a new store");
        for _ in 0..3 {
            let transaction = database.begin_write().expect("a transaction");
            let mut records = transaction.open_table(RECORDS).expect("a table");
            for number in 0..200 {
                let key = format!("record-{number}");
                records.insert(key.as_str(), (1, "{\"text\":\"some text\"}")).expect("an insert");
            }
            drop(records);
            transaction.commit().expect("a commit");
        }
        drop(database);
        damage(&state_dir.join(FILE_NAME));
        (parent, state_dir)
    }

    fn write_format(path: &Path, format: u64) {
        let database = Database::open(path).expect("a database");
        let transaction = database.begin_write().expect("a transaction");
        transaction.open_table(META).expect("a table").insert(FORMAT, format).expect("an insert");
        transaction.commit().expect("a commit");
    }

    #[test]
    fn a_new_directory_and_file_are_for_their_owner_only() {
        let (_parent, state_dir) = state_dir();
        let _database = open(&state_dir).expect("a new store");
        assert_eq!(mode(&state_dir), 0o700);
        assert_eq!(mode(&state_dir.join(FILE_NAME)), 0o600);
        assert!(!state_dir.join(NEW_FILE_NAME).exists());
    }

    #[test]
    fn what_a_killed_creation_left_is_in_nobodys_way() {
        let (_parent, state_dir) = state_dir();
        fs::create_dir(&state_dir).expect("a directory");
        fs::write(state_dir.join(NEW_FILE_NAME), vec![0; 5000]).expect("a half-made file");
        open(&state_dir).expect("a new store");
    }

    #[test]
    fn a_file_that_is_open_elsewhere_is_refused_by_name() {
        let (_parent, state_dir) = state_dir();
        let _database = open(&state_dir).expect("a new store");
        let error = open(&state_dir).expect_err("it is open already");
        assert_eq!(
            error.to_string(),
            format!("{} is in use by another process", state_dir.join(FILE_NAME).display())
        );
    }

    #[test]
    fn a_file_of_a_newer_format_is_refused_every_time() {
        let (_parent, state_dir) = damaged(|path| write_format(path, CURRENT_FORMAT + 1));
        for _ in 0..2 {
            let error = open(&state_dir).expect_err("the format is newer");
            assert!(matches!(error, OpenError::NewerFormat { found: 2, .. }));
            let path = state_dir.join(FILE_NAME);
            assert_eq!(
                error.to_string(),
                format!("{} has format 2, this cutover reads up to 1; start a newer one", path.display())
            );
        }
    }

    #[test]
    fn a_format_that_never_was_is_refused() {
        let (_parent, state_dir) = damaged(|path| write_format(path, 0));
        assert!(matches!(open(&state_dir), Err(OpenError::Corrupt { .. })));
    }

    #[test]
    fn a_database_of_somebody_else_is_refused() {
        let (_parent, state_dir) = state_dir();
        fs::create_dir(&state_dir).expect("a directory");
        drop(Database::create(state_dir.join(FILE_NAME)).expect("an empty database"));
        assert!(matches!(open(&state_dir), Err(OpenError::Corrupt { .. })));
    }

    #[test]
    fn text_an_empty_file_and_a_short_file_are_refused_by_name() {
        let damages: [fn(&Path); 3] = [
            |path| fs::write(path, "[node]\nname = \"lb-1\"\n").expect("a write"),
            |path| fs::write(path, "").expect("a write"),
            |path| {
                let file = OpenOptions::new().write(true).open(path).expect("the file");
                file.set_len(5000).expect("a truncation");
            },
        ];
        for damage in damages {
            let (_parent, state_dir) = damaged(damage);
            let error = open(&state_dir).expect_err("the file is damaged");
            assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
            assert!(
                error.to_string().starts_with(&format!("{} is not", state_dir.join(FILE_NAME).display()))
            );
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let parent = TempDir::new().expect("a temporary directory");
        let in_the_way = parent.path().join("file");
        fs::write(&in_the_way, "").expect("a write");
        let error = open(&in_the_way.join("state")).expect_err("a file is no directory");
        assert!(error.to_string().starts_with(&in_the_way.display().to_string()), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_damage_makes_opening_panic(
            position in 0.0..1.0f64,
            noise in proptest::collection::vec(any::<u8>(), 1..64),
            in_header in any::<bool>(),
        ) {
            let (_parent, state_dir) = damaged(|path| {
                let mut bytes = fs::read(path).expect("the file");
                let end = if in_header { 512 } else { bytes.len() } - noise.len();
                #[expect(clippy::cast_possible_truncation, reason = "a fraction of a length")]
                let start = (position * end as f64) as usize;
                bytes[start..start + noise.len()].copy_from_slice(&noise);
                fs::write(path, bytes).expect("a write");
            });
            if let Ok(database) = open(&state_dir) {
                drop(super::super::tables::load(&database));
            }
        }
    }
}
