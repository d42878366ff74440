//! What is stored of the control state: one JSON document for each service, backend, version, pin key and timeline entry.

use thiserror::Error;

use super::Key;

/// Why a record is not what this release writes. Nothing is guessed: cutover does not start.
#[derive(Debug, Error)]
pub enum RecordError {
    /// A newer release wrote it.
    #[error("{key} has format {format}, this release reads up to {newest}; start the release that wrote it")]
    Newer {
        /// The record's name.
        key: Key,
        /// Its format.
        format: u32,
        /// The newest format that is understood.
        newest: u32,
    },
    /// It makes no sense.
    #[error("{key} is damaged: {cause}")]
    Damaged {
        /// The record's name.
        key: Key,
        /// What is wrong with it.
        cause: String,
    },
}
