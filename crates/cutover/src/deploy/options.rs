//! What `cutover deploy` can be told.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;

use super::share::{self, Stage};
use crate::ctl::args::{Remote, duration, pair};

/// A deploy: the whole way of a version from its additive migration to the destructive one.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "The steps, in this order; those that nobody asked for are left out:\n\n  \
                        expand    --expand CMD runs, and opens gate `expand`\n  \
                        stage     --run CMD runs; the version is waited for until enough of it is usable\n  \
                        gates     --gate NAME=CMD runs and opens its gate; gates that others open are waited for\n  \
                        canary    --canary: a share of the sessions, step by step\n  \
                        flip      the version becomes active\n  \
                        bake      the verdict is waited for; a rollback ends the deploy\n  \
                        drain     the version that was active before is waited for until it is unused\n  \
                        contract  --contract CMD runs, and there is no way back any more\n\n\
                        Commands run by `sh -c` with CUTOVER_SERVICE, CUTOVER_VERSION, CUTOVER_FROM, CUTOVER_EPOCH and CUTOVER_ADMIN \
                        in their environment and with nothing on standard input.\n\n\
                        The same command line again goes on where it was: what the server has a record of is not done twice. One \
                        Ctrl-C lets a command that runs end and stops then; a second one ends the command.")]
pub(crate) struct Options {
    /// The service
    pub(super) service: String,
    /// The version that is to be active in the end
    #[arg(long = "to", value_name = "VERSION", value_parser = NonEmptyStringValueParser::new())]
    pub(super) version: String,
    /// The additive migration; must be safe while the old version runs
    #[arg(long, value_name = "CMD", value_parser = NonEmptyStringValueParser::new())]
    pub(super) expand: Option<String>,
    /// What starts or updates the backends of the version
    #[arg(long, value_name = "CMD", value_parser = NonEmptyStringValueParser::new())]
    pub(super) run: Option<String>,
    /// What must succeed before the switch, and the gate that it opens; may be given more than once
    #[arg(long = "gate", value_name = "NAME=CMD", value_parser = pair)]
    pub(super) gates: Vec<(String, String)>,
    /// A share of the sessions first: the steps of the service, or these, as in 5%:10m,50%:10m
    #[arg(long, value_name = "STEPS", num_args = 0..=1, default_missing_value = "", value_parser = share::stages)]
    pub(super) canary: Option<share::Stages>,
    /// Watch the version for at least this long after the switch, also where the service has no bake of its own
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) bake: Option<Duration>,
    /// The destructive migration; runs when the old version is unused and the new one is found good
    #[arg(long, value_name = "CMD", value_parser = NonEmptyStringValueParser::new())]
    pub(super) contract: Option<String>,
    /// Move the last sessions off the old version when it drains for so long
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) evict_after: Option<Duration>,
    /// How long the whole deploy may take, waits and commands included
    #[arg(long, value_name = "TIME", default_value = "6h", value_parser = duration)]
    pub(super) timeout: Duration,
    /// Don't ask before the first step, as at a terminal
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Only print what would be done, and what stands in the way
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Where the output of each command is kept, in a file for each step; default: a new temporary directory
    #[arg(long, value_name = "DIR")]
    pub(super) logs: Option<PathBuf>,
    #[command(flatten)]
    pub(super) remote: Remote,
}

impl Options {
    /// The steps of the canary; empty when they are the service's own, `None` when there is to be no canary.
    #[must_use]
    pub(super) fn stages(&self) -> Option<&[Stage]> {
        self.canary.as_ref().map(|stages| stages.0.as_slice())
    }
}
