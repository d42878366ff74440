//! Backends that speak HTTP/2 and TLS, and are asked for their health by gRPC.

use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, server};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::certificate::certificate;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::http::Request as Plain;
use crate::support::load::Load;
use crate::support::wait::until;

#[tokio::test]
async fn a_flip_over_http_2_fails_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    let tls = Some(certificate(&ca, b"h2"));
    for (protocol, tls) in [("h2c", None), ("https-h2", tls)] {
        let [v1, v2] = [app("v1", tls.clone()).await, app("v2", tls.clone()).await];
        let service = Service::new("web")
            .set("upstream.protocol", protocol)
            .set("health.protocol", "grpc")
            .backend("a", v1, "v1")
            .backend("b", v2, "v2");
        let service = if tls.is_some() { service.set("upstream.tls.ca", path(&ca)) } else { service };
        let cutover = Cutover::start(&Config::of(service)).await;
        let admin = cutover.admin();
        let usable = async |version: &'static str| admin.until_usable(version, 1).await;
        usable("v1").await;
        usable("v2").await;
        let (from, to) = match admin.get("/v1/services/web").await["active"].as_str() {
            Some("v1") => ("v1", "v2"),
            _ => ("v2", "v1"),
        };
        admin.until_role(from, "active").await;
        let load = Load::start(cutover.proxy(), 8);
        load.change(from, async {}).await;
        load.go_on(500).await;
        load.change(to, admin.flip(to)).await;
        load.go_on(500).await;
        load.stop().await.assert_flawless();
    }
}

#[tokio::test]
async fn it_is_said_why_a_backend_is_not_believed_until_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (ca, other) = (directory.path().join("ca.pem"), directory.path().join("other.pem"));
    let acceptor = certificate(&ca, b"h2");
    drop(certificate(&other, b"h2"));
    let (right, wrong) = (std::fs::read(&ca).unwrap(), std::fs::read(&other).unwrap());
    std::fs::write(&ca, wrong).unwrap();
    let service = Service::new("web")
        .set("upstream.protocol", "https-h2")
        .set("upstream.tls.ca", path(&ca))
        .set("queue_timeout", "0s")
        .backend("a", app("v1", Some(acceptor)).await, "v1");
    let cutover = Cutover::start(&Config::of(service)).await;
    until("a probe says why", async || {
        let backend = cutover.admin().backend("a").await.to_string();
        backend.contains("the backend's certificate is not believed: ").then_some(())
    })
    .await;
    assert_eq!(cutover.ask(&Plain::get("/")).await.status(), 503);

    std::fs::write(&ca, right).unwrap();
    cutover.admin().until_role("v1", "active").await;
    assert_eq!(cutover.ask(&Plain::get("/")).await.status(), 200);
}

#[tokio::test]
async fn files_that_are_not_there_are_named_by_check_and_by_the_api() {
    let service = Service::new("web").set("upstream.protocol", "https").set("upstream.tls.ca", "/no/ca.pem");
    let mut cutover = Cutover::stopped(&Config::of(service));
    let checked = cutover.cli(&["check", &path(&cutover.config_file())]).await;
    assert!(format!("{checked:?}").contains("upstream.tls.ca: can't read /no/ca.pem: "), "{checked:?}");
    cutover.configure(&Config::default());
    cutover.restart().await;
    let document = serde_json::json!({"upstream": {"protocol": "https", "tls": {"ca": "/no/ca.pem"}}});
    let refused = cutover.admin().call("PUT", "/v1/services/web", &document).await;
    assert_eq!(refused.status(), 422);
    assert!(refused.text().contains("can't read /no/ca.pem: "), "{}", refused.text());
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// An app that speaks HTTP/2, over TLS if it has a certificate, until the test is over.
async fn app(version: &'static str, tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, version).await;
                        }
                    }
                    None => serve(stream, version).await,
                }
            });
        }
    });
    address
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, version: &'static str) {
    let Ok(mut connection) = server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer(request, respond, version));
    }
}

async fn answer(mut request: Request<RecvStream>, mut respond: SendResponse<Bytes>, version: &str) {
    while let Some(Ok(piece)) = request.body_mut().data().await {
        drop(request.body_mut().flow_control().release_capacity(piece.len()));
    }
    let is_health = request.uri().path() == "/grpc.health.v1.Health/Check";
    let response = Response::builder().header("x-app-version", version);
    let (response, body) = match is_health {
        true => (response.header("content-type", "application/grpc"), "\0\0\0\0\x02\x08\x01".to_owned()),
        false => (response.header("content-type", "text/plain"), format!("version {version}\n")),
    };
    // A peer that is gone needs no answer.
    let Ok(mut stream) = respond.send_response(response.body(()).unwrap(), false) else { return };
    if stream.send_data(Bytes::from(body), !is_health).is_ok() && is_health {
        let trailers: HeaderMap =
            [("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect();
        drop(stream.send_trailers(trailers));
    }
}
