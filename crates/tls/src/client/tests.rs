//! Handshakes with a server of rustls, and files that are good, bad and changed.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{RootCertStore, crypto};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::*;

/// An authority, with its certificate in a file.
struct Authority {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate that it gave out.
struct Issued {
    certificate: rcgen::Certificate,
    key: KeyPair,
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

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_string_lossy().into_owned()
    }

    fn issue(&self, name: &str) -> Issued {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Issued { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    /// The files of a certificate by which backends know us.
    fn client(&self) -> (String, String) {
        let Issued { certificate, key } = self.issue("cutover");
        let files = (self.path("client.pem"), self.path("client.key"));
        fs::write(&files.0, certificate.pem()).unwrap();
        fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    }

    /// What believes this authority.
    fn tls(&self) -> UpstreamTls {
        UpstreamTls { ca: Some(self.path("ca.pem")), ..UpstreamTls::default() }
    }

    /// A server that offers `alpn`, and lets nobody in but those whom the authority knows if `is_mutual`.
    fn server(&self, issued: &Issued, alpn: &[&[u8]], is_mutual: bool) -> TlsAcceptor {
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = match is_mutual {
            true => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            false => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::try_from(issued.key.serialize_der()).unwrap();
        let mut config = builder.with_single_cert(vec![issued.certificate.der().clone()], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Shakes hands, and carries a byte there and back. Client certificates are judged only then, in TLS 1.3.
async fn shake(connector: &Connector, server: &TlsAcceptor, address: &str) -> Result<(), HandshakeError> {
    let (near, far) = tokio::io::duplex(64 << 10);
    let server = server.clone();
    tokio::spawn(async move {
        let mut stream = server.accept(far).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await
    });
    let mut stream = connector.connect(near, &address.parse().unwrap()).await?;
    stream.write_u8(7).await.map_err(HandshakeError::of)?;
    assert_eq!(stream.read_u8().await.map_err(HandshakeError::of)?, 7);
    Ok(())
}

#[tokio::test]
async fn a_backend_is_believed_whose_certificate_is_for_its_address() {
    let authority = Authority::new();
    let connectors = Connectors::default();
    let connector = connectors.connector(&authority.tls(), false);
    for (address, name) in
        [("127.0.0.1:443", "127.0.0.1"), ("[::1]:443", "::1"), ("app.test:443", "app.test")]
    {
        let server = authority.server(&authority.issue(name), &[], false);
        shake(&connector, &server, address).await.unwrap();
    }
    let server = authority.server(&authority.issue("localhost"), &[], false);
    shake(&connector, &server, "unix:/app.sock").await.unwrap();
}

#[tokio::test]
async fn what_a_backend_is_called_may_be_said() {
    let authority = Authority::new();
    let server = authority.server(&authority.issue("app.test"), &[], false);
    let tls = UpstreamTls { server_name: Some("app.test".to_owned()), ..authority.tls() };
    shake(&Connector::new(tls, false), &server, "127.0.0.1:443").await.unwrap();
}

#[tokio::test]
async fn it_is_said_what_is_wrong_with_a_certificate() {
    let (authority, other) = (Authority::new(), Authority::new());
    let issued = authority.issue("app.test");
    let server = authority.server(&issued, &[], false);
    let believing = Connector::new(authority.tls(), false);
    let error = shake(&believing, &server, "127.0.0.1:443").await.unwrap_err();
    assert!(matches!(error, HandshakeError::Name(_)), "{error:?}");
    let error = shake(&Connector::new(other.tls(), false), &server, "app.test:443").await.unwrap_err();
    assert!(matches!(error, HandshakeError::Untrusted(_)), "{error:?}");
    let insecure = UpstreamTls { is_insecure: true, ..other.tls() };
    shake(&Connector::new(insecure, false), &server, "127.0.0.1:443").await.unwrap();
}

#[tokio::test]
async fn a_certificate_for_authority_and_server_at_once_is_told_of_in_words() {
    let authority = Authority::new();
    let mut params = CertificateParams::new(vec!["app.test".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let both = Issued { certificate: params.self_signed(&key).unwrap(), key };
    fs::write(authority.path("ca.pem"), both.certificate.pem()).unwrap();
    let server = authority.server(&both, &[], false);
    let error = shake(&Connector::new(authority.tls(), false), &server, "app.test:443").await.unwrap_err();
    assert!(matches!(error, HandshakeError::IsAuthority), "{error:?}");
}

#[tokio::test]
async fn a_certificate_of_its_own_is_believed_where_it_is_named() {
    let authority = Authority::new();
    let params = CertificateParams::new(vec!["app.test".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = Issued { certificate: params.self_signed(&key).unwrap(), key };
    fs::write(authority.path("ca.pem"), own.certificate.pem()).unwrap();
    let server = authority.server(&own, &[], false);
    shake(&Connector::new(authority.tls(), false), &server, "app.test:443").await.unwrap();
}

#[tokio::test]
async fn http_2_must_be_agreed_on() {
    let authority = Authority::new();
    let issued = authority.issue("app.test");
    let (h1, h2) = (Connector::new(authority.tls(), false), Connector::new(authority.tls(), true));
    for (alpn, speaks_h1, speaks_h2) in [
        (&[H2, HTTP_1_1][..], true, true),
        (&[HTTP_1_1], true, false),
        (&[H2], false, true),
        (&[], true, false),
    ] {
        let server = authority.server(&issued, alpn, false);
        assert_eq!(shake(&h1, &server, "app.test:443").await.is_ok(), speaks_h1);
        match shake(&h2, &server, "app.test:443").await {
            Ok(()) => assert!(speaks_h2),
            Err(error) => assert!(matches!(error, HandshakeError::NoH2) && !speaks_h2, "{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_backend_may_ask_who_we_are() {
    let authority = Authority::new();
    let server = authority.server(&authority.issue("app.test"), &[], true);
    let error = shake(&Connector::new(authority.tls(), false), &server, "app.test:443").await.unwrap_err();
    assert!(matches!(error, HandshakeError::Protocol(rustls::Error::AlertReceived(_))), "{error:?}");
    let tls = UpstreamTls { client: Some(authority.client()), ..authority.tls() };
    shake(&Connector::new(tls, false), &server, "app.test:443").await.unwrap();
}

#[tokio::test]
async fn what_speaks_no_tls_is_told_from_what_goes_away() {
    let connector = Connector::new(Authority::new().tls(), false);
    for (answer, is_gone) in [(&b""[..], true), (b"HTTP/1.1 400 Bad Request\r\n\r\n", false)] {
        let (near, mut far) = tokio::io::duplex(64 << 10);
        far.write_all(answer).await.unwrap();
        tokio::spawn(async move { drop(far.read(&mut [0; 64]).await) });
        match connector.connect(near, &"127.0.0.1:443".parse().unwrap()).await.map(drop).unwrap_err() {
            HandshakeError::Io(_) => assert!(is_gone),
            error => assert!(matches!(error, HandshakeError::Protocol(_)) && !is_gone, "{error:?}"),
        }
    }
}

#[test]
fn an_error_names_the_file_and_what_is_wrong_with_it() {
    let authority = Authority::new();
    let (certificate, key) = authority.client();
    let (empty, broken, missing) =
        (authority.path("empty.pem"), authority.path("broken.pem"), authority.path("missing.pem"));
    fs::write(&empty, "nothing\n").unwrap();
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n").unwrap();
    let ca = |path: &str| UpstreamTls { ca: Some(path.to_owned()), ..UpstreamTls::default() };
    let client = |certificate: &str, key: &str| UpstreamTls {
        client: Some((certificate.to_owned(), key.to_owned())),
        ..authority.tls()
    };
    let other_key = authority.path("other.key");
    fs::write(&other_key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    for (tls, file) in [
        (ca(&missing), "missing.pem"),
        (ca(&empty), "empty.pem"),
        (ca(&broken), "broken.pem"),
        (client(&certificate, &missing), "missing.pem"),
        (client(&empty, &key), "empty.pem"),
        (client(&certificate, &certificate), "client.pem"),
        (client(&certificate, &other_key), "other.key"),
    ] {
        let error = check(&tls).unwrap_err();
        assert!(error.to_string().contains(file), "{error}");
    }
    check(&client(&certificate, &key)).unwrap();
    let named = UpstreamTls { server_name: Some("a b".to_owned()), ..authority.tls() };
    assert!(matches!(check(&named), Err(ConnectorError::ServerName(_))));
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_a_good_one_is_taken_up() {
    let (authority, next) = (Authority::new(), Authority::new());
    let connectors = Connectors::default();
    let connector = connectors.connector(&authority.tls(), false);
    let [server, next_server] =
        [&authority, &next].map(|authority| authority.server(&authority.issue("app.test"), &[], false));
    assert_eq!(connectors.files(), [PathBuf::from(authority.path("ca.pem"))]);

    fs::write(authority.path("ca.pem"), "").unwrap();
    assert_eq!(connectors.reload().unwrap_err().len(), 1);
    shake(&connector, &server, "app.test:443").await.unwrap();

    fs::write(authority.path("ca.pem"), next.issuer.pem()).unwrap();
    connectors.reload().unwrap();
    shake(&connector, &next_server, "app.test:443").await.unwrap();
    assert!(shake(&connector, &server, "app.test:443").await.is_err());
}

#[tokio::test]
async fn files_that_come_late_are_taken_up_too() {
    let authority = Authority::new();
    fs::remove_file(authority.path("ca.pem")).unwrap();
    let connectors = Connectors::default();
    let connector = connectors.connector(&authority.tls(), false);
    let server = authority.server(&authority.issue("app.test"), &[], false);
    let error = shake(&connector, &server, "app.test:443").await.unwrap_err();
    assert!(matches!(error, HandshakeError::Unusable(_)), "{error:?}");
    fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
    connectors.reload().unwrap();
    shake(&connector, &server, "app.test:443").await.unwrap();
}

#[test]
fn a_connector_is_made_once_and_forgotten_when_nobody_holds_it() {
    let (authority, connectors) = (Authority::new(), Connectors::default());
    let first = connectors.connector(&authority.tls(), false);
    assert!(Arc::ptr_eq(&first, &connectors.connector(&authority.tls(), false)));
    drop(first);
    let _second = connectors.connector(&authority.tls(), true);
    assert_eq!(connectors.all().len(), 1);
}

#[tokio::test]
async fn it_is_told_when_there_are_more_files_to_watch() {
    let (authority, connectors) = (Authority::new(), Connectors::default());
    let first = connectors.connector(&authority.tls(), false);
    connectors.grown().await;
    drop(connectors.connector(&authority.tls(), false));
    let again = tokio::time::timeout(std::time::Duration::from_millis(20), connectors.grown());
    assert!(again.await.is_err(), "it was there");
    drop(first);
}
