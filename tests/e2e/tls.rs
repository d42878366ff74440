//! TLS as other people's clients see it: curl, and openssl for what curl does not show.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::process::Command;

use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::port::Port;
use crate::support::wait::{until, within};

const NAME: &str = "shop.test";

#[tokio::test]
async fn curl_speaks_every_version_over_tls() {
    let stage = Stage::start("").await;
    for (options, version) in [
        (&["--http1.1"][..], "1.1"),
        (&["--http2"], "2"),
        (&["--http1.1", "--tls-max", "1.2"], "1.1"),
        (&["--http2", "--tls-max", "1.2"], "2"),
        (&["--http2", "--tlsv1.3"], "2"),
    ] {
        let answer =
            stage.curl(&[options, &["--write-out", "\n%{http_code} %{http_version}"]].concat()).await;
        assert!(answer.ends_with(&format!("\n200 {version}")), "{options:?}: {answer}");
    }
    let head = stage.curl(&["--head"]).await.to_ascii_lowercase();
    assert!(head.contains("set-cookie: __host-cutover=") && head.contains("; secure"), "{head}");
}

#[tokio::test]
async fn openssl_goes_on_with_a_session_and_by_every_version_that_is_spoken() {
    let stage = Stage::start("").await;
    for version in ["-tls1_2", "-tls1_3"] {
        let session = stage.cutover.file("session.pem");
        let session = session.to_str().unwrap();
        let first = stage.openssl(&[version, "-sess_out", session]).await;
        assert!(first.contains("New, TLSv1") && first.contains("Verify return code: 0 (ok)"), "{first}");
        let second = stage.openssl(&[version, "-sess_in", session]).await;
        assert!(second.contains("Reused, TLSv1"), "{second}");
    }
    let modern = Stage::start("min_version = \"1.3\"").await;
    assert!(modern.openssl(&["-tls1_3"]).await.contains("New, TLSv1.3"));
    assert!(modern.openssl(&["-tls1_2"]).await.contains("alert protocol version"));
}

#[tokio::test]
async fn changed_files_are_shown_and_broken_ones_are_not() {
    let stage = Stage::start("").await;
    let first = stage.shown().await;
    assert!(stage.cutover.admin().metric("cutover_certificate_expiry_timestamp_seconds", &[]).await > 1e9);

    std::fs::write(stage.authority.path("x.pem"), "no certificate").unwrap();
    let file = stage.authority.path("x.pem").display().to_string();
    until("the log names the file", async || {
        let log = stage.cutover.log();
        (log.contains("certificates can't be used") && log.contains(&file)).then_some(())
    })
    .await;
    assert_eq!(stage.shown().await, first);

    stage.authority.issue("x", NAME);
    until("another certificate is shown", async || (stage.shown().await != first).then_some(())).await;
}

#[tokio::test]
async fn clients_in_clear_text_are_sent_to_tls() {
    let stage = Stage::start("").await;
    let url = format!("http://{NAME}:{}/deep?q=1", stage.plain.address().port());
    let resolve = format!("{NAME}:{}:127.0.0.1", stage.plain.address().port());
    let options = ["--resolve", &resolve, "--location", "--write-out", "\n%{url_effective} %{http_code}"];
    let answer = stage.curl_to(&url, &options).await;
    let expected = format!("\nhttps://{NAME}:{}/deep?q=1 404", stage.tls.port());
    assert!(answer.ends_with(&expected), "{answer}");
}

#[tokio::test]
async fn who_shows_no_certificate_that_is_believed_is_not_served() {
    let stage = Stage::start("client_ca = \"{ca}\"").await;
    let (cert, key) = (stage.authority.path("ops.pem"), stage.authority.path("ops.key"));
    let identity = ["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    let forged = ["--header", "X-Client-Cert-Subject: CN=root"];
    let url = format!("https://{NAME}:{}/headers", stage.tls.port());
    let seen = stage.curl_to(&url, &[&identity[..], &forged].concat()).await.to_ascii_lowercase();
    assert!(seen.contains("cn=ops") && !seen.contains("cn=root"), "{seen}");
    assert_eq!(stage.curl(&status).await, "000");
    stage.cutover.admin().until_metric("cutover_tls_handshakes_total", &["certificate"], 1.0).await;
}

#[tokio::test]
async fn a_listener_without_a_certificate_that_can_be_used_does_not_start() {
    let mut stage = Stage::new("").await;
    std::fs::write(stage.authority.path("x.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    stage.cutover.launch();
    let ended = stage.cutover.exit().await;
    let log = stage.cutover.log();
    assert!(ended.code() == Some(1) && log.contains("x.key"), "{ended}: {log}");
    assert!(log.contains("it is not the key of the certificate"), "{log}");
}

/// A listener with TLS, one that sends clients there, an app behind both, and an authority.
struct Stage {
    cutover: Cutover,
    plain: Port,
    tls: SocketAddr,
    authority: Authority,
    #[expect(dead_code, reason = "it is held, not read: it ends with the stage")]
    app: App,
}

struct Authority {
    directory: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Stage {
    async fn start(tls: &str) -> Self {
        let mut stage = Self::new(tls).await;
        stage.cutover.restart().await;
        stage.cutover.admin().until_role("v1", "active").await;
        stage
    }

    /// Nothing of it runs yet but the app. `tls` are more keys of the listener.
    async fn new(tls: &str) -> Self {
        let app = App::start("v1").await;
        let config = Config::of(Service::new("web").backend("a", app.address(), "v1"));
        let (cutover, plain, authority) = (Cutover::stopped(&config), Port::reserve(), Authority::new());
        authority.issue("x", NAME);
        authority.issue("ops", "ops");
        let tls = tls.replace("{ca}", authority.path("ca.pem").to_str().unwrap());
        let text = config.render(plain.address(), cutover.admin_address(), cutover.file("").as_path());
        let text = text.replacen("[[listener]]", "[[listener]]\nredirect_to_https = true", 1);
        let text = format!(
            "{text}\n[[listener]]\nbind = [\"{}\"]\nprotocol = \"https\"\n[listener.tls]\ncerts = [{{ cert = {:?}, key = {:?} }}]\n{tls}\n",
            cutover.proxy(),
            authority.path("x.pem"),
            authority.path("x.key"),
        );
        cutover.write_config(&text);
        let tls = cutover.proxy();
        Self { cutover, plain, tls, authority, app }
    }

    /// What curl prints of the front page.
    async fn curl(&self, options: &[&str]) -> String {
        self.curl_to(&format!("https://{NAME}:{}/", self.tls.port()), options).await
    }

    async fn curl_to(&self, url: &str, options: &[&str]) -> String {
        let resolve = format!("{NAME}:{}:127.0.0.1", self.tls.port());
        let mut command = Command::new("curl");
        command.args(["--silent", "--max-time", "10", "--resolve", &resolve, "--cacert"]);
        command.arg(self.authority.path("ca.pem")).args(options).arg(url).kill_on_drop(true);
        let output = within("curl", command.output()).await.unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What `openssl s_client` says of one request.
    async fn openssl(&self, options: &[&str]) -> String {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &self.tls.to_string(), "-servername", NAME, "-CAfile"]);
        command.arg(self.authority.path("ca.pem")).args(options).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
        // One that is refused has ended already. The input stays open, so that the answer comes before its end does.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut input, request.as_bytes()).await;
        let output = within("openssl", child.wait_with_output()).await.unwrap();
        drop(input);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// The certificate that clients are shown.
    async fn shown(&self) -> String {
        let said = self.openssl(&["-tls1_3"]).await;
        let (start, end) = (said.find("-----BEGIN").unwrap(), said.find("-----END").unwrap());
        said[start..end].to_owned()
    }
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { directory: tempfile::tempdir().unwrap(), issuer };
        std::fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    /// Writes a certificate for `name`, and its key, into files.
    fn issue(&self, file: &str, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        write(&self.path(&format!("{file}.key")), &key.serialize_pem());
        write(&self.path(&format!("{file}.pem")), &certificate.pem());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// Writes a file in one step.
fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}
