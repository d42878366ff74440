//! Backends that are told whose connections they get: the PROXY protocol, as it is sent.

use std::io::{BufRead, Read};

use cutover_core::policy::ProxyProtocol;
use cutover_core::proxy_protocol::SIGNATURE;

use crate::app::{App, Visit};
use crate::http2;
use crate::message::Message;
use crate::secured::{Authority, listener};
use crate::world::{Setup, World};

/// An app that wants the header of this version, and says what it told in place of the request line.
fn app(version: ProxyProtocol) -> App {
    App::playing(move |mut visit| {
        let told = match version {
            ProxyProtocol::V1 => line(&mut visit),
            ProxyProtocol::V2 => block(&mut visit),
        };
        while let Some(mut request) = visit.head() {
            request.start.clone_from(&told);
            if visit.body_of(&mut request).is_none() || !visit.say("ok") {
                return;
            }
        }
    })
}

fn line(visit: &mut Visit) -> String {
    let mut line = String::new();
    visit.stream().read_line(&mut line).unwrap();
    line.strip_prefix("PROXY ").and_then(|rest| rest.strip_suffix("\r\n")).unwrap().to_owned()
}

/// The same words for a block of IPv4.
fn block(visit: &mut Visit) -> String {
    let mut block = [0; 28];
    visit.stream().read_exact(&mut block).unwrap();
    assert_eq!((&block[..12], &block[12..16]), (&SIGNATURE[..], &[0x21, 0x11, 0, 12][..]));
    let ip = |at: usize| block[at..at + 4].iter().map(u8::to_string).collect::<Vec<_>>().join(".");
    let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    format!("TCP4 {} {} {} {}", ip(16), ip(20), port(24), port(26))
}

fn setup(app: &App, version: ProxyProtocol) -> Setup {
    let setup = Setup::new(&[("a", &app.address.to_string(), "v1")]);
    setup.policy(|policy| policy.upstream.proxy_protocol = Some(version))
}

/// What the app is told of a request on a connection of its own, whose port is also answered.
fn told(world: &World, app: &App) -> (String, u16) {
    let mut client = world.connect();
    let port = client.sender().local_addr().unwrap().port();
    assert_eq!(client.get("/").status(), 200);
    let Message { start, .. } = app.heard();
    (start, port)
}

#[test]
fn a_backend_is_told_the_client() {
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        let app = app(version);
        let world = setup(&app, version).start();
        let (told, port) = told(&world, &app);
        assert_eq!(told, format!("TCP4 127.0.0.1 127.0.0.1 {port} {}", world.address.port()));
    }
}

#[test]
fn it_is_told_where_the_client_went_under_tls_and_on_a_stream_too() {
    let app = app(ProxyProtocol::V1);
    let setup = || setup(&app, ProxyProtocol::V1);

    let world = setup().start();
    assert_eq!(http2::Client::connect(world.address).get("/").status, 200);
    let went = |told: &str, world: &World| {
        let port = world.address.port().to_string();
        assert_eq!(
            (told.split(' ').nth(2), told.split(' ').nth(4)),
            (Some("127.0.0.1"), Some(&*port)),
            "{told}"
        );
    };
    went(&app.heard().start, &world);

    let authority = Authority::new();
    let world = Setup { listener: listener(&authority.tls()), ..setup() }.start();
    assert_eq!(authority.connect(world.address).get("/").status(), 200);
    went(&app.heard().start, &world);
}

#[test]
fn a_connection_serves_the_client_that_it_was_told_of_and_no_other() {
    let app = app(ProxyProtocol::V1);
    let world = setup(&app, ProxyProtocol::V1).start();
    let mut client = world.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/").status(), 200);
    }
    assert_eq!(app.connections(), 1);
    let ports: Vec<_> = std::iter::repeat_with(|| app.heard().start).take(3).collect();
    let (other, port) = told(&world, &app);
    assert!(other.contains(&port.to_string()) && !ports.contains(&other));
    assert_eq!(app.connections(), 2);
}

#[test]
fn a_client_that_another_proxy_speaks_for_has_no_port() {
    let app = app(ProxyProtocol::V1);
    let world = setup(&app, ProxyProtocol::V1).trusting().start();
    let get = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";
    assert_eq!(world.connect().send(get).answer().status(), 200);
    let port = world.address.port();
    assert_eq!(app.heard().start, format!("TCP4 203.0.113.9 127.0.0.1 0 {port}"));
}

#[test]
fn what_was_told_to_us_is_told_on() {
    let app = app(ProxyProtocol::V2);
    let setup = setup(&app, ProxyProtocol::V2).trusting();
    let world = setup.listener(|listener| listener.proxy_protocol = true).start();
    let mut client = world.connect();
    client.send("PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n");
    assert_eq!(client.get("/").status(), 200);
    assert_eq!(app.heard().start, "TCP4 203.0.113.9 198.51.100.1 4711 443");
}
