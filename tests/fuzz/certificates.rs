//! Files of certificates and keys: whatever is in them, reading them ends and nothing breaks; what a listener takes can be shown to clients;
//! and the subject of a certificate is one line of text, of which a plain reader of RFC 4514 makes what the certificate says.
//!
//! The first byte of the input says how its pieces go into files, which are a certificate, a key and authorities of clients. Before the first
//! two stand their lengths.
#![no_main]

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cutover_core::address::Address;
use cutover_core::policy::UpstreamTls;
use cutover_tls::client::Connectors;
use cutover_tls::server::{
    CertificateFiles, ClientAuth, Managed, MinVersion, ServerTls, ServerTlsSpec, Subject, subject_of,
};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::{Decode as _, Encode as _};

/// Bits of the first byte: what is DER, and put into PEM here.
const IS_CERTIFICATE_DER: u8 = 1;
const IS_KEY_DER: u8 = 2;
const IS_CA_DER: u8 = 4;
/// Whether clients are asked for certificates, and whether they need one.
const ASKS: u8 = 8;
const REQUIRES: u8 = 16;
const ONLY_TLS13: u8 = 32;

thread_local! {
    static PLACE: Option<Place> = Place::new();
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, [certificate, key, ca])) = pieces(data) else { return };
    if let Some(subject) = subject_of(certificate) {
        check_subject(certificate, &subject);
    }
    let pem = |bit: u8, label: &str, bytes: &[u8]| {
        if kind & bit == 0 { bytes.to_vec() } else { wrap(label, bytes) }
    };
    let certificate = pem(IS_CERTIFICATE_DER, "CERTIFICATE", certificate);
    let key = pem(IS_KEY_DER, "PRIVATE KEY", key);
    let ca = pem(IS_CA_DER, "CERTIFICATE", ca);
    PLACE.with(|place| {
        let Some(place) = place else { panic!("it can't be set up") };
        place.check(kind, &certificate, &key, &ca);
    });
});

/// The first byte, and what the files are made of.
fn pieces(data: &[u8]) -> Option<(u8, [&[u8]; 3])> {
    let (&kind, rest) = data.split_first()?;
    let (certificate, rest) = piece(rest)?;
    let (key, ca) = piece(rest)?;
    Some((kind, [certificate, key, ca]))
}

/// As many bytes as the first two say, and the others.
fn piece(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = data.split_first_chunk::<2>()?;
    Some(rest.split_at(rest.len().min(u16::from_be_bytes(*len).into())))
}

fn wrap(label: &str, der: &[u8]) -> Vec<u8> {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der)).into_bytes()
}

/// Where files are, and what moves bytes between a client and a listener.
struct Place {
    directory: TempDir,
    runtime: Runtime,
}

impl Place {
    fn new() -> Option<Self> {
        let runtime = Builder::new_current_thread().enable_time().build().ok()?;
        Some(Self { directory: tempfile::tempdir().ok()?, runtime })
    }

    /// Writes a file, and answers where it is.
    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        if let Err(error) = fs::write(&path, content) {
            panic!("{error}");
        }
        path
    }

    fn check(&self, kind: u8, certificate: &[u8], key: &[u8], ca: &[u8]) {
        let files = CertificateFiles { cert: self.file("cert", certificate), key: self.file("key", key) };
        let client_auth = (kind & ASKS != 0)
            .then(|| ClientAuth { ca: self.file("ca", ca), is_required: kind & REQUIRES != 0 });
        let min_version = if kind & ONLY_TLS13 == 0 { MinVersion::Tls12 } else { MinVersion::Tls13 };
        let spec = ServerTlsSpec {
            certificates: vec![files.clone()],
            min_version,
            client_auth: client_auth.clone(),
            is_managed: false,
        };
        let loaded = ServerTls::load(spec);
        let managed = Managed::default().set_certificate(&["a".to_owned()], certificate, key);
        assert!(loaded.is_err() || managed.is_ok(), "{:?}", managed.err());
        assert!(managed.is_err() || loaded.is_ok() || client_auth.is_some(), "{:?}", loaded.err());
        let Ok(listener) = loaded else { return };
        assert!(listener.reload().is_ok() && listener.expires().is_some());
        let is_met = self.meet(&listener, &files);
        // Who is believed, if anybody, is for the certificates to say.
        assert!(is_met || client_auth.is_some(), "a client can't be shown what was taken");
    }

    /// Whether a client that believes everybody, and shows the same certificate, gets a connection.
    fn meet(&self, listener: &ServerTls, files: &CertificateFiles) -> bool {
        let text = |path: &PathBuf| path.display().to_string();
        let tls = UpstreamTls {
            ca: None,
            server_name: Some("a".to_owned()),
            client: Some((text(&files.cert), text(&files.key))),
            is_insecure: true,
        };
        let connector = Connectors::default().connector(&tls, false);
        let (near, far) = tokio::io::duplex(1 << 16);
        let address = Address::Unix { path: "a".into() };
        self.runtime.block_on(async {
            let (accepted, connected) = tokio::join!(listener.accept(far), connector.connect(near, &address));
            accepted.is_ok() && connected.is_ok()
        })
    }
}

/// What is read from the text is what the certificate says.
fn check_subject(certificate: &[u8], subject: &Subject) {
    let text = subject.as_str();
    assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text:?}");
    let Ok(certificate) = Certificate::from_der(certificate) else { panic!("{text:?} of nothing") };
    let name = certificate.tbs_certificate().subject();
    let mut said: Vec<_> = name.iter_rdn().flat_map(|rdn| rdn.iter().map(said)).collect();
    let mut read: Vec<_> = split(text).into_iter().filter(|pair| !pair.is_empty()).map(read).collect();
    said.sort();
    read.sort();
    assert_eq!(read, said, "{text:?}");
}

/// An attribute: what it is called, and its value, or DER behind a `#`.
type Attribute = (String, Vec<u8>);

/// One of a certificate.
fn said(attribute: &AttributeTypeAndValue) -> Attribute {
    let text = attribute.to_string();
    let (name, value) = text.split_once('=').unwrap_or_default();
    let is_known = !name.starts_with(|first: char| first.is_ascii_digit());
    assert!(
        !name.contains([',', '+', '\\'])
            && (name != "CN") == (attribute.oid.to_string() != "2.5.4.3" || !is_known)
    );
    let value = if is_known {
        attribute.value.value().to_vec()
    } else {
        assert!(value.starts_with('#'));
        [b"#", &attribute.value.to_der().unwrap_or_default()[..]].concat()
    };
    (name.to_owned(), value)
}

/// One of a text.
fn read(pair: &[u8]) -> Attribute {
    let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
    let (name, value) =
        (String::from_utf8_lossy(&pair[..at]).into_owned(), pair.get(at + 1..).unwrap_or_default());
    let value = match value {
        [b'#', digits @ ..] => [b"#", &digits.chunks(2).filter_map(hex).collect::<Vec<_>>()[..]].concat(),
        _ => unescape(value),
    };
    (name, value)
}

/// The pairs between separators that are not escaped (RFC 4514 sections 2.1 and 2.2).
fn split(text: &str) -> Vec<&[u8]> {
    let (bytes, mut pairs, mut start, mut at) = (text.as_bytes(), Vec::new(), 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b',' | b'+' => {
                pairs.push(&bytes[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    pairs.push(&bytes[start..]);
    pairs
}

/// Section 2.4.
fn unescape(value: &[u8]) -> Vec<u8> {
    let (mut plain, mut rest) = (Vec::new(), value);
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            plain.push(byte);
        } else if let Some(byte) = behind.get(..2).and_then(hex) {
            plain.push(byte);
            rest = &behind[2..];
        } else if let Some((&byte, behind)) = behind.split_first() {
            plain.push(byte);
            rest = behind;
        }
    }
    plain
}

fn hex(digits: &[u8]) -> Option<u8> {
    let text =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(text, 16).ok()
}
