//! The sockets of the admin API.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

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

/// The file of a unix socket; goes with the listener.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Listener {
    /// Binds. A socket file that nobody listens on any more is replaced.
    pub(super) async fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Listen::Unix(path) => {
                remove_stale(path)?;
                let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
                socket.bind(&SockAddr::unix(path)?)?;
                let file = SocketFile(path.clone());
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
            Self::Unix(_, file) => Listen::Unix(file.0.clone()),
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
        // Whoever comes next removes it otherwise.
        let _ = std::fs::remove_file(&self.0);
    }
}
