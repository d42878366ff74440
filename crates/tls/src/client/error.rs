//! Why backends can't be asked over TLS, or don't answer as they should.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem;
use rustls::{CertificateError, OtherError};

/// What is wrong with what backends are to be asked for.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// A file is not there, may not be read, or is no PEM.
    #[error("can't read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A file has no certificate.
    #[error("{} has no certificate", .path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// What a file has for a certificate of an authority is none.
    #[error("{} has a certificate that can't be used", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The certificate by which backends are to know us, and its key, can't be used together.
    #[error("the certificate of {} can't be used with the key of {}", .certificate.display(), .key.display())]
    Client {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of its key.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
    /// The system has no certificate of any authority.
    #[error("the system has no certificates of authorities: name them by `ca`")]
    NoSystemRoots(#[source] Option<rustls_native_certs::Error>),
    /// It is neither a host name nor an IP address.
    #[error("{0:?} is neither a host name nor an IP address")]
    ServerName(String),
    /// The versions of TLS and the cryptography don't go together.
    #[error("TLS can't be set up")]
    Setup(#[source] rustls::Error),
}

/// Why a connection to a backend did not become one over TLS.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The files that it takes can't be used.
    #[error("TLS to the backend is not set up")]
    Unusable(#[source] Arc<ConnectorError>),
    /// The certificate is not for the name that was asked for.
    #[error("the backend's certificate is for another name")]
    Name(#[source] rustls::Error),
    /// The certificate is of nobody who is believed, or has expired.
    #[error("the backend's certificate is not believed")]
    Untrusted(#[source] rustls::Error),
    /// The certificate is one of an authority (CA:TRUE), mostly one that was made for both. No implementation of RFC 5280 has to take it
    /// for a server's, and ours does not.
    #[error(
        "the backend's certificate is an authority's (CA:TRUE), which is not taken for a server's: give the backend one that the \
         authority has signed, or a self-signed one with CA:FALSE"
    )]
    IsAuthority,
    /// It does not agree on HTTP/2.
    #[error("the backend does not agree on HTTP/2")]
    NoH2,
    /// What it sends is no TLS, or none that we understand; or it refused ours.
    #[error("the TLS handshake with the backend failed")]
    Protocol(#[source] rustls::Error),
    /// The connection ended meanwhile.
    #[error("the connection ended in the TLS handshake")]
    Io(#[source] io::Error),
}

impl ConnectorError {
    /// The file that is wrong, where it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Read { path, .. } | Self::NoCertificate { path } | Self::Certificate { path, .. } => {
                Some(path)
            }
            Self::Client { key, .. } => Some(key),
            Self::NoSystemRoots(_) | Self::ServerName(_) | Self::Setup(_) => None,
        }
    }
}

impl HandshakeError {
    /// What an error of a handshake means.
    pub(super) fn of(error: io::Error) -> Self {
        use rustls::Error::{AlertReceived, InvalidCertificate, NoApplicationProtocol};
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return Self::Io(error);
        };
        match tls {
            InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Self::Name(tls.clone()),
            InvalidCertificate(CertificateError::Other(other)) if is_authority(other) => Self::IsAuthority,
            InvalidCertificate(_) => Self::Untrusted(tls.clone()),
            NoApplicationProtocol | AlertReceived(rustls::AlertDescription::NoApplicationProtocol) => {
                Self::NoH2
            }
            _ => Self::Protocol(tls.clone()),
        }
    }
}

/// Whether a certificate was refused because it is an authority's.
fn is_authority(error: &OtherError) -> bool {
    matches!(error.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}
