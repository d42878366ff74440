//! TLS for these tests: an authority, what it gives out, and clients that believe it.

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use cutover_proxy::ListenerConfig;
use cutover_tls::server::{CertificateFiles, ClientAuth, MinVersion, ServerTls, ServerTlsSpec};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::message::Message;
use crate::world::SOON;

/// The name that certificates are for.
pub(crate) const NAME: &str = "x.test";

/// An authority, and a directory for what it gives out.
pub(crate) struct Authority {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A client connection over TLS.
pub(crate) struct Secured(pub(crate) BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { directory: tempfile::tempdir().unwrap(), issuer };
        fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority.renew();
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Gives out another certificate for the proxy, in the same files.
    pub(crate) fn renew(&self) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path("x.pem"), certificate.pem()).unwrap();
        fs::write(self.path("x.key"), key.serialize_pem()).unwrap();
    }

    /// Breaks the certificate's file.
    pub(crate) fn spoil(&self) {
        fs::write(self.path("x.pem"), "no certificate").unwrap();
    }

    fn spec(&self) -> ServerTlsSpec {
        let files = CertificateFiles { cert: self.path("x.pem"), key: self.path("x.key") };
        let certificates = vec![files];
        ServerTlsSpec { certificates, min_version: MinVersion::Tls12, client_auth: None, is_managed: false }
    }

    /// What a listener shows its clients.
    pub(crate) fn tls(&self) -> Arc<ServerTls> {
        Arc::new(ServerTls::load(self.spec()).unwrap())
    }

    /// The same, and it asks who they are.
    pub(crate) fn mutual(&self, is_required: bool) -> Arc<ServerTls> {
        let client_auth = Some(ClientAuth { ca: self.path("ca.pem"), is_required });
        Arc::new(ServerTls::load(ServerTlsSpec { client_auth, ..self.spec() }).unwrap())
    }

    /// What a client asks with that is nobody.
    pub(crate) fn stranger(&self) -> ClientConfig {
        self.builder().with_no_client_auth()
    }

    /// What a client asks with whose certificate is for `name`.
    pub(crate) fn known_as(&self, name: &str) -> ClientConfig {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        self.builder().with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
    }

    fn builder(&self) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
    }

    /// A connection to the proxy of somebody.
    pub(crate) fn connect(&self, address: SocketAddr) -> Secured {
        Secured::connect(address, &Arc::new(self.stranger())).unwrap()
    }
}

/// A listener over `tls`.
pub(crate) fn listener(tls: &Arc<ServerTls>) -> ListenerConfig {
    let addresses = vec!["127.0.0.1:0".parse().unwrap()];
    ListenerConfig { addresses, tls: Some(Arc::clone(tls)), ..ListenerConfig::default() }
}

impl Secured {
    /// Connects, and shakes hands.
    pub(crate) fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Self> {
        Self::over(TcpStream::connect(address).unwrap(), config)
    }

    /// Shakes hands on a connection.
    pub(crate) fn over(mut stream: TcpStream, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from(NAME).unwrap();
        let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Self(BufReader::new(StreamOwned::new(connection, stream))))
    }

    pub(crate) fn tls(&mut self) -> &mut ClientConnection {
        &mut self.0.get_mut().conn
    }

    pub(crate) fn tcp(&mut self) -> &mut TcpStream {
        &mut self.0.get_mut().sock
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
        self.0.get_mut().flush().unwrap();
        self
    }

    pub(crate) fn get(&mut self, path: &str) -> Message {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n")).answer()
    }

    pub(crate) fn head(&mut self) -> Message {
        Message::read_head(&mut self.0).expect("an answer")
    }

    pub(crate) fn answer(&mut self) -> Message {
        let mut answer = self.head();
        answer.read_body(&mut self.0).expect("the body is whole");
        answer
    }

    /// What comes until the proxy says that this is its end; an error when it ends without a word.
    pub(crate) fn rest(&mut self) -> io::Result<String> {
        let mut text = String::new();
        self.0.read_to_string(&mut text)?;
        Ok(text)
    }
}
