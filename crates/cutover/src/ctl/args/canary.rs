//! What is said about canaries.

use clap::ArgGroup;

use super::super::share::share;
use super::Remote;

/// A canary.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("change").multiple(true).args(["to", "share", "pause", "resume", "abort"]),
    after_help = "Without a change, the canary of the service is shown. By hand, or by the steps that the service has:\n\n  \
                  cutover canary web --to v2 --share 5%   5 % of the new sessions go to v2\n  \
                  cutover canary web --share 50%          more of them; nobody goes back\n  \
                  cutover canary web --abort              none; its sessions go back\n  \
                  cutover canary web --to v2              by the steps of `canary.steps`\n\n\
                  `cutover flip web v2` makes the canary active."
)]
pub(crate) struct Canary {
    /// The service
    pub(crate) service: String,
    /// The version; by default the running canary, or the only staged version
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: Option<String>,
    /// Its share of new sessions until somebody changes it, as 10% or 0.1; without it, it goes by the service's steps
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) share: Option<f64>,
    /// Stay at the step that it has reached
    #[arg(long, conflicts_with = "share")]
    pub(crate) pause: bool,
    /// Go on by the steps
    #[arg(long, conflicts_with_all = ["share", "pause"])]
    pub(crate) resume: bool,
    /// End it: its sessions go back to the active version
    #[arg(long, conflicts_with_all = ["share", "pause", "resume"])]
    pub(crate) abort: bool,
    /// Why
    #[arg(long, requires = "change")]
    pub(crate) reason: Option<String>,
    /// Only if the service is at this epoch
    #[arg(long, value_name = "N", requires = "change")]
    pub(crate) if_epoch: Option<u64>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}
