//! What the agent does with a signal: stop, restart, or hand it on to the app.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

/// The signals that the agent hears.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
    quit: unix::Signal,
    user_1: unix::Signal,
    user_2: unix::Signal,
    window: unix::Signal,
    resume: unix::Signal,
    input: unix::Signal,
    output: unix::Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// SIGTERM or SIGINT: the app is to stop for good.
    Stop(&'static str),
    /// SIGHUP: the app is to be restarted.
    Restart,
    /// It is for the app.
    Forward(Signal),
}

impl Signals {
    /// Catches the signals from now on.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn catch() -> io::Result<Self> {
        let raw = |caught: Signal| signal(SignalKind::from_raw(caught.as_raw()));
        Ok(Self {
            terminate: raw(Signal::TERM)?,
            interrupt: raw(Signal::INT)?,
            hangup: raw(Signal::HUP)?,
            quit: raw(Signal::QUIT)?,
            user_1: raw(Signal::USR1)?,
            user_2: raw(Signal::USR2)?,
            window: raw(Signal::WINCH)?,
            resume: raw(Signal::CONT)?,
            input: raw(Signal::TTIN)?,
            output: raw(Signal::TTOU)?,
        })
    }

    /// Waits for the next one. May be dropped and called again without losing any.
    pub(super) async fn next(&mut self) -> Heard {
        tokio::select! {
            _ = self.terminate.recv() => Heard::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Heard::Stop("SIGINT"),
            _ = self.hangup.recv() => Heard::Restart,
            _ = self.quit.recv() => Heard::Forward(Signal::QUIT),
            _ = self.user_1.recv() => Heard::Forward(Signal::USR1),
            _ = self.user_2.recv() => Heard::Forward(Signal::USR2),
            _ = self.window.recv() => Heard::Forward(Signal::WINCH),
            _ = self.resume.recv() => Heard::Forward(Signal::CONT),
            _ = self.input.recv() => Heard::Forward(Signal::TTIN),
            _ = self.output.recv() => Heard::Forward(Signal::TTOU),
        }
    }
}
