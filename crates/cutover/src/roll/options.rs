//! What `cutover roll` can be told.

use std::path::PathBuf;
use std::time::Duration;

use crate::ctl::args::{Remote, duration};

/// A roll: every backend is restarted by a command, never more at a time than the service can do without.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "The command is run by `sh -c` once for every backend, when that backend is empty:\n\n  \
                        cutover roll web --run 'ssh {host} deploy v2'\n\n\
                        Replaced are {host} and {port} of its address, {id}, and {batch} (from 1), quoted where the shell needs it. \
                        Its standard input is empty. It may take as long as roll.permit_deadline, and is ended then.\n\n\
                        One Ctrl-C asks for no more permits and lets the commands end that run; a second one ends them."
)]
pub(crate) struct Options {
    /// The service
    pub(super) service: String,
    /// The command that restarts a backend, with {host}, {port}, {id} and {batch}
    #[arg(long, value_name = "CMD", required_unless_present_any = ["resume", "abort", "dry_run"])]
    pub(super) run: Option<String>,
    /// Backends that are restarted at the same time, at most; never more than the batch and the capacity allow
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) parallel: u16,
    /// Only these backends
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    pub(super) only: Vec<String>,
    /// Only print the plan: batches, capacities, and what waits for what
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Go on with a roll that is frozen or was interrupted; backends that came back are skipped
    #[arg(long)]
    pub(super) resume: bool,
    /// End the roll where it is; the version that it was to lead to is rejected unless it is active
    #[arg(long, conflicts_with_all = ["run", "resume", "dry_run", "only"])]
    pub(super) abort: bool,
    /// Why
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) reason: Option<String>,
    /// How long the whole roll may take; a second half may have to wait until the old version is drained
    #[arg(long, value_name = "TIME", default_value = "6h", value_parser = duration)]
    pub(super) timeout: Duration,
    /// Time after the command in which a restart must be seen; later, a backend that is up counts as restarted
    // A restart to the same version, without a boot id and faster than the probes, leaves no trace.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(super) settle: Duration,
    /// Where the output of each command is kept, in a file for each backend; default: a new temporary directory
    #[arg(long, value_name = "DIR")]
    pub(super) logs: Option<PathBuf>,
    #[command(flatten)]
    pub(super) remote: Remote,
}
