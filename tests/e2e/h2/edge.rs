//! A cutover with a listener in clear text and one with TLS, and what a client has to know to believe it.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::port::Port;
use crate::support::wait::within;

/// Whom certificates are for.
pub(crate) const NAME: &str = "web.test";

/// Derefs to the cutover, whose own address is the one in clear text.
#[derive(Debug)]
pub(crate) struct Edge {
    cutover: Cutover,
    tls: Port,
}

impl Edge {
    pub(crate) async fn start(config: &Config) -> Self {
        let (cutover, tls) = (Cutover::stopped(config), Port::reserve());
        let mut edge = Self { cutover, tls };
        edge.renew();
        let text = config.render(edge.proxy(), edge.admin_address(), edge.file("").as_path());
        let text = format!(
            "{text}\n[[listener]]\nbind = [\"{}\"]\nprotocol = \"https\"\ntls.certs = [{{ cert = {:?}, key = {:?} }}]\n",
            edge.tls(),
            edge.certificate(),
            edge.file("edge.key"),
        );
        edge.write_config(&text);
        edge.restart().await;
        edge
    }

    /// Where clients connect to for TLS.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.tls.address()
    }

    /// The file of the certificate, which has signed itself.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.file("edge.pem")
    }

    /// Makes a version active, if it is not: which of several was there first is a matter of luck.
    pub(crate) async fn begin_with(&self, version: &str) {
        if self.admin().version(version).await["role"] != "active" {
            self.admin().flip(version).await;
        }
    }

    /// Puts another certificate and its key into the files. Who believes the one does not believe the other.
    pub(crate) fn renew(&self) {
        let names = vec![NAME.to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        for (name, text) in [("edge.key", key.serialize_pem()), ("edge.pem", certificate.pem())] {
            let new = self.file("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, self.file(name)).unwrap();
        }
        std::fs::write(self.file("edge.der"), certificate.der()).unwrap();
    }

    /// A connection over TLS on which this is spoken.
    pub(crate) async fn connect_tls(&self, alpn: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(std::fs::read(self.file("edge.der")).unwrap())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = versions.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.tls()).await.unwrap();
        let connected =
            TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), stream);
        let stream = within("the handshake", connected).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn.as_bytes()));
        stream
    }
}

/// A service whose backends never change in a test that is not about them.
pub(crate) fn service() -> Service {
    Service::new("web").set("drain.deadline", "1m")
}

impl Deref for Edge {
    type Target = Cutover;

    fn deref(&self) -> &Cutover {
        &self.cutover
    }
}

impl DerefMut for Edge {
    fn deref_mut(&mut self) -> &mut Cutover {
        &mut self.cutover
    }
}
