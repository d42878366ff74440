//! One end of a connection of HTTP/2, frame by frame.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::frame::{Frame, flag, kind};
use super::hpack::{Decoder, Field};
use crate::cut::Cut;
use crate::wire::{Fault, LIMIT};

/// A connection, with what has come and was not looked at yet.
pub(crate) struct Link {
    stream: Box<dyn Bytes>,
    buffer: Vec<u8>,
    decoder: Decoder,
    cut: Cut,
    end: Option<Fault>,
}

/// What carries frames: TCP, or TLS on it.
pub(crate) trait Bytes: Read + Write + Send {}

impl<T: Read + Write + Send> Bytes for T {}

/// A header block, with the frame that it began with.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) stream: u32,
    pub(crate) fields: Vec<Field>,
    pub(crate) is_last: bool,
}

impl Link {
    pub(crate) fn connect(address: SocketAddr, cut: Cut) -> Result<Self, String> {
        let stream =
            TcpStream::connect(address).map_err(|error| format!("no connection to the proxy: {error}"))?;
        Ok(Self::over(limited(stream), cut))
    }

    /// Connects over TLS, to who shows this certificate.
    pub(crate) fn connect_tls(address: SocketAddr, certificate: Vec<u8>, cut: Cut) -> Result<Self, String> {
        let stream =
            TcpStream::connect(address).map_err(|error| format!("no connection to the proxy: {error}"))?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(certificate)).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = versions.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tls = ClientConnection::new(Arc::new(config), ServerName::try_from("a").unwrap()).unwrap();
        let mut stream = StreamOwned::new(tls, limited(stream));
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|error| format!("no handshake: {error}"))?;
        }
        match stream.conn.alpn_protocol() {
            Some(b"h2") => Ok(Self::over(stream, cut)),
            other => Err(format!("expected h2, seen {other:?}")),
        }
    }

    /// Over a stream that fails instead of waiting longer than [`LIMIT`].
    pub(crate) fn over(stream: impl Bytes + 'static, cut: Cut) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new(), decoder: Decoder::default(), cut, end: None }
    }

    /// Writes bytes, right or wrong. The other side may be gone, which is for the reading half to find out.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        for (at, piece) in self.cut.pieces(bytes).into_iter().enumerate() {
            if at > 0 {
                std::thread::sleep(self.cut.pause());
            }
            if self.stream.write_all(piece).and_then(|()| self.stream.flush()).is_err() {
                return;
            }
        }
    }

    pub(crate) fn send(&mut self, frame: &Frame) {
        self.write(&frame.bytes());
    }

    /// The next bytes, of which no frame is made.
    pub(crate) fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Result<Frame, Fault> {
        loop {
            if let Some(frame) = Frame::take(&mut self.buffer) {
                return Ok(frame);
            }
            self.fill()?;
        }
    }

    /// The fields of a HEADERS frame and of the CONTINUATION frames behind it.
    pub(crate) fn block(&mut self, first: &Frame) -> Result<Block, Fault> {
        let mut fragment = first.payload.clone();
        if first.has(flag::PADDED) || first.has(flag::PRIORITY) {
            return Err(Fault::Malformed("a HEADERS frame with more than a header block".to_owned()));
        }
        let mut last = first.clone();
        while !last.has(flag::END_HEADERS) {
            last = self.frame()?;
            if (last.kind, last.stream) != (kind::CONTINUATION, first.stream) {
                return Err(Fault::Malformed(format!("{last:?} in a header block")));
            }
            fragment.extend_from_slice(&last.payload);
        }
        let fields = self.decoder.decode(&fragment);
        let fields = fields.ok_or_else(|| Fault::Malformed(format!("the header block {fragment:?}")))?;
        Ok(Block { stream: first.stream, fields, is_last: first.has(flag::END_STREAM) })
    }

    /// Reads and drops what comes, until the end.
    pub(crate) fn rest(&mut self) -> Fault {
        loop {
            self.buffer.clear();
            if let Err(fault) = self.fill() {
                return fault;
            }
        }
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

/// A socket that fails instead of waiting longer than [`LIMIT`].
pub(crate) fn limited(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
