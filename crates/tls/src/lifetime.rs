//! From when to when a certificate is good.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_cert::der::Decode as _;

/// The time that a certificate is good for (RFC 5280 section 4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Its first second.
    pub begins: SystemTime,
    /// Its last one.
    pub ends: SystemTime,
}

impl Lifetime {
    /// That of the first certificate in `chain_pem`; `None` when there is none that can be read.
    #[must_use]
    pub fn of(chain_pem: &[u8]) -> Option<Self> {
        let certificate = CertificateDer::from_pem_slice(chain_pem).ok()?;
        let certificate = x509_cert::Certificate::from_der(&certificate).ok()?;
        let validity = certificate.tbs_certificate().validity();
        let at = |time: x509_cert::time::Time| SystemTime::UNIX_EPOCH + time.to_unix_duration();
        Some(Self { begins: at(validity.not_before), ends: at(validity.not_after) })
    }

    /// How long that is.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.ends.duration_since(self.begins).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_says_how_long_it_is_good_for() {
        let mut params = CertificateParams::new(["example.com".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 4, 1);
        let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        let lifetime = Lifetime::of(pem.as_bytes()).unwrap();
        assert_eq!(lifetime.duration(), Duration::from_secs(90 * 86_400));
        assert_eq!(lifetime.begins, SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600));
        assert_eq!(Lifetime::of(b"no certificate"), None);
    }
}
