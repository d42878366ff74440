//! What `cutover import` is told on the command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What is to be imported.
#[derive(Debug, Args)]
#[command(
    after_help = "The result passes `cutover check`. What could not be carried over stands in it as comments, each with file and line, \
                  the original text, why, and what to do instead."
)]
pub(crate) struct Options {
    /// Whose configuration it is
    #[arg(value_enum)]
    pub(super) source: Source,
    /// The file; files that it includes are read too
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Write to this file, not to standard output
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Overwrite the file
    #[arg(long, requires = "output")]
    pub(super) force: bool,
}

/// Whose configurations can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// Apache httpd 2.4
    Apache,
    /// nginx
    Nginx,
    /// HAProxy
    Haproxy,
}

impl Source {
    /// As the command line names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apache => "apache",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }
}
