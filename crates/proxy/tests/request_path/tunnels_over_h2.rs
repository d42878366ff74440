//! Tunnels to backends that speak HTTP/2 (RFC 8441), from clients of both kinds: both ways, and whichever side ends first.

use std::future::poll_fn;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use cutover_core::policy::UpstreamProtocol::H2c;
use h2::server::Builder;
use h2::{Reason, RecvStream};
use http::{Method, Response, StatusCode};

use crate::app::App;
use crate::backend::{Backend, Call, send_all};
use crate::client::Client;
use crate::http2;
use crate::world::{Setup, World};

/// A text frame as a server and as a client sends it.
const HI: &[u8] = b"\x81\x02hi";
const MASKED_HI: &[u8] = b"\x81\x82\0\0\0\0hi";
/// The same of a close frame with code 1000.
const CLOSE: &[u8] = b"\x88\x02\x03\xe8";
const MASKED_CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

#[test]
fn an_upgrade_carries_bytes_both_ways_until_the_client_ends_it() {
    let app = tunnels(echo);
    let world = app.alone(H2c).start();
    let mut client = open(&world, "shout", "Content-Length: 0\r\n");
    for word in ["one", "two", "three"] {
        assert_eq!(client.send(word).bytes(word.len()), word);
    }
    assert_eq!(world.tunnels("v1"), 1);
    client.half_close();
    assert_eq!(client.rest().unwrap(), "bye");
    is_over_and_nobody_is_blamed(&world);
}

#[test]
fn what_a_client_says_before_it_is_answered_is_carried_too() {
    let app = tunnels(echo);
    let world = app.alone(H2c).start();
    let mut client = world.connect();
    client.send(&format!("{}early", upgrade("shout", "")));
    assert_eq!(client.head().status(), 101);
    assert_eq!(client.bytes(5), "early");
}

#[test]
fn a_websocket_of_http1_says_goodbye_first() {
    let app = tunnels(websocket);
    let world = app.alone(H2c).start();
    let mut client = open(&world, "websocket", "");
    client.send_bytes(MASKED_HI);
    let mut heard = [0; HI.len()];
    client.stream().read_exact(&mut heard).unwrap();
    assert_eq!(heard, HI);
    client.send_bytes(MASKED_CLOSE);
    assert_eq!(rest(&mut client), CLOSE);
    client.half_close();
    is_over_and_nobody_is_blamed(&world);
}

#[test]
fn a_backend_may_end_a_websocket_of_http1_with_a_goodbye_or_without() {
    for last in [HI, CLOSE] {
        let app = tunnels(async move |mut call: Call| {
            let mut stream = call.begin(Response::new(()));
            stream.send_data(Bytes::from_static(last), true).unwrap();
            call.body().await;
        });
        let world = app.alone(H2c).start();
        let mut client = open(&world, "websocket", "");
        assert_eq!(rest(&mut client), last);
        client.half_close();
        is_over_and_nobody_is_blamed(&world);
    }
}

#[test]
fn a_websocket_of_http2_says_goodbye_first() {
    let app = tunnels(websocket);
    let world = app.alone(H2c).start();
    let mut client = http2::Client::connect(world.address);
    let (answer, mut stream) = client.send(client.tunnel("/chat", "websocket"), false);
    let (head, mut back) = client.wait(answer).unwrap().into_parts();
    assert_eq!(head.status, StatusCode::OK);
    for _ in 0..3 {
        stream.send_data(Bytes::from_static(MASKED_HI), false).unwrap();
        assert_eq!(client.wait(read(&mut back, HI.len())), HI);
    }
    assert_eq!(world.tunnels("v1"), 1);
    stream.send_data(Bytes::from_static(MASKED_CLOSE), true).unwrap();
    assert_eq!(client.wait(read(&mut back, usize::MAX)), CLOSE);
    is_over_and_nobody_is_blamed(&world);
}

#[test]
fn a_backend_may_end_a_websocket_of_http2_first() {
    let app = tunnels(async |mut call: Call| {
        let mut stream = call.begin(Response::new(()));
        stream.send_data(Bytes::from_static(CLOSE), true).unwrap();
        assert_eq!(call.body().await.0, MASKED_CLOSE);
    });
    let world = app.alone(H2c).start();
    let mut client = http2::Client::connect(world.address);
    let (answer, mut stream) = client.send(client.tunnel("/chat", "websocket"), false);
    let (_, mut back) = client.wait(answer).unwrap().into_parts();
    assert_eq!(client.wait(read(&mut back, usize::MAX)), CLOSE);
    stream.send_data(Bytes::from_static(MASKED_CLOSE), true).unwrap();
    is_over_and_nobody_is_blamed(&world);
}

#[test]
fn a_websocket_in_a_stream_is_over_soon_when_its_backend_has_closed() {
    let app = App::answering(&[
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x02hi\x08\x00",
    ]);
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")]).start();
    let mut client = http2::Client::connect(world.address);
    let (answer, mut stream) = client.send(client.tunnel("/chat", "websocket"), false);
    let (_, mut back) = client.wait(answer).unwrap().into_parts();
    assert_eq!(client.wait(read(&mut back, usize::MAX)), b"\x01\x02hi\x08\x00");
    let reason = client.wait(poll_fn(|cx| stream.poll_reset(cx))).unwrap();
    assert_eq!(reason, Reason::NO_ERROR);
    world.eventually("the tunnel is over", || world.tunnels("v1") == 0 && world.in_flight("v1") == 0);
}

#[test]
fn a_stream_that_the_backend_has_ended_and_given_up_ends_its_tunnel() {
    let app = tunnels(async |mut call: Call| {
        let mut stream = call.begin(Response::new(()));
        stream.send_data(Bytes::from_static(b"bye"), true).unwrap();
        // What is dropped with a half that is open is reset by NO_ERROR.
    });
    let world = app.alone(H2c).start();
    let mut client = open(&world, "shout", "");
    assert_eq!(client.rest().unwrap(), "bye");
    is_over_and_nobody_is_blamed(&world);
}

#[test]
fn a_refused_tunnel_is_an_answer_behind_which_nothing_is_sent() {
    let was_ended = Arc::new(AtomicBool::new(false));
    let notes = Arc::clone(&was_ended);
    let app = tunnels(move |mut call| {
        let notes = Arc::clone(&notes);
        async move {
            assert_eq!(call.request.method(), Method::CONNECT);
            let mut stream = call.begin(Response::builder().status(403).body(()).unwrap());
            stream.send_data(Bytes::from_static(b"not you"), true).unwrap();
            let (body, _) = call.body().await;
            // And not broken off.
            notes.store(body.is_empty() && call.request.body().is_end_stream(), Relaxed);
        }
    });
    let world = app.alone(H2c).start();
    let mut client = world.connect();
    let answer = client.send(&upgrade("websocket", "")).answer();
    assert_eq!((answer.status(), answer.body.as_str()), (403, "not you"));
    world.eventually("the stream is ended", || was_ended.load(Relaxed));
    is_over_and_nobody_is_blamed(&world);
}

/// A backend that lets its clients open tunnels.
fn tunnels<F>(script: impl Fn(Call) -> F + Send + Sync + 'static) -> Backend
where
    F: Future<Output = ()> + Send + 'static,
{
    Backend::h2(Builder::new().enable_connect_protocol().clone(), None, script)
}

/// Sends back what comes, and "bye" at its end.
async fn echo(mut call: Call) {
    let mut stream = call.begin(Response::new(()));
    let body = call.request.body_mut();
    while let Some(Ok(piece)) = body.data().await {
        drop(body.flow_control().release_capacity(piece.len()));
        send_all(&mut stream, piece, false).await;
    }
    send_all(&mut stream, Bytes::from_static(b"bye"), true).await;
}

/// Answers each message with itself, and a goodbye with one.
async fn websocket(mut call: Call) {
    let mut stream = call.begin(Response::new(()));
    let body = call.request.body_mut();
    loop {
        let heard = read(body, MASKED_HI.len()).await;
        if heard == MASKED_CLOSE {
            return send_all(&mut stream, Bytes::from_static(CLOSE), true).await;
        }
        assert_eq!(heard, MASKED_HI);
        send_all(&mut stream, Bytes::from_static(HI), false).await;
    }
}

/// Reads so many bytes, or all that come before the end. None of them may have come together with others.
async fn read(stream: &mut RecvStream, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < len
        && let Some(piece) = stream.data().await
    {
        let piece = piece.unwrap();
        drop(stream.flow_control().release_capacity(piece.len()));
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// What a client of HTTP/1.1 gets before the end.
fn rest(client: &mut Client) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.stream().read_to_end(&mut bytes).unwrap();
    bytes
}

fn upgrade(protocol: &str, fields: &str) -> String {
    format!("GET /chat HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n{fields}\r\n")
}

/// A client of HTTP/1.1 with an open tunnel.
fn open(world: &World, protocol: &str, fields: &str) -> Client {
    let mut client = world.connect();
    let head = client.send(&upgrade(protocol, fields)).head();
    assert_eq!((head.status(), head.field("upgrade")), (101, Some(protocol)));
    client
}

fn is_over_and_nobody_is_blamed(world: &World) {
    world.eventually("the tunnel is over", || world.tunnels("v1") == 0 && world.in_flight("v1") == 0);
    assert!(world.set().backends[0].is_sendable());
    assert_eq!(world.set().backends[0].traffic.consecutive_errors(), 0);
}
