//! What backends are asked for: one [`Connector`] for each way to ask, shared by all workers and probes.

mod error;
mod load;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use cutover_core::address::Address;
use cutover_core::policy::UpstreamTls;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_rustls::{TlsConnector, TlsStream};

pub use self::error::{ConnectorError, HandshakeError};

/// The protocols of ALPN (RFC 7301 section 6, RFC 9113 section 3.2).
const HTTP_1_1: &[u8] = b"http/1.1";
const H2: &[u8] = b"h2";
/// Whom a backend behind a Unix socket is believed to be, unless it is said otherwise.
const LOCAL_NAME: &str = "localhost";

/// All connectors. Files are read once for each way to ask that is in use, and again by [`reload`](Self::reload).
#[derive(Debug, Default)]
pub struct Connectors {
    known: Mutex<BTreeMap<(UpstreamTls, bool), Arc<Connector>>>,
    grown: Notify,
}

/// How to open connections over TLS. It stays the same when its files are read again, so that whoever holds it need not know.
#[derive(Debug)]
pub struct Connector {
    tls: UpstreamTls,
    is_h2: bool,
    loaded: ArcSwap<Result<Arc<ClientConfig>, Arc<ConnectorError>>>,
}

impl Connectors {
    /// The connector for what is asked of the backends of a service, over HTTP/2 or HTTP/1.1. One whose files can't be used is a
    /// connector too: every handshake says what is wrong with them, until they are read again and good.
    pub fn connector(&self, tls: &UpstreamTls, is_h2: bool) -> Arc<Connector> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tls.clone(), is_h2);
        if let Some(connector) = known.get(&key) {
            return Arc::clone(connector);
        }
        // Here is where forgetting costs nothing. What nobody else holds is of a configuration of before.
        known.retain(|_, connector| Arc::strong_count(connector) > 1);
        let connector = Arc::new(Connector::new(tls.clone(), is_h2));
        known.insert(key, Arc::clone(&connector));
        self.grown.notify_one();
        connector
    }

    /// Reads all files again. A connector whose files can't be used any more goes on with what they were.
    ///
    /// # Errors
    /// What is wrong with those that can't be used.
    pub fn reload(&self) -> Result<(), Vec<Arc<ConnectorError>>> {
        // Files are read without the lock: workers take it up when they build their views.
        let all: Vec<_> = self.all();
        let errors: Vec<_> = all.iter().filter_map(|connector| connector.reload().err()).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// The files of all connectors: when one of them changes, it is time to [`reload`](Self::reload).
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = self.all().iter().flat_map(|connector| load::files(&connector.tls)).collect();
        files.sort();
        files.dedup();
        files
    }

    /// Waits until there are more of them, which may have other files. Only one may wait at a time.
    pub async fn grown(&self) {
        self.grown.notified().await;
    }

    fn all(&self) -> Vec<Arc<Connector>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }
}

/// Whether what is asked of backends can be asked with the files as they are.
///
/// # Errors
/// [`ConnectorError`] names the file and what is wrong with it.
pub fn check(tls: &UpstreamTls) -> Result<(), ConnectorError> {
    load::config(tls)?;
    tls.server_name.as_deref().map_or(Ok(()), |name| server_name(name).map(drop))
}

impl Connector {
    fn new(tls: UpstreamTls, is_h2: bool) -> Self {
        let loaded = Self::load(&tls, is_h2);
        if let Err(error) = &loaded {
            tracing::error!(error = error as &dyn std::error::Error, "backends can't be asked over TLS");
        }
        Self { tls, is_h2, loaded: ArcSwap::from_pointee(loaded) }
    }

    /// Makes `stream` to the backend at `address` one over TLS. It has no time limit of its own.
    ///
    /// # Errors
    /// [`HandshakeError`]; the stream is closed then.
    pub async fn connect<S>(&self, stream: S, address: &Address) -> Result<TlsStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = match &**self.loaded.load() {
            Ok(config) => Arc::clone(config),
            Err(error) => return Err(HandshakeError::Unusable(Arc::clone(error))),
        };
        let name = match (&self.tls.server_name, address) {
            (Some(name), _) => server_name(name),
            (None, Address::Tcp { host, .. }) => server_name(host),
            (None, Address::Unix { .. }) => server_name(LOCAL_NAME),
        };
        let name = name.map_err(|error| HandshakeError::Unusable(Arc::new(error)))?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(HandshakeError::of)?;
        if self.is_h2 && stream.get_ref().1.alpn_protocol() != Some(H2) {
            return Err(HandshakeError::NoH2);
        }
        Ok(stream.into())
    }

    fn load(tls: &UpstreamTls, is_h2: bool) -> Result<Arc<ClientConfig>, Arc<ConnectorError>> {
        let mut config = load::config(tls)?;
        config.alpn_protocols = vec![if is_h2 { H2 } else { HTTP_1_1 }.to_vec()];
        Ok(Arc::new(config))
    }

    fn reload(&self) -> Result<(), Arc<ConnectorError>> {
        let loaded = Self::load(&self.tls, self.is_h2);
        let error = loaded.as_ref().err().map(Arc::clone);
        if error.is_none() || self.loaded.load().is_err() {
            self.loaded.store(Arc::new(loaded));
        }
        error.map_or(Ok(()), Err)
    }
}

/// The name as it is sent, and looked for in the certificate.
fn server_name(name: &str) -> Result<ServerName<'static>, ConnectorError> {
    ServerName::try_from(name.to_owned()).map_err(|_| ConnectorError::ServerName(name.to_owned()))
}
