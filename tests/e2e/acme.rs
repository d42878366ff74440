//! Certificates by ACME: ordered, kept, renewed, and done without while the authority is away.

mod pebble;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use pebble::{NAME, Pebble, curl};

use crate::support::config::Config;
use crate::support::cutover::Cutover;
use crate::support::port::Port;
use crate::support::wait::until;

/// Longer than any test takes.
const LONG: u32 = 86_400;

#[tokio::test]
async fn a_certificate_is_issued_by_a_challenge_over_tls_and_kept_over_a_restart() {
    let mut stage = Stage::new("tls-alpn-01", LONG);
    stage.pebble.start().await;
    stage.cutover.restart().await;

    stage.is_believed().await;

    let first = stage.shown().await;
    for file in std::fs::read_dir(stage.cutover.file("state/acme")).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    stage.cutover.kill9();
    stage.cutover.restart().await;
    assert_eq!(stage.shown().await, first);
    assert_eq!(stage.orders("issued").await + stage.orders("failed").await, 0);
}

#[tokio::test]
async fn a_certificate_is_issued_by_a_challenge_over_http_also_where_clients_are_sent_to_https() {
    let mut stage = Stage::new("http-01", LONG);
    stage.pebble.start().await;
    stage.cutover.restart().await;

    stage.is_believed().await;

    let elsewhere = format!("http://{}/.well-known/acme-challenge/unknown", stage.plain.address());
    let status = curl(&["--output", "/dev/null", "--write-out", "%{http_code}", &elsewhere]).await;
    assert_eq!(status.as_deref(), Some("308"), "what is no open challenge is a request like any other");
}

#[tokio::test]
async fn a_certificate_is_renewed_before_it_ends() {
    let mut stage = Stage::new("tls-alpn-01", 15);
    stage.pebble.start().await;
    stage.cutover.restart().await;
    stage.is_believed().await;
    let first = stage.shown().await;

    until("another certificate is shown", async || (stage.shown().await != first).then_some(())).await;

    stage.is_believed().await;
    // It is shown first, and then kept and counted.
    until("both are counted", async || (stage.orders("issued").await == 2).then_some(())).await;
}

#[tokio::test]
async fn who_starts_again_and_again_does_not_order_each_time() {
    let mut stage = Stage::new("tls-alpn-01", LONG);
    stage.pebble.start().await;
    for _ in 0..4 {
        stage.cutover.restart().await;
        stage.is_believed().await;
        stage.cutover.kill9();
        forget(&stage.cutover.file("state/acme"), "certificate-");
    }
    stage.cutover.restart().await;

    until("it waits", async || stage.cutover.log().contains("ordered too often lately").then_some(())).await;

    assert_eq!(stage.orders("issued").await + stage.orders("failed").await, 0);
}

#[tokio::test]
async fn where_nothing_can_be_kept_nothing_is_ordered() {
    let mut stage = Stage::new("tls-alpn-01", LONG);
    stage.pebble.start().await;
    std::fs::create_dir_all(stage.cutover.file("state")).unwrap();
    std::fs::write(stage.cutover.file("state/acme"), "in the way of the directory").unwrap();
    stage.cutover.restart().await;

    until("it could not order", async || (stage.orders("failed").await > 0).then_some(())).await;

    assert!(!stage.cutover.log().contains("an account was made"), "{}", stage.cutover.log());
}

#[tokio::test]
async fn while_the_directory_is_away_what_there_is_is_shown_and_it_is_asked_again() {
    let mut stage = Stage::new("tls-alpn-01", LONG);
    stage.cutover.restart().await;
    until("it could not order", async || (stage.orders("failed").await > 0).then_some(())).await;
    assert!(stage.shown().await.contains("BEGIN CERTIFICATE"), "a self-signed one is better than none");
    assert!(stage.cutover.log().contains("self-signed"), "{}", stage.cutover.log());

    stage.pebble.start().await;

    stage.is_believed().await;
}

/// Removes the files in a directory whose names begin so.
fn forget(directory: &Path, prefix: &str) {
    for file in std::fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)) {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// A listener with TLS, one without, and an authority that asks both.
struct Stage {
    cutover: Cutover,
    plain: Port,
    pebble: Pebble,
}

impl Stage {
    /// Nothing of it runs yet.
    fn new(challenge: &str, lifetime: u32) -> Self {
        let cutover = Cutover::stopped(&Config::default());
        let plain = Port::reserve();
        let pebble = Pebble::stopped(cutover.proxy(), plain.address(), lifetime);
        let text = format!(
            r#"
[node]
state_dir = {state:?}
[admin]
listen = "{admin}"
[access_log]
path = ""
[[listener]]
bind = ["{plain}"]
redirect_to_https = true
[[listener]]
bind = ["{tls}"]
protocol = "https"
tls.acme = {{ domains = ["{NAME}"], directory = "{directory}", ca = {ca:?}, challenge = "{challenge}" }}
"#,
            state = cutover.file("state"),
            admin = cutover.admin_address(),
            plain = plain.address(),
            tls = cutover.proxy(),
            directory = pebble.directory(),
            ca = pebble.ca(),
        );
        cutover.write_config(&text);
        Self { cutover, plain, pebble }
    }

    /// The certificates that clients are shown, as PEM.
    async fn shown(&self) -> String {
        self.ask(&["-k", "--write-out", "%{certs}"]).await.unwrap()
    }

    /// Waits until clients who believe the authority are served.
    async fn is_believed(&self) {
        let root = self.pebble.root_file().await;
        let root = Path::new(&root).to_str().unwrap();
        until("the certificate is believed", async || self.ask(&["--cacert", root]).await).await;
    }

    async fn ask(&self, arguments: &[&str]) -> Option<String> {
        let address = self.cutover.proxy();
        let resolve = format!("{NAME}:{}:{}", address.port(), address.ip());
        let url = format!("https://{NAME}:{}/", address.port());
        curl(&[&["--resolve", &resolve, "--output", "/dev/null"], arguments, &[&url]].concat()).await
    }

    /// What the metric of orders with this outcome counts.
    async fn orders(&self, outcome: &str) -> u32 {
        let metrics = curl(&[&format!("http://{}/metrics", self.cutover.admin_address())]).await.unwrap();
        let series = format!("cutover_acme_orders_total{{outcome=\"{outcome}\"}} ");
        let count = metrics.lines().find_map(|line| line.strip_prefix(&series));
        count.map_or(0, |count| count.parse().unwrap())
    }
}
