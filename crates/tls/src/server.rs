//! What a listener shows its clients: certificates by name, which versions it speaks, and whether it asks who they are.

mod certificates;
mod error;
mod managed;
mod resolver;
mod subject;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsStream};

use self::certificates::{Certificate, read};
use self::resolver::Resolver;

pub use self::error::{HandshakeError, MaterialError, TlsError};
pub use self::managed::Managed;
pub use self::subject::Subject;

/// Who a client is by a certificate in DER, as fuzz targets ask it. Not part of the crate's interface.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
#[must_use]
pub fn subject_of(certificate: &[u8]) -> Option<Subject> {
    Subject::of(&certificate.into())
}

/// The protocols of ALPN (RFC 7301 section 6, RFC 9113 section 3.2, RFC 8737 section 6.2), in our order.
const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";
const ACME: &[u8] = b"acme-tls/1";

/// What a listener is told about TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsSpec {
    /// Certificates with their keys. Clients that ask for none of their names are shown the first.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version of TLS that is spoken.
    pub min_version: MinVersion,
    /// Whether clients are asked for certificates.
    pub client_auth: Option<ClientAuth>,
    /// Whether there are certificates that cutover gets by itself, so that none need be in files.
    pub is_managed: bool,
}

/// A certificate and its key, in two PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The certificate, and behind it those between it and a root.
    pub cert: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// The oldest version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum MinVersion {
    /// RFC 5246.
    #[default]
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// How clients show who they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientAuth {
    /// PEM file with the certificates of the authorities that are believed.
    pub ca: PathBuf,
    /// Whether clients without a certificate are turned away. A certificate that is not believed always is.
    pub is_required: bool,
}

/// TLS of one listener, shared by all workers.
#[derive(Debug)]
pub struct ServerTls {
    spec: ServerTlsSpec,
    managed: Arc<Managed>,
    loaded: ArcSwap<Loaded>,
}

/// What was read from the files, all at once.
#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    /// The certificates of the authorities that clients are believed by, as they were read.
    client_ca: Option<Vec<u8>>,
    expires: Option<SystemTime>,
}

/// What client and listener agreed to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, or nothing in particular.
    Http1,
    /// HTTP/2.
    H2,
    /// Nothing: the client has only looked at a challenge (RFC 8737 section 3).
    Challenge,
}

/// A connection over TLS.
#[derive(Debug)]
pub struct Accepted<S> {
    /// The connection.
    pub stream: TlsStream<S>,
    /// What is spoken over it.
    pub protocol: Protocol,
    /// Who the client is, where it has shown a certificate, which was verified.
    pub subject: Option<Subject>,
    /// Whether it went on with what an earlier one was agreed on.
    pub is_resumed: bool,
}

impl ServerTls {
    /// Reads the files that `spec` names.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn load(spec: ServerTlsSpec) -> Result<Self, TlsError> {
        let managed = Arc::<Managed>::default();
        let loaded = Loaded::load(&spec, &managed, None)?;
        Ok(Self { spec, managed, loaded: ArcSwap::from_pointee(loaded) })
    }

    /// Reads the files again. New handshakes see all of what is new or, when anything is wrong, all of what was there before;
    /// connections that are open stay as they are.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn reload(&self) -> Result<(), TlsError> {
        let loaded = Loaded::load(&self.spec, &self.managed, Some(&self.loaded.load()))?;
        self.loaded.store(Arc::new(loaded));
        Ok(())
    }

    /// What it was told.
    #[must_use]
    pub const fn spec(&self) -> &ServerTlsSpec {
        &self.spec
    }

    /// The files that it reads: when one of them changes, it is time to [`reload`](Self::reload).
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let pairs = self.spec.certificates.iter().flat_map(|files| [&files.cert, &files.key]);
        pairs.chain(self.spec.client_auth.iter().map(|auth| &auth.ca)).map(PathBuf::as_path)
    }

    /// The certificates that come from no file.
    #[must_use]
    pub const fn managed(&self) -> &Arc<Managed> {
        &self.managed
    }

    /// When the first of all certificates expires, managed ones included.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        [self.loaded.load().expires, self.managed.expires()].into_iter().flatten().min()
    }

    /// Makes `stream`, over which a client says hello, one over TLS. It has no time limit of its own.
    ///
    /// # Errors
    /// [`HandshakeError`]; the client was told why, where the protocol has a word for it, and `stream` is closed.
    pub async fn accept<S>(&self, stream: S) -> Result<Accepted<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = Arc::clone(&self.loaded.load().config);
        let stream = TlsAcceptor::from(config).accept(stream).await.map_err(HandshakeError::of)?;
        let connection = stream.get_ref().1;
        let protocol = match connection.alpn_protocol() {
            Some(H2) => Protocol::H2,
            Some(ACME) => Protocol::Challenge,
            _ => Protocol::Http1,
        };
        let subject = connection.peer_certificates().and_then(|chain| Subject::of(chain.first()?));
        let is_resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok(Accepted { stream: stream.into(), protocol, subject, is_resumed })
    }
}

impl Loaded {
    fn load(spec: &ServerTlsSpec, managed: &Arc<Managed>, before: Option<&Self>) -> Result<Self, TlsError> {
        let certificates = spec.certificates.iter().map(Certificate::load).collect::<Result<Vec<_>, _>>()?;
        if certificates.is_empty() && !spec.is_managed {
            return Err(TlsError::NoCertificates);
        }
        let expires = certificates.iter().map(|certificate| certificate.expires).min();
        let client_ca = spec.client_auth.as_ref().map(|auth| read(&auth.ca)).transpose()?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions: &[_] = match spec.min_version {
            MinVersion::Tls12 => &[&TLS13, &TLS12],
            MinVersion::Tls13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(TlsError::Setup)?;
        let builder = match spec.client_auth.as_ref().zip(client_ca.as_deref()) {
            None => builder.with_no_client_auth(),
            Some((auth, pem)) => builder.with_client_cert_verifier(verifier(auth, pem, provider)?),
        };
        let mut config =
            builder.with_cert_resolver(Arc::new(Resolver::new(certificates, Arc::clone(managed))));
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        if spec.is_managed {
            config.alpn_protocols.push(ACME.to_vec());
        }
        // A session is in its ticket, and nothing of it here: workers share keys, and no lock on a memory of sessions.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = match before {
            // A ticket stands for the verification of its client's certificate, so that other authorities void it.
            Some(before) if before.client_ca == client_ca => Arc::clone(&before.config.ticketer),
            _ => ticketer()?,
        };
        Ok(Self { config: Arc::new(config), client_ca, expires })
    }
}

/// Keys of session tickets, of this listener only: what a client has proven to one listener says nothing to another. They are
/// replaced every six hours, and forgotten after twelve.
fn ticketer() -> Result<Arc<dyn ProducesTickets>, TlsError> {
    aws_lc_rs::Ticketer::new().map_err(TlsError::Setup)
}

fn verifier(
    auth: &ClientAuth,
    pem: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let wrong = |source| TlsError::Use { path: auth.ca.clone(), source };
    let roots = certificates::roots(pem).map_err(wrong)?;
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if auth.is_required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| wrong(MaterialError::Authorities(error)))
}
