//! One connection, and how what arrives on it is read.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::answer::{Answer, Head};
use super::request::Request;
use crate::support::wait::within;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// Read and not yet used.
    buffer: Vec<u8>,
}

/// How the end of a body is known (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::try_open(address).await.unwrap_or_else(|error| panic!("can't connect to {address}: {error}"))
    }

    pub(crate) async fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// One that comes from this address of loopback.
    pub(crate) async fn open_from(source: Ipv4Addr, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        let stream = within("a connection", socket.connect(address)).await.unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within("a place for what is sent", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, request: &Request) -> Answer {
        let answer = within("an answer", self.try_ask(request)).await;
        answer.unwrap_or_else(|error| panic!("{error} instead of an answer to {request:?}"))
    }

    pub(crate) async fn try_ask(&mut self, request: &Request) -> io::Result<Answer> {
        self.try_send(request).await?;
        self.try_answer(&request.method).await
    }

    /// Sends a request, whose answer is still to be read.
    pub(crate) async fn try_send(&mut self, request: &Request) -> io::Result<()> {
        self.stream.write_all(&request.render()).await
    }

    /// Reads the answer to a request that was sent with `method`.
    pub(crate) async fn answer(&mut self, method: &str) -> Answer {
        within("an answer", self.try_answer(method))
            .await
            .unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    pub(crate) async fn try_answer(&mut self, method: &str) -> io::Result<Answer> {
        let mut head = self.head().await?;
        while (100..200).contains(&head.status) && head.status != 101 {
            head = self.head().await?;
        }
        let mut body = Vec::new();
        let trailers = self.body(&head, method, |part| body.extend_from_slice(part)).await?;
        Ok(Answer { head, body, trailers })
    }

    /// Reads one head, be it final or not.
    pub(crate) async fn head(&mut self) -> io::Result<Head> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let mut parsed = httparse::Response::new(&mut fields);
            match parsed.parse(&self.buffer).map_err(invalid)? {
                httparse::Status::Complete(length) => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let fields =
                        parsed.headers.iter().map(|field| (field.name.to_owned(), text(field.value)));
                    let fields = fields.collect();
                    let (minor_version, status) = (parsed.version.unwrap_or(0), parsed.code.unwrap_or(0));
                    self.buffer.drain(..length);
                    return Ok(Head { minor_version, status, fields });
                }
                httparse::Status::Partial => self.fill().await?,
            }
        }
    }

    /// Reads the body that belongs to `head`, part by part, and answers the trailers.
    pub(crate) async fn body(
        &mut self,
        head: &Head,
        method: &str,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<Vec<(String, String)>> {
        match framing(head, method)? {
            Framing::Length(length) => self.exactly(length, &mut take).await?,
            Framing::Chunked => return self.chunks(&mut take).await,
            Framing::UntilClose => loop {
                take(&std::mem::take(&mut self.buffer));
                match self.fill().await {
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                    filled => filled?,
                }
            },
        }
        Ok(Vec::new())
    }

    /// Reads one chunk; an empty one is the last, and its trailers are still to come.
    pub(crate) async fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.line().await?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(invalid)?;
        let mut data = Vec::new();
        self.exactly(size, &mut |part: &[u8]| data.extend_from_slice(part)).await?;
        if size > 0 && !self.line().await?.is_empty() {
            return Err(invalid("no line end after a chunk"));
        }
        Ok(data)
    }

    /// Whether the other side closes the connection without another byte.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let ended = within("the end of the connection", self.fill()).await;
        self.buffer.is_empty() && ended.is_err()
    }

    async fn chunks(&mut self, take: &mut impl FnMut(&[u8])) -> io::Result<Vec<(String, String)>> {
        loop {
            let chunk = self.chunk().await?;
            if chunk.is_empty() {
                break;
            }
            take(&chunk);
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(trailers);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| invalid("no colon in a trailer"))?;
            trailers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    async fn exactly(&mut self, length: u64, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let part = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            take(&self.buffer[..part]);
            self.buffer.drain(..part);
            left -= part as u64;
        }
        Ok(())
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = line.strip_suffix(b"\r\n").ok_or_else(|| invalid("a bare line feed"))?;
                return String::from_utf8(line.to_vec()).map_err(invalid);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.buffer.reserve(64 * 1024);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn framing(head: &Head, method: &str) -> io::Result<Framing> {
    if method == "HEAD" || matches!(head.status, 100..200 | 204 | 304) {
        return Ok(Framing::Length(0));
    }
    if method == "CONNECT" && head.status < 300 {
        return Ok(Framing::Length(0));
    }
    let chunked =
        head.field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let lengths: Vec<_> = head.all("content-length").collect();
    match (chunked, lengths.as_slice()) {
        (true, []) => Ok(Framing::Chunked),
        (false, []) => Ok(Framing::UntilClose),
        (false, [length]) => length.parse().map(Framing::Length).map_err(invalid),
        _ => Err(invalid("two framings of one body")),
    }
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}
