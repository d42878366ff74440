//! `config/tls.toml`: two names by SNI, the way there from plain HTTP, and certificates that change.

use std::path::Path;

use tokio::process::Command;

use super::app::App;
use super::certify;
use super::example::Example;
use crate::support::wait::{until, within};

const HSTS: &str = "strict-transport-security: max-age=63072000";

#[tokio::test]
async fn each_name_is_served_with_its_certificate_and_clients_are_sent_there() {
    let apps = [App::start("com", "1").await, App::start("com", "1").await, App::start("org", "1").await];
    let backends = ["127.0.0.1:3001", "127.0.0.1:3002", "127.0.0.1:3003"];
    let given: Vec<_> = backends.into_iter().zip(apps.iter().map(App::address)).collect();
    let mut example = Example::of("tls.toml", &given);
    let [com, org] = ["example.com", "example.org"].map(|host| certify(&example, host));
    example.start().await;
    let tls = example.port(443).port();
    let asked =
        async |url: &str, believed: &Path, options: &[&str]| curl(&example, url, believed, options).await;
    for name in ["example.com", "www.example.com", "example.org"] {
        let (believed, other) = if name == "example.org" { (&org, &com) } else { (&com, &org) };
        let url = format!("https://{name}:{tls}/short");
        let app = if name == "example.org" { "org 1" } else { "com 1" };
        until("it is served", async || asked(&url, believed, &[]).await.ends_with(app).then_some(())).await;
        let answer = asked(&url, believed, &[]).await;
        assert!(answer.starts_with("HTTP/2 200") && answer.to_lowercase().contains(HSTS), "{answer}");
        assert!(asked(&url, believed, &["--http1.1"]).await.starts_with("HTTP/1.1 200"));
        assert_eq!(asked(&url, other, &[]).await, "", "that is the certificate of another name");
    }
    let nameless = asked(&format!("https://127.0.0.1:{tls}/"), &com, &[]).await;
    assert!(nameless.contains(" 404"), "who asks for no name is shown the first certificate: {nameless}");

    let plain = example.port(80).port();
    let answer = asked(&format!("http://example.org:{plain}/a?b=c"), &org, &[]).await;
    assert!(answer.starts_with("HTTP/1.1 308"), "{answer}");
    assert!(answer.contains(&format!("\r\nLocation: https://example.org:{tls}/a?b=c\r\n")), "{answer}");
    let moved = asked(&format!("https://example.org:{tls}/press/2026?x"), &org, &[]).await.to_lowercase();
    assert!(
        moved.starts_with("http/2 308") && moved.contains("location: https://example.com/news/2026?x"),
        "{moved}"
    );
    assert!(moved.contains(HSTS), "an answer of the proxy is over TLS as well: {moved}");

    std::fs::write(example.path("/etc/cutover/example.org.key"), "no key").unwrap();
    until("it is said", async || example.log().contains("certificates can't be used").then_some(())).await;
    let url = format!("https://example.org:{tls}/short");
    assert!(asked(&url, &org, &[]).await.ends_with("org 1"), "the old pair stays");
    let new = certify(&example, "example.org");
    until("the new pair is shown", async || asked(&url, &new, &[]).await.ends_with("org 1").then_some(()))
        .await;
}

/// What curl prints of an answer, head and body, if it believes the certificate in a file.
async fn curl(example: &Example, url: &str, believed: &Path, options: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--include", "--max-time", "10", "--cacert"]).arg(believed);
    for port in [80, 443].map(|written| example.port(written).port()) {
        for name in ["example.com", "www.example.com", "example.org"] {
            command.args(["--resolve", &format!("{name}:{port}:127.0.0.1")]);
        }
    }
    command.args(options).arg(url).kill_on_drop(true);
    let output = within("curl", command.output()).await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
