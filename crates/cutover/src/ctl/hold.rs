//! Holds: taken, renewed, given up; or held for as long as a command runs.

use std::convert::Infallible;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use http::Method;
use rustix::process::{self, Pid};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::Output;
use super::args::Hold;
use super::change::text;
use super::client::{CALL_TIMEOUT, Client, path};
use super::error::{Error, Exit};
use crate::signals::{Signal, Signals};

/// Renewals in the time of one hold: two may fail before it lapses.
const RENEWALS: u32 = 3;
/// What a shell adds to the number of a signal that ended a command.
const BY_SIGNAL: i32 = 128;

/// Takes or renews a hold, gives it up, or holds while a command runs.
pub(super) async fn carry_out(args: Hold) -> Result<Output, Error> {
    let held = Held::new(&args);
    match args.command {
        Some(command) => held.during(&command).await,
        None if args.release => {
            let document = held.release().await?;
            Ok(Output::new(
                document,
                format!("{}: {} no longer holds {}\n", held.service, held.name, held.version),
            ))
        }
        None => {
            let document = held.take().await?;
            Ok(Output::new(document, held.said()))
        }
    }
}

/// A hold on a version, by name.
struct Held {
    client: Client,
    path: String,
    service: String,
    version: String,
    name: String,
    ttl: Duration,
}

impl Held {
    fn new(args: &Hold) -> Self {
        let (service, version) = (args.version.service.clone(), args.version.version.clone());
        Self {
            client: Client::new(&args.version.remote),
            path: path(&["services", &service, "versions", &version, "holds", &args.hold]),
            service,
            version,
            name: args.hold.clone(),
            ttl: args.ttl,
        }
    }

    fn said(&self) -> String {
        format!("{}: {} holds {} for {}\n", self.service, self.name, self.version, text(self.ttl))
    }

    /// Takes it, or renews it.
    async fn take(&self) -> Result<Value, Error> {
        let body = json!({ "ttl": text(self.ttl) });
        Ok(self.client.call(Method::PUT, &self.path, Some(&body), CALL_TIMEOUT).await?.body)
    }

    async fn release(&self) -> Result<Value, Error> {
        Ok(self.client.call(Method::DELETE, &self.path, None, CALL_TIMEOUT).await?.body)
    }

    /// Runs a command that the version is held for. It is not begun when the hold can't be taken, and it is not ended when the hold can't
    /// be renewed: whether its work is still worth something, only its owner knows.
    async fn during(&self, command: &str) -> Result<Output, Error> {
        let io = |what: &str| {
            let what = what.to_owned();
            move |source| Error::Io { what, source }
        };
        let mut signals = Signals::catch().map_err(io("catch signals"))?;
        self.take().await?;
        let mut child = match Command::new("sh").args(["-c", command]).spawn() {
            Ok(child) => child,
            Err(source) => {
                self.give_up().await;
                return Err(io("start sh")(source));
            }
        };
        let renewing = self.renewing();
        tokio::pin!(renewing);
        let ended = loop {
            tokio::select! {
                ended = child.wait() => break ended,
                signal = signals.next() => forward(&child, signal),
                never = &mut renewing => match never {},
            }
        };
        self.give_up().await;
        let code = code(ended.map_err(io("wait for the command"))?);
        let document = json!({ "hold": self.name, "version": self.version, "exit": code });
        Ok(Output { document, text: String::new(), exit: Exit::Of(code) })
    }

    /// Renews it over and over. What fails is said once, and tried again.
    async fn renewing(&self) -> Infallible {
        let mut is_failing = false;
        loop {
            sleep(self.ttl / RENEWALS).await;
            match self.take().await {
                Ok(_) => is_failing = false,
                Err(error) if !std::mem::replace(&mut is_failing, true) => {
                    self.warn(&format!("the hold is not renewed: {error}"));
                }
                Err(_) => {}
            }
        }
    }

    async fn give_up(&self) {
        if let Err(error) = self.release().await {
            self.warn(&format!("the hold is not given up, and lapses within {}: {error}", text(self.ttl)));
        }
    }

    fn warn(&self, what: &str) {
        // Standard error that is closed has no reader to miss the line.
        let _ = writeln!(io::stderr(), "{}: {} on {}: {what}", self.service, self.name, self.version);
    }
}

/// Hands a signal on to the command. What a terminal sends by Ctrl-C the command has got already.
fn forward(child: &Child, signal: Signal) {
    let signal = match signal {
        Signal::Stop("SIGINT") if io::stdin().is_terminal() => return,
        Signal::Stop("SIGINT") => process::Signal::INT,
        Signal::Stop(_) => process::Signal::TERM,
        Signal::Reload => process::Signal::HUP,
        Signal::Reopen => process::Signal::USR1,
        Signal::Upgrade => process::Signal::USR2,
    };
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It was not waited for yet, so that the id is its own; it can only be gone.
        let _ = process::kill_process(pid, signal);
    }
}

/// The exit code of a command, as a shell gives it.
fn code(ended: ExitStatus) -> u8 {
    let code = ended.code().or_else(|| ended.signal().map(|signal| BY_SIGNAL + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_ends_as_in_a_shell() {
        let code_of = |raw| code(ExitStatus::from_raw(raw));
        assert_eq!([0, 3 << 8, 255 << 8, 15].map(code_of), [0, 3, 255, 143]);
    }
}
