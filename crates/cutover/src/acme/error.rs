//! Why there is no new certificate.

use std::io;
use std::path::PathBuf;

use cutover_tls::challenge::ChallengeError;
use cutover_tls::server::MaterialError;

/// Why an order brought no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The directory can't be reached, or does not do what it is asked for.
    #[error("the directory does not do what it is asked for")]
    Directory(#[from] instant_acme::Error),
    /// The authority does not offer the kind of challenge that is configured, as it is for names with a wildcard.
    #[error("no challenge of the configured kind is offered for {0}")]
    NoChallenge(String),
    /// The authority was not convinced.
    #[error("the authority is not convinced that a name is ours: {0}")]
    NotConvinced(String),
    /// A challenge can't be answered.
    #[error("a challenge can't be answered")]
    Challenge(#[from] ChallengeError),
    /// The certificate can't be shown.
    #[error("the certificate can't be used")]
    Material(#[from] MaterialError),
    /// What came says nothing about how long it is good for.
    #[error("the certificate is malformed")]
    Malformed,
    /// It took too long.
    #[error("the order took too long")]
    Timeout,
    /// It can't be kept.
    #[error("it can't be kept")]
    Files(#[from] FileError),
}

/// Why something can't be kept in the state directory.
#[derive(Debug, thiserror::Error)]
#[error("can't read or write {}", .path.display())]
pub(super) struct FileError {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}
