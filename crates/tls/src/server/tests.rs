//! Handshakes with a client of rustls, and files that are good, bad and changed.

use std::fs;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, SignatureAlgorithm,
};
use rustls::client::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, SignatureScheme};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsConnector;

use super::*;

type Versions = &'static [&'static rustls::SupportedProtocolVersion];

const BOTH: Versions = &[&TLS13, &TLS12];
const NEW: Versions = &[&TLS13];
const OLD: Versions = &[&TLS12];

/// An authority, and a directory for what it gives out.
struct Authority {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { directory: tempfile::tempdir().unwrap(), issuer };
        fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A certificate and its key, in PEM.
    fn issue(&self, names: &[&str], algorithm: &'static SignatureAlgorithm) -> (String, String) {
        self.issue_with(names, algorithm, |_| {})
    }

    fn issue_with(
        &self,
        names: &[&str],
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let names: Vec<_> = names.iter().copied().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// The same, in files called `name`.
    fn files(&self, name: &str, (chain, key): (String, String)) -> CertificateFiles {
        let cert = self.path(&format!("{name}.pem"));
        let files = CertificateFiles { cert, key: self.path(&format!("{name}.key")) };
        fs::write(&files.cert, chain).unwrap();
        fs::write(&files.key, key).unwrap();
        files
    }

    fn ecdsa(&self, name: &str, names: &[&str]) -> CertificateFiles {
        self.files(name, self.issue(names, &PKCS_ECDSA_P256_SHA256))
    }

    fn client(&self) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        Client { provider, roots, alpn: Vec::new(), identity: None, versions: BOTH }
    }
}

/// A client and what it wants.
struct Client {
    provider: Arc<CryptoProvider>,
    roots: RootCertStore,
    alpn: Vec<Vec<u8>>,
    identity: Option<(String, String)>,
    versions: Versions,
}

impl Client {
    /// One that understands signatures of these kinds only.
    fn only(mut self, schemes: &[SignatureScheme]) -> Self {
        let mut provider = aws_lc_rs::default_provider();
        let mapping = provider.signature_verification_algorithms.mapping;
        let kept: Vec<_> = mapping.iter().filter(|(scheme, _)| schemes.contains(scheme)).copied().collect();
        provider.signature_verification_algorithms.mapping = kept.leak();
        self.provider = Arc::new(provider);
        self
    }

    fn config(&self) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(self.roots.clone());
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = certificates::chain(chain.as_bytes()).unwrap();
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
                    .unwrap()
            }
        };
        config.alpn_protocols.clone_from(&self.alpn);
        Arc::new(config)
    }

    /// A connection of its own.
    async fn connect(&self, tls: &ServerTls, name: &str) -> Met {
        meet(tls, self.config(), name).await
    }

    /// The DER of the certificate that it is shown.
    async fn shown(&self, tls: &ServerTls, name: &str) -> Vec<u8> {
        self.connect(tls, name).await.client.unwrap().peer_certificates().unwrap()[0].to_vec()
    }
}

/// How a handshake ended for both.
struct Met {
    client: Result<ClientConnection, std::io::Error>,
    server: Result<Accepted<DuplexStream>, HandshakeError>,
}

async fn meet(tls: &ServerTls, config: Arc<ClientConfig>, name: &str) -> Met {
    let (here, there) = duplex(64 << 10);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(config);
    let connect = async {
        let mut stream = connector.connect(name, here).await?;
        // What follows the handshake is read too: tickets, and a refusal that comes late.
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        let (_, connection) = stream.into_inner();
        Ok(connection)
    };
    let accept = async {
        let mut accepted = tls.accept(there).await?;
        accepted.stream.write_all(b"!").await.unwrap();
        accepted.stream.flush().await.unwrap();
        Ok(accepted)
    };
    let (client, server) = tokio::join!(connect, accept);
    Met { client, server }
}

fn spec(certificates: Vec<CertificateFiles>) -> ServerTlsSpec {
    ServerTlsSpec { certificates, min_version: MinVersion::Tls12, client_auth: None, is_managed: false }
}

fn load(certificates: Vec<CertificateFiles>) -> ServerTls {
    ServerTls::load(spec(certificates)).unwrap()
}

/// The error with all its causes.
fn says(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn der(files: &CertificateFiles) -> Vec<u8> {
    certificates::chain(&fs::read(&files.cert).unwrap()).unwrap()[0].to_vec()
}

#[tokio::test]
async fn a_client_is_shown_the_certificate_of_the_name_that_it_asks_for() {
    let authority = Authority::new();
    let (first, exact, wild) = (
        authority.ecdsa("first", &["first.example", "other.test"]),
        authority.ecdsa("exact", &["www.example.com"]),
        authority.ecdsa("wild", &["*.example.com"]),
    );
    let tls = load(vec![first.clone(), exact.clone(), wild.clone()]);
    let client = authority.client();
    assert_eq!(client.shown(&tls, "first.example").await, der(&first));
    assert_eq!(client.shown(&tls, "WWW.example.com").await, der(&exact));
    assert_eq!(client.shown(&tls, "api.example.com").await, der(&wild));
    for stranger in ["example.com", "a.b.example.com", "unknown.test"] {
        // It is shown the first one, and does not like it.
        let error = client.connect(&tls, stranger).await.client.unwrap_err();
        assert!(error.to_string().contains("first.example"), "{stranger}: {error}");
    }
}

#[tokio::test]
async fn a_client_gets_the_signature_that_it_understands() {
    let authority = Authority::new();
    let rsa = authority.files("rsa", authority.issue(&["a.test"], &PKCS_RSA_SHA256));
    let ecdsa = authority.ecdsa("ecdsa", &["a.test"]);
    let tls = load(vec![rsa.clone(), ecdsa.clone()]);
    let ecdsa_only = [SignatureScheme::ECDSA_NISTP256_SHA256];
    let rsa_only = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
    assert_eq!(authority.client().shown(&tls, "a.test").await, der(&ecdsa), "what is cheaper to sign with");
    assert_eq!(authority.client().only(&ecdsa_only).shown(&tls, "a.test").await, der(&ecdsa));
    assert_eq!(authority.client().only(&rsa_only).shown(&tls, "a.test").await, der(&rsa));
    let old = Client { versions: OLD, ..authority.client().only(&rsa_only) };
    assert_eq!(old.shown(&tls, "a.test").await, der(&rsa));
}

#[tokio::test]
async fn both_sides_agree_on_the_protocol_and_on_a_key_exchange_that_will_hold() {
    let authority = Authority::new();
    let tls = load(vec![authority.ecdsa("a", &["a.test"])]);
    let cases: [(&[&[u8]], Protocol); 4] = [
        (&[b"h2", b"http/1.1"], Protocol::H2),
        (&[b"http/1.1", b"h2"], Protocol::H2),
        (&[b"http/1.1"], Protocol::Http1),
        (&[], Protocol::Http1),
    ];
    for (offered, expected) in cases {
        let alpn = offered.iter().map(|name| name.to_vec()).collect();
        let met = Client { alpn, ..authority.client() }.connect(&tls, "a.test").await;
        assert_eq!(met.server.unwrap().protocol, expected);
        let group = met.client.unwrap().negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    }
    let alpn = vec![b"gopher".to_vec()];
    let met = Client { alpn, ..authority.client() }.connect(&tls, "a.test").await;
    assert!(matches!(met.server, Err(HandshakeError::Incompatible(_))));
}

#[tokio::test]
async fn versions_below_the_oldest_are_not_spoken() {
    let authority = Authority::new();
    let files = vec![authority.ecdsa("a", &["a.test"])];
    let old = Client { versions: OLD, ..authority.client() };
    let met = old.connect(&load(files.clone()), "a.test").await;
    assert_eq!(met.client.unwrap().protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let modern = ServerTls::load(ServerTlsSpec { min_version: MinVersion::Tls13, ..spec(files) }).unwrap();
    assert!(matches!(old.connect(&modern, "a.test").await.server, Err(HandshakeError::Incompatible(_))));
    let met = authority.client().connect(&modern, "a.test").await;
    assert_eq!(met.client.unwrap().protocol_version(), Some(ProtocolVersion::TLSv1_3));
}

#[tokio::test]
async fn a_session_goes_on_by_its_ticket_alone() {
    for versions in [NEW, OLD] {
        let authority = Authority::new();
        let tls = load(vec![authority.ecdsa("a", &["a.test", "b.test"])]);
        let config = Client { versions, ..authority.client() }.config();
        let first = meet(&tls, Arc::clone(&config), "a.test").await.server.unwrap();
        assert!(!first.is_resumed);
        tls.reload().unwrap();
        let met = meet(&tls, Arc::clone(&config), "a.test").await;
        assert!(met.server.unwrap().is_resumed, "also with certificates that were read again");
        assert_eq!(met.client.unwrap().handshake_kind(), Some(HandshakeKind::Resumed));
        assert!(!meet(&tls, config, "b.test").await.server.unwrap().is_resumed, "it is for one name");
    }
}

#[tokio::test]
async fn a_ticket_of_one_listener_is_worth_nothing_to_another() {
    let authority = Authority::new();
    let files = vec![authority.ecdsa("a", &["a.test"])];
    let (one, other) = (load(files.clone()), load(files));
    let config = authority.client().config();
    meet(&one, Arc::clone(&config), "a.test").await.server.unwrap();
    assert!(!meet(&other, config, "a.test").await.server.unwrap().is_resumed);
}

/// What asks clients for certificates of `authority`.
fn mutual(authority: &Authority, is_required: bool) -> ServerTls {
    let client_auth = Some(ClientAuth { ca: authority.path("ca.pem"), is_required });
    let certificates = vec![authority.ecdsa("a", &["a.test"])];
    ServerTls::load(ServerTlsSpec { client_auth, ..spec(certificates) }).unwrap()
}

fn named(authority: &Authority, subject: &[(DnType, &str)]) -> (String, String) {
    authority.issue_with(&[], &PKCS_ECDSA_P256_SHA256, |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        subject.iter().for_each(|(kind, text)| params.distinguished_name.push(kind.clone(), *text));
    })
}

#[tokio::test]
async fn a_client_is_known_by_the_subject_of_its_certificate() {
    let authority = Authority::new();
    let identity = named(
        &authority,
        &[(DnType::OrganizationName, "Example, Inc."), (DnType::CommonName, "ops\r\nX-Admin: 1, \u{e9}")],
    );
    let client = Client { identity: Some(identity), ..authority.client() };
    for tls in [mutual(&authority, true), mutual(&authority, false)] {
        let config = client.config();
        for is_resumed in [false, true] {
            let accepted = meet(&tls, Arc::clone(&config), "a.test").await.server.unwrap();
            assert_eq!(accepted.is_resumed, is_resumed);
            let subject = accepted.subject.unwrap();
            assert_eq!(subject.as_str(), r"CN=ops\0d\0aX-Admin: 1\, \C3\A9,O=Example\, Inc.");
        }
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_let_in_only_where_that_is_optional() {
    let authority = Authority::new();
    let met = authority.client().connect(&mutual(&authority, false), "a.test").await;
    assert_eq!(met.server.unwrap().subject, None);
    let met = authority.client().connect(&mutual(&authority, true), "a.test").await;
    assert!(matches!(met.server, Err(HandshakeError::Certificate(_))));
    assert!(met.client.is_err());
}

#[tokio::test]
async fn a_certificate_that_is_not_believed_is_turned_away_also_where_it_is_optional() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let identity = Some(named(&stranger, &[(DnType::CommonName, "ops")]));
    let client = Client { identity, ..authority.client() };
    for tls in [mutual(&authority, true), mutual(&authority, false)] {
        let met = client.connect(&tls, "a.test").await;
        assert!(matches!(met.server, Err(HandshakeError::Certificate(_))));
    }
}

#[tokio::test]
async fn other_authorities_void_the_tickets_of_those_before() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let identity = Some(named(&authority, &[(DnType::CommonName, "ops")]));
    let tls = mutual(&authority, true);
    let config = Client { identity, ..authority.client() }.config();
    meet(&tls, Arc::clone(&config), "a.test").await.server.unwrap();
    fs::copy(stranger.path("ca.pem"), authority.path("ca.pem")).unwrap();
    tls.reload().unwrap();
    let met = meet(&tls, config, "a.test").await;
    assert!(matches!(met.server, Err(HandshakeError::Certificate(_))), "it was resumed, or believed");
}

#[tokio::test]
async fn what_is_read_again_counts_only_when_all_of_it_is_good() {
    let authority = Authority::new();
    let files = authority.ecdsa("a", &["a.test"]);
    let tls = load(vec![files.clone(), authority.ecdsa("b", &["b.test"])]);
    let before = der(&files);
    let (chain, key) = authority.issue(&["a.test"], &PKCS_ECDSA_P256_SHA256);

    fs::write(&files.cert, &chain).unwrap();
    let error = says(&tls.reload().unwrap_err());
    let expected = format!("can't use {}: it is not the key of the certificate", files.key.display());
    assert_eq!(error, expected);
    assert_eq!(authority.client().shown(&tls, "a.test").await, before);

    fs::write(&files.key, &key).unwrap();
    tls.reload().unwrap();
    assert_eq!(authority.client().shown(&tls, "a.test").await, der(&files));

    fs::remove_file(&files.key).unwrap();
    assert!(says(&tls.reload().unwrap_err()).starts_with(&format!("can't read {}", files.key.display())));
    assert_eq!(authority.client().shown(&tls, "a.test").await, der(&files));
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_name() {
    let authority = Authority::new();
    let (chain, key) = authority.issue(&["a.test"], &PKCS_ECDSA_P256_SHA256);
    let broken = chain.replacen("MII", "AAA", 1);
    let cases: [(&str, &str, &str, &str); 6] = [
        ("", &key, "a.pem", "it has no certificate"),
        (&key, &key, "a.pem", "it has no certificate"),
        (&broken, &key, "a.pem", "its certificate is malformed"),
        ("-----BEGIN CERTIFICATE-----\nMII", &key, "a.pem", "it is no PEM"),
        (&chain, &chain, "a.key", "it has no private key"),
        (
            &chain,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "a.key",
            "its private key can't be used",
        ),
    ];
    for (chain, key, file, expected) in cases {
        let files = authority.files("a", (chain.to_owned(), key.to_owned()));
        let error = says(&ServerTls::load(spec(vec![files])).unwrap_err());
        let start = format!("can't use {}: {expected}", authority.path(file).display());
        assert!(error.starts_with(&start), "{error}\nnot\n{start}");
    }
    assert!(matches!(ServerTls::load(spec(Vec::new())), Err(TlsError::NoCertificates)));
}

#[test]
fn authorities_of_clients_that_can_not_be_used_are_named() {
    let authority = Authority::new();
    let certificates = vec![authority.ecdsa("a", &["a.test"])];
    let ca = authority.path("none.pem");
    fs::write(&ca, "").unwrap();
    let client_auth = Some(ClientAuth { ca: ca.clone(), is_required: true });
    let error = ServerTls::load(ServerTlsSpec { client_auth, ..spec(certificates) }).unwrap_err();
    assert_eq!(says(&error), format!("can't use {}: it has no certificate", ca.display()));
}

#[test]
fn the_first_certificate_that_expires_is_told() {
    let authority = Authority::new();
    let until =
        |year| move |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let issue = |year| authority.issue_with(&["a.test"], &PKCS_ECDSA_P256_SHA256, until(year));
    let tls = load(vec![authority.files("a", issue(2040)), authority.files("b", issue(2035))]);
    let expires = |tls: &ServerTls| tls.expires().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(expires(&tls), Duration::from_secs(2_051_222_400), "2035-01-01");
    let (chain, key) = issue(2030);
    tls.managed().set_certificate(&["m.test".into()], chain.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(expires(&tls), Duration::from_secs(1_893_456_000), "2030-01-01");
}

#[tokio::test]
async fn managed_certificates_are_shown_when_they_are_there() {
    let authority = Authority::new();
    let tls = ServerTls::load(ServerTlsSpec { is_managed: true, ..spec(Vec::new()) }).unwrap();
    assert!(authority.client().connect(&tls, "m.test").await.client.is_err(), "there is none yet");
    let (chain, key) = authority.issue(&["m.test"], &PKCS_ECDSA_P256_SHA256);
    tls.managed().set_certificate(&["M.test".into()], chain.as_bytes(), key.as_bytes()).unwrap();
    authority.client().shown(&tls, "m.test").await;
    tls.reload().unwrap();
    authority.client().shown(&tls, "m.test").await;
}

#[tokio::test]
async fn a_challenge_is_shown_to_who_asks_for_it_and_to_nobody_else() {
    let authority = Authority::new();
    let tls =
        ServerTls::load(ServerTlsSpec { is_managed: true, ..spec(vec![authority.ecdsa("a", &["m.test"])]) })
            .unwrap();
    let (chain, key) = authority.issue(&["m.test"], &PKCS_ECDSA_P256_SHA256);
    let asking = |alpn: &[&[u8]]| Client {
        alpn: alpn.iter().map(|name| name.to_vec()).collect(),
        ..authority.client()
    };
    let acme = asking(&[b"acme-tls/1"]);
    assert!(acme.connect(&tls, "m.test").await.client.is_err(), "there is no challenge");
    tls.managed().set_challenge("m.test", chain.as_bytes(), key.as_bytes()).unwrap();
    let shown = certificates::chain(chain.as_bytes()).unwrap()[0].to_vec();
    assert_eq!(acme.shown(&tls, "m.test").await, shown);
    assert_eq!(acme.connect(&tls, "m.test").await.server.unwrap().protocol, Protocol::Challenge);
    assert_ne!(asking(&[b"h2", b"acme-tls/1"]).shown(&tls, "m.test").await, shown);
    assert_ne!(authority.client().shown(&tls, "m.test").await, shown);
    tls.managed().clear_challenge("m.test");
    assert!(acme.connect(&tls, "m.test").await.client.is_err(), "it is over");
}

#[tokio::test]
async fn what_is_no_tls_is_told_from_what_ends() {
    let authority = Authority::new();
    let tls = load(vec![authority.ecdsa("a", &["a.test"])]);
    for (bytes, is_tls) in [(&b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"[..], false), (b"\x16\x03\x01", true)]
    {
        let (mut here, there) = duplex(1 << 10);
        here.write_all(bytes).await.unwrap();
        here.shutdown().await.unwrap();
        let error = tls.accept(there).await.unwrap_err();
        let expected = if is_tls { "Io" } else { "NotTls" };
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
    }
}
