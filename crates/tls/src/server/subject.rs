//! Who a client is, by its certificate.

use std::fmt::Write as _;

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// Bytes of a subject. A longer one is no name of anybody, and would not fit into the head of a request.
const LEN_MAX: usize = 4 << 10;

/// The subject of a certificate as a distinguished name (RFC 4514), such as `CN=ops,O=Example`: visible ASCII and spaces only,
/// everything else of it being escaped, so that it can be the value of a header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject(Box<str>);

impl Subject {
    /// The subject of a certificate that was verified; `None` when it has none, or one that nobody can read.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = Certificate::from_der(certificate).ok()?;
        let mut name = String::new();
        // Whose values can't be written down has no name; `to_string` would panic.
        write!(name, "{}", certificate.tbs_certificate().subject()).ok()?;
        let mut text = String::with_capacity(name.len());
        for byte in name.bytes() {
            match byte {
                b' '..=b'~' => text.push(byte.into()),
                // RFC 4514 section 2.4: any octet may be a backslash and two hexadecimal digits. Writing to a string does not fail.
                _ => drop(write!(text, "\\{byte:02X}")),
            }
        }
        (!text.is_empty() && text.len() <= LEN_MAX).then(|| Self(text.into()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
