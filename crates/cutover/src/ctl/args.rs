//! The commands that talk to a running cutover.

mod canary;
mod migrate;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use cutover_control::document::scalar;

pub(crate) use self::canary::Canary;
pub(crate) use self::migrate::{Contract, Schema, Schemas};
use super::bearer::Bearer;
use super::target::Target;

/// Where the admin API is, and who asks.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct Remote {
    /// The admin API: `http://host:port`, `https://host:port` or `unix:/path`
    #[arg(long, value_name = "URL", env = "CUTOVER_ADMIN", default_value = "http://127.0.0.1:9900")]
    pub(crate) admin: Target,
    /// The bearer token; better given by the environment than by an argument that others can see
    #[arg(long, value_name = "TOKEN", env = "CUTOVER_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<Bearer>,
    #[command(flatten)]
    pub(crate) tls: RemoteTls,
}

/// What is asked of an admin API over TLS. Files are PEM.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct RemoteTls {
    /// File of the authorities that are believed, instead of those of the system
    #[arg(long, value_name = "FILE", env = "CUTOVER_CA")]
    pub(crate) ca: Option<String>,
    /// File of the certificate that tells who asks
    #[arg(long, value_name = "FILE", env = "CUTOVER_CERT", requires = "key")]
    pub(crate) cert: Option<String>,
    /// File of its private key
    #[arg(long, value_name = "FILE", env = "CUTOVER_KEY", requires = "cert")]
    pub(crate) key: Option<String>,
}

/// A command that talks to a running cutover.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the node: version, uptime, revision, store
    Status {
        /// Only tell whether it is ready; needs no token, and exits with 1 if it is not
        #[arg(long)]
        ready: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Watch services, versions and backends, once a second
    Watch {
        /// Only this service
        service: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// List the services, show one, create, replace or remove one
    Services(Services),
    /// List the backends of a service
    Backends {
        /// The service
        service: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// List the versions of a service, or show one
    Versions {
        /// The service
        service: String,
        /// Only this version
        version: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Register a backend
    Register(Register),
    /// Let a backend leave: it drains first
    Deregister {
        #[command(flatten)]
        backend: BackendArgs,
        /// Time for what is in flight; "0s" = at once
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
        drain: Duration,
    },
    /// Keep a backend's lease, and learn whether it drains
    Heartbeat {
        #[command(flatten)]
        backend: BackendArgs,
        /// The version that it runs
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
        /// What names its process
        #[arg(long, value_name = "ID")]
        boot_id: Option<String>,
    },
    /// Make a version active, for everybody at once
    Flip(Flip),
    /// Go back to the version that was active before
    Rollback(Rollback),
    /// Give a version a share of the new sessions, change it or end it, or show it
    Canary(Canary),
    /// Let a backend finish what it has
    Drain(Patch),
    /// Let a backend take traffic again
    Ready(Patch),
    /// Take a backend out altogether
    Maint(Patch),
    /// Ask for leave to restart a backend: it is drained first, and enough others stay
    Permit(Permit),
    /// Open or close a gate of a version
    Gate {
        #[command(flatten)]
        version: VersionArgs,
        /// The gate
        gate: String,
        /// Close it
        #[arg(long)]
        close: bool,
        /// Also for a version that no backend has reported yet
        #[arg(long)]
        ahead: bool,
        /// What to remember with it
        #[arg(long)]
        note: Option<String>,
    },
    /// Record that the contract migration ran: nothing older than the active version becomes active again
    Contract(Contract),
    /// Say at which schema the database is, or show it
    Schema(Schema),
    /// Hold a version: it is not drained while something other than web sessions needs it
    Hold(Hold),
    /// Wait until a version has a role
    Wait {
        #[command(flatten)]
        version: VersionArgs,
        /// The role
        #[arg(long = "for", value_enum, value_name = "ROLE", required_unless_present = "evict")]
        role: Option<Role>,
        /// Wait until it is drained, and end its drain when the time is over
        #[arg(long, conflicts_with = "role")]
        evict: bool,
        #[command(flatten)]
        limit: Limit,
    },
    /// End the drain of a version now
    Evict(VersionArgs),
    /// Judge a version bad: it is never chosen automatically, and can't be flipped to
    Reject {
        #[command(flatten)]
        version: VersionArgs,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Take back that a version was rejected or superseded
    Clear(VersionArgs),
    /// Try a version out before, or after, everybody gets it: a link, and a header for tests
    Preview(Preview),
    /// Forbid flips of a service, allow them again, or list who forbids what
    Freeze(Freeze),
    /// Turn the clients of a service away for maintenance, or let them in again
    Maintenance {
        /// The service
        service: String,
        /// Whether clients are turned away
        #[arg(value_enum)]
        switch: Switch,
        /// Why; clients are not told
        #[arg(long)]
        reason: Option<String>,
        /// Clients are told to come again then
        #[command(flatten)]
        end: End,
        #[command(flatten)]
        remote: Remote,
    },
    /// List the assets that are kept of a service, or drop some
    Assets(Assets),
    /// Let a new process take over, by the program that is installed now, without losing a request
    #[command(
        after_help = "It runs the path by which cutover was started, with the same arguments and environment. The old process goes on \
                      serving until the new one is ready, and as before if that never happens. Then it finishes its requests and tunnels."
    )]
    Upgrade(Upgrade),
    /// Show what happened to a service: who did what, when and why
    Timeline {
        /// The service
        service: String,
        /// Entries to show
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Only entries older than this id
        #[arg(long, value_name = "ID")]
        before: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Follow every change as it happens
    Events {
        /// Only of this service
        #[arg(long)]
        service: Option<String>,
        /// Begin after the event with this id
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Services.
/// `cutover assets`
#[derive(Debug, clap::Args)]
pub(crate) struct Assets {
    /// The service
    pub(crate) service: String,
    /// Assets to show
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Only assets behind this path
    #[arg(long, value_name = "PATH")]
    pub(crate) after: Option<String>,
    /// Drop those with this path, whatever their query, or with this path and query
    #[arg(long, value_name = "PATH", conflicts_with_all = ["drop_all", "after"])]
    pub(crate) drop: Option<String>,
    /// Drop all of them
    #[arg(long, conflicts_with = "after")]
    pub(crate) drop_all: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Services {
    /// Only this one, with its policy
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
    /// What to change
    #[command(subcommand)]
    pub(crate) change: Option<ServiceChange>,
}

/// A change of a service as a whole.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceChange {
    /// Create a service, or replace its policy
    Put {
        /// The service
        service: String,
        /// The fields of `[[service]]` as TOML or JSON; "-" = JSON from standard input
        #[arg(value_name = "FILE", default_value = "-")]
        file: PathBuf,
        #[command(flatten)]
        remote: Remote,
    },
    /// Remove a service with all its backends
    Delete {
        /// The service
        service: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// One backend of a service.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BackendArgs {
    /// The service
    pub(crate) service: String,
    /// The backend
    pub(crate) backend: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// One version of a service.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct VersionArgs {
    /// The service
    pub(crate) service: String,
    /// The version
    pub(crate) version: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// A registration.
#[derive(Debug, clap::Args)]
pub(crate) struct Register {
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
    /// Where it listens: `host:port`, `[v6]:port` or `unix:/path`
    #[arg(long)]
    pub(crate) address: String,
    /// The version that it runs, where its health answer does not tell
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// Its share of the version's traffic, relative to the others
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) weight: Option<u16>,
    /// How long it stays without a heartbeat; "0s" = for ever
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) ttl: Duration,
    /// What names its process
    #[arg(long, value_name = "ID")]
    pub(crate) boot_id: Option<String>,
    /// Where it runs
    #[arg(long)]
    pub(crate) zone: Option<String>,
    #[command(flatten)]
    pub(crate) schemas: Schemas,
    /// What to remember with it; may be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) metadata: Vec<(String, String)>,
}

/// A hold.
#[derive(Debug, clap::Args)]
#[command(after_help = "A nightly job that needs the code of v1 to stay:\n\n  \
                        cutover hold web v1 nightly --while './nightly.sh --all'")]
pub(crate) struct Hold {
    #[command(flatten)]
    pub(crate) version: VersionArgs,
    /// The name of the hold
    pub(crate) hold: String,
    /// How long it lasts unless it is renewed
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub(crate) ttl: Duration,
    /// Give it up
    #[arg(long, conflicts_with_all = ["ttl", "command"])]
    pub(crate) release: bool,
    /// Hold it while this command runs, which is given to `sh -c`, and end as that does
    #[arg(long = "while", id = "command", value_name = "CMD")]
    pub(crate) command: Option<String>,
}

/// A freeze.
#[derive(Debug, clap::Args)]
pub(crate) struct Freeze {
    /// The service; without a reason, what freezes it is shown, and of all services when there is none
    pub(crate) service: Option<String>,
    /// Why
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Whom to ask about it; by default whoever freezes
    #[arg(long, value_name = "NAME", requires = "reason")]
    pub(crate) owner: Option<String>,
    #[command(flatten)]
    pub(crate) end: End,
    /// Allow flips again
    #[arg(long, conflicts_with_all = ["reason", "owner", "until", "for"])]
    pub(crate) off: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// When something ends by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct End {
    /// Until when, as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "for")]
    pub(crate) until: Option<jiff::Timestamp>,
    /// For how long, as 2h
    #[arg(long = "for", id = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) lasting: Option<Duration>,
}

/// A flip.
#[derive(Debug, clap::Args)]
pub(crate) struct Flip {
    /// The service
    pub(crate) service: String,
    /// The version that becomes active
    pub(crate) version: String,
    /// Only say what would happen
    #[arg(long, conflicts_with = "wait")]
    pub(crate) dry_run: bool,
    /// Override quorum, gates and freeze
    #[arg(long)]
    pub(crate) force: bool,
    /// Only if the service is at this epoch
    #[arg(long, value_name = "N")]
    pub(crate) if_epoch: Option<u64>,
    /// Why
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Wait until the old version is drained
    #[arg(long)]
    pub(crate) wait: bool,
    /// End the drain of the old version: at once, or with --wait when the time is over
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) evict: bool,
    #[command(flatten)]
    pub(crate) limit: Limit,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// A rollback.
#[derive(Debug, clap::Args)]
pub(crate) struct Rollback {
    /// The service
    pub(crate) service: String,
    /// Only if the service is at this epoch; without it, only if the epoch does not change meanwhile
    #[arg(long, value_name = "N")]
    pub(crate) if_epoch: Option<u64>,
    /// Why
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// What happens to the sessions of the bad version
    #[arg(long, value_enum)]
    pub(crate) sessions: Option<Sessions>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// A preview.
#[derive(Debug, clap::Args)]
#[command(after_help = "The header tries a version out without a browser:\n\n  \
                        curl -H \"$(cutover preview web v2 --json | jq -r .header)\" https://example.com/")]
pub(crate) struct Preview {
    #[command(flatten)]
    pub(crate) version: VersionArgs,
    /// How long it lasts, 10s to 7d; 1h when it is not given
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) ttl: Option<Duration>,
    /// Where the link leads to, as /cart?step=2
    #[arg(long)]
    pub(crate) path: Option<String>,
    /// Under which scheme and host people reach the service, as https://example.com; by default as its hosts and the listeners say
    #[arg(long)]
    pub(crate) origin: Option<String>,
    /// What it is for
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Open it in a browser
    #[arg(long)]
    pub(crate) open: bool,
}

/// A change of a backend's admin state.
#[derive(Debug, clap::Args)]
pub(crate) struct Patch {
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
    /// Do it even if too little capacity is left
    #[arg(long)]
    pub(crate) force: bool,
    /// Why
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Wait until it is so: nothing in flight, or usable
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) limit: Limit,
}

/// Leave to restart a backend.
#[derive(Debug, clap::Args)]
#[command(after_help = "A fleet is rolled by halves, whoever restarts it:\n\n  \
                        for h in a b c d; do cutover permit web $h --wait && ssh $h restart-app; done")]
pub(crate) struct Permit {
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
    /// Wait until it is granted, and say what it waits for
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long to wait at most
    // Longer than a version drains by default: the second half of a fleet waits for the end of the old version.
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Give it back: the backend is not restarted after all
    #[arg(long = "return", conflicts_with = "wait")]
    pub(crate) give_back: bool,
}

/// An upgrade of cutover itself.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Upgrade {
    /// Wait until the old process has ended, too
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) limit: Limit,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// How long a command waits.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Limit {
    /// How long to wait at most
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(crate) timeout: Duration,
}

/// A role of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Known, gets no user traffic
    Staged,
    /// Gets a share of new sessions
    Canary,
    /// Gets new sessions
    Active,
    /// Only sessions pinned to it
    Draining,
    /// Provably unused
    Drained,
    /// Failed
    Rejected,
    /// A newer staged version replaced it
    Superseded,
    /// No backend left
    Retired,
}

impl Role {
    /// The word of the API.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Canary => "canary",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
            Self::Retired => "retired",
        }
    }
}

/// Whether something is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// From now on
    On,
    /// No longer
    Off,
}

/// What a rollback does with the sessions of the bad version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sessions {
    /// They move at their next request
    Move,
    /// They stay until their pins end
    Keep,
}

impl Sessions {
    /// The word of the API.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Move => "move",
            Self::Keep => "keep",
        }
    }
}

/// A duration as the API and the configuration write it.
pub(crate) fn duration(text: &str) -> Result<Duration, scalar::DurationError> {
    scalar::duration(text).map(Duration::from)
}

/// Metadata of a backend as an argument.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} has no '='; write KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}
