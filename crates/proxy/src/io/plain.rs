//! Bytes into and out of a socket with nothing between. A small request is two reads and two writes, and what tokio's and libc's general ways
//! add to them is more than any other phase of it takes.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop;

/// A socket that tokio watches.
pub(crate) trait Watched: AsFd {
    /// Calls `operate` if the socket seems ready. That it would block is noted, for whoever waits.
    fn try_io<R>(&self, interest: Interest, operate: impl FnOnce() -> io::Result<R>) -> io::Result<R>;

    /// Ready when there may be something to read.
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when there may be room to write.
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

macro_rules! watched {
    ($($socket:ty),*) => {$(
        impl Watched for $socket {
            #[inline]
            fn try_io<R>(&self, interest: Interest, operate: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
                self.try_io(interest, operate)
            }

            fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_read_ready(cx)
            }

            fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_write_ready(cx)
            }
        }
    )*};
}
watched!(TcpStream, UnixStream);

/// Reads into `buffer`. Answers how many bytes came; 0 = the other side will send no more.
///
/// A read that does not fill its buffer has emptied the socket: the next one waits without a system call. Each takes a part of the task's
/// turn, as reads by tokio do, so that who sends without end holds up nobody else.
pub(crate) fn poll_read(
    socket: &impl Watched,
    buffer: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let turn = ready!(coop::poll_proceed(cx));
    loop {
        if let Some(read) = at_once(socket, Interest::READABLE, buffer.len(), || system::recv(socket, buffer))
        {
            turn.made_progress();
            return Poll::Ready(read);
        }
        ready!(socket.poll_read_ready(cx))?;
    }
}

/// Writes some of `bytes`.
pub(crate) fn poll_write(
    socket: &impl Watched,
    bytes: &[u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    loop {
        if let Some(wrote) = at_once(socket, Interest::WRITABLE, bytes.len(), || system::send(socket, bytes))
        {
            return Poll::Ready(wrote);
        }
        ready!(socket.poll_write_ready(cx))?;
    }
}

/// Operates on up to `most` bytes; `None` when that would block. Where it was fewer, the next time would.
#[inline]
fn at_once(
    socket: &impl Watched,
    interest: Interest,
    most: usize,
    operate: impl FnOnce() -> io::Result<usize>,
) -> Option<io::Result<usize>> {
    let mut moved = None;
    let tried = socket.try_io(interest, || {
        let count = operate()?;
        moved = Some(count);
        if (1..most).contains(&count) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match (moved, tried) {
        (Some(count), _) => Some(Ok(count)),
        (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => None,
        (None, tried) => Some(tried.map(|()| 0)),
    }
}

/// Without libc, whose calls are such as a thread can be cancelled in, which nobody does here and everybody pays for.
#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::os::fd::AsFd;

    use rustix::net::{RecvFlags, SendFlags};

    #[inline]
    pub(super) fn recv(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
        let (count, _) = rustix::net::recv(socket, buffer, RecvFlags::empty())?;
        Ok(count)
    }

    #[inline]
    pub(super) fn send(socket: &impl AsFd, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io::{self, Read, Write};
    use std::os::fd::AsFd;

    use socket2::SockRef;

    pub(super) fn recv(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
        (&*SockRef::from(socket)).read(buffer)
    }

    pub(super) fn send(socket: &impl AsFd, bytes: &[u8]) -> io::Result<usize> {
        (&*SockRef::from(socket)).write(bytes)
    }
}
