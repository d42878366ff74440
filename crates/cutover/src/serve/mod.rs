//! `cutover serve`: puts the planes together, runs them, and ends them in order.
//!
//! Start: see `start`. Stop: workers drain, then the admin API, then the control plane, so that what still happens is seen and recorded.
//! A process that was replaced by another one retires.

mod certificates;
mod pid_file;
mod privileges;
mod process_metrics;
mod reload;
mod retire;
mod settings;
mod start;
mod upgrades;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use cutover_control::admin::{AdminHandle, Ask, ServeError};
use cutover_control::error::{StartError as ControlError, SubmitError};
use cutover_control::run::Running;
use cutover_control::store::OpenError;
use cutover_proxy::access_log::AccessLog;
use cutover_proxy::{BindError, Handle, StartError as ProxyError};
use prometheus::Registry;
use tokio::runtime;
use tokio::sync::mpsc;

use crate::config::{self, Config, Report};
use crate::ctl::Exit;
use crate::demo::leash;
#[cfg(feature = "otlp")]
use crate::otlp;
use crate::signals::{Signal, Signals};
use crate::supervisor::Supervisor;
use crate::telemetry;
use crate::upgrade::{Heir, Inherited, OpenStore, Predecessor, Program};
use crate::{acme, args};
use certificates::{Certificates, ListenerError};
use pid_file::PidDraft;
use privileges::PrivilegesError;
use reload::Reload;
use settings::ResolveError;
use upgrades::Attempts;

/// How long requests may go on after the first SIGTERM or SIGINT.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long calls of the admin API may go on after the data plane has ended.
const ADMIN_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last lines of the access log may take to be written.
const ACCESS_LOG_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the last spans may take to reach their collector.
#[cfg(feature = "otlp")]
const SPANS_TIMEOUT: Duration = Duration::from_secs(2);
/// Threads of the control plane: one decides while the other answers the admin API.
const CONTROL_THREADS: usize = 2;

/// Why `serve` ended other than by a signal.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Config(#[from] Report),
    #[error("the system gives no runtime, signals or leash")]
    System(#[source] io::Error),
    #[error(transparent)]
    Privileges(#[from] PrivilegesError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Tls(#[from] ListenerError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("can't open the store")]
    Store(#[from] OpenError),
    #[error("can't start the control plane")]
    Control(#[from] ControlError),
    #[error("can't apply the configuration")]
    Configure(#[from] SubmitError),
    #[error("can't start the data plane")]
    Proxy(#[from] ProxyError),
    #[error("can't keep assets")]
    Assets(#[from] cutover_vault::StartError),
    #[error("can't open the access log {path} (`access_log.path`)")]
    AccessLog { path: String, source: io::Error },
    #[cfg(feature = "otlp")]
    #[error("can't send spans to the collector of traces")]
    Spans(#[from] opentelemetry_otlp::ExporterBuildError),
    #[error("can't register metrics")]
    Metrics(#[from] prometheus::Error),
    #[error("can't serve the admin API")]
    Admin(#[source] ServeError),
    #[error("can't serve metrics")]
    MetricsListener(#[source] ServeError),
    #[error("every worker of the data plane broke")]
    NoWorker,
    #[error("can't write the pid file {} (`node.pid_file`)", path.display())]
    PidFile { path: PathBuf, source: io::Error },
    #[error("can't take over from the process before")]
    Predecessor(#[source] io::Error),
    #[error("can't use the sockets of the supervisor")]
    Activation(#[source] io::Error),
}

impl Error {
    /// Says for which of its listeners the admin API can't be served.
    fn of_admin(error: ServeError) -> Self {
        match error {
            ServeError::BindMetrics { .. } => Self::MetricsListener(error),
            other => Self::Admin(other),
        }
    }
}

/// Runs the load balancer until a signal ends it.
pub(crate) fn run(args: &args::Serve, json: bool) -> Exit {
    if let Err(error) = telemetry::start(&args.log, json) {
        crate::run::fail(&error);
        return Exit::Usage;
    }
    let served = start(args);
    match served {
        Ok(()) => Exit::Done,
        Err(Error::Config(report)) => crate::run::fail_with(&report),
        Err(error) => crate::run::fail(&error),
    }
}

fn start(args: &args::Serve) -> Result<(), Error> {
    // Before anything can change what a relative path means.
    let program = Program::of_this_process().map_err(Error::System)?;
    // Before the first thread.
    let opened = privileges::give_up(args)?;
    if args.leashed {
        leash::hold().map_err(Error::System)?;
    }
    let mut builder = runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(CONTROL_THREADS).thread_name("control").enable_all().build();
    runtime.map_err(Error::System)?.block_on(serve(args, program, opened))
}

async fn serve(args: &args::Serve, program: Program, opened: Option<Inherited>) -> Result<(), Error> {
    // Before anything that takes time: a signal must not kill what a drain would have ended in order.
    let mut signals = Signals::catch().map_err(Error::System)?;
    let mut supervisor = Supervisor::find();
    let mut predecessor = Predecessor::find().await.map_err(Error::Predecessor)?;
    let is_upgraded = predecessor.is_some();
    let started = begin(args, opened, &mut predecessor).await;
    let (planes, config, pid_draft) = match (started, predecessor) {
        (Ok(started), _) => started,
        (Err(error), Some(predecessor)) => {
            predecessor.fail(crate::run::in_words(&error)).await;
            return Err(error);
        }
        (Err(error), None) => return Err(error),
    };
    // Only now: a second process that finds the ports taken must not touch the file of the first.
    let _pid_file = pid_draft.map(PidDraft::publish).transpose().map_err(pid_file_error(&config))?;
    supervisor.ready(&planes.control.control());
    let attempts = Attempts::new(program, config.node.upgrade_timeout.into(), &planes.registry, is_upgraded)?;
    let reload = args.config.as_deref().map(|path| Reload::new(path, config));
    let mut desk = Desk { attempts, reload, supervisor };
    planes.run(&mut desk, &mut signals).await
}

/// Reads the configuration and starts everything.
async fn begin(
    args: &args::Serve,
    opened: Option<Inherited>,
    predecessor: &mut Option<Predecessor>,
) -> Result<(Planes, Config, Option<PidDraft>), Error> {
    let config = match &args.config {
        Some(path) => config::load(path)?,
        None => config::built_in()?,
    };
    // Before anything listens: who can't have its file should not have begun.
    let pid_draft = config.node.pid_file.as_deref().map(PidDraft::write);
    let pid_draft = pid_draft.transpose().map_err(pid_file_error(&config))?;
    // It is large, and so is everything that it makes.
    let planes = Box::pin(start::start(config.clone(), opened, predecessor)).await?;
    Ok((planes, config, pid_draft))
}

fn pid_file_error(config: &Config) -> impl Fn(io::Error) -> Error {
    let path = config.node.pid_file.clone().unwrap_or_default();
    move |source| Error::PidFile { path: path.clone(), source }
}

/// What happens to a process while it runs.
struct Desk {
    attempts: Attempts,
    reload: Option<Reload>,
    supervisor: Supervisor,
}

/// Why a process does not serve any more.
enum End {
    /// Of the signal.
    Signal(&'static str),
    /// Another process does, and somebody may want to know.
    Replaced(Heir, Option<Ask>),
}

/// Everything that runs.
struct Planes {
    proxy: Handle,
    certificates: Certificates,
    /// Held, so that they are renewed.
    issued: acme::Certificates,
    rest: Rest,
    control: Running,
    store: OpenStore,
    admin: AdminHandle,
    /// Where the admin API asks for an upgrade.
    asked: mpsc::Receiver<Ask>,
    registry: Registry,
}

/// What has something to say after everything else has ended.
struct Rest {
    access_log: Option<AccessLog>,
    #[cfg(feature = "otlp")]
    spans: Option<otlp::Sender>,
}

impl Planes {
    /// Serves until a signal says stop or another process takes over, and ends in order.
    ///
    /// # Errors
    /// No worker is left: a supervisor can only help by a restart.
    async fn run(mut self, desk: &mut Desk, signals: &mut Signals) -> Result<(), Error> {
        match self.serve(desk, signals).await? {
            End::Signal(name) => {
                desk.supervisor.stopping();
                self.stop(name, signals).await;
            }
            End::Replaced(heir, ask) => {
                desk.supervisor.replaced(heir.successor.pid);
                desk.reload = None;
                Box::pin(retire::retire(self, (heir, ask), signals)).await;
            }
        }
        Ok(())
    }

    async fn serve(&mut self, desk: &mut Desk, signals: &mut Signals) -> Result<End, Error> {
        let control = self.control.control();
        loop {
            let Desk { attempts, reload, supervisor } = desk;
            let changed = async {
                match reload.as_mut() {
                    Some(reload) => reload.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Stop(name) => {
                        attempts.give_up();
                        return Ok(End::Signal(name));
                    }
                    Signal::Reload if reload.is_none() => tracing::warn!("there is no configuration file to reload"),
                    Signal::Reload => self.certificates.reload(),
                    Signal::Reopen => {
                        self.rest.access_log.iter().for_each(AccessLog::reopen);
                        continue;
                    }
                    Signal::Upgrade => {
                        attempts.begin(self, None);
                        continue;
                    }
                },
                () = changed => {}
                () = self.certificates.changed() => {
                    self.certificates.reload();
                    continue;
                }
                ask = Attempts::asked(&mut self.asked) => {
                    attempts.begin(self, Some(ask));
                    continue;
                }
                (heir, ask) = attempts.succeeded() => return Ok(End::Replaced(heir, ask)),
                lost = self.proxy.lost() => match lost {
                    Some(worker) => {
                        tracing::error!(worker, "a worker broke, the others go on serving");
                        continue;
                    }
                    None => return Err(Error::NoWorker),
                },
            }
            if let Some(reload) = reload.as_ref() {
                supervisor.reloading();
                reload.take_over(&control).await;
                supervisor.reloaded();
                self.certificates.follow();
            }
        }
    }

    /// Lets what is in flight end, then ends the rest. A second signal ends everything at once.
    async fn stop(self, signal: &str, signals: &mut Signals) {
        let Self { mut proxy, rest, control, admin, .. } = self;
        tracing::info!(signal, limit = ?SHUTDOWN_TIMEOUT, "stopping, what is in flight may end");
        control.control().leave();
        proxy.shutdown(SHUTDOWN_TIMEOUT);
        let cut = loop {
            tokio::select! {
                cut = proxy.ended() => break cut,
                signal = signals.next() => match signal {
                    Signal::Stop(signal) => {
                        tracing::warn!(signal, "stopping at once");
                        proxy.shutdown(Duration::ZERO);
                    }
                    Signal::Reopen => rest.access_log.iter().for_each(AccessLog::reopen),
                    Signal::Reload | Signal::Upgrade => {}
                },
            }
        };
        admin.stop().await;
        control.stop().await;
        finish(rest).await;
        tracing::info!(cut, "stopped");
    }
}

/// Lets the last lines and spans go out.
async fn finish(rest: Rest) {
    if rest.access_log.is_some_and(|log| !log.finish(ACCESS_LOG_TIMEOUT)) {
        tracing::warn!("the end of the access log could not be written");
    }
    #[cfg(feature = "otlp")]
    if let Some(spans) = rest.spans {
        spans.finish(SPANS_TIMEOUT).await;
    }
}
