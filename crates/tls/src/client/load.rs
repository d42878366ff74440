//! Reads the files that it takes to ask backends over TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cutover_core::policy::UpstreamTls;
use rustls::client::{ClientConfig, WantsClientCert};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ConfigBuilder, RootCertStore};

use super::error::ConnectorError;
use super::verify::Anybody;

/// What to ask backends with. Sessions are resumed: their store has a lock, which is held for one operation per handshake.
pub(super) fn config(tls: &UpstreamTls) -> Result<ClientConfig, ConnectorError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(ConnectorError::Setup)?;
    let builder = if tls.is_insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody::new(&provider)))
    } else {
        builder.with_root_certificates(roots(tls.ca.as_deref().map(Path::new))?)
    };
    client(builder, tls)
}

/// The files that are read.
pub(super) fn files(tls: &UpstreamTls) -> impl Iterator<Item = PathBuf> {
    let client = tls.client.iter().flat_map(|(certificate, key)| [certificate, key]);
    // Nobody is believed by the CA of one who believes everybody.
    let ca = tls.ca.iter().filter(|_| !tls.is_insecure);
    ca.chain(client).map(PathBuf::from)
}

fn client(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    tls: &UpstreamTls,
) -> Result<ClientConfig, ConnectorError> {
    let Some((certificate, key)) = &tls.client else { return Ok(builder.with_no_client_auth()) };
    let (certificate, key) = (PathBuf::from(certificate), PathBuf::from(key));
    let chain = certificates(&certificate)?;
    let der = PrivateKeyDer::from_pem_file(&key).map_err(|source| read(&key, source))?;
    builder.with_client_auth_cert(chain, der).map_err(|source| ConnectorError::Client {
        certificate,
        key,
        source,
    })
}

/// Whom to believe: the certificates of a file, or of the system.
fn roots(ca: Option<&Path>) -> Result<RootCertStore, ConnectorError> {
    let mut store = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates(path)? {
                store
                    .add(certificate)
                    .map_err(|source| ConnectorError::Certificate { path: path.to_owned(), source })?;
            }
        }
        None => {
            let mut found = rustls_native_certs::load_native_certs();
            // Among those of a system there are odd ones, which nobody misses.
            let (_, _) = store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                return Err(ConnectorError::NoSystemRoots(found.errors.pop()));
            }
        }
    }
    Ok(store)
}

/// The certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectorError> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = certificates.map_err(|source| read(path, source))?;
    if certificates.is_empty() {
        return Err(ConnectorError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

fn read(path: &Path, source: pem::Error) -> ConnectorError {
    ConnectorError::Read { path: path.to_owned(), source }
}
