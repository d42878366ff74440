//! Messages on the wire, read by the letter of RFC 9112 and no more leniently: what reads them here is the judge.

use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::cut::Cut;
use crate::head::{Framing, Head, field};

/// Far longer than anything here takes; reaching it is a failure.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);

/// One end of a connection, with what has come and was not looked at yet.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The end, once it was seen: a socket tells of a reset only once.
    end: Option<Fault>,
}

/// What follows a head, as far as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

/// Why there is no more to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Closed,
    Reset,
    /// Nothing came for [`LIMIT`].
    Silent,
    Malformed(String),
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new(), end: None }
    }

    /// Writes in pieces. The other side may be gone, which is for the reading half to find out.
    pub(crate) fn write(&mut self, bytes: &[u8], cut: Cut) {
        let pieces = cut.pieces(bytes);
        for (at, piece) in pieces.iter().enumerate() {
            if at > 0 {
                // Likely enough that the reader takes the pieces one by one. Nothing is concluded from it.
                std::thread::sleep(cut.pause());
            }
            if self.stream.write_all(piece).is_err() {
                return;
            }
        }
    }

    /// Reads a head.
    pub(crate) fn head(&mut self) -> Result<Head, Fault> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let raw = text(&self.take(end));
        Head::parse(raw)
    }

    /// Reads a body into `body`, which keeps what came of one that breaks off.
    pub(crate) fn body(&mut self, framing: Framing, body: &mut Body) -> Result<(), Fault> {
        match framing {
            Framing::Nothing => Ok(()),
            Framing::Length(length) => self.exactly(length, &mut body.bytes),
            Framing::Chunked => self.chunks(body),
            Framing::UntilClose => match self.rest(&mut body.bytes) {
                Fault::Closed => Ok(()),
                fault => Err(fault),
            },
        }
    }

    /// Reads what comes until the end, and says what the end was.
    pub(crate) fn rest(&mut self, into: &mut Vec<u8>) -> Fault {
        loop {
            into.append(&mut self.buffer);
            if let Err(fault) = self.fill() {
                return fault;
            }
        }
    }

    /// Reads exactly so many bytes; those that come before a fault are kept.
    pub(crate) fn exactly(&mut self, length: usize, into: &mut Vec<u8>) -> Result<(), Fault> {
        let mut left = length;
        loop {
            let part = self.take(left.min(self.buffer.len()));
            left -= part.len();
            into.extend(part);
            if left == 0 {
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// Waits until `wanted` is in what has come, and takes nothing of it.
    pub(crate) fn wait_for(&mut self, wanted: &[u8]) -> Result<(), Fault> {
        while find(&self.buffer, wanted).is_none() {
            self.fill()?;
        }
        Ok(())
    }

    /// Whether something has come that nobody took.
    pub(crate) fn has_leftover(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// What has come that nobody took.
    pub(crate) fn leftover(&self) -> String {
        text(&self.buffer)
    }

    pub(crate) fn half_close(&self) {
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    pub(crate) fn try_clone_stream(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    fn chunks(&mut self, body: &mut Body) -> Result<(), Fault> {
        loop {
            let line = self.line()?;
            let is_size = !line.is_empty() && line.len() <= 16 && line.bytes().all(|b| b.is_ascii_hexdigit());
            let size = usize::from_str_radix(&line, 16).ok().filter(|_| is_size);
            let size = size.ok_or_else(|| Fault::Malformed(format!("the chunk size {line:?}")))?;
            if size == 0 {
                break;
            }
            self.exactly(size, &mut body.bytes)?;
            let end = self.line()?;
            if !end.is_empty() {
                return Err(Fault::Malformed(format!("{end:?} after a chunk")));
            }
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(());
            }
            body.trailers.push(field(&line)?);
        }
    }

    fn line(&mut self) -> Result<String, Fault> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = text(&self.take(end));
                self.take(2);
                return Ok(line);
            }
            self.fill()?;
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        self.buffer.drain(..length).collect()
    }

    fn fill(&mut self) -> Result<(), Fault> {
        if let Some(end) = &self.end {
            return Err(end.clone());
        }
        let mut bytes = [0; 16 << 10];
        let end = match self.stream.read(&mut bytes) {
            Ok(0) => Fault::Closed,
            Ok(read) => {
                self.buffer.extend_from_slice(&bytes[..read]);
                return Ok(());
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(Fault::Silent);
            }
            Err(_) => Fault::Reset,
        };
        self.end = Some(end.clone());
        Err(end)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the end of the connection"),
            Self::Reset => f.write_str("a reset"),
            Self::Silent => write!(f, "nothing for {LIMIT:?}"),
            Self::Malformed(what) => write!(f, "something malformed: {what}"),
        }
    }
}

/// Bytes as characters, one for one.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
