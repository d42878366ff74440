//! What the system or an operator tells the process.

use std::io;

use tokio::signal::unix::{self, SignalKind};

/// The signals that `serve` acts on.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
    user1: unix::Signal,
    user2: unix::Signal,
}

/// A signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM or SIGINT: finish what is in flight, then end.
    Stop(&'static str),
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: the access log was moved away, open it again.
    Reopen,
    /// SIGUSR2: let another process take over, by the program that is there now.
    Upgrade,
}

impl Signals {
    /// Catches the signals from now on.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
            user1: unix::signal(SignalKind::user_defined1())?,
            user2: unix::signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next one. May be dropped and called again without losing any.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Signal::Stop("SIGINT"),
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.user1.recv() => Signal::Reopen,
            _ = self.user2.recv() => Signal::Upgrade,
        }
    }
}
