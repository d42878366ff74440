//! The admin API over TLS: who asks is told by client certificates.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::support::config::{Config, Service};
use crate::support::cutover::{Cutover, Done, run};
use crate::support::wait::until;

#[tokio::test]
async fn a_client_certificate_tells_who_asks_and_what_he_may_do() {
    let stage = Stage::start().await;

    let seen = stage.ask("reader", &["services", "--json"]).await;
    assert_eq!(seen.code, 0, "{}", seen.stderr);
    assert!(seen.stdout.contains("\"web\""), "{}", seen.stdout);
    let refused = stage.ask("reader", &["freeze", "web", "--reason", "x"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("CN=reader has role read"), "{}", refused.stderr);
    let frozen = stage.ask("ops", &["freeze", "web", "--reason", "holiday"]).await;
    assert_eq!(frozen.code, 0, "{}", frozen.stderr);
    let timeline = stage.ask("reader", &["timeline", "web", "--json"]).await;
    assert!(timeline.stdout.contains("CN=ops"), "{}", timeline.stdout);
}

#[tokio::test]
async fn who_is_not_known_or_does_not_know_the_proxy_is_told_why() {
    let stage = Stage::start().await;

    let unknown = stage.ask("stranger", &["status"]).await;
    assert!(unknown.code == 1 && unknown.stderr.contains("certificate"), "{}", unknown.stderr);
    let nobody = stage.run(&["--ca", &stage.file("ca.pem")], &["status"]).await;
    assert!(
        nobody.code == 1 && nobody.stderr.contains("a client certificate is needed"),
        "{}",
        nobody.stderr
    );
    let doubting = stage.run(&[], &["status"]).await;
    assert_eq!(doubting.code, 3, "{}", doubting.stderr);
}

/// A cutover with its admin API over TLS, and an authority for both sides.
struct Stage {
    cutover: Cutover,
    directory: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Stage {
    async fn start() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let (directory, cutover) = (tempfile::tempdir().unwrap(), Cutover::stopped(&Config::default()));
        let mut stage = Self { cutover, directory, issuer };
        std::fs::write(stage.path("ca.pem"), stage.issuer.pem()).unwrap();
        ["127.0.0.1", "reader", "ops", "stranger"].iter().for_each(|name| stage.issue(name));
        stage.cutover.configure(
            &Config::of(Service::new("web"))
                .set("admin.open", false)
                .set("admin.tls.cert", stage.file("127.0.0.1.pem"))
                .set("admin.tls.key", stage.file("127.0.0.1.key"))
                .set("admin.tls.client_ca", stage.file("ca.pem")),
        );
        let config = std::fs::read_to_string(stage.cutover.config_file()).unwrap();
        let holders = "[[admin.certificates]]\nsubject = \"CN=reader\"\nrole = \"read\"\n\
                       [[admin.certificates]]\nsubject = \"CN=ops\"\nrole = \"operate\"\n";
        stage.cutover.write_config(&format!("{config}\n{holders}"));
        stage.cutover.launch();
        until("the API answers", async || (stage.ask("ops", &["status"]).await.code == 0).then_some(()))
            .await;
        stage
    }

    /// Runs a command as the holder of a certificate.
    async fn ask(&self, name: &str, command: &[&str]) -> Done {
        let (cert, key) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        self.run(&["--ca", &self.file("ca.pem"), "--cert", &cert, "--key", &key], command).await
    }

    async fn run(&self, options: &[&str], command: &[&str]) -> Done {
        let url = format!("https://{}", self.cutover.admin_address());
        run(&url, &[command, options].concat(), self.directory.path()).await
    }

    fn issue(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}
