//! Certificates with their keys, from PEM.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::CertificateFiles;
use super::error::{MaterialError, TlsError};

/// Bytes of a file: a hundred times what a chain has, and room for the authorities of a whole system.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A certificate that can be shown.
#[derive(Debug)]
pub(super) struct Certificate {
    /// With its chain and its key.
    pub(super) key: Arc<CertifiedKey>,
    /// The host names that it is for, in lower case; some begin with `*.`.
    pub(super) names: Vec<String>,
    /// When it expires.
    pub(super) expires: SystemTime,
}

impl Certificate {
    /// Reads one from its files.
    pub(super) fn load(files: &CertificateFiles) -> Result<Self, TlsError> {
        let chain_pem = read(&files.cert)?;
        let key_pem = read(&files.key)?;
        let chain = chain(&chain_pem).map_err(|source| TlsError::Use { path: files.cert.clone(), source })?;
        Self::new(chain, &key_pem).map_err(|source| {
            let is_of_key =
                matches!(source, MaterialError::NoKey | MaterialError::Key(_) | MaterialError::OtherKey);
            let path = if is_of_key { &files.key } else { &files.cert };
            TlsError::Use { path: path.clone(), source }
        })
    }

    /// Reads one from PEM.
    pub(super) fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, MaterialError> {
        Self::new(chain(chain_pem)?, key_pem)
    }

    fn new(chain: Vec<CertificateDer<'static>>, key_pem: &[u8]) -> Result<Self, MaterialError> {
        let (names, expires) = describe(&chain[0]).map_err(MaterialError::Malformed)?;
        let key = private_key(key_pem)?;
        let key =
            CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(
                |error| match error {
                    rustls::Error::InconsistentKeys(_) => MaterialError::OtherKey,
                    error => MaterialError::Key(error),
                },
            )?;
        Ok(Self { key: Arc::new(key), names, expires })
    }
}

/// A certificate that answers a challenge. Its critical extension is there so that nobody takes it for one of another use (RFC 8737
/// section 3), this library included: whether the key is its own can't be looked at.
pub(super) fn of_challenge(chain_pem: &[u8], key_pem: &[u8]) -> Result<Arc<CertifiedKey>, MaterialError> {
    let provider = aws_lc_rs::default_provider().key_provider;
    let key = provider.load_private_key(private_key(key_pem)?).map_err(MaterialError::Key)?;
    Ok(Arc::new(CertifiedKey::new(chain(chain_pem)?, key)))
}

/// Reads a whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB")));
    }
    Ok(bytes)
}

/// The authorities whose certificates are in `pem`, at least one.
pub(super) fn roots(pem: &[u8]) -> Result<RootCertStore, MaterialError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(pem)? {
        roots.add(certificate).map_err(MaterialError::Authority)?;
    }
    Ok(roots)
}

/// The first private key of `pem`.
fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, MaterialError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => MaterialError::NoKey,
        error => MaterialError::Pem(error),
    })
}

/// All certificates of `pem`, at least one.
pub(super) fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(MaterialError::Pem)?;
    if chain.is_empty() { Err(MaterialError::NoCertificate) } else { Ok(chain) }
}

/// The host names of a certificate, and when it expires. Names are those of RFC 6125: a common name is none.
fn describe(certificate: &CertificateDer<'_>) -> Result<(Vec<String>, SystemTime), x509_cert::der::Error> {
    let certificate = x509_cert::Certificate::from_der(certificate)?;
    let tbs = certificate.tbs_certificate();
    let alternatives = tbs.get_extension::<SubjectAltName>()?.map_or(Vec::new(), |(_, names)| names.0);
    let names = alternatives.into_iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        _ => None,
    });
    let expires = SystemTime::UNIX_EPOCH + tbs.validity().not_after.to_unix_duration();
    Ok((names.collect(), expires))
}
