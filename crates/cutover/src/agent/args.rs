//! What the agent is told: the app, the backend that it is, and where cutover is.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use cutover_core::address::Address;
use cutover_core::id::{BackendId, ServiceName, VersionLabel};

use super::version::Source;
use crate::ctl::args::{Remote, Schemas, duration, pair};

/// How an app is run.
#[derive(Debug, clap::Args)]
// `--version` is the app's here, not the program's.
#[command(
    disable_version_flag = true,
    after_help = "The app finds PORT, CUTOVER_SERVICE, CUTOVER_BACKEND, CUTOVER_ADDRESS, CUTOVER_BOOT_ID and CUTOVER_VERSION in its \
                  environment.\n\nSIGHUP restarts the app: with a permit, and under the version that is read then. SIGTERM and SIGINT \
                  deregister and drain it, then stop it; a second one kills it. SIGUSR1, SIGUSR2, SIGQUIT, SIGWINCH, SIGCONT, SIGTTIN \
                  and SIGTTOU are handed on. When the app ends by itself, the agent deregisters it and ends with its exit code (128 + \
                  the signal that killed it)."
)]
pub(crate) struct Options {
    /// The service that the app is a backend of
    #[arg(long, env = "CUTOVER_SERVICE", default_value = "web")]
    pub(super) service: ServiceName,
    /// The name of the backend; without one: the host's name and the port
    #[arg(long, env = "CUTOVER_BACKEND")]
    id: Option<BackendId>,
    /// Where the app listens, as cutover reaches it: `host:port`, `[v6]:port` or `unix:/path`
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    pub(super) address: Address,
    #[command(flatten)]
    version: VersionArgs,
    /// How long cutover waits for a heartbeat before it forgets the backend; there are three in that time
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = ttl)]
    pub(super) ttl: Duration,
    /// Its share of the version's traffic, relative to the others
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) weight: Option<u16>,
    /// Where it runs
    #[arg(long)]
    pub(super) zone: Option<String>,
    #[command(flatten)]
    pub(super) schemas: Schemas,
    /// What to remember with it; may be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) metadata: Vec<(String, String)>,
    /// Time for what is in flight when the app is to stop for good
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(super) drain: Duration,
    /// Time from SIGTERM to SIGKILL for the app
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(super) stop_timeout: Duration,
    /// What is logged to standard error: a level (error, warn, info, debug, trace) or directives
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(super) log: String,
    #[command(flatten)]
    pub(super) remote: Remote,
    /// The app and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND", help_heading = "App")]
    pub(super) command: Vec<OsString>,
}

/// Where the version comes from; without any of them the app's answers tell it.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct VersionArgs {
    /// The version that the app runs, where its answers do not tell
    #[arg(long, value_name = "VERSION")]
    version: Option<VersionLabel>,
    /// A file with the version in its first line, read at every start of the app
    #[arg(long, value_name = "FILE")]
    version_file: Option<PathBuf>,
    /// A shell command that prints the version, run at every start of the app
    #[arg(long, value_name = "COMMAND")]
    version_command: Option<String>,
}

/// What the agent starts in the place of the app, to become it: see `launch`.
#[derive(Debug, clap::Args)]
pub(crate) struct Launch {
    /// The process id of the agent
    #[arg(long)]
    pub(super) parent: u32,
    /// The app and its arguments
    #[arg(last = true, required = true)]
    pub(super) command: Vec<OsString>,
}

impl Options {
    /// The name of the backend.
    ///
    /// # Errors
    /// None is given, and the host's name is none.
    pub(super) fn backend(&self) -> Result<BackendId, String> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let name = match &self.address {
            Address::Tcp { port, .. } => format!("{host}:{port}"),
            Address::Unix { .. } => host,
        };
        BackendId::parse(&name).map_err(|error| format!("{name:?} {error}; name the backend with --id"))
    }

    /// Where the version comes from.
    pub(super) fn version_source(&self) -> Source {
        let VersionArgs { version, version_file, version_command } = &self.version;
        match (version, version_file, version_command) {
            (Some(version), ..) => Source::Given(version.clone()),
            (_, Some(file), _) => Source::File(file.clone()),
            (_, _, Some(command)) => Source::Command(command.clone()),
            (None, None, None) => Source::Answers,
        }
    }
}

/// What the admin API takes: without a lease the backend of an agent that was killed would stay for ever.
fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = duration(text).map_err(|error| error.to_string())?;
    let allowed = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    if allowed.contains(&ttl) { Ok(ttl) } else { Err("must be from \"1s\" to \"1d\"".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn options(line: &str) -> Result<Options, clap::Error> {
        let command = Options::augment_args(clap::Command::new("agent"));
        let words = std::iter::once("agent").chain(line.split(' '));
        Options::from_arg_matches(&command.try_get_matches_from(words)?)
    }

    #[test]
    fn what_stands_behind_the_dashes_is_the_app_s() {
        let options = options("--id a --address 127.0.0.1:4000 -- app --version 3 -- x").unwrap();

        assert_eq!(options.command, ["app", "--version", "3", "--", "x"]);
        assert_eq!(options.version_source(), Source::Answers);
        assert_eq!(options.backend().unwrap().as_str(), "a");
    }

    #[test]
    fn a_backend_without_a_name_is_called_after_its_host_and_port() {
        let options = options("--address 127.0.0.1:4000 -- app").unwrap();
        assert!(options.backend().unwrap().as_str().ends_with(":4000"));
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        for line in [
            "--id a",
            "--ttl 0 -- app",
            "--ttl 500ms -- app",
            "--metadata x -- app",
            "--address 3000 -- app",
            "--version 1 --version-file f -- app",
            "--version-file f --version-command c -- app",
        ] {
            assert!(options(line).is_err(), "{line}");
        }
    }
}
