//! What is said about migrations and the schema of the database.

use super::Remote;

/// A contract migration.
#[derive(Debug, clap::Args)]
pub(crate) struct Contract {
    /// The service
    pub(crate) service: String,
    /// Only say whether it may run now
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Record it although old code may still run
    #[arg(long)]
    pub(crate) force: bool,
    /// What to remember with it
    #[arg(long)]
    pub(crate) note: Option<String>,
    /// The schema at which the database is after it
    #[arg(long, value_name = "N")]
    pub(crate) schema: Option<u64>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// The schema of a database.
#[derive(Debug, clap::Args)]
pub(crate) struct Schema {
    /// The service
    pub(crate) service: String,
    /// The schema at which the database is; without it, the one that was said last is shown
    #[arg(value_name = "N")]
    pub(crate) schema: Option<u64>,
    /// What to remember with it
    #[arg(long, requires = "schema")]
    pub(crate) note: Option<String>,
    /// Say it although a version that serves can't work with it
    #[arg(long, requires = "schema")]
    pub(crate) force: bool,
    /// Nobody counts schemas any more
    #[arg(long, conflicts_with = "schema")]
    pub(crate) forget: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// The schemas of the database with which a backend can work.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Schemas {
    /// The first schema of the database with which it can work
    #[arg(long, value_name = "N")]
    pub(crate) schema_min: Option<u64>,
    /// The last schema of the database with which it can work
    #[arg(long, value_name = "N")]
    pub(crate) schema_max: Option<u64>,
}
