//! Backends that speak TLS: who is believed, and what happens when nobody is.

use cutover_core::address::Address;
use cutover_core::policy::{Balance, UpstreamProtocol, UpstreamTls};

use crate::backend::{Backend, Certificate};
use crate::world::Setup;

const HTTPS: UpstreamProtocol = UpstreamProtocol::Https;
const POST: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";

#[test]
fn a_connection_over_tls_is_used_again() {
    let certificate = Certificate::of("127.0.0.1");
    let app = Backend::https(certificate.acceptor(&["http/1.1"]), usize::MAX);
    let world = app.alone(HTTPS).policy(|policy| certificate.believe(policy)).start();
    let mut client = world.connect();
    for _ in 0..3 {
        assert_eq!(client.send(POST).answer().body, "body");
    }
    assert_eq!(app.connections(), 1);
}

#[test]
fn a_large_body_comes_back_whole() {
    let certificate = Certificate::of("127.0.0.1");
    let app = Backend::https(certificate.acceptor(&[]), usize::MAX);
    let world = app.alone(HTTPS).policy(|policy| certificate.believe(policy)).start();
    let body = "0123456789abcdef".repeat(1 << 16);
    let mut client = world.connect();
    client.send(&format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()));
    let mut sender = client.sender();
    let sent = body.clone();
    let sending =
        std::thread::spawn(move || std::io::Write::write_all(&mut sender, sent.as_bytes()).unwrap());
    assert!(client.answer().body == body);
    sending.join().unwrap();
}

#[test]
fn a_backend_that_is_not_believed_gets_nothing() {
    for (name, other) in [("127.0.0.1", true), ("app.test", false)] {
        let (certificate, believed) = (Certificate::of(name), Certificate::of(name));
        let app = Backend::https(certificate.acceptor(&[]), usize::MAX);
        let believed = if other { &believed } else { &certificate };
        let world = app.alone(HTTPS).policy(|policy| believed.believe(policy)).start();
        assert_eq!(world.connect().send(POST).answer().status(), 502);
        assert!(world.metrics().contains(r#"cutover_upstream_errors_total{kind="tls",service="web"} 1"#));
    }
}

#[test]
fn a_request_goes_to_a_backend_that_is_believed_instead() {
    let (certificate, stranger) = (Certificate::of("127.0.0.1"), Certificate::of("127.0.0.1"));
    let good = Backend::https(certificate.acceptor(&[]), usize::MAX);
    let bad = Backend::https(stranger.acceptor(&[]), usize::MAX);
    let world = Setup::new(&[("a", &bad.address.to_string(), "v1"), ("b", &good.address.to_string(), "v1")])
        .policy(|policy| {
            policy.upstream.protocol = HTTPS;
            policy.balance = Balance::RoundRobin;
            certificate.believe(policy);
        })
        .start();
    let mut client = world.connect();
    for _ in 0..4 {
        assert_eq!(client.send(POST).answer().body, "body", "nothing was sent, so even a POST may");
    }
}

#[test]
fn whom_to_believe_may_be_said_or_left_open() {
    let certificate = Certificate::of("app.test");
    let app = Backend::https(certificate.acceptor(&[]), usize::MAX);
    let named = app.alone(HTTPS).policy(|policy| {
        certificate.believe(policy);
        policy.upstream.tls.server_name = Some("app.test".to_owned());
    });
    assert_eq!(named.start().connect().send(POST).answer().body, "body");
    let insecure = UpstreamTls { is_insecure: true, ..UpstreamTls::default() };
    let open = app.alone(HTTPS).policy(|policy| policy.upstream.tls = insecure);
    assert_eq!(open.start().connect().send(POST).answer().body, "body");
}

#[test]
fn files_that_are_not_there_are_nobodys_fault_but_ours() {
    let certificate = Certificate::of("127.0.0.1");
    let app = Backend::https(certificate.acceptor(&[]), usize::MAX);
    let missing = UpstreamTls { ca: Some("/no/such/file.pem".to_owned()), ..UpstreamTls::default() };
    let world = app.alone(HTTPS).policy(|policy| policy.upstream.tls = missing).start();
    for _ in 0..8 {
        assert_eq!(world.connect().get("/").status(), 502);
    }
    assert!(world.set().backends[0].is_sendable());
}

#[test]
fn the_end_of_tls_on_an_idle_connection_is_its_end() {
    let certificate = Certificate::of("127.0.0.1");
    let app = Backend::https(certificate.acceptor(&[]), 1);
    let world = app.alone(HTTPS).policy(|policy| certificate.believe(policy)).start();
    assert_eq!(world.connect().send(POST).answer().body, "body");
    world.eventually("the process is suspected", || !world.set().backends[0].is_sendable());
}

#[test]
fn what_speaks_no_tls_is_a_bad_gateway() {
    let app = crate::app::App::saying("ok");
    let Address::Tcp { port, .. } = app.address.to_string().parse().unwrap() else { panic!("TCP") };
    let world = Setup::new(&[("a", &format!("127.0.0.1:{port}"), "v1")])
        .policy(|policy| {
            policy.upstream.protocol = HTTPS;
            policy.upstream.connect_timeout = cutover_core::time::Millis(300);
        })
        .start();
    let status = world.connect().get("/").status();
    assert!(status == 502 || status == 504, "{status}");
}
