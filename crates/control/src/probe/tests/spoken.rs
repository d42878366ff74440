//! Probes in what backends speak: HTTP/2, TLS, gRPC.

use ::h2::{Reason, RecvStream, server};
use ::http::{HeaderMap, HeaderValue, Request, Response};
use bytes::Bytes;
use cutover_core::policy::{UpstreamPolicy, UpstreamProtocol, UpstreamTls};
use rcgen::{CertificateParams, CertifiedKey, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::ServerConfig;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::*;

/// What a server answers everything with.
#[derive(Debug, Clone, Default)]
struct Reply {
    headers: Vec<(&'static str, &'static str)>,
    body: &'static [u8],
    trailers: Vec<(&'static str, &'static str)>,
}

/// A request as it came.
type Asked = (::http::request::Parts, Vec<u8>);

/// A server over HTTP/2, over TLS if there is an `acceptor`.
async fn h2_server(reply: Reply, acceptor: Option<TlsAcceptor>) -> (Address, mpsc::Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    let (said, heard) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (reply, said) = (reply.clone(), said.clone());
            match acceptor.clone() {
                Some(acceptor) => tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, reply, said).await;
                    }
                }),
                None => tokio::spawn(serve(stream, reply, said)),
            };
        }
    });
    (address, heard)
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, reply: Reply, said: mpsc::Sender<Asked>) {
    let Ok(mut connection) = server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let (reply, said) = (reply.clone(), said.clone());
        tokio::spawn(async move {
            drop(said.try_send(receive(request).await));
            let mut response = Response::new(());
            *response.headers_mut() = map(&reply.headers);
            let is_last = reply.body.is_empty() && reply.trailers.is_empty();
            let mut send = respond.send_response(response, is_last).unwrap();
            if !is_last {
                drop(send.send_data(Bytes::from_static(reply.body), false));
                drop(send.send_trailers(map(&reply.trailers)));
            }
        });
    }
}

async fn receive(request: Request<RecvStream>) -> Asked {
    let (head, mut body) = request.into_parts();
    let mut whole = Vec::new();
    while let Some(Ok(piece)) = body.data().await {
        whole.extend_from_slice(&piece);
    }
    (head, whole)
}

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
}

fn speaking(protocol: UpstreamProtocol, probe: ProbeProtocol) -> Policy {
    let health = HealthPolicy { protocol: probe, ..policy().health };
    Policy { health, upstream: UpstreamPolicy { protocol, ..UpstreamPolicy::default() }, ..policy() }
}

fn grpc() -> Policy {
    speaking(UpstreamProtocol::H2c, ProbeProtocol::Grpc)
}

const SERVING: Reply = Reply { headers: Vec::new(), body: b"\0\0\0\0\x02\x08\x01", trailers: Vec::new() };

/// A good answer to a call of gRPC.
fn serving() -> Reply {
    let headers = vec![("content-type", "application/grpc"), ("x-app-version", "v3")];
    Reply { headers, trailers: vec![("grpc-status", "0"), ("x-app-boot-id", "7")], ..SERVING }
}

/// A server's end of TLS, which offers `alpn`, and what believes it.
fn tls(alpn: &[u8]) -> (TlsAcceptor, UpstreamTls, TempDir) {
    let CertifiedKey { cert, signing_key } = {
        let signing_key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key }
    };
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    let tls = UpstreamTls { ca: Some(ca.to_string_lossy().into_owned()), ..UpstreamTls::default() };
    (TlsAcceptor::from(Arc::new(config)), tls, directory)
}

#[tokio::test]
async fn a_backend_that_speaks_http_2_is_asked_in_http_2() {
    let headers = vec![("x-app-version", "v2"), ("x-app-boot-id", "9")];
    let (address, mut heard) = h2_server(Reply { headers, ..Reply::default() }, None).await;
    let authority = address.to_string();
    let answer = ask(address, speaking(UpstreamProtocol::H2c, ProbeProtocol::Http)).await.unwrap();
    let expected = (Some(label("v2")), Some("9".to_owned()), "status 200 OK, version v2");
    assert_eq!((answer.version, answer.boot_id, answer.detail.as_str()), expected);
    let (head, _) = heard.recv().await.unwrap();
    assert_eq!(head.uri, format!("http://{authority}/up").as_str());
    assert_eq!(head.headers["cutover-state"], "role=active; epoch=3; admin=ready");
    assert!(!head.headers.contains_key("connection"));
}

#[tokio::test]
async fn a_version_is_read_from_the_body_over_http_2_too() {
    let reply = Reply { body: b"{\"v\":\"v3\"}", ..Reply::default() };
    let (address, _heard) = h2_server(reply, None).await;
    let by_pointer = |pointer| Policy {
        identity: by_pointer(pointer).identity,
        ..speaking(UpstreamProtocol::H2c, ProbeProtocol::Http)
    };
    let answer = ask(address.clone(), by_pointer("/v")).await.unwrap();
    assert_eq!(answer.version, Some(label("v3")));
    assert_eq!(ask(address, by_pointer("/w")).await.unwrap().version, None);
}

#[tokio::test]
async fn a_probe_over_tls_believes_whom_requests_believe() {
    for protocol in [UpstreamProtocol::Https, UpstreamProtocol::HttpsH2] {
        let is_h2 = protocol.is_h2();
        let (acceptor, tls, _files) = tls(if is_h2 { b"h2" } else { b"http/1.1" });
        let address = match is_h2 {
            true => h2_server(Reply::default(), Some(acceptor)).await.0,
            false => https_server(acceptor).await,
        };
        let mut policy = speaking(protocol, ProbeProtocol::Http);
        let untrusted = ask(address.clone(), policy.clone()).await.unwrap_err();
        assert!(untrusted.detail.starts_with("the backend's certificate is not believed: "), "{untrusted:?}");
        assert!(!untrusted.is_process_gone);
        policy.upstream.tls = tls;
        let answer = ask(address, policy).await;
        assert_eq!(answer.unwrap().detail, "status 200 OK");
    }
}

/// A server over TLS that answers one request per connection.
async fn https_server(acceptor: TlsAcceptor) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            drop(stream.read(&mut [0; 4096]).await);
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await);
        }
    });
    address
}

#[tokio::test]
async fn a_grpc_probe_calls_the_health_service() {
    let (address, mut heard) = h2_server(serving(), None).await;
    let mut policy = grpc();
    policy.health.grpc_service = "shop.Cart".to_owned();
    let answer = ask(address, policy).await.unwrap();
    let expected = (Some(label("v3")), Some("7".to_owned()), "SERVING, version v3");
    assert_eq!((answer.version, answer.boot_id, answer.detail.as_str()), expected);
    let (head, body) = heard.recv().await.unwrap();
    assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/grpc.health.v1.Health/Check"));
    let field = |name| head.headers[name].to_str().unwrap();
    assert_eq!(["content-type", "te", "grpc-timeout"].map(field), ["application/grpc", "trailers", "500m"]);
    assert_eq!(body, b"\0\0\0\0\x0b\x0a\x09shop.Cart");
}

#[tokio::test]
async fn a_grpc_probe_goes_over_tls_where_requests_do() {
    let (acceptor, tls, _files) = tls(b"h2");
    let (address, _heard) = h2_server(serving(), Some(acceptor)).await;
    for protocol in [UpstreamProtocol::HttpsH2, UpstreamProtocol::Https] {
        let mut policy = speaking(protocol, ProbeProtocol::Grpc);
        policy.upstream.tls = tls.clone();
        assert_eq!(ask(address.clone(), policy).await.unwrap().version, Some(label("v3")));
    }
}

#[tokio::test]
async fn a_bad_grpc_answer_says_what_it_is() {
    let grpc_headers = || vec![("content-type", "application/grpc+proto")];
    let cases = [
        (Reply { body: b"\0\0\0\0\x02\x08\x02", ..serving() }, "NOT_SERVING"),
        (Reply { body: b"\0\0\0\0\x02\x08\x03", ..serving() }, "SERVICE_UNKNOWN"),
        (Reply { body: b"\0\0\0\0\x02\x08\x09", ..serving() }, "9"),
        (Reply { body: b"\0\0\0\0\0", ..serving() }, "UNKNOWN"),
        (Reply { body: b"<html>", ..serving() }, "no HealthCheckResponse"),
        (Reply { headers: vec![("content-type", "text/html")], ..serving() }, "not gRPC's"),
        (Reply { trailers: vec![("x", "y")], ..serving() }, "no grpc-status"),
        (
            Reply { trailers: vec![("grpc-status", "5"), ("grpc-message", "no%20such")], ..serving() },
            "grpc-status 5 NOT_FOUND: no such",
        ),
        (
            Reply { headers: [grpc_headers(), vec![("grpc-status", "12")]].concat(), ..Reply::default() },
            "grpc-status 12 UNIMPLEMENTED",
        ),
    ];
    for (reply, expected) in cases {
        let (address, _heard) = h2_server(reply, None).await;
        let failure = ask(address, grpc()).await.unwrap_err();
        assert!(
            failure.detail.ends_with(expected) || failure.detail.contains(expected),
            "{expected}: {failure:?}"
        );
        assert!(!failure.is_process_gone);
    }
}

#[tokio::test]
async fn what_speaks_no_http_2_and_what_goes_away_fail_in_time() {
    let (address, _heard) = server(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let failure = ask(address, grpc()).await.unwrap_err();
    assert!(failure.detail.starts_with("HTTP/2: "), "{failure:?}");
    let (address, _heard) = server(b"").await;
    let failure = ask(address, grpc()).await.unwrap_err();
    assert!(failure.is_process_gone, "{failure:?}");
}

#[tokio::test]
async fn a_probe_that_is_refused_does_not_suspect_the_process() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Address = listener.local_addr().unwrap().to_string().parse().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = server::handshake(stream).await.unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_reset(Reason::REFUSED_STREAM);
        while connection.accept().await.is_some() {}
    });
    let failure = ask(address, grpc()).await.unwrap_err();
    assert!(!failure.is_process_gone && failure.detail.contains("refused"), "{failure:?}");
}
