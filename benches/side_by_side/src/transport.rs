//! A client's connection: bytes over TCP, or over TLS on it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::RecvFlags;
use rustls::client::ClientConnection;

use crate::error::{Doing as _, Error};
use crate::tls::{Alpn, Tls};

/// A proxy that needs longer for a handshake does not work.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<Session>),
}

#[derive(Debug)]
pub(crate) struct Session {
    stream: TcpStream,
    tls: ClientConnection,
    plaintext: Vec<u8>,
}

impl Transport {
    /// Connects, and shakes hands where `alpn` says with what.
    pub(crate) fn connect(address: SocketAddr, tls: Option<(&Tls, Alpn)>) -> Result<Self, Error> {
        let mut stream = connect(address)?;
        let transport = match tls {
            None => Self::Plain(stream),
            Some((tls, alpn)) => {
                let mut session = tls.client(alpn)?;
                stream.set_read_timeout(Some(HANDSHAKE_WITHIN)).doing("setting a timeout")?;
                while session.is_handshaking() {
                    session.complete_io(&mut stream).doing("shaking hands")?;
                }
                if session.alpn_protocol() != Some(alpn.name()) {
                    return Err(Error::Tls("another protocol than the asked one".to_owned()));
                }
                Self::Tls(Box::new(Session { stream, tls: session, plaintext: Vec::new() }))
            }
        };
        transport.stream().set_nonblocking(true).doing("setting O_NONBLOCK")?;
        Ok(transport)
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(session) => &session.stream,
        }
    }

    /// Sends all of it: far less than what an empty send buffer holds.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).doing("sending a request"),
            Self::Tls(session) => session.send(bytes),
        }
    }

    /// Hands what has arrived to `take`, in pieces. `scratch` bounds how much of it at a time.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut [u8],
        mut take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Plain(stream) => match read(stream, scratch)? {
                Some(length) => take(&scratch[..length]),
                None => Ok(()),
            },
            Self::Tls(session) => session.receive(scratch, take),
        }
    }

    /// Drops at most `scratch.len()` bytes that have arrived, and says how many; none where they can't be dropped unread.
    pub(crate) fn skip(&mut self, scratch: &mut [u8]) -> Result<Option<u64>, Error> {
        let Self::Plain(stream) = self else { return Ok(None) };
        // TCP drops what is received with MSG_TRUNC instead of copying it (tcp(7)).
        match rustix::net::recv(stream, scratch, RecvFlags::TRUNC) {
            Ok((_, 0)) => Err(Error::Closed("an answer's body")),
            Ok((_, length)) => Ok(Some(length as u64)),
            Err(rustix::io::Errno::AGAIN) => Ok(Some(0)),
            Err(error) => Err(error).doing("receiving a body"),
        }
    }
}

impl Session {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.tls.writer().write_all(bytes).doing("encrypting a request")?;
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.stream).doing("sending a request")?;
        }
        Ok(())
    }

    fn receive(
        &mut self,
        scratch: &mut [u8],
        mut take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(length) = read(&mut self.stream, scratch)? else { return Ok(()) };
        let mut ciphertext = &scratch[..length];
        while !ciphertext.is_empty() {
            self.tls.read_tls(&mut ciphertext).doing("reading a record")?;
            let state = self.tls.process_new_packets().map_err(|error| Error::Tls(error.to_string()))?;
            self.plaintext.resize(state.plaintext_bytes_to_read(), 0);
            if !self.plaintext.is_empty() {
                self.tls.reader().read_exact(&mut self.plaintext).doing("decrypting an answer")?;
                take(&self.plaintext)?;
            }
        }
        Ok(())
    }
}

impl Alpn {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::H2 => b"h2",
        }
    }
}

/// A handshake and nothing more: a connection that says goodbye as soon as it is there.
#[derive(Debug)]
pub(crate) struct Handshake {
    stream: TcpStream,
    tls: ClientConnection,
    has_left: bool,
}

impl Handshake {
    pub(crate) fn connect(address: SocketAddr, tls: &Tls) -> Result<Self, Error> {
        let stream = connect(address)?;
        stream.set_nonblocking(true).doing("setting O_NONBLOCK")?;
        Ok(Self { stream, tls: tls.client(Alpn::Http1)?, has_left: false })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Says hello.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        self.flush()
    }

    /// Takes what has arrived. True when the proxy, which has the goodbye, has closed: it has done all of a handshake's work by then.
    pub(crate) fn receive(&mut self, scratch: &mut [u8]) -> Result<bool, Error> {
        let length = match read(&mut self.stream, scratch) {
            Ok(Some(length)) => length,
            Ok(None) => return Ok(false),
            Err(Error::Closed(_)) if self.has_left => return Ok(true),
            Err(error) => return Err(error),
        };
        let mut ciphertext = &scratch[..length];
        while !ciphertext.is_empty() {
            self.tls.read_tls(&mut ciphertext).doing("reading a record")?;
            self.tls.process_new_packets().map_err(|error| Error::Tls(error.to_string()))?;
        }
        if !self.tls.is_handshaking() && !self.has_left {
            self.has_left = true;
            self.tls.send_close_notify();
            self.flush()?;
            self.stream.shutdown(Shutdown::Write).doing("leaving")?;
        }
        Ok(false)
    }

    fn flush(&mut self) -> Result<(), Error> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.stream).doing("shaking hands")?;
        }
        Ok(())
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream, Error> {
    let stream = TcpStream::connect(address).doing("connecting to the proxy")?;
    stream.set_nodelay(true).doing("setting TCP_NODELAY")?;
    Ok(stream)
}

/// Reads once. None when there is nothing yet.
fn read(stream: &mut TcpStream, into: &mut [u8]) -> Result<Option<usize>, Error> {
    match stream.read(into) {
        Ok(0) => Err(Error::Closed("an answer or a pause between two")),
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error).doing("receiving an answer"),
    }
}
