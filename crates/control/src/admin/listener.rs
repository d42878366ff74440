//! The sockets of the admin API.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::config::Listen;
use super::peer::Peer;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// A bound listener.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// A connection that arrived.
#[derive(Debug)]
pub(super) enum Arrival {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The file of a unix socket; goes with the listener, unless another process listens on it then.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    stays: Arc<AtomicBool>,
}

/// Listening sockets that were open before this process began, each with the address that was asked for.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(Listen, OwnedFd)>);

impl Inherited {
    /// Each with the address that was asked for, whose port may be 0.
    #[must_use]
    pub const fn new(sockets: Vec<(Listen, OwnedFd)>) -> Self {
        Self(sockets)
    }

    /// The addresses that nobody has taken.
    pub fn addresses(&self) -> impl Iterator<Item = &Listen> {
        self.0.iter().map(|(listen, _)| listen)
    }

    /// Opens a TCP socket, by a process that may not do so later. One that is open already stays what it is.
    ///
    /// # Errors
    /// The system refused.
    pub fn open(&mut self, address: SocketAddr) -> io::Result<()> {
        let listen = Listen::Tcp(address);
        if !self.addresses().any(|open| *open == listen) {
            self.0.push((listen, std::net::TcpListener::bind(address)?.into()));
        }
        Ok(())
    }

    fn take(&mut self, listen: &Listen) -> Option<OwnedFd> {
        let place = self.0.iter().position(|(asked, _)| asked == listen)?;
        Some(self.0.swap_remove(place).1)
    }
}

impl Listener {
    /// Takes the inherited socket of this address, or binds one. The file of a unix socket stays when `stays` says so at the end.
    pub(super) async fn open(
        listen: &Listen,
        inherited: &mut Inherited,
        stays: &Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let Some(socket) = inherited.take(listen) else { return Self::bind(listen, stays).await };
        let socket = Socket::from(socket);
        socket.set_nonblocking(true)?;
        Ok(match listen {
            Listen::Tcp(_) => Self::Tcp(TcpListener::from_std(socket.into())?),
            Listen::Unix(path) => {
                let file = SocketFile { path: path.clone(), stays: Arc::clone(stays) };
                Self::Unix(UnixListener::from_std(socket.into())?, file)
            }
        })
    }

    /// Another descriptor of the socket.
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
            Self::Unix(listener, _) => listener.as_fd().try_clone_to_owned(),
        }
    }

    /// Binds. A socket file that nobody listens on any more is replaced.
    async fn bind(listen: &Listen, stays: &Arc<AtomicBool>) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Listen::Unix(path) => {
                remove_stale(path)?;
                let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
                socket.bind(&SockAddr::unix(path)?)?;
                let file = SocketFile { path: path.clone(), stays: Arc::clone(stays) };
                // Nobody can connect before `listen`: there is no moment at which others may.
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
                socket.listen(BACKLOG)?;
                Ok(Self::Unix(UnixListener::from_std(socket.into())?, file))
            }
        }
    }

    /// Where it listens, with the port that was chosen.
    pub(super) fn address(&self) -> io::Result<Listen> {
        Ok(match self {
            Self::Tcp(listener) => Listen::Tcp(listener.local_addr()?),
            Self::Unix(_, file) => Listen::Unix(file.path.clone()),
        })
    }

    /// Waits for the next connection.
    pub(super) async fn accept(&self) -> io::Result<(Arrival, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                // Answers are small and awaited.
                stream.set_nodelay(true)?;
                let local: SocketAddr = stream.local_addr()?;
                Ok((Arrival::Tcp(stream), Peer::Tcp { remote, local: local.ip() }))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
                Ok((Arrival::Unix(stream), Peer::Unix { uid }))
            }
        }
    }
}

/// Removes the socket of a process that is gone; anything else stays and makes the bind fail.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        _ => Ok(()),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.stays.load(Ordering::Relaxed) {
            // Whoever comes next removes it otherwise.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
