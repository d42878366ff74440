//! Why a configuration can't be imported.

use std::io;
use std::path::PathBuf;

use super::tree::Place;
use crate::config::Report;

/// Why a configuration can't be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The text is not what it is said to be.
    #[error("{file}:{line}:{column}: {cause}")]
    Syntax {
        /// The file.
        file: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong.
        cause: String,
    },
    /// A file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The output is there already.
    #[error("{} is there already; name another file, or add --force", .0.display())]
    Exists(PathBuf),
    /// The output can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What would be written is no configuration: a mistake of the importer.
    #[error(
        "what the import made is not a valid configuration, please report this; nothing was written:\n{0}"
    )]
    Refused(Report),
}

impl ImportError {
    /// Something wrong at `place`.
    pub(super) fn at(place: &Place, cause: impl Into<String>) -> Self {
        Self::Syntax {
            file: place.file.to_string(),
            line: place.line,
            column: place.column,
            cause: cause.into(),
        }
    }
}
