//! curl and h2load over HTTP/2.

use std::process::Output;

use tokio::process::Command;

use super::edge::{Edge, NAME, service};
use crate::support::app::App;
use crate::support::config::Config;
use crate::support::wait::{until, within};

#[tokio::test]
async fn curl_gets_pages_keeps_its_pin_and_sends_bodies_over_http2() {
    let (edge, _apps) = two_versions().await;
    let body = edge.file("body");
    std::fs::write(&body, vec![b'x'; 3 << 20]).unwrap();
    let (plain, secure) =
        (format!("http://{}", edge.proxy()), format!("https://{NAME}:{}", edge.tls().port()));
    for (url, option) in [(&plain, "--http2-prior-knowledge"), (&secure, "--http2")] {
        edge.begin_with("v1").await;
        let jar = edge.file(&option[2..]).to_string_lossy().into_owned();
        let page = curl(&edge, &[option, "-c", &jar, &format!("{url}/set-header")]).await;
        assert_eq!(page, "version v1\n 2");
        edge.admin().flip("v2").await;
        let pinned = curl(&edge, &[option, "-b", &jar, &format!("{url}/set-header")]).await;
        let fresh = curl(&edge, &[option, &format!("{url}/set-header")]).await;
        assert_eq!((pinned.as_str(), fresh.as_str()), ("version v1\n 2", "version v2\n 2"));

        let (data, sink) = (format!("@{}", body.display()), format!("{url}/sink"));
        for more in [&["-H", "Content-Length:"][..], &[], &["-H", "Expect: 100-continue"]] {
            let said = curl(&edge, &[&[option, "--data-binary", &data, &sink], more].concat()).await;
            assert!(said.contains("3145728") && said.ends_with(" 2"), "{more:?}: {said}");
        }
    }
}

#[tokio::test]
async fn h2load_finds_nothing_wrong_during_flips() {
    let (edge, _apps) = two_versions().await;
    let url = format!("http://{}/set-header", edge.proxy());
    let loaded = h2load(&url);
    let flipping = async {
        for version in ["v2", "v1", "v2"] {
            edge.admin().flip(version).await;
        }
    };
    let (said, ()) = tokio::join!(loaded, flipping);
    is_clean(&said);
}

#[tokio::test]
async fn h2load_finds_nothing_wrong_while_the_certificate_is_renewed_over_tls() {
    let (edge, _apps) = two_versions().await;
    let first = std::fs::read(edge.certificate()).unwrap();
    let url = format!("https://{}/set-header", edge.tls());
    let loaded = h2load(&url);
    let renewing = async {
        edge.renew();
        edge.admin().flip("v2").await;
        // Only who knows the new certificate gets through: it is shown by then.
        until("the new certificate is shown", async || {
            let certificate = edge.certificate().display().to_string();
            let url = format!("https://{NAME}:{}/set-header", edge.tls().port());
            let output = command(&edge, &["--cacert", &certificate, &url]).output().await.unwrap();
            output.status.success().then_some(())
        })
        .await;
        edge.admin().flip("v1").await;
    };
    let (said, ()) = tokio::join!(loaded, renewing);
    is_clean(&said);
    assert_ne!(std::fs::read(edge.certificate()).unwrap(), first);
}

#[tokio::test]
async fn a_backend_that_is_drained_under_http2_loses_nothing() {
    let apps = [App::start("v1").await, App::start("v1").await];
    let service = service().backend("a", apps[0].address(), "").backend("b", apps[1].address(), "");
    let edge = Edge::start(&Config::of(service)).await;
    edge.admin().until_role("v1", "active").await;
    edge.admin().until_usable("v1", 2).await;
    let url = format!("http://{}/set-header", edge.proxy());
    let loaded = h2load(&url);
    let draining = edge.cli(&["drain", "web", "a", "--wait", "--timeout", "15s"]);
    let (said, drained) = tokio::join!(loaded, draining);
    assert_eq!(drained.code, 0, "{drained:?}");
    is_clean(&said);
}

/// v1 is active, v2 is staged.
pub(super) async fn two_versions() -> (Edge, [App; 2]) {
    let apps = [App::start("v1").await, App::start("v2").await];
    let service = service().backend("a", apps[0].address(), "").backend("b", apps[1].address(), "");
    let edge = Edge::start(&Config::of(service.set("flip.quorum.count", 1))).await;
    edge.admin().until_usable("v1", 1).await;
    edge.admin().until_usable("v2", 1).await;
    edge.begin_with("v1").await;
    (edge, apps)
}

fn command(edge: &Edge, arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    let resolve = format!("{NAME}:{}:127.0.0.1", edge.tls().port());
    command.args(["-sS", "--fail", "--max-time", "15", "--resolve", &resolve]);
    command.args(arguments).kill_on_drop(true);
    command
}

/// What curl prints, with the version of HTTP behind it.
async fn curl(edge: &Edge, arguments: &[&str]) -> String {
    let certificate = edge.certificate().display().to_string();
    let more = ["--cacert", &certificate, "--write-out", " %{http_version}"];
    let output = within("curl", command(edge, &[&more, arguments].concat()).output()).await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    text(&output)
}

/// What h2load says of 10,000 requests, 16 at a time on each of four connections.
async fn h2load(url: &str) -> String {
    let mut command = Command::new("h2load");
    command.args(["-n", "10000", "-c", "4", "-m", "16", url]).kill_on_drop(true);
    text(&within("h2load", command.output()).await.expect("h2load runs"))
}

fn is_clean(said: &str) {
    let requests = 10_000;
    let all = format!(
        "{requests} total, {requests} started, {requests} done, {requests} succeeded, 0 failed, 0 errored"
    );
    assert!(said.contains(&all) && said.contains(&format!("status codes: {requests} 2xx")), "{said}");
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
