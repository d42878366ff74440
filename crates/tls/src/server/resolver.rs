//! Which certificate a client is shown.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureAlgorithm;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::ACME;
use super::certificates::Certificate;
use super::managed::Managed;

/// Certificates by the name that clients ask for (SNI, RFC 6066 section 3).
#[derive(Debug)]
pub(super) struct Resolver {
    /// By host name. What is known as `*.` has the rest of the name here, with its dot in front.
    names: HashMap<String, Candidates>,
    /// The first of all, with the others of its names.
    default: Candidates,
    managed: Arc<Managed>,
}

/// Certificates for the same name, of which a client is shown the first whose signature it understands: those that sign with
/// elliptic curves come first, because signing with RSA takes twenty times as long.
type Candidates = Vec<Arc<CertifiedKey>>;

impl Resolver {
    pub(super) fn new(certificates: Vec<Certificate>, managed: Arc<Managed>) -> Self {
        let mut names: HashMap<String, Candidates> = HashMap::new();
        let mut default = Candidates::new();
        let first_names = certificates.first().map(|first| first.names.clone()).unwrap_or_default();
        for certificate in certificates {
            // One that is for the same names as the first is the first for clients that can't verify that one.
            if default.is_empty() || certificate.names.iter().any(|name| first_names.contains(name)) {
                default.push(Arc::clone(&certificate.key));
            }
            for name in certificate.names {
                let name = name.strip_prefix('*').map_or(name.clone(), str::to_owned);
                names.entry(name).or_default().push(Arc::clone(&certificate.key));
            }
        }
        names.values_mut().chain([&mut default]).for_each(|candidates| candidates.sort_by_key(is_rsa));
        Self { names, default, managed }
    }

    /// The certificate for the name that the client asks for: the exact one before that with a wildcard, and both before the first of
    /// all.
    fn find(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let exact = name.as_deref().and_then(|name| self.names.get(name));
        if let Some(key) = exact.and_then(|candidates| first_understood(candidates, hello)) {
            return Some(key);
        }
        if let Some(key) = name.as_deref().and_then(|name| self.managed.certificate(name)) {
            return Some(key);
        }
        let domain = name.as_deref().and_then(|name| name.find('.').map(|dot| &name[dot..]));
        let wild = domain.and_then(|domain| self.names.get(domain));
        wild.and_then(|candidates| first_understood(candidates, hello))
            .or_else(|| first_understood(&self.default, hello))
            // A client that understands none of its signatures has to see for itself.
            .or_else(|| self.default.first().cloned())
            .or_else(|| self.managed.first())
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // RFC 8737 section 3: who wants to see a challenge offers this protocol and no other.
        let mut offered = hello.alpn().into_iter().flatten();
        match (offered.next(), offered.next()) {
            (Some(ACME), None) => self.managed.challenge(&hello),
            _ => self.find(&hello),
        }
    }
}

fn first_understood(candidates: &Candidates, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
    candidates
        .iter()
        .find(|candidate| candidate.key.choose_scheme(hello.signature_schemes()).is_some())
        .cloned()
}

fn is_rsa(certificate: &Arc<CertifiedKey>) -> bool {
    certificate.key.algorithm() == SignatureAlgorithm::RSA
}
