//! Streams of HTTP/2 that one side gives up, while everything else of their connections goes on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use cutover_core::policy::UpstreamProtocol::H2c;
use h2::Reason;
use http::{HeaderMap, Method, Response};

use crate::app::App;
use crate::backend::{Backend, Call, send_all};
use crate::http2::{Client, get, request};
use crate::world::{SOON, Setup, World};

/// A service whose only backend speaks HTTP/1.1.
fn world(app: &App) -> World {
    Setup::new(&[("a", &app.address.to_string(), "v1")]).start()
}

#[test]
fn a_call_that_its_client_cancels_is_cancelled_at_the_backend() {
    let was_cancelled = Arc::new(AtomicBool::new(false));
    let notes = Arc::clone(&was_cancelled);
    let app = Backend::h2c(move |mut call| {
        let notes = Arc::clone(&notes);
        async move {
            let mut stream = call.begin(Response::new(()));
            stream.send_data(Bytes::from_static(b"one"), false).unwrap();
            let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
            notes.store(reason.is_ok_and(|reason| reason == Reason::CANCEL), Relaxed);
        }
    });
    let world = app.alone(H2c).start();
    let mut client = Client::connect(world.address);
    // Both sides have said something, and neither has said that this was all.
    let (answer, mut stream) = client.send(request(Method::POST, "/shop.Cart/Watch"), false);
    stream.send_data(Bytes::from_static(b"hi"), false).unwrap();
    let (_, mut body) = client.wait(answer).unwrap().into_parts();
    assert_eq!(client.wait(body.data()).unwrap().unwrap(), "one");
    stream.send_reset(Reason::CANCEL);
    world.eventually("nothing is in flight", || world.in_flight("v1") == 0);
    world.eventually("the backend knows", || was_cancelled.load(Relaxed));
    assert!(world.set().backends[0].is_sendable());
}

#[test]
fn a_client_may_give_up_a_body_that_nobody_reads() {
    let app = App::playing(|mut visit| {
        let Some(request) = visit.head() else { return };
        visit.tell(request);
        std::thread::sleep(SOON);
    });
    let world = world(&app);
    let mut client = Client::connect(world.address);
    let (_answer, mut stream) = client.send(request(Method::POST, "/"), false);
    app.heard();
    // More than fits into everything between the two.
    let piece = Bytes::from(vec![0; 64 << 10]);
    let is_stuck = |room: Result<_, tokio::time::error::Elapsed>| room.is_err();
    loop {
        stream.reserve_capacity(piece.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx));
        if client.wait(async { is_stuck(tokio::time::timeout(Duration::from_millis(200), room).await) }) {
            break;
        }
        let room = stream.capacity().min(piece.len());
        stream.send_data(piece.slice(..room), false).unwrap();
    }
    assert_eq!(world.in_flight("v1"), 1);
    stream.send_reset(Reason::CANCEL);
    let given_up = std::time::Instant::now();
    world.eventually("nothing is in flight", || world.in_flight("v1") == 0);
    assert!(given_up.elapsed() < Duration::from_secs(5), "{:?}", given_up.elapsed());
}

#[test]
fn a_stream_that_the_backend_resets_says_nothing_about_its_process() {
    let app = Backend::h2c(async |mut call: Call| match call.request.uri().path() {
        "/head" => call.respond.send_reset(Reason::CANCEL),
        "/body" => {
            let mut stream = call.begin(Response::new(()));
            send_all(&mut stream, Bytes::from_static(b"half"), false).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        _ => call.say("ok"),
    });
    let world = app.alone(H2c).policy(|policy| policy.upstream.retries = 0).start();
    let mut client = Client::connect(world.address);
    assert_eq!(client.get("/").body, b"ok");
    assert_eq!(client.get("/head").status, 502);
    assert!(client.exchange(get("/body"), b"", None).is_err());
    assert_eq!(client.get("/").body, b"ok");
    assert!(world.set().backends[0].is_sendable() && !world.take_alarm());
    assert_eq!(app.connections(), 1);
}

#[test]
fn rfc9113_8_1_trailers_may_follow_a_body_whose_length_is_known() {
    let was_reset = Arc::new(AtomicBool::new(false));
    let notes = Arc::clone(&was_reset);
    let app = Backend::h2c(move |mut call: Call| {
        let notes = Arc::clone(&notes);
        async move {
            let head = Response::builder().header("content-length", "5").body(()).unwrap();
            let mut stream = call.begin(head);
            send_all(&mut stream, Bytes::from_static(b"hello"), false).await;
            // They come on their own.
            let early = std::future::poll_fn(|cx| stream.poll_reset(cx));
            if tokio::time::timeout(Duration::from_millis(50), early).await.is_ok() {
                notes.store(true, Relaxed);
                return;
            }
            let trailers: HeaderMap =
                [("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect();
            stream.send_trailers(trailers).unwrap();
        }
    });
    let world = app.alone(H2c).start();
    let answer = Client::connect(world.address).get("/");
    assert!(!was_reset.load(Relaxed), "it was not over");
    assert_eq!((&answer.fields["content-length"], &answer.body[..]), (&"5".parse().unwrap(), &b"hello"[..]));
    assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "0");
    let mut client = world.connect();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.body.as_str(), answer.field("content-length")), ("hello", Some("5")));
    }
}

/// A GOAWAY for `reason` that says that no stream was looked at.
fn goaway(reason: u8) -> Vec<u8> {
    [b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0", &[reason][..]].concat()
}

/// An app that replies to the first request of each connection with the next of these frames.
fn app_replying(replies: Vec<Vec<u8>>) -> (SocketAddr, JoinHandle<()>) {
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let app = std::thread::spawn(move || {
        for reply in replies {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(SOON)).unwrap();
            stream.read_exact(&mut [0; 24]).unwrap();
            stream.write_all(SETTINGS).unwrap();
            let mut head = [0; 9];
            while head[3] != 1 {
                stream.read_exact(&mut head).unwrap();
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                stream.read_exact(&mut vec![0; length as usize]).unwrap();
            }
            stream.write_all(&reply).unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    (address, app)
}

fn over_h2c(address: SocketAddr) -> World {
    let setup = Setup::new(&[("a", &address.to_string(), "v1")]);
    setup.policy(|policy| policy.upstream.protocol = H2c).start()
}

/// `:status: 204`, and nothing behind it.
const ANSWER: &[u8] = b"\0\0\x01\x01\x05\0\0\0\x01\x89";
const POST: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";

#[test]
fn rfc9113_6_8_what_comes_behind_the_last_stream_was_not_looked_at_by_a_backend_that_leaves() {
    let (address, app) = app_replying(vec![goaway(0), ANSWER.to_vec()]);
    assert_eq!(over_h2c(address).connect().send(POST).answer().status(), 204);
    app.join().unwrap();
}

#[test]
fn a_backend_that_goes_away_with_an_error_may_have_looked_at_everything() {
    // The `h2` crate ends every stream of such a connection alike, those that were looked at too.
    let (address, app) = app_replying(vec![goaway(0x0b)]);
    assert_eq!(over_h2c(address).connect().send(POST).answer().status(), 502);
    app.join().unwrap();
}
