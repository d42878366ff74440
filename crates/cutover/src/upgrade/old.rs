//! The side that is replaced: starts the other process, hands everything over, and then follows it until nothing is left to do.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use cutover_control::admin::{Listen, Successor};
use cutover_control::error::SubmitError;
use cutover_control::handle::Control;
use cutover_control::store::{Loaded, ReadError};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Child;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::link::{Link, Receiver, Sender};
use super::message::{Message, PROTOCOL, Socket, say_known};
use super::{OpenStore, Program, REPORT_EVERY};

/// How long a process that was killed may take to be gone.
const DEATH_WITHIN: Duration = Duration::from_secs(5);
/// How long a process that closed the connection may take to end by itself, so that its exit code can be told.
const EXIT_WITHIN: Duration = Duration::from_secs(1);

/// All listening sockets of a process, each with the address that was asked for.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) clients: Vec<(SocketAddr, TcpListener)>,
    pub(crate) admin: Vec<(Listen, OwnedFd)>,
}

/// What is handed over, and to which program.
#[derive(Debug)]
pub(crate) struct HandOver {
    pub(crate) program: Program,
    pub(crate) sockets: Sockets,
    pub(crate) control: Control,
    pub(crate) store: OpenStore,
    /// How long the new process may take to be ready.
    pub(crate) timeout: Duration,
}

/// The process that has taken over.
#[derive(Debug)]
pub(crate) struct Heir {
    pub(crate) successor: Successor,
    link: Link,
}

/// What is kept up with the heir until this process ends.
#[derive(Debug)]
pub(crate) struct Ties {
    /// Notified when the heir can't be followed any more.
    pub(crate) lost: Arc<Notify>,
    follower: JoinHandle<()>,
    reporter: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

/// Why the new process did not take over.
#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("can't start {0}: {1}")]
    Start(String, #[source] io::Error),
    #[error("the connection to the new process broke: {0}")]
    Link(#[from] io::Error),
    #[error("the new process ended ({0}); its log says why")]
    Ended(ExitStatus),
    #[error("the new process closed the connection; its log says why")]
    Closed,
    #[error("the new process was not ready within {0:?}")]
    TooSlow(Duration),
    #[error("the new process gave up: {0}")]
    GaveUp(String),
    #[error("the new process speaks protocol {0}, this one {PROTOCOL}: restart instead")]
    Protocol(u32),
    #[error("the new process said something else than was expected")]
    Confused,
    #[error(transparent)]
    Control(#[from] SubmitError),
    #[error(transparent)]
    Store(#[from] ReadError),
}

/// The new process until it has taken over. If that never happens, it is killed.
struct Newborn(Option<Child>);

impl Drop for Newborn {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself.
            let _ = child.start_kill();
        }
    }
}

impl HandOver {
    /// Starts the new process and hands over. When this returns `Ok`, the new one serves as soon as it likes, and this one may not accept
    /// anything any more.
    ///
    /// # Errors
    /// What went wrong, for people: the new process is gone, and this one is as it was before.
    pub(crate) async fn attempt(self) -> Result<Heir, String> {
        let outcome = self.start().await;
        outcome.map_err(|reason| reason.to_string())
    }

    async fn start(self) -> Result<Heir, Reason> {
        let (listener, address) = listen()?;
        let path = || self.program.path().display().to_string();
        let child = self.program.start(&address).map_err(|error| Reason::Start(path(), error))?;
        let mut newborn = Newborn(Some(child));
        tracing::info!(program = %self.program.path().display(), pid = newborn.pid(), "upgrading");
        let mut is_released = false;
        let limit = self.timeout;
        let handed = timeout(limit, self.hand_over(&listener, &mut newborn, &mut is_released)).await;
        let reason = match handed.unwrap_or(Err(Reason::TooSlow(limit))) {
            Ok(heir) => {
                // It is nobody's child from now on.
                newborn.0 = None;
                return Ok(heir);
            }
            Err(reason) => reason,
        };
        let reason = newborn.end(reason).await;
        if is_released {
            self.store.reopen().await;
            self.control.resume().await;
        }
        Err(reason)
    }

    async fn hand_over(
        &self,
        listener: &UnixListener,
        newborn: &mut Newborn,
        is_released: &mut bool,
    ) -> Result<Heir, Reason> {
        let mut link = newborn.connection(listener).await?;
        let version = match heard(&mut link).await? {
            Message::Hello { protocol: PROTOCOL, version } => version,
            Message::Hello { protocol, .. } => return Err(Reason::Protocol(protocol)),
            _ => return Err(Reason::Confused),
        };
        let sent = self.send_sockets(&mut link).await;
        said(sent, &mut link).await?;
        let Message::Prepared = heard(&mut link).await? else { return Err(Reason::Confused) };
        // Before the first thing that has to be taken back.
        *is_released = true;
        let known = say_known(self.control.release().await?);
        let memory = self.store.close().await?.map(Into::into);
        let sent = link.send(&Message::Store { known, memory }).await;
        said(sent, &mut link).await?;
        let Message::Ready = heard(&mut link).await? else { return Err(Reason::Confused) };
        let sent = link.send(&Message::Go).await;
        said(sent, &mut link).await?;
        Ok(Heir { successor: Successor { pid: newborn.pid(), version }, link })
    }

    async fn send_sockets(&self, link: &mut Link) -> io::Result<()> {
        let (mut names, mut descriptors) = (Vec::new(), Vec::new());
        for (address, socket) in &self.sockets.clients {
            names.push(Socket::Clients(*address));
            descriptors.push(OwnedFd::from(socket.try_clone()?));
        }
        for (listen, socket) in &self.sockets.admin {
            names.push(listen.clone().into());
            descriptors.push(socket.try_clone()?);
        }
        link.send(&Message::Sockets { sockets: names }).await?;
        link.send_descriptors(&descriptors).await
    }
}

impl Newborn {
    fn pid(&self) -> u32 {
        self.0.as_ref().and_then(Child::id).unwrap_or_default()
    }

    /// Waits until it connects.
    async fn connection(&mut self, listener: &UnixListener) -> Result<Link, Reason> {
        let pid = self.pid();
        let Some(child) = &mut self.0 else { return Err(Reason::Closed) };
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted?.0,
                ended = child.wait() => return Err(Reason::Ended(ended?)),
            };
            if is_of(&stream, pid) {
                return Ok(Link::new(stream));
            }
            tracing::warn!("somebody else connected in place of the new process");
        }
    }

    /// Sees to it that it is gone. What it ended with says more than that it closed the connection.
    async fn end(mut self, reason: Reason) -> Reason {
        let Some(mut child) = self.0.take() else { return reason };
        if matches!(reason, Reason::Closed | Reason::GaveUp(_))
            && let Ok(Ok(status)) = timeout(EXIT_WITHIN, child.wait()).await
        {
            return if matches!(reason, Reason::Closed) { Reason::Ended(status) } else { reason };
        }
        // It may have ended by itself.
        let _ = child.start_kill();
        if timeout(DEATH_WITHIN, child.wait()).await.is_err() {
            tracing::error!(pid = child.id(), "the new process can't be killed");
        }
        reason
    }
}

impl Heir {
    /// Follows what it commits and tells it what this process still does.
    pub(crate) fn keep_up(self, control: &Control) -> Ties {
        let (sender, receiver) = self.link.split();
        let lost = Arc::new(Notify::new());
        let (end, ended) = oneshot::channel();
        let follower = tokio::spawn(follow(control.clone(), receiver, Arc::clone(&lost)));
        let reporter = tokio::spawn(report(control.clone(), sender, ended));
        Ties { lost, follower, reporter, end }
    }
}

impl Ties {
    /// Says what is left a last time: nothing but pins.
    pub(crate) async fn end(self) {
        // It may be gone.
        let _ = self.end.send(());
        let _ = self.reporter.await;
        self.follower.abort();
    }
}

async fn follow(control: Control, mut receiver: Receiver, lost: Arc<Notify>) {
    loop {
        match receiver.receive().await {
            Ok(Some(Message::Committed(records))) => {
                let followed = match Loaded::try_from(records) {
                    Ok(loaded) => control.follow(loaded).await.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                if let Err(error) = followed {
                    tracing::error!(error, "what the new process committed is not understood");
                    lost.notify_one();
                    return;
                }
            }
            Ok(Some(_)) => tracing::debug!("the new process said something else than was expected"),
            Ok(None) => return tracing::warn!("the new process has ended; what was begun here goes on"),
            Err(error) => {
                tracing::error!(%error, "can't hear the new process");
                lost.notify_one();
                return;
            }
        }
    }
}

async fn report(control: Control, mut sender: Sender, mut end: oneshot::Receiver<()>) {
    let mut served = control.served();
    let mut ticks = interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_last = false;
    while !is_last {
        tokio::select! {
            _ = &mut end => is_last = true,
            _ = ticks.tick() => {}
            // It ends with the loop, which ends after this.
            changed = served.changed() => if changed.is_err() { return },
        }
        if let Err(error) = sender.send(&Message::Report(control.report().into())).await {
            return tracing::debug!(%error, "nobody hears what is left to do");
        }
    }
}

async fn heard(link: &mut Link) -> Result<Message, Reason> {
    match link.receive().await {
        Ok(Some(Message::Failed { reason })) => Err(Reason::GaveUp(reason)),
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(Reason::Closed),
        // It closed before it had read everything.
        Err(error) if is_closed(&error) => Err(Reason::Closed),
        Err(error) => Err(error.into()),
    }
}

/// What came of saying something. Where nobody hears it any more, what the new process said before it closed tells why.
async fn said(sent: io::Result<()>, link: &mut Link) -> Result<(), Reason> {
    match sent {
        Err(error) if is_closed(&error) => match heard(link).await {
            Err(reason) => Err(reason),
            Ok(_) => Err(Reason::Closed),
        },
        sent => Ok(sent?),
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// A place that only who knows its name finds, and the name.
fn listen() -> Result<(UnixListener, String), Reason> {
    let random = getrandom::u64().map_err(io::Error::other)?;
    let name = format!("cutover-upgrade-{random:016x}");
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name)?;
    let listener = std::os::unix::net::UnixListener::bind_addr(&address)?;
    listener.set_nonblocking(true)?;
    Ok((UnixListener::from_std(listener)?, format!("{}:{name}", std::process::id())))
}

/// Whether the other end is this process.
fn is_of(stream: &UnixStream, pid: u32) -> bool {
    let other = stream.peer_cred().ok().and_then(|credentials| credentials.pid());
    other.and_then(|other| u32::try_from(other).ok()) == Some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_process_that_nothing_can_be_said_to_has_said_why_or_has_closed() {
        for last_word in [Some("no disk"), None] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let (mut link, mut new) = (Link::new(ours), Link::new(theirs));
            if let Some(reason) = last_word {
                new.send(&Message::Failed { reason: reason.to_owned() }).await.unwrap();
            }
            drop(new);

            let sent = link.send(&Message::Go).await;

            assert_eq!(sent.as_ref().map_err(io::Error::kind), Err(io::ErrorKind::BrokenPipe));
            match (said(sent, &mut link).await, last_word) {
                (Err(Reason::GaveUp(reason)), Some(word)) => assert_eq!(reason, word),
                (Err(Reason::Closed), None) => {}
                (said, _) => panic!("{said:?}"),
            }
        }
    }
}
