//! The certificate that every proxy shows, and TLS clients that accept no other.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::crypto::aws_lc_rs::{cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};

use crate::error::Error;

/// Whom the clients ask for.
pub(crate) const NAME: &str = "shop.example";

/// A certificate for ECDSA P-256 with its key, and clients that know it.
#[derive(Debug)]
pub(crate) struct Tls {
    /// In PEM.
    pub(crate) certificate: String,
    /// In PEM.
    pub(crate) key: String,
    http1: Arc<ClientConfig>,
    h2: Arc<ClientConfig>,
}

/// What is asked for by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    Http1,
    H2,
}

impl Tls {
    /// Makes a key and a certificate, for this run alone.
    pub(crate) fn generate() -> Result<Self, Error> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])
            .map_err(|error| Error::Unusable(format!("no certificate: {error}")))?;
        let known = made.cert.der().clone();
        Ok(Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            http1: Arc::new(config(b"http/1.1", &known)?),
            h2: Arc::new(config(b"h2", &known)?),
        })
    }

    /// A client's side of a connection that has not begun.
    pub(crate) fn client(&self, alpn: Alpn) -> Result<ClientConnection, Error> {
        let config = match alpn {
            Alpn::Http1 => &self.http1,
            Alpn::H2 => &self.h2,
        };
        let name = ServerName::try_from(NAME).map_err(|error| Error::Tls(error.to_string()))?;
        ClientConnection::new(Arc::clone(config), name).map_err(|error| Error::Tls(error.to_string()))
    }
}

/// TLS 1.3 with the one cipher and the one group that every proxy here knows, so that all do the same work; never a resumed session.
fn config(alpn: &[u8], known: &CertificateDer<'static>) -> Result<ClientConfig, Error> {
    let provider = CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Known(known.clone())))
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Accepts one certificate, by its bytes. The signatures are left unchecked: the clients share a core, and their work is not what is measured.
#[derive(Debug)]
struct Known(CertificateDer<'static>);

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *shown == self.0 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
