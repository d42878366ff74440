//! The agent's life: the app runs, is restarted when somebody asks for it and cutover permits it, and ends.

use std::future::Future;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use super::app::App;
use super::args::Options;
use super::backend::{Backend, Process};
use super::guard::Guard;
use super::permit;
use super::registration::Registration;
use super::signals::{Heard, Signals};
use super::version;

/// The exit code of an agent that can't go on, as of any command that fails.
const FAILED: u8 = 1;
/// What shells add to the number of a signal that ended a process.
const SIGNALLED: i32 = 128;

/// Why the agent did not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    Name(String),
    #[error(transparent)]
    Version(#[from] version::Error),
    #[error("can't {what}")]
    System { what: &'static str, source: io::Error },
}

/// An app with everything around it.
#[derive(Debug)]
pub(super) struct Agent {
    options: Options,
    version: version::Source,
    backend: Arc<Backend>,
    signals: Signals,
    // The guard goes last, after the app that it is for.
    app: App,
    guard: Guard,
    registration: Registration,
    /// Whether somebody asked for a restart that did not begin.
    is_restart_wanted: bool,
    /// Whether a permit was asked for, so that one may be left.
    has_asked: bool,
}

/// Why the app runs no longer, or should not.
#[derive(Debug)]
enum End {
    /// It ended by itself.
    Ended(io::Result<ExitStatus>),
    /// Somebody wants it to stop.
    Asked(&'static str),
    /// It was stopped already when somebody wanted it to stop for good.
    Stopped(io::Result<ExitStatus>),
    /// It could not be started again.
    NotStarted,
}

impl Agent {
    /// Starts the app and registers it.
    ///
    /// # Errors
    /// The version can't be read, or the system refuses.
    pub(super) async fn start(options: Options) -> Result<Self, Error> {
        let system = |what| move |source| Error::System { what, source };
        let backend = Arc::new(Backend::new(&options).map_err(Error::Name)?);
        let signals = Signals::catch().map_err(system("catch signals"))?;
        let version = options.version_source();
        let process = Process::draw(version.read().await?).map_err(system("draw random bits"))?;
        let mut guard = Guard::start().map_err(system("start the guard of the app"))?;
        let app =
            App::start(&options.command, &backend.variables(&process)).map_err(system("start the app"))?;
        guard.watch(Some(app.group()));
        tell_of_start(&backend, &process);
        let registration = Registration::begin(Arc::clone(&backend), process);
        let (is_restart_wanted, has_asked) = (false, false);
        Ok(Self {
            options,
            version,
            backend,
            signals,
            app,
            guard,
            registration,
            is_restart_wanted,
            has_asked,
        })
    }

    /// Looks after the app until it ends, and answers the exit code.
    pub(super) async fn live(mut self) -> u8 {
        let end = loop {
            if let Err(end) = self.until_restart_is_wanted().await {
                break end;
            }
            if let Err(end) = self.restart().await {
                break end;
            }
        };
        match end {
            End::Asked(signal) => self.stop(signal).await,
            End::Stopped(status) => {
                self.registration.leave(Duration::ZERO).await;
                permit::give_back(&self.backend).await;
                code_of(&status, true)
            }
            End::Ended(status) => {
                tell_of_end(&status);
                self.guard.watch(None);
                self.registration.leave(Duration::ZERO).await;
                code_of(&status, false)
            }
            End::NotStarted => {
                self.registration.leave(Duration::ZERO).await;
                FAILED
            }
        }
    }

    /// Phase: the app runs.
    async fn until_restart_is_wanted(&mut self) -> Result<(), End> {
        while !self.is_restart_wanted {
            self.next_event().await?;
        }
        Ok(())
    }

    /// Phases of a restart: the permit, the version, the end of the old process, the new one. A permit ends by itself when cutover sees
    /// the new process; if that never works, the permit's deadline says so.
    async fn restart(&mut self) -> Result<(), End> {
        tracing::info!("a restart is asked for");
        self.has_asked = true;
        let backend = Arc::clone(&self.backend);
        self.meanwhile(permit::wait_for(&backend)).await?;

        // Who asks from now on means what is there after the version was read.
        self.is_restart_wanted = false;
        let source = self.version.clone();
        let read = self.meanwhile(source.read()).await?;
        let drawn = read.map_err(Error::from).and_then(|version| {
            Process::draw(version).map_err(|source| Error::System { what: "draw random bits", source })
        });
        let process = match drawn {
            Ok(process) => process,
            Err(error) => {
                tracing::error!(cause = %error, "no restart: the old process goes on");
                return self.meanwhile(permit::give_back(&backend)).await;
            }
        };

        tracing::info!("the app is stopped, to be started again");
        let (status, is_end_asked) = self.take_down(false).await;
        if is_end_asked {
            return Err(End::Stopped(status));
        }
        match App::start(&self.options.command, &backend.variables(&process)) {
            Ok(app) => self.app = app,
            Err(error) => {
                tracing::error!(cause = %error, "the app can't be started again");
                return Err(End::NotStarted);
            }
        }
        self.guard.watch(Some(self.app.group()));
        tell_of_start(&backend, &process);
        self.registration.renew(process);
        Ok(())
    }

    /// Does `work` while the app runs; leaves it when the app ends or is to end.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, End> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                event = self.next_event() => event?,
            }
        }
    }

    /// Waits for a signal and does what it says, or for the end of the app. May be dropped and called again.
    async fn next_event(&mut self) -> Result<(), End> {
        tokio::select! {
            biased;
            status = self.app.ended() => Err(End::Ended(status)),
            heard = self.signals.next() => match heard {
                Heard::Stop(signal) => Err(End::Asked(signal)),
                Heard::Restart => {
                    self.is_restart_wanted = true;
                    Ok(())
                }
                Heard::Forward(signal) => {
                    self.app.group().send(signal);
                    Ok(())
                }
            },
        }
    }

    /// Phases of the end: what is in flight finishes, then the app stops. Whoever asks once more gets it at once.
    async fn stop(mut self, signal: &str) -> u8 {
        tracing::info!(signal, "the app is to stop: it leaves the service, and what is in flight finishes");
        let mut ended = None;
        {
            let mut leaving = pin!(self.registration.leave(self.options.drain));
            loop {
                tokio::select! {
                    () = &mut leaving => break,
                    status = self.app.ended(), if ended.is_none() => {
                        tell_of_end(&status);
                        ended = Some(status);
                    }
                    heard = self.signals.next() => match heard {
                        Heard::Stop(_) => {
                            self.app.group().send(Signal::KILL);
                            break;
                        }
                        Heard::Forward(signal) => self.app.group().send(signal),
                        Heard::Restart => {}
                    },
                }
            }
        }
        let status = match ended {
            Some(status) => status,
            None => self.take_down(true).await.0,
        };
        self.guard.watch(None);
        if self.has_asked {
            permit::give_back(&self.backend).await;
        }
        code_of(&status, true)
    }

    /// Phase: the app is stopped. Answers how it ended, and whether it is to stay so. Whoever asks for that once more kills it.
    async fn take_down(&mut self, mut is_end_asked: bool) -> (io::Result<ExitStatus>, bool) {
        let group = self.app.group();
        let mut stopped = pin!(self.app.stop(self.options.stop_timeout));
        let status = loop {
            tokio::select! {
                status = &mut stopped => break status,
                heard = self.signals.next() => match heard {
                    Heard::Stop(_) if is_end_asked => group.send(Signal::KILL),
                    Heard::Stop(_) => is_end_asked = true,
                    Heard::Restart => self.is_restart_wanted = true,
                    Heard::Forward(signal) => group.send(signal),
                },
            }
        };
        self.guard.watch(None);
        (status, is_end_asked)
    }
}

/// The exit code of the agent for the end of its app: the same, so that whoever runs the agent judges the app. An app that was asked to
/// end, and did so by the signal that asked, ended well.
fn code_of(status: &io::Result<ExitStatus>, is_asked: bool) -> u8 {
    let Ok(status) = status else { return FAILED };
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) if is_asked && signal == Signal::TERM.as_raw() => 0,
        (None, Some(signal)) => SIGNALLED + signal,
        (None, None) => return FAILED,
    };
    u8::try_from(code).unwrap_or(FAILED)
}

fn tell_of_start(backend: &Backend, process: &Process) {
    let Backend { service, id, address, .. } = backend;
    let version = process.version.as_ref().map_or("unknown", |version| version.as_str());
    tracing::info!(%service, backend = %id, %address, version, "the app is started");
}

fn tell_of_end(status: &io::Result<ExitStatus>) {
    match status {
        Ok(status) => tracing::warn!(%status, "the app ended by itself"),
        Err(cause) => tracing::error!(%cause, "the app can't be waited for"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_the_app_s() {
        let code = |raw, is_asked| code_of(&Ok(ExitStatus::from_raw(raw)), is_asked);
        let (exit_0, exit_7, by_term, by_kill) = (0, 7 << 8, Signal::TERM.as_raw(), Signal::KILL.as_raw());

        assert_eq!([code(exit_0, false), code(exit_7, false), code(exit_7, true)], [0, 7, 7]);
        assert_eq!([code(by_term, true), code(by_term, false)], [0, 143]);
        assert_eq!([code(by_kill, true), code(by_kill, false)], [137, 137]);
        assert_eq!(code_of(&Err(io::ErrorKind::Other.into()), true), FAILED);
    }
}
