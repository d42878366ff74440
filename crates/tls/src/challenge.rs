//! Proofs that a name is ours, as authorities ask for them: an answer over plain HTTP (RFC 8555 section 8.3), or a certificate
//! (RFC 8737). And what is shown until there is a certificate of an authority.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair};

/// Challenges that are open at a time: far more than the names of one order.
const TOKENS_MAX: usize = 1024;
/// Bytes of a token; those of authorities have some forty.
const TOKEN_LEN_MAX: usize = 256;

/// The open challenges over plain HTTP, shared by all workers: they read them without a lock.
#[derive(Debug, Default)]
pub struct Tokens(ArcSwap<BTreeMap<Box<str>, Arc<str>>>);

/// Why a challenge can't be answered.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeError {
    /// There are [as many](TOKENS_MAX) as there may be, or the token is longer than any is.
    #[error("there are too many open challenges, or their tokens are too long")]
    TooMany,
    /// The name is none that a certificate can have, or the key can't be made.
    #[error("no certificate can be made")]
    Certificate(#[from] rcgen::Error),
}

/// A certificate that we have signed ourselves, and its key.
#[derive(Debug)]
pub struct SelfSigned {
    /// The certificate.
    pub chain_pem: String,
    /// Its private key.
    pub key_pem: String,
}

impl Tokens {
    /// From now on who asks for `token` is answered `authorization`.
    ///
    /// # Errors
    /// [`ChallengeError::TooMany`].
    pub fn set(&self, token: &str, authorization: &str) -> Result<(), ChallengeError> {
        if self.0.load().len() >= TOKENS_MAX || token.len() > TOKEN_LEN_MAX {
            return Err(ChallengeError::TooMany);
        }
        let authorization = Arc::from(authorization);
        self.0.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.insert(token.into(), Arc::clone(&authorization));
            known
        });
        Ok(())
    }

    /// The challenge of `token` is over.
    pub fn clear(&self, token: &str) {
        self.0.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.remove(token);
            known
        });
    }

    /// The answer to the challenge of `token`, while it is open.
    #[must_use]
    pub fn answer(&self, token: &str) -> Option<Arc<str>> {
        self.0.load().get(token).cloned()
    }
}

impl SelfSigned {
    /// The certificate that proves that `name` is ours, by the SHA-256 of the key authorization (RFC 8737 section 3).
    ///
    /// # Errors
    /// [`ChallengeError::Certificate`].
    pub fn for_challenge(name: &str, digest: &[u8; 32]) -> Result<Self, ChallengeError> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        Self::sign(&params)
    }

    /// A certificate for `names` that nobody believes, which is better than none: a listener without any can't even be asked for a
    /// challenge.
    ///
    /// # Errors
    /// [`ChallengeError::Certificate`].
    pub fn for_names(names: &[String]) -> Result<Self, ChallengeError> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "cutover: no certificate yet");
        Self::sign(&params)
    }

    fn sign(params: &CertificateParams) -> Result<Self, ChallengeError> {
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self { chain_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    use x509_cert::der::{Decode as _, asn1::OctetString};
    use x509_cert::ext::pkix::SubjectAltName;

    use super::*;
    use crate::server::Managed;

    #[test]
    fn a_token_is_answered_while_its_challenge_is_open() {
        let tokens = Tokens::default();
        tokens.set("abc", "abc.thumb").unwrap();
        assert_eq!(tokens.answer("abc").as_deref(), Some("abc.thumb"));
        assert_eq!(tokens.answer("ab"), None);
        tokens.clear("abc");
        assert_eq!(tokens.answer("abc"), None);
    }

    #[test]
    fn there_is_an_end_to_open_challenges() {
        let tokens = Tokens::default();
        for number in 0..TOKENS_MAX {
            tokens.set(&number.to_string(), "").unwrap();
        }
        assert!(matches!(tokens.set("another", ""), Err(ChallengeError::TooMany)));
        let long = "x".repeat(TOKEN_LEN_MAX + 1);
        assert!(matches!(Tokens::default().set(&long, ""), Err(ChallengeError::TooMany)));
    }

    #[test]
    fn the_certificate_of_a_challenge_has_the_digest_and_the_one_name() {
        let made = SelfSigned::for_challenge("example.com", &[7; 32]).unwrap();
        let certificate = CertificateDer::from_pem_slice(made.chain_pem.as_bytes()).unwrap();
        let certificate = x509_cert::Certificate::from_der(&certificate).unwrap();
        let extensions = certificate.tbs_certificate().extensions().unwrap();
        // RFC 8737 section 3: id-pe-acmeIdentifier, critical.
        let acme = extensions.iter().find(|one| one.extn_id.to_string() == "1.3.6.1.5.5.7.1.31").unwrap();
        assert!(acme.critical);
        let digest = OctetString::from_der(acme.extn_value.as_bytes()).unwrap();
        assert_eq!(digest.as_bytes(), [7; 32]);
        let names = certificate.tbs_certificate().get_extension::<SubjectAltName>().unwrap().unwrap().1;
        assert_eq!(names.0.len(), 1);
        let (chain, key) = (made.chain_pem.as_bytes(), made.key_pem.as_bytes());
        Managed::default().set_challenge("example.com", chain, key).unwrap();
    }

    #[test]
    fn no_certificate_is_made_for_what_is_no_name() {
        assert!(matches!(SelfSigned::for_challenge("naïve", &[7; 32]), Err(ChallengeError::Certificate(_))));
    }
}
