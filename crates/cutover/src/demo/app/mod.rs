//! The demo's app server: a small, real HTTP/1.1 application that knows which version it is.
//!
//! It stands for any web application that is built and deployed as a whole: its page names the assets of its own build,
//! other builds' assets are 404, and every answer says which process gave it. The end-to-end tests use it too, so it
//! also has routes that show what reached it (`routes::workbench`).

mod body;
mod query;
mod routes;
mod serve;
mod shop;
mod websocket;
mod workbench;

use std::{
    convert::Infallible,
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    time::Instant,
};

pub(super) use self::shop::{VISITOR_COOKIE, hex};
use super::{dice::Dice, leash};

/// How the app server runs: `cutover demo-app`.
#[derive(Clone, Debug, clap::Args)]
// `--version` is the app's here, not the program's.
#[command(disable_version_flag = true)]
pub struct Options {
    /// Address to listen on: `host:port` (port 0 picks a free one) or `unix:/path`
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: Listen,
    /// The version that this server says it runs
    #[arg(long, default_value = "v1")]
    pub version: String,
    /// Boot identifier to answer with (default: drawn at start)
    #[arg(long)]
    pub boot_id: Option<String>,
    /// Milliseconds before it listens, as an app needs to load
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub startup_delay_ms: u64,
    /// Milliseconds after the start in which `/up` answers 503
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub health_delay_ms: u64,
    /// Answer `/up` with 500, always
    #[arg(long)]
    pub fail_health: bool,
    /// Share of requests (0 to 1, `/up` excepted) that are answered with 500
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub error_rate: f64,
    /// Milliseconds that every answer except `/up` takes at least
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub latency_ms: u64,
    /// Milliseconds after which an idle connection is closed (default: never)
    #[arg(long, value_name = "MS")]
    pub idle_timeout_ms: Option<u64>,
    /// Leave `X-App-Version` off every answer
    #[arg(long)]
    pub no_version_header: bool,
    /// Milliseconds that requests in flight get after SIGTERM
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    pub stop_timeout_ms: u64,
    /// Stop when standard input ends, so that it can't outlive whoever started it
    #[arg(long, hide = true)]
    pub leashed: bool,
}

/// Where the app server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address; port 0 picks a free port.
    Tcp(SocketAddr),
    /// The path of a unix socket, made at start.
    Unix(PathBuf),
}

/// Why the app server ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, not ours, or the path can't be made.
    #[error("can't listen on {address}")]
    Listen {
        /// The address as it was given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Signal handling, standard output or the random source failed.
    #[error("can't {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Connections were still busy at the end of the time that SIGTERM leaves them.
    #[error("{left} connections were still busy {limit:?} after SIGTERM")]
    Busy {
        /// Connections cut.
        left: usize,
        /// The time they had.
        limit: Duration,
    },
}

/// Serves until SIGTERM or SIGINT, then finishes what is in flight and returns.
///
/// Prints one line with the address and the version once it accepts connections.
pub async fn run(options: Options) -> Result<(), Error> {
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    if options.leashed {
        leash::hold().map_err(|source| Error::System { what: "watch standard input", source })?;
    }
    let started = Instant::now();
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(options.startup_delay_ms)) => {}
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    let limit = Duration::from_millis(options.stop_timeout_ms);
    let (stop, stopping) = watch::channel(false);
    let socket = Socket::bind(&options.listen).await?;
    announce(&socket, &options.version)
        .map_err(|source| Error::System { what: "write the address to standard output", source })?;
    let (alive, mut all_done) = mpsc::channel(1);
    let app = Arc::new(App::new(options, started, stopping, alive)?);
    let left = Arc::downgrade(&app);
    serve::accept(socket, app, async {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    })
    .await;
    stop.send_replace(true);
    let finished = tokio::time::timeout(limit, all_done.recv()).await;
    finished.map(drop).map_err(|_| Error::Busy { left: left.strong_count(), limit })
}

/// What every request of this process shares.
#[derive(Debug)]
struct App {
    options: Options,
    boot_id: String,
    pid: u32,
    started: Instant,
    dice: Dice,
    /// Status of `/up` as set by `POST /up`, 0 while nobody set one.
    health_override: AtomicU16,
    stopping: watch::Receiver<bool>,
    /// Closed when the last connection and the last tunnel have let go of this.
    _alive: mpsc::Sender<Infallible>,
}

impl App {
    fn new(
        options: Options,
        started: Instant,
        stopping: watch::Receiver<bool>,
        alive: mpsc::Sender<Infallible>,
    ) -> Result<Self, Error> {
        let dice =
            Dice::from_entropy().map_err(|source| Error::System { what: "draw random bytes", source })?;
        let boot_id = options.boot_id.clone().unwrap_or_else(|| format!("{:016x}", dice.roll()));
        let health_override = AtomicU16::new(0);
        Ok(Self {
            options,
            boot_id,
            pid: std::process::id(),
            started,
            dice,
            health_override,
            stopping,
            _alive: alive,
        })
    }

    fn version(&self) -> &str {
        &self.options.version
    }

    /// Resolves when the server was told to stop.
    async fn stopped(&self) {
        // The sender lives as long as `run`; if it is gone the server is stopping all the more.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    /// The status that `/up` answers now.
    fn health_status(&self) -> u16 {
        match self.health_override.load(Ordering::Relaxed) {
            0 if self.options.fail_health => 500,
            0 if self.started.elapsed() < Duration::from_millis(self.options.health_delay_ms) => 503,
            0 => 200,
            status => status,
        }
    }
}

/// A bound listener of either kind.
#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Socket {
    async fn bind(listen: &Listen) -> Result<Self, Error> {
        let bound = match listen {
            Listen::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            Listen::Unix(path) => UnixListener::bind(path).map(|socket| Self::Unix(socket, path.clone())),
        };
        bound.map_err(|source| Error::Listen { address: listen.to_string(), source })
    }

    /// The address that was really bound, in the notation of `--listen`.
    fn address(&self) -> io::Result<String> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(|address| address.to_string()),
            Self::Unix(_, path) => Ok(format!("unix:{}", path.display())),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // A path that is gone already is what is wanted.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| format!("`{text}` is neither IP:PORT nor unix:/path"))
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn listen_for(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Error> {
    signal(kind).map_err(|source| Error::System { what: "listen for signals", source })
}

fn announce(socket: &Socket, version: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {} version {version}", socket.address()?)?;
    out.flush()
}

#[cfg(test)]
pub(super) mod tests;
