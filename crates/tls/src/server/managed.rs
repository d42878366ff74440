//! Certificates that come from no file: those that cutover gets by itself, and those that prove that a name is ours (RFC 8737).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

use super::certificates::{self, Certificate};
use super::error::MaterialError;

/// The managed certificates of one listener, by name. Handshakes read them without a lock; they change all at once.
#[derive(Debug, Default)]
pub struct Managed {
    certificates: ArcSwap<BTreeMap<String, Arc<Certificate>>>,
    challenges: ArcSwap<BTreeMap<String, Arc<CertifiedKey>>>,
}

impl Managed {
    /// Shows the certificate in `chain_pem`, whose key is in `key_pem`, to clients that ask for one of `names`, from now on.
    ///
    /// # Errors
    /// What is wrong with them; nothing changes then.
    pub fn set_certificate(
        &self,
        names: &[String],
        chain_pem: &[u8],
        key_pem: &[u8],
    ) -> Result<(), MaterialError> {
        let certificate = Arc::new(Certificate::from_pem(chain_pem, key_pem)?);
        self.certificates.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.extend(names.iter().map(|name| (name.to_ascii_lowercase(), Arc::clone(&certificate))));
            known
        });
        Ok(())
    }

    /// Shows the certificate in `chain_pem` to whoever asks for `name` to see the answer to a challenge, and nothing else.
    ///
    /// # Errors
    /// What is wrong with it; nothing changes then.
    pub fn set_challenge(&self, name: &str, chain_pem: &[u8], key_pem: &[u8]) -> Result<(), MaterialError> {
        let key = certificates::of_challenge(chain_pem, key_pem)?;
        self.challenges.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.insert(name.to_ascii_lowercase(), Arc::clone(&key));
            known
        });
        Ok(())
    }

    /// The challenge for `name` is over.
    pub fn clear_challenge(&self, name: &str) {
        self.challenges.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.remove(&name.to_ascii_lowercase());
            known
        });
    }

    /// When the first of the certificates expires.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.certificates.load().values().map(|certificate| certificate.expires).min()
    }

    /// The answer to the challenge that the client wants to see.
    pub(super) fn challenge(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.challenges.load().get(&hello.server_name()?.to_ascii_lowercase()).cloned()
    }

    /// The certificate for `name`, which is in lower case.
    pub(super) fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.certificates.load().get(name).map(|certificate| Arc::clone(&certificate.key))
    }

    /// Any certificate, for clients that ask for no name.
    pub(super) fn first(&self) -> Option<Arc<CertifiedKey>> {
        self.certificates.load().values().next().map(|certificate| Arc::clone(&certificate.key))
    }
}
