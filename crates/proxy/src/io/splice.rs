//! Large bodies between two TCP connections: the kernel hands their bytes on through a pipe, without a copy (splice(2)).

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes of a body that must be left: for less, a pipe has no advantage over a buffer.
pub(crate) const LEFT_MIN: u64 = 64 << 10;
/// Bytes that a pipe holds. More of them don't measure better, and a slow receiver keeps as many.
const PIPE_SIZE: usize = 256 << 10;
/// Pipes of a worker. Each takes two descriptors, and keeps what a slow receiver has not taken yet; bodies beyond them use buffers.
const PIPES_MAX: usize = 128;

/// Pipes of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    /// Those that nobody uses right now: they are empty.
    idle: RefCell<Vec<Pipe>>,
    /// How many there are.
    open: Rc<Cell<usize>>,
    /// Whether the system does not splice.
    is_unable: Cell<bool>,
}

/// A part of a body on its way through the kernel.
#[derive(Debug)]
pub(crate) struct Pipe {
    input: OwnedFd,
    output: OwnedFd,
    held: usize,
    #[expect(dead_code, reason = "it is held, not read")]
    place: Place,
}

/// One pipe's place among those of its worker.
#[derive(Debug)]
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(open: &Rc<Cell<usize>>) -> Option<Self> {
        let place = open.get() < PIPES_MAX;
        place.then(|| {
            open.set(open.get() + 1);
            Self(Rc::clone(open))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Pipes {
    /// An empty pipe, if there is one to spare.
    pub(crate) fn take(&self) -> Option<Pipe> {
        if self.is_unable.get() {
            return None;
        }
        let idle = self.idle.borrow_mut().pop();
        // Without descriptors or kernel memory to spare it goes without: a buffer has what it takes already.
        idle.or_else(|| Pipe::open(Place::take(&self.open)?).ok())
    }

    /// Takes a pipe back. One that has something in it is closed.
    pub(crate) fn give_back(&self, pipe: Pipe) {
        if pipe.held == 0 {
            self.idle.borrow_mut().push(pipe);
        }
    }

    /// Whether `error` says that the system does not splice from such a socket. Then no pipe is given out any more.
    pub(crate) fn note(&self, error: &io::Error) -> bool {
        let is_unable = matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported);
        if is_unable {
            self.is_unable.set(true);
            self.idle.take();
        }
        is_unable
    }
}

impl Pipe {
    fn open(place: Place) -> io::Result<Self> {
        let (output, input) = system::pipe(PIPE_SIZE)?;
        Ok(Self { input, output, held: 0, place })
    }

    /// Whether everything that went in came out.
    pub(crate) const fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes up to `most` bytes from a socket into an empty pipe. Answers how many came; 0 = the other side will send no more.
    pub(crate) fn poll_fill(
        &mut self,
        from: &TcpStream,
        most: u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(self.is_empty(), "a full pipe looks like a socket with nothing in it");
        let most = usize::try_from(most).map_or(PIPE_SIZE, |most| most.min(PIPE_SIZE));
        loop {
            ready!(from.poll_read_ready(cx))?;
            match from.try_io(Interest::READABLE, || system::splice(from, &self.input, most)) {
                Err(error) if is_passing(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    self.held = count;
                    return Poll::Ready(Ok(count));
                }
            }
        }
    }

    /// Gives what is in the pipe to a socket. Answers how many bytes it took.
    pub(crate) fn poll_drain(&mut self, to: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(to.poll_write_ready(cx))?;
            match to.try_io(Interest::WRITABLE, || system::splice(&self.output, to, self.held)) {
                Err(error) if is_passing(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    self.held -= count;
                    return Poll::Ready(Ok(count));
                }
            }
        }
    }
}

/// Whether it is to be tried again. What would block is waited for first: tokio has forgotten that the socket was ready.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};

    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with};

    /// A pipe that holds `size` bytes, if it may: the end to read from, and the one to write to.
    pub(super) fn pipe(size: usize) -> io::Result<(OwnedFd, OwnedFd)> {
        let (output, input) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // The system limits what the pipes of one user hold together. A smaller one takes more steps, and saves as many copies.
        let _ = fcntl_setpipe_size(&input, size);
        Ok((output, input))
    }

    /// Moves up to `most` bytes, of which one side is a pipe.
    pub(super) fn splice(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        Ok(rustix::pipe::splice(from, None, to, None, most, flags)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};

    pub(super) fn pipe(_size: usize) -> io::Result<(OwnedFd, OwnedFd)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn splice(_from: impl AsFd, _to: impl AsFd, _most: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests;
