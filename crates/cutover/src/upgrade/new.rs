//! The side that takes over: from its start to the go, and what it then tells the old process and hears of it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;

use cutover_control::admin::{self, Listen};
use cutover_control::elder::Report;
use cutover_control::handle::Control;
use cutover_control::handover::Known;
use cutover_control::store::Loaded;
use cutover_proxy as proxy;
use tokio::net::UnixStream;

use super::VARIABLE;
use super::link::{Link, Receiver, Sender};
use super::message::{Message, PROTOCOL, Socket, hear_known};

/// The process that this one is to replace.
#[derive(Debug)]
pub(crate) struct Predecessor {
    link: Link,
    pid: u32,
}

/// Listening sockets that were open before this process began.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    pub(crate) clients: proxy::Inherited,
    pub(crate) admin: admin::Inherited,
}

/// What comes with the store.
#[derive(Debug, Default)]
pub(crate) struct Legacy {
    /// What was known about backends.
    pub(crate) known: Known,
    /// What the store held, where it is in memory.
    pub(crate) memory: Option<Loaded>,
}

impl Predecessor {
    /// Connects to the process that started this one to be replaced by it; `None` when it was not started for that.
    ///
    /// # Errors
    /// It can't be reached.
    pub(crate) async fn find() -> io::Result<Option<Self>> {
        let Ok(address) = std::env::var(VARIABLE) else { return Ok(None) };
        let Some((pid, name)) = named(&address) else { return Ok(None) };
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        let stream = std::os::unix::net::UnixStream::connect_addr(&address)?;
        stream.set_nonblocking(true)?;
        let mut link = Link::new(UnixStream::from_std(stream)?);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        link.send(&Message::Hello { protocol: PROTOCOL, version }).await?;
        Ok(Some(Self { link, pid }))
    }

    /// Whether there is one.
    pub(crate) fn is_there() -> bool {
        std::env::var(VARIABLE).is_ok_and(|address| named(&address).is_some())
    }

    /// Its process.
    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Takes its sockets, which it goes on to serve.
    ///
    /// # Errors
    /// It broke off.
    pub(crate) async fn sockets(&mut self) -> io::Result<Inherited> {
        let Some(Message::Sockets { sockets }) = self.link.receive().await? else {
            return Err(broken_off());
        };
        let descriptors = self.link.receive_descriptors(sockets.len()).await?;
        Ok(Inherited::of(sockets.into_iter().zip(descriptors)))
    }

    /// Asks for the store, which is free when this returns: also when the old process has died, whose place is taken all the same.
    ///
    /// # Errors
    /// It said what makes no sense.
    pub(crate) async fn legacy(&mut self) -> io::Result<Legacy> {
        if self.link.send(&Message::Prepared).await.is_err() {
            return Ok(Legacy::default());
        }
        match self.link.receive().await? {
            Some(Message::Store { known, memory }) => {
                let known = hear_known(known).map_err(io::Error::other)?;
                let memory = memory.map(Loaded::try_from).transpose().map_err(io::Error::other)?;
                Ok(Legacy { known, memory })
            }
            Some(_) => Err(broken_off()),
            None => Ok(Legacy::default()),
        }
    }

    /// Says that this process can serve, and waits until the old one does not any more. From then on it follows this one.
    ///
    /// # Errors
    /// The old process has changed its mind.
    pub(crate) async fn replace(mut self, control: &Control) -> io::Result<()> {
        let is_gone = self.link.send(&Message::Ready).await.is_err();
        match if is_gone { None } else { self.link.receive().await? } {
            Some(Message::Go) => {
                let (sender, receiver) = self.link.split();
                tokio::spawn(tell(control.clone(), sender));
                tokio::spawn(hear(control.clone(), receiver));
            }
            Some(_) => return Err(broken_off()),
            None => end(control),
        }
        Ok(())
    }

    /// Says why this process can't take over.
    pub(crate) async fn fail(mut self, reason: String) {
        // Who does not hear it sees that this process ends.
        let _ = self.link.send(&Message::Failed { reason }).await;
    }
}

impl Inherited {
    fn of(sockets: impl Iterator<Item = (Socket, OwnedFd)>) -> Self {
        let (mut clients, mut admin) = (Vec::new(), Vec::new());
        for (socket, descriptor) in sockets {
            match socket {
                Socket::Clients(address) => clients.push((address, TcpListener::from(descriptor))),
                Socket::Admin(address) => admin.push((Listen::Tcp(address), descriptor)),
                Socket::AdminFile(path) => admin.push((Listen::Unix(path), descriptor)),
            }
        }
        Self::new(clients, admin)
    }

    /// Each with the address that was asked for.
    pub(crate) const fn new(clients: Vec<(SocketAddr, TcpListener)>, admin: Vec<(Listen, OwnedFd)>) -> Self {
        Self { clients: proxy::Inherited::new(clients), admin: admin::Inherited::new(admin) }
    }
}

/// The process that listens at an address, and where, if it started this one. A variable that was passed on by accident means nothing.
fn named(address: &str) -> Option<(u32, &str)> {
    let (pid, name) = address.split_once(':')?;
    let pid = pid.parse().ok()?;
    let parent = rustix::process::getppid()?.as_raw_nonzero().get();
    (u32::try_from(parent) == Ok(pid)).then_some((pid, name))
}

/// Tells the old process what is committed, for as long as it hears it.
async fn tell(control: Control, mut sender: Sender) {
    let mut current = control.watch();
    let mut told = None;
    loop {
        let revision = current.borrow_and_update().revision;
        if told != Some(revision) {
            let committed = control.committed();
            told = Some(committed.revision);
            if sender.send(&Message::Committed(committed.into())).await.is_err() {
                return;
            }
        }
        if current.changed().await.is_err() {
            return;
        }
    }
}

/// Hears what the old process still does, until it ends.
async fn hear(control: Control, mut receiver: Receiver) {
    loop {
        let message = receiver.receive().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "can't hear the old process");
            None
        });
        match message {
            Some(Message::Report(remains)) => match Report::try_from(remains) {
                Ok(report) => control.elder().report(&control.current().snapshot, &report),
                Err(error) => tracing::warn!(%error, "the old process said what makes no sense"),
            },
            Some(_) => {}
            None => return end(&control),
        }
    }
}

fn end(control: &Control) {
    control.elder().end(&control.current().snapshot);
    tracing::info!("the old process has ended");
}

fn broken_off() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the old process broke off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_parent_is_replaced() {
        let parent = rustix::process::getppid().unwrap().as_raw_nonzero();
        let address = format!("{parent}:name");
        assert_eq!(named(&address), Some((parent.get().cast_unsigned(), "name")));
        for other in ["1:name", "name", "x:name", ""] {
            assert!(named(other).is_none() || parent.get() == 1, "{other}");
        }
    }
}
