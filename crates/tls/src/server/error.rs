//! What is wrong with certificates and keys, and why a client's handshake failed.

use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem;
use rustls::server::VerifierBuilderError;

/// Why a listener can't have the TLS that it is told to have.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or may not be read.
    #[error("can't read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What a file says can't be used.
    #[error("can't use {}", .path.display())]
    Use {
        /// The file.
        path: PathBuf,
        /// Why.
        source: MaterialError,
    },
    /// There is nothing to show to clients.
    #[error("there is no certificate")]
    NoCertificates,
    /// The cryptography does not do what it is asked for.
    #[error("TLS can't be set up")]
    Setup(#[source] rustls::Error),
}

impl TlsError {
    /// The file that it is about, if it is about one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Read { path, .. } | Self::Use { path, .. } => Some(path),
            Self::NoCertificates | Self::Setup(_) => None,
        }
    }
}

/// What is wrong with a certificate or a key.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// It is no PEM.
    #[error("it is no PEM")]
    Pem(#[source] pem::Error),
    /// It has no certificate.
    #[error("it has no certificate")]
    NoCertificate,
    /// It has no private key.
    #[error("it has no private key, or one that is encrypted")]
    NoKey,
    /// What it has for a certificate is none.
    #[error("its certificate is malformed: {0}")]
    Malformed(x509_cert::der::Error),
    /// Its private key is of a kind that is not known, or is malformed.
    #[error("its private key can't be used")]
    Key(#[source] rustls::Error),
    /// The key is another certificate's.
    #[error("it is not the key of the certificate")]
    OtherKey,
    /// What it has for a certificate of an authority is none.
    #[error("its certificate of an authority can't be used")]
    Authority(#[source] rustls::Error),
    /// Its certificates don't say whom to believe.
    #[error("its certificates of authorities can't be used")]
    Authorities(#[source] VerifierBuilderError),
}

/// Why a client's connection did not become one over TLS.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// What the client sends is no TLS: most often plain HTTP, or a probe.
    #[error("the client does not speak TLS")]
    NotTls(#[source] rustls::Error),
    /// There is no version, cipher, or protocol that both speak.
    #[error("the client and the listener have nothing in common")]
    Incompatible(#[source] rustls::Error),
    /// The client shows no certificate, or one that is not believed.
    #[error("the client's certificate is not believed")]
    Certificate(#[source] rustls::Error),
    /// The client has refused to go on: it may not believe our certificate.
    #[error("the client refused")]
    Refused(#[source] rustls::Error),
    /// Anything else that the protocol does not allow.
    #[error("the handshake failed")]
    Protocol(#[source] rustls::Error),
    /// The connection ended meanwhile.
    #[error("the connection ended in the handshake")]
    Io(#[source] io::Error),
}

impl HandshakeError {
    /// What an error of a handshake means.
    pub(super) fn of(error: io::Error) -> Self {
        use rustls::Error;
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return Self::Io(error);
        };
        let tls = tls.clone();
        match tls {
            Error::InvalidMessage(_) => Self::NotTls(tls),
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Self::Incompatible(tls),
            Error::NoCertificatesPresented | Error::InvalidCertificate(_) => Self::Certificate(tls),
            Error::AlertReceived(_) => Self::Refused(tls),
            _ => Self::Protocol(tls),
        }
    }
}
