//! Connections that begin by telling whose they are: the PROXY protocol.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use cutover_core::policy::ProxyProtocol;
use cutover_core::proxy_protocol::{Endpoints, header};

use crate::app::App;
use crate::client::Client;
use crate::message::Message;
use crate::secured::{Authority, Secured};
use crate::world::{Setup, World};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

fn setup(app: &App) -> Setup {
    let setup = Setup::new(&[("a", &app.address.to_string(), "v1")]);
    setup.trusting().listener(|listener| listener.proxy_protocol = true)
}

/// A connection that begins with these bytes.
fn connect(world: &World, start: &[u8]) -> Client {
    let mut client = world.connect();
    client.send_bytes(start);
    client
}

/// A header for a connection of `client`.
fn of(version: ProxyProtocol, client: &str) -> Vec<u8> {
    let destination: SocketAddr = "10.0.0.1:80".parse().unwrap();
    header(version, Some(Endpoints { source: client.parse().unwrap(), destination }))
}

/// What the app hears of a GET with these fields behind this header.
fn heard(world: &World, app: &App, start: &[u8], fields: &str) -> Message {
    let get = format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    let mut client = connect(world, &[start, get.as_bytes()].concat());
    assert_eq!(client.answer().status(), 200);
    app.heard()
}

/// Whether the proxy closes without a word.
fn is_closed(mut client: Client) -> bool {
    client.rest().map_or(true, |rest| rest.is_empty())
}

fn is_refused(world: &World, reason: &str, times: u32) {
    let line = format!("cutover_connections_refused_total{{reason=\"{reason}\"}} {times}\n");
    world.eventually("it is counted", || world.metrics().contains(&line));
}

#[test]
fn the_client_is_the_one_that_is_told() {
    let app = App::saying("ok");
    let world = setup(&app).start();
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        for (client, address) in [("203.0.113.9:4711", "203.0.113.9"), ("[2001:db8::9]:1", "2001:db8::9")] {
            let heard = heard(&world, &app, &of(version, client), "");
            assert_eq!(heard.field("x-forwarded-for"), Some(address));
        }
    }
}

#[test]
fn claims_are_judged_by_the_client_that_is_told() {
    let app = App::saying("ok");
    let world = setup(&app).start();
    let claim = "X-Forwarded-For: 6.6.6.6\r\n";
    let told = |start: &[u8]| heard(&world, &app, start, claim).field("x-forwarded-for").unwrap().to_owned();
    assert_eq!(told(&of(ProxyProtocol::V1, "203.0.113.9:1")), "203.0.113.9", "it only passes that on");
    assert_eq!(told(&of(ProxyProtocol::V2, "127.9.9.9:1")), "6.6.6.6, 127.9.9.9", "another trusted proxy");
    assert_eq!(told(b"PROXY UNKNOWN\r\n"), "127.0.0.1", "nobody vouches for a client that is not known");
    assert_eq!(told(&header(ProxyProtocol::V2, None)), "6.6.6.6, 127.0.0.1", "the sender's own connection");
}

#[test]
fn a_header_may_come_in_pieces() {
    let app = App::saying("ok");
    let world = setup(&app).start();
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        let header = of(version, "203.0.113.9:4711");
        let mut client = world.connect();
        for piece in header.chunks(5) {
            client.send_bytes(piece);
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(client.send(GET).answer().status(), 200);
        assert_eq!(app.heard().field("x-forwarded-for"), Some("203.0.113.9"));
    }
}

#[test]
fn who_has_to_tell_and_does_not_is_refused() {
    let app = App::saying("ok");
    let world = setup(&app).start();
    assert!(is_closed(connect(&world, GET.as_bytes())));
    assert!(is_closed(connect(&world, b"PROXY TCP4 1.2.3.4\r\n")));
    assert!(is_closed(connect(&world, b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0")));
    is_refused(&world, "proxy_header", 3);
    assert!(app.is_idle());
}

#[test]
fn who_tells_nothing_in_time_is_refused() {
    let app = App::saying("ok");
    let world = setup(&app).limits(|limits| limits.header_timeout = Duration::from_millis(50)).start();
    assert!(is_closed(world.connect()));
    assert!(is_closed(connect(&world, b"PROXY ")));
    is_refused(&world, "proxy_header_timeout", 2);
}

#[test]
fn who_may_not_tell_is_refused_and_served_without() {
    let app = App::saying("ok");
    let world = setup(&app).listener(|listener| listener.trusted_proxies.clear()).start();
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        assert!(is_closed(connect(&world, &of(version, "203.0.113.9:4711"))));
    }
    is_refused(&world, "untrusted_proxy", 2);
    assert!(app.is_idle());
    assert_eq!(world.connect().get("/").status(), 200);
    assert_eq!(app.heard().field("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn the_header_comes_before_tls() {
    let (app, authority) = (App::saying("ok"), Authority::new());
    let world = setup(&app).listener(|listener| listener.tls = Some(authority.tls())).start();
    let mut stream = TcpStream::connect(world.address).unwrap();
    stream.write_all(&of(ProxyProtocol::V2, "203.0.113.9:4711")).unwrap();
    let mut client = Secured::over(stream, &Arc::new(authority.stranger())).unwrap();
    assert_eq!(client.get("/").status(), 200);
    assert_eq!(app.heard().field("x-forwarded-for"), Some("203.0.113.9"));
}

#[test]
fn the_log_names_the_client_that_is_told() {
    let app = App::saying("ok");
    let world = setup(&app).logging(cutover_proxy::access_log::Format::Combined).start();
    heard(&world, &app, &of(ProxyProtocol::V1, "203.0.113.9:4711"), "");
    world.eventually("it is logged", || world.logged().starts_with("203.0.113.9 "));
}

#[test]
fn a_connection_before_its_header_does_not_keep_the_proxy_from_ending() {
    let app = App::saying("ok");
    let world = setup(&app).start();
    let _silent = world.connect();
    world.eventually("it is there", || world.metrics().contains("cutover_connections 1\n"));
    world.shutdown(Duration::from_secs(8));
    assert_eq!(world.ended(), 0, "it need not be cut");
}
