//! The log of the process, on standard error. Requests have a log of their own.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Starts the log: what passes `filter` is written to standard error, as text or as JSON lines.
///
/// # Errors
/// `filter` is none.
pub(crate) fn start(filter: &str, json: bool) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A second start, as in tests, leaves the first one in place.
    let _ = if json {
        log.json().flatten_event(true).try_init()
    } else {
        log.with_ansi(io::stderr().is_terminal()).try_init()
    };
    Ok(())
}
