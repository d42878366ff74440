//! The command line: what can be said, and how it reads in `--help`.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::{agent, ctl, demo, deploy, import, roll};

/// A reverse-proxy load balancer that knows which version of the code each server runs.
#[derive(Debug, Parser)]
#[command(
    name = "cutover",
    version,
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the server can't be reached, 4 timed out waiting."
)]
pub(crate) struct Cli {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Everything that cutover can be told to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the load balancer
    Serve(Serve),
    /// Check a configuration file: every error at once, with line and column
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Run an app server: register it, keep its lease, restart it with a permit, drain it before it stops
    Agent(agent::Options),
    /// Upgrade a fleet of real servers under load, on this machine, and report what its visitors met
    Demo(demo::Options),
    #[command(flatten)]
    Control(ctl::Command),
    /// Restart every backend by a command, never more at a time than the service can do without
    Roll(roll::Options),
    /// Take a version from its first migration to its last: expand, stage, canary, flip, bake, drain, contract
    Deploy(deploy::Options),
    /// Turn a configuration of Apache, nginx or HAProxy into one of cutover
    Import(import::Options),
    /// Make a token for the admin API, and its line for the configuration
    Token(Token),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all pages into a directory
    Man {
        /// Write a page for each command into this directory
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Run the demo's app server
    #[command(hide = true)]
    DemoApp(demo::app::Options),
    /// Become the app of an agent
    #[command(hide = true)]
    AgentLaunch(agent::Launch),
    /// End the app of an agent that is gone
    #[command(hide = true)]
    AgentGuard,
}

/// How the load balancer is run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "SIGHUP and a change of the file reload the configuration. SIGTERM and SIGINT finish what is in flight, for \
                        at most 30 seconds; a second one ends at once. SIGUSR1 opens the access log again. SIGUSR2 lets a new process \
                        take over, as `cutover upgrade` does."
)]
pub(crate) struct Serve {
    /// The configuration file; without one: clients on 127.0.0.1:8080, admin API on 127.0.0.1:9900, no services
    #[arg(long, short, value_name = "FILE", env = "CUTOVER_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// What is logged to standard error: a level (error, warn, info, debug, trace) or directives such as `cutover_proxy=debug`
    #[arg(long, value_name = "FILTER", env = "RUST_LOG", default_value = "info")]
    pub(crate) log: String,
    /// Stop when standard input ends, so that it can't outlive whoever started it
    #[arg(long, hide = true)]
    pub(crate) leashed: bool,
}

/// The token to be made.
#[derive(Debug, clap::Args)]
pub(crate) struct Token {
    /// Who will hold it
    #[arg(long, default_value = "NAME")]
    pub(crate) name: String,
    /// What it may do
    #[arg(long, value_enum, default_value = "operate")]
    pub(crate) role: TokenRole,
    /// A service that a `register` token is for; may be given more than once
    #[arg(long = "service", value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

/// What a token may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenRole {
    /// Look
    Read,
    /// Register the backends of the named services
    Register,
    /// Flip, roll back, drain, gates, freeze
    Operate,
    /// Everything
    Admin,
}

impl TokenRole {
    /// The role as the configuration writes it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Register => "register",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn json_may_stand_before_or_after_the_command() {
        let is_json = |line: &str| Cli::try_parse_from(line.split(' ')).unwrap().json;
        assert!(is_json("cutover --json status") && is_json("cutover status --json"));
        let Command::Demo(options) = Cli::try_parse_from(["cutover", "--json", "demo"]).unwrap().command
        else {
            panic!("another command");
        };
        assert!(options.json);
    }
}
