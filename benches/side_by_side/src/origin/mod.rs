//! The application behind the proxies: as cheap as a server can be, so that the proxy is what a run measures.

mod h2;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use crate::client::MESSAGE;
use crate::frame::PREFACE;
use crate::poll::{Interest, Poll};

/// Body of the usual answer, in bytes.
pub(crate) const SMALL: usize = 128;
/// Body of the answer to a path that begins with `/large`, in bytes.
pub(crate) const LARGE: usize = 1 << 20;
/// A path that is asked for, and answered, with the fields that can't be left out, as load tools do.
pub(crate) const LEAN: &str = "/lean";
/// Body of the answer to a call of gRPC, in bytes.
pub(crate) const REPLY: usize = MESSAGE.len();

/// Two backends of one version, on two ports, so that persistence has something to decide.
const BACKENDS: usize = 2;
const REQUEST_MAX: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Origin {
    listeners: Vec<TcpListener>,
    connections: Vec<Option<Connection>>,
    answers: Answers,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    /// What of which answer is left to be written.
    unsent: Option<(Size, usize)>,
    /// After the preface of HTTP/2.
    h2: Option<Box<h2::Connection>>,
}

#[derive(Clone, Copy, Debug)]
enum Size {
    Small,
    Lean,
    Large,
}

#[derive(Debug)]
struct Answers {
    small: Vec<u8>,
    lean: Vec<u8>,
    large: Vec<u8>,
}

/// Whether a connection goes on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Open,
    Closed,
}

impl Origin {
    /// Listens on loopback. The tokens below `Self::listeners` are its own, and those of its connections follow.
    pub(crate) fn start(poll: &Poll) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for token in 0..BACKENDS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            poll.watch(&listener, token as u64)?;
            listeners.push(listener);
        }
        let answers =
            Answers { small: answer(USUAL, SMALL), lean: answer("", SMALL), large: answer(USUAL, LARGE) };
        Ok(Self { listeners, connections: Vec::new(), answers, scratch: vec![0; REQUEST_MAX] })
    }

    pub(crate) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// Carries out what `token` is ready for.
    pub(crate) fn turn(&mut self, poll: &Poll, token: usize) -> io::Result<()> {
        if let Some(listener) = self.listeners.get(token) {
            return match listener.accept() {
                Ok((stream, _)) => self.admit(poll, stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
                Err(error) => Err(error),
            };
        }
        let Some(slot) = self.connections.get_mut(token - BACKENDS) else { return Ok(()) };
        let Some(connection) = slot else { return Ok(()) };
        // A proxy that ends resets its connections: its own runs show whether an answer went missing.
        let next =
            connection.turn(poll, token as u64, &self.answers, &mut self.scratch).unwrap_or(Next::Closed);
        if next == Next::Closed {
            *slot = None;
        }
        Ok(())
    }

    fn admit(&mut self, poll: &Poll, stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let index = self.connections.iter().position(Option::is_none).unwrap_or(self.connections.len());
        poll.watch(&stream, (BACKENDS + index) as u64)?;
        let connection = Some(Connection { stream, request: Vec::new(), unsent: None, h2: None });
        match self.connections.get_mut(index) {
            Some(slot) => *slot = connection,
            None => self.connections.push(connection),
        }
        Ok(())
    }
}

impl Connection {
    fn turn(&mut self, poll: &Poll, token: u64, answers: &Answers, scratch: &mut [u8]) -> io::Result<Next> {
        if let Some((size, from)) = self.unsent.take() {
            self.send(answers, size, from)?;
            if self.unsent.is_none() {
                poll.change(&self.stream, token, Interest::Readable)?;
            }
            return Ok(Next::Open);
        }
        let length = match self.stream.read(scratch) {
            Ok(0) => return Ok(Next::Closed),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Next::Open),
            Err(error) => return Err(error),
        };
        let received = scratch.get(..length).unwrap_or_default();
        if self.h2.is_some() {
            return self.turn_h2(received);
        }
        self.request.extend_from_slice(received);
        if self.request.starts_with(PREFACE) {
            return self.turn_h2(&[]);
        }
        // The requests of a run have no body and a proxy doesn't pipeline: where the bytes end, the request ends.
        if self.request.ends_with(b"\r\n\r\n") {
            let size = match &self.request {
                request if request.starts_with(b"GET /large") => Size::Large,
                request if request.starts_with(b"GET /lean") => Size::Lean,
                _ => Size::Small,
            };
            self.request.clear();
            self.send(answers, size, 0)?;
            if self.unsent.is_some() {
                poll.change(&self.stream, token, Interest::Writable)?;
            }
        }
        Ok(if self.request.len() > REQUEST_MAX { Next::Closed } else { Next::Open })
    }

    fn turn_h2(&mut self, received: &[u8]) -> io::Result<Next> {
        let mut output = Vec::new();
        let first = &self.request;
        let h2 = self.h2.get_or_insert_with(|| Box::new(h2::Connection::begin(first, &mut output)));
        let is_sound = h2.receive(received, &mut output).is_ok();
        // The answers of all streams together are far smaller than an empty send buffer.
        self.stream.write_all(&output)?;
        Ok(if is_sound { Next::Open } else { Next::Closed })
    }

    fn send(&mut self, answers: &Answers, size: Size, from: usize) -> io::Result<()> {
        let rest = answers.of(size).get(from..).unwrap_or_default();
        let sent = match self.stream.write(rest) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.unsent = (sent < rest.len()).then_some((size, from + sent));
        Ok(())
    }
}

impl Answers {
    fn of(&self, size: Size) -> &[u8] {
        match size {
            Size::Small => &self.small,
            Size::Lean => &self.lean,
            Size::Large => &self.large,
        }
    }
}

/// What app servers say beside the length of the body and the version they run.
const USUAL: &str = "Server: origin\r\nDate: Mon, 23 Nov 2026 08:00:00 GMT\r\nContent-Type: text/plain\r\nCache-Control: no-cache\r\n";

/// What an app server's answer looks like, with these `fields` among others.
fn answer(fields: &str, length: usize) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\nX-App-Version: v1\r\n\r\n")
            .into_bytes();
    answer.resize(answer.len() + length, b'x');
    answer
}
