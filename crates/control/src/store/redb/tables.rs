//! What the file holds: its tables, and the transactions over them.

use ::redb::{
    Database, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction,
};
use cutover_core::id::Revision;

use super::super::{Change, Commit, Document, Guard, Key, Loaded, OPERATIONS_KEPT, OperationId};
use super::{Failure, before};

/// The written form of a key → format and JSON text of its document.
pub(super) const RECORDS: TableDefinition<'_, &str, (u32, &str)> = TableDefinition::new("records");
/// Revision → the operation that made it, for the last `OPERATIONS_KEPT` revisions.
pub(super) const OPERATIONS: TableDefinition<'_, u64, u128> = TableDefinition::new("operations");
/// The two numbers of the file itself, by `FORMAT` and `REVISION`.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(super) const FORMAT: &str = "format";
pub(super) const REVISION: &str = "revision";

/// Everything, as of one transaction.
pub(super) fn load(database: &Database) -> Result<Loaded, Failure> {
    let transaction = database.begin_read().map_err(before)?;
    let revision = revision(&transaction.open_table(META).map_err(before)?).map_err(before)?;
    let mut loaded = Loaded { revision, ..Loaded::default() };
    let records = transaction.open_table(RECORDS).map_err(before)?;
    for record in records.iter().map_err(before)? {
        let (written, document) = record.map_err(before)?;
        let key: Key = written.value().parse().map_err(|error| Failure::Corrupt(Box::new(error)))?;
        let (format, json) = document.value();
        loaded.records.insert(key, Document { format, json: json.to_owned() });
    }
    Ok(loaded)
}

/// What became of a commit, with the revision that the caller is told.
pub(super) enum Outcome {
    /// It is on disk.
    Written(Revision),
    /// It was on disk before.
    Repeated(Revision),
    /// A guard did not hold.
    Conflict(Revision),
}

/// Makes the commit, and returns after the disk has it.
pub(super) fn commit(database: &Database, commit: &Commit) -> Result<Outcome, Failure> {
    let mut transaction = database.begin_write().map_err(before)?;
    // Also redb's default; here because a promise of the product hangs on it.
    transaction.set_durability(Durability::Immediate).map_err(before)?;
    let outcome = write(&transaction, commit).map_err(before)?;
    match outcome {
        Outcome::Written(_) => {
            transaction.commit().map_err(|error| Failure::During(::redb::Error::from(error).into()))?;
        }
        Outcome::Repeated(_) | Outcome::Conflict(_) => transaction.abort().map_err(before)?,
    }
    Ok(outcome)
}

/// The revision that the operation made, if it is still known.
pub(super) fn committed(database: &Database, operation: OperationId) -> Result<Option<Revision>, Failure> {
    let operations = database.begin_read().map_err(before)?.open_table(OPERATIONS).map_err(before)?;
    find_operation(&operations, operation).map_err(before)
}

fn write(transaction: &WriteTransaction, commit: &Commit) -> Result<Outcome, ::redb::Error> {
    let mut meta = transaction.open_table(META)?;
    let mut records = transaction.open_table(RECORDS)?;
    let mut operations = transaction.open_table(OPERATIONS)?;

    if let Some(revision) = find_operation(&operations, commit.operation)? {
        return Ok(Outcome::Repeated(revision));
    }
    let current = revision(&meta)?;
    for guard in &commit.guards {
        if !holds(guard, current, &records)? {
            return Ok(Outcome::Conflict(current));
        }
    }
    for (key, change) in &commit.changes {
        match change {
            Change::Put(document) => {
                records.insert(key.as_str(), (document.format, document.json.as_str()))?;
            }
            Change::Delete => {
                records.remove(key.as_str())?;
            }
        }
    }
    let Some(next) = current.0.checked_add(1) else {
        return Err(::redb::Error::Corrupted("the revision can't grow any more".to_owned()));
    };
    meta.insert(REVISION, next)?;
    operations.insert(next, commit.operation.0)?;
    if let Some(oldest) = next.checked_sub(OPERATIONS_KEPT as u64) {
        operations.remove(oldest)?;
    }
    Ok(Outcome::Written(Revision(next)))
}

fn holds(
    guard: &Guard,
    current: Revision,
    records: &Table<'_, &str, (u32, &str)>,
) -> Result<bool, ::redb::Error> {
    match guard {
        Guard::Revision(revision) => Ok(current == *revision),
        Guard::Absent(key) => Ok(records.get(key.as_str())?.is_none()),
    }
}

fn revision(meta: &impl ReadableTable<&'static str, u64>) -> Result<Revision, ::redb::Error> {
    match meta.get(REVISION)? {
        Some(revision) => Ok(Revision(revision.value())),
        None => Err(::redb::Error::Corrupted("the file has no revision".to_owned())),
    }
}

/// Looks through the table, newest first: it is short and in memory, and the operation asked for is mostly the last.
fn find_operation(
    operations: &impl ReadableTable<u64, u128>,
    operation: OperationId,
) -> Result<Option<Revision>, ::redb::Error> {
    for entry in operations.iter()?.rev() {
        let (revision, id) = entry?;
        if id.value() == operation.0 {
            return Ok(Some(Revision(revision.value())));
        }
    }
    Ok(None)
}
