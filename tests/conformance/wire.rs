//! Messages on the wire, read by the letter of RFC 9112 and no more leniently: what reads them here is the judge.

use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::cut::Cut;

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

/// The head of a message. Its bytes are characters U+0000 to U+00FF, one each, so that none of them is lost.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The first line.
    pub(crate) start: String,
    /// Names in lower case, values without the blanks around them, in the order of the lines.
    pub(crate) fields: Vec<(String, String)>,
    /// All of it, as it came.
    pub(crate) raw: String,
}

/// How far a body goes (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Nothing,
    Length(usize),
    Chunked,
    UntilClose,
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
        let mut lines = raw[..raw.len() - 4].split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        if start.contains(['\r', '\n', '\0']) {
            return Err(Fault::Malformed(format!("the first line {start:?}")));
        }
        let fields = lines.map(field).collect::<Result<_, _>>()?;
        Ok(Head { start, fields, raw })
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

impl Head {
    /// The value of the field, all of its lines joined.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let lines: Vec<&str> = self.all(name).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The status, of an answer.
    pub(crate) fn status(&self) -> Result<u16, Fault> {
        let malformed = || Fault::Malformed(format!("the status line {:?}", self.start));
        let rest = self.start.strip_prefix("HTTP/1.1 ").ok_or_else(malformed)?;
        let (status, _reason) = rest.split_once(' ').ok_or_else(malformed)?;
        let is_status = status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit());
        status.parse().ok().filter(|_| is_status).ok_or_else(malformed)
    }

    /// How far the body goes, of a request.
    pub(crate) fn request_framing(&self) -> Result<Framing, Fault> {
        Ok(self.framing()?.unwrap_or(Framing::Nothing))
    }

    /// How far the body goes, of an answer. `is_bodiless` for an answer to HEAD.
    pub(crate) fn answer_framing(&self, is_bodiless: bool) -> Result<Framing, Fault> {
        let status = self.status()?;
        if is_bodiless || status < 200 || status == 204 || status == 304 {
            return Ok(Framing::Nothing);
        }
        Ok(self.framing()?.unwrap_or(Framing::UntilClose))
    }

    fn framing(&self) -> Result<Option<Framing>, Fault> {
        let (length, coding) = (self.field("content-length"), self.field("transfer-encoding"));
        let malformed = || Fault::Malformed(format!("framed by {length:?} and {coding:?}"));
        match (&length, &coding) {
            (None, None) => Ok(None),
            (None, Some(coding)) if coding == "chunked" => Ok(Some(Framing::Chunked)),
            (Some(digits), None) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map(|length| Some(Framing::Length(length))).map_err(|_| malformed())
            }
            _ => Err(malformed()),
        }
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

/// Name and value of a field line (RFC 9112 section 5).
fn field(line: &str) -> Result<(String, String), Fault> {
    let malformed = || Fault::Malformed(format!("the field line {line:?}"));
    let (name, value) = line.split_once(':').ok_or_else(malformed)?;
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let is_value = |c: char| c == '\t' || (c >= ' ' && c != '\u{7f}');
    if name.is_empty() || !name.chars().all(is_token) || !value.chars().all(is_value) {
        return Err(malformed());
    }
    Ok((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
