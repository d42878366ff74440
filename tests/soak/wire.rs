//! The protocols of visitors: HTTP/1.1 and HTTP/2, in clear text and by TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::SendRequest;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::cutover::NAME;
use super::run::Run;
use super::support::http::{Connection, Request};
use super::trace::Kind;

/// What a visitor speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    H1,
    H2,
    H2Tls,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) target: String,
    /// With a body it is a POST, which can't be sent twice.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) cookie: Option<String>,
}

/// Its whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) version: String,
    pub(crate) set_cookies: Vec<String>,
    pub(crate) body: Vec<u8>,
}

/// Why there is none.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) kind: Kind,
    pub(crate) why: String,
    /// The other side closed before it began with this request, as it may at any time: it is to be sent again.
    pub(crate) is_unheard: bool,
}

/// The connection of a visitor, opened when it is needed.
#[derive(Debug)]
pub(crate) struct Client {
    protocol: Protocol,
    plain: SocketAddr,
    tls: SocketAddr,
    roots: Arc<ClientConfig>,
    h1: Option<Connection>,
    h2: Option<(SendRequest<Bytes>, AbortHandle)>,
}

impl Client {
    pub(crate) fn new(run: &Run, roots: &Arc<ClientConfig>, protocol: Protocol) -> Self {
        Self { protocol, plain: run.plain, tls: run.tls, roots: Arc::clone(roots), h1: None, h2: None }
    }

    pub(crate) async fn exchange(&mut self, ask: &Ask) -> Result<Got, Broken> {
        match self.protocol {
            Protocol::H1 => self.by_h1(ask).await,
            Protocol::H2 | Protocol::H2Tls => self.by_h2(ask).await,
        }
    }

    async fn by_h1(&mut self, ask: &Ask) -> Result<Got, Broken> {
        let is_used = self.h1.is_some();
        let mut connection = match self.h1.take() {
            Some(connection) => connection,
            None => {
                Connection::try_open(self.plain).await.map_err(|error| Broken::new(Kind::NoAnswer, &error))?
            }
        };
        let mut request = match &ask.body {
            Some(body) => Request::post(&ask.target, body.clone()),
            None => Request::get(&ask.target),
        };
        if let Some(cookie) = &ask.cookie {
            request = request.field("Cookie", cookie);
        }
        let unheard = |error: io::Error| {
            let closed =
                [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
            let is_unheard = is_used && closed.contains(&error.kind());
            Broken { is_unheard, ..Broken::new(Kind::NoAnswer, &error) }
        };
        connection.try_send(&request).await.map_err(unheard)?;
        let head = connection.head().await.map_err(unheard)?;
        let mut body = Vec::new();
        let read = connection.body(&head, &request.method, |part| body.extend_from_slice(part)).await;
        read.map_err(|error| Broken::new(Kind::Cut, &error))?;
        if !head.field("connection").is_some_and(|options| options.eq_ignore_ascii_case("close")) {
            self.h1 = Some(connection);
        }
        Ok(Got {
            status: head.status,
            version: head.field("x-app-version").unwrap_or_default().to_owned(),
            set_cookies: head.all("set-cookie").map(str::to_owned).collect(),
            body,
        })
    }

    async fn by_h2(&mut self, ask: &Ask) -> Result<Got, Broken> {
        let is_used = self.h2.is_some();
        let broken = |kind, error: h2::Error| {
            // RFC 9113 sections 6.8 and 8.7: what is above the last stream of a GOAWAY, or refused, was not begun.
            let is_orderly = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
            let is_unheard = is_orderly
                || error.reason() == Some(h2::Reason::REFUSED_STREAM)
                || is_used && error.is_io() && kind == Kind::NoAnswer;
            Broken { is_unheard, ..Broken::new(kind, &error) }
        };
        let sender = self.h2().await.map_err(|error| Broken::new(Kind::NoAnswer, &error))?;
        let request = ask.to_h2().map_err(|error| Broken::new(Kind::Wrong, &error))?;
        let mut sender = match sender.ready().await {
            Ok(sender) => sender,
            Err(error) => return Err(Broken { is_unheard: is_used, ..broken(Kind::NoAnswer, error) }),
        };
        let (answer, mut body) = sender
            .send_request(request, ask.body.is_none())
            .map_err(|error| broken(Kind::NoAnswer, error))?;
        if let Some(sent) = &ask.body {
            body.send_data(sent.clone().into(), true).map_err(|error| broken(Kind::NoAnswer, error))?;
        }
        let (head, mut body) = answer.await.map_err(|error| broken(Kind::NoAnswer, error))?.into_parts();
        let mut bytes = Vec::new();
        while let Some(part) = body.data().await {
            let part = part.map_err(|error| Broken::new(Kind::Cut, &error))?;
            // The window of a stream that has ended needs no credit.
            let _ = body.flow_control().release_capacity(part.len());
            bytes.extend_from_slice(&part);
        }
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Ok(Got {
            status: head.status.as_u16(),
            version: head.headers.get("x-app-version").map(text).unwrap_or_default(),
            set_cookies: head.headers.get_all("set-cookie").iter().map(text).collect(),
            body: bytes,
        })
    }

    /// Drops the connection: the next request opens another one.
    pub(crate) fn hang_up(&mut self) {
        self.h1 = None;
        if let Some((_, connection)) = self.h2.take() {
            connection.abort();
        }
    }

    async fn h2(&mut self) -> io::Result<SendRequest<Bytes>> {
        if let Some((sender, _)) = &self.h2 {
            return Ok(sender.clone());
        }
        let (sender, task) = if self.protocol == Protocol::H2 {
            let stream = TcpStream::connect(self.plain).await?;
            let (sender, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
            (sender, tokio::spawn(async move { drop(connection.await) }))
        } else {
            let stream = connect_tls(self.tls, &self.roots, "h2").await?;
            let (sender, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
            (sender, tokio::spawn(async move { drop(connection.await) }))
        };
        self.h2 = Some((sender.clone(), task.abort_handle()));
        Ok(sender)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.hang_up();
    }
}

impl Protocol {
    pub(crate) const ALL: [Self; 3] = [Self::H1, Self::H2, Self::H2Tls];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::H1 => "HTTP/1.1",
            Self::H2 => "HTTP/2",
            Self::H2Tls => "HTTP/2 by TLS",
        }
    }

    /// The cookie that carries the pin.
    pub(crate) fn cookie(self) -> &'static str {
        if self == Self::H2Tls { "__Host-cutover" } else { "cutover" }
    }
}

impl Ask {
    fn to_h2(&self) -> http::Result<http::Request<()>> {
        let method = if self.body.is_some() { "POST" } else { "GET" };
        let mut request =
            http::Request::builder().method(method).uri(format!("http://{NAME}{}", self.target));
        if let Some(body) = &self.body {
            request = request.header("content-length", body.len());
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        request.body(())
    }
}

impl Broken {
    fn new(kind: Kind, error: &dyn std::error::Error) -> Self {
        Self { kind, why: error.to_string(), is_unheard: false }
    }
}

/// A configuration of TLS that believes the certificate of the run, and offers `protocol`.
pub(crate) fn roots(certificate: Vec<u8>, protocol: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificate)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Arc::new(config)
}

/// A connection over TLS on which `protocol` is spoken.
pub(crate) async fn connect_tls(
    address: SocketAddr,
    roots: &Arc<ClientConfig>,
    protocol: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::clone(roots)).connect(name, stream).await?;
    match stream.get_ref().1.alpn_protocol() == Some(protocol.as_bytes()) {
        true => Ok(stream),
        false => Err(io::Error::other("another protocol was agreed on")),
    }
}
