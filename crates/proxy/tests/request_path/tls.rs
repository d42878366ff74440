//! Clients over TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cutover_proxy::ListenerConfig;
use rustls::HandshakeKind;
use socket2::SockRef;

use crate::app::App;
use crate::client::Client;
use crate::secured::{Authority, NAME, Secured, listener};
use crate::world::{SOON, Setup, World};

fn setup(app: &App) -> Setup {
    Setup::new(&[("a", &app.address.to_string(), "v1")])
}

fn start(app: &App, listener: ListenerConfig) -> World {
    Setup { listener, ..setup(app) }.start()
}

/// A world with TLS in front of `app`.
fn secure(app: &App) -> (Authority, World) {
    let authority = Authority::new();
    let world = start(app, listener(&authority.tls()));
    (authority, world)
}

/// How many handshakes ended so.
fn handshakes(world: &World, outcome: &str) -> u64 {
    let line = format!("cutover_tls_handshakes_total{{outcome=\"{outcome}\"}} ");
    let metrics = world.metrics();
    metrics.lines().find_map(|text| text.strip_prefix(&line)).unwrap().parse().unwrap()
}

#[test]
fn a_request_over_tls_is_answered_and_known_to_be_secure() {
    let app = App::saying("hello");
    let (authority, world) = secure(&app);
    let mut client = authority.connect(world.address);
    let answer = client.get("/");
    assert_eq!(answer.body, "hello");
    let pin = answer.field("set-cookie").unwrap();
    assert!(pin.starts_with("__Host-cutover=") && pin.contains("; Secure"), "{pin}");
    let heard = app.heard();
    assert_eq!(heard.field("x-forwarded-proto"), Some("https"));
    assert!(heard.field("forwarded").unwrap().contains("proto=https"));
    let pin = pin.split(';').next().unwrap();
    client.send(format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nCookie: {pin}\r\n\r\n"));
    assert_eq!(client.answer().field("set-cookie"), None, "the pin is known again");
}

#[test]
fn requests_that_come_together_are_served_one_by_one() {
    let app = App::saying("hello");
    let (authority, world) = secure(&app);
    let mut client = authority.connect(world.address);
    // More than one record, and more than one buffer.
    let count = 1000;
    client.send(format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n").repeat(count));
    for _ in 0..count {
        assert_eq!(client.answer().body, "hello");
    }
}

#[test]
fn bodies_pass_both_ways_as_they_are() {
    let app = App::playing(|mut visit| {
        while let Some(request) = visit.request() {
            visit.say(&request.body);
        }
    });
    let (authority, world) = secure(&app);
    let mut client = authority.connect(world.address);
    let body: String = (0..1_000_000).map(|line| format!("{line:06}\n")).collect();
    let head = format!("POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {}\r\n\r\n", body.len());
    client.send(head + &body);
    assert!(client.answer().body == body, "it is another one");
    assert_eq!(client.get("/").body, "", "the connection goes on");
}

#[test]
fn a_client_that_takes_its_time_gets_all_of_the_answer_and_its_end() {
    const LEN: usize = 8 << 20;
    let app = App::playing(|mut visit| {
        visit.request();
        visit.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n{}", "x".repeat(LEN)));
        visit.wait_for_close();
    });
    let (authority, world) = secure(&app);
    let mut client = authority.connect(world.address);
    SockRef::from(&*client.tcp()).set_recv_buffer_size(32 << 10).unwrap();
    client.send(format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(client.answer().body.len(), LEN);
    assert_eq!(client.rest().unwrap(), "", "the end is said");
}

#[test]
fn an_answer_that_lasts_until_the_end_shows_whether_it_is_whole() {
    let app = App::playing(|mut visit| {
        let request = visit.request().unwrap();
        visit.send("HTTP/1.1 200 OK\r\n\r\nhalf");
        if request.start.contains("broken") {
            std::thread::sleep(Duration::from_millis(100));
            SockRef::from(visit.stream().get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
        }
    });
    let (authority, world) = secure(&app);
    let old = |path: &str| format!("GET {path} HTTP/1.0\r\nHost: {NAME}\r\n\r\n");
    let mut client = authority.connect(world.address);
    assert!(client.send(old("/")).rest().unwrap().ends_with("\r\n\r\nhalf"));
    let mut client = authority.connect(world.address);
    let error = client.send(old("/broken")).rest().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof), "{error}");
}

#[test]
fn a_client_that_is_cut_off_in_its_request_has_not_asked() {
    let app = App::saying("hello");
    let (authority, world) = secure(&app);
    let mut client = authority.connect(world.address);
    client
        .send(format!("POST / HTTP/1.1\r\nHost: {NAME}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"));
    client.tcp().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.rest().is_ok(), "it is told that this is no request, or nothing");
    world.eventually("nothing is in flight", || world.in_flight("v1") == 0);
    assert!(app.is_idle(), "the app has heard a whole request");
}

#[test]
fn a_websocket_is_a_tunnel_through_tls() {
    let app = App::playing(|mut visit| {
        visit.request();
        visit.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
        let mut frame = [0; 9];
        visit.stream().read_exact(&mut frame).unwrap();
        visit.stream().get_mut().write_all(b"\x81\x03abc\x88\x02\x03\xe8").unwrap();
        visit.wait_for_close();
    });
    let (authority, world) = secure(&app);
    let mut client = authority.connect(world.address);
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ));
    assert_eq!(client.head().status(), 101);
    client.send(b"\x81\x83\0\0\0\0abc");
    let mut frames = [0; 9];
    client.0.read_exact(&mut frames).unwrap();
    assert_eq!(&frames, b"\x81\x03abc\x88\x02\x03\xe8");
}

#[test]
fn a_session_is_resumed_by_any_worker() {
    let app = App::saying("hello");
    let authority = Authority::new();
    let world = Setup { listener: listener(&authority.tls()), ..setup(&app) }.workers(4).start();
    let config = Arc::new(authority.stranger());
    let connect = || {
        let mut client = Secured::connect(world.address, &config).unwrap();
        client.get("/");
        client.tls().handshake_kind()
    };
    assert_eq!(connect(), Some(HandshakeKind::Full));
    for _ in 0..24 {
        assert_eq!(connect(), Some(HandshakeKind::Resumed));
    }
    assert_eq!((handshakes(&world, "full"), handshakes(&world, "resumed")), (1, 24));
}

#[test]
fn certificates_change_under_connections_that_stay() {
    let app = App::saying("hello");
    let authority = Authority::new();
    let tls = authority.tls();
    let world = start(&app, listener(&tls));
    let shown = |client: &mut Secured| client.tls().peer_certificates().unwrap()[0].to_vec();
    let mut before = authority.connect(world.address);
    before.get("/");
    authority.renew();
    tls.reload().unwrap();
    let mut after = authority.connect(world.address);
    assert_ne!(shown(&mut after), shown(&mut before));
    assert_eq!(before.get("/").status(), 200);
    authority.spoil();
    tls.reload().unwrap_err();
    assert_eq!(shown(&mut authority.connect(world.address)), shown(&mut after));
}

const SUBJECT: &str = "X-Client-Cert-Subject";

#[test]
fn an_app_is_told_who_its_client_is_and_no_client_can_say_it_is_another() {
    let app = App::saying("hello");
    let authority = Authority::new();
    let subject = |is_required| ListenerConfig {
        client_subject_header: SUBJECT.to_owned(),
        ..listener(&authority.mutual(is_required))
    };
    let plain = Setup::new(&[]).listener;
    let world = Setup { listener: subject(true), others: vec![subject(false), plain], ..setup(&app) }.start();
    let forged = format!(
        "POST / HTTP/1.1\r\nHost: {NAME}\r\n{SUBJECT}: CN=admin\r\nX_Client_Cert_SUBJECT: CN=admin\r\n\
         Connection: {SUBJECT}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{SUBJECT}: CN=admin\r\nX-Sum: 1\r\n\r\n"
    );
    let told = || {
        let heard = app.heard();
        assert!(heard.trailers.iter().all(|(name, _)| name == "x-sum"), "{:?}", heard.trailers);
        assert_eq!(heard.trailers.len(), 1);
        let told = heard.fields.iter().filter(|(name, _)| name.replace('_', "-").contains("cert-subject"));
        told.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let ops = Arc::new(authority.known_as("ops"));
    for address in &world.addresses[..2] {
        Secured::connect(*address, &ops).unwrap().send(&forged).answer();
        assert_eq!(told(), ["CN=ops"]);
    }
    authority.connect(world.addresses[1]).send(&forged).answer();
    assert_eq!(told(), [""; 0]);
    Client::connect(world.addresses[2]).send(&forged).answer();
    assert_eq!(told(), [""; 0]);
}

#[test]
fn a_client_that_must_say_who_it_is_and_does_not_is_turned_away() {
    let app = App::saying("hello");
    let (authority, other) = (Authority::new(), Authority::new());
    let world = start(&app, listener(&authority.mutual(true)));
    for config in [authority.stranger(), authority_of(&authority, &other)] {
        // In TLS 1.3 the client has finished before it is judged.
        if let Ok(mut client) = Secured::connect(world.address, &Arc::new(config)) {
            assert!(client.rest().is_err());
        }
    }
    world.eventually("both are counted", || handshakes(&world, "certificate") == 2);
    assert!(app.is_idle());
}

/// A client that believes `authority` and was given its certificate by `other`.
fn authority_of(authority: &Authority, other: &Authority) -> rustls::ClientConfig {
    let mut config = authority.stranger();
    config.client_auth_cert_resolver = other.known_as("ops").client_auth_cert_resolver;
    config
}

#[test]
fn who_does_not_shake_hands_in_time_loses_the_connection_and_nobody_else_does() {
    let app = App::saying("hello");
    let authority = Authority::new();
    let setup = Setup { listener: listener(&authority.tls()), ..setup(&app) };
    let world = setup.limits(|limits| limits.handshake_timeout = Duration::from_millis(300)).start();
    let mut silent = TcpStream::connect(world.address).unwrap();
    let mut slow = TcpStream::connect(world.address).unwrap();
    let began = Instant::now();
    let drip = std::thread::spawn(move || {
        // The beginning of a hello of 512 bytes, one by one.
        for byte in [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3].into_iter().chain(std::iter::repeat_n(0, 400)) {
            if slow.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(authority.connect(world.address).get("/").status(), 200);
    silent.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(silent.read(&mut [0; 8]).unwrap(), 0, "it is closed");
    assert!(began.elapsed() >= Duration::from_millis(300));
    world.eventually("both are counted", || handshakes(&world, "timeout") == 2);
    drip.join().unwrap();
}

#[test]
fn who_speaks_no_tls_is_counted_and_costs_nothing_else() {
    let app = App::saying("hello");
    let (authority, world) = secure(&app);
    let mut plain = Client::connect(world.address);
    plain.send(&format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n"));
    assert!(!plain.rest().unwrap_or_default().contains("HTTP"));
    drop(TcpStream::connect(world.address).unwrap());
    world.eventually("both are counted", || {
        (handshakes(&world, "not_tls"), handshakes(&world, "gone")) == (1, 1)
    });
    assert_eq!(authority.connect(world.address).get("/").status(), 200);
    assert_eq!(handshakes(&world, "full"), 1);
}

#[test]
fn clients_in_clear_text_are_sent_to_the_port_of_tls_and_get_nothing_else() {
    let app = App::saying("hello");
    let authority = Authority::new();
    let plain = ListenerConfig { redirect_to_https: true, ..Setup::new(&[]).listener };
    let world = Setup { listener: plain, others: vec![listener(&authority.tls())], ..setup(&app) }.start();
    let port = world.addresses[1].port();
    let mut client = world.connect();
    for (target, expected) in [
        ("/", "/"),
        ("/a/b?c=%20d", "/a/b?c=%20d"),
        ("/.cutover/version", "/.cutover/version"),
        ("http://x.test:8080/abs?q", "/abs?q"),
    ] {
        client.send(&format!("GET {target} HTTP/1.1\r\nHost: x.test:8080\r\n\r\n"));
        let answer = client.answer();
        assert_eq!(answer.status(), 308);
        let expected = format!("https://x.test:{port}{expected}");
        assert_eq!(answer.field("location"), Some(expected.as_str()), "{target}");
        assert_eq!(answer.field("set-cookie"), None);
    }
    client.send("OPTIONS * HTTP/1.1\r\nHost: x.test\r\n\r\n");
    assert_eq!(client.answer().field("location"), Some(format!("https://x.test:{port}/").as_str()));
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().status(), 400, "nobody knows which host is meant");
    assert!(app.is_idle());
    assert_eq!(authority.connect(world.addresses[1]).get("/").status(), 200);
}

#[test]
fn who_came_over_tls_to_a_trusted_proxy_is_not_sent_there_again() {
    let app = App::saying("hello");
    let told = "GET / HTTP/1.1\r\nHost: x.test\r\nX-Forwarded-Proto: https\r\n\r\n";
    let world = setup(&app).listener(|listener| listener.redirect_to_https = true).trusting().start();
    assert_eq!(world.connect().send(told).answer().body, "hello");
    assert_eq!(world.connect().get("/").status(), 308);
    let world = setup(&app).listener(|listener| listener.redirect_to_https = true).start();
    assert_eq!(world.connect().send(told).answer().status(), 308, "anybody may say that");
}

#[test]
fn a_stop_waits_for_no_handshake_and_says_the_end_to_those_who_idle() {
    let app = App::saying("hello");
    let (authority, world) = secure(&app);
    let _stuck = TcpStream::connect(world.address).unwrap();
    let mut client = authority.connect(world.address);
    client.get("/");
    let began = Instant::now();
    world.shutdown(SOON);
    assert_eq!(client.rest().unwrap(), "");
    assert_eq!(world.ended(), 0);
    assert!(began.elapsed() < SOON / 2);
}
