//! Backends that speak HTTP/2: requests share connections, and none is lost where one of them ends.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cutover_core::command::Finding;
use cutover_core::policy::UpstreamProtocol::{H2c, HttpsH2};
use cutover_core::time::Millis;
use h2::Reason;
use h2::server::Builder;
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::{Notify, Semaphore};

use crate::app::App;
use crate::backend::{Backend, Call, Certificate, send_all};
use crate::client::Client;
use crate::world::{SOON, Setup, World, up};

const POST: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";

/// Says what came.
async fn echo(mut call: Call) {
    let (body, _) = call.body().await;
    let mut stream = call.begin(Response::new(()));
    send_all(&mut stream, body.into(), true).await;
}

/// Sends a request on each of so many connections, and answers what came for each.
fn at_once(world: &World, count: usize) -> Vec<(u16, String)> {
    let mut clients: Vec<Client> = (0..count).map(|_| world.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    let answers = clients.iter_mut().map(|client| client.answer());
    answers.map(|answer| (answer.status(), answer.body)).collect()
}

#[test]
fn a_request_is_said_in_http_2() {
    let heard = Arc::new(Mutex::new(None));
    let hears = Arc::clone(&heard);
    let app = Backend::h2c(move |mut call| {
        let hears = Arc::clone(&hears);
        async move {
            let head =
                (call.request.method().clone(), call.request.uri().clone(), call.request.headers().clone());
            let (body, _) = call.body().await;
            *hears.lock().unwrap() = Some((head, body));
            let mut stream = call.begin(Response::builder().status(201).header("x-a", "1").body(()).unwrap());
            stream.send_data(Bytes::from_static(b"made"), true).unwrap();
        }
    });
    let world = app.alone(H2c).start();
    let mut client = world.connect();
    client.send("POST /a?b=c HTTP/1.1\r\nHost: app.test\r\nConnection: x-b\r\nX-B: 1\r\nX-C: 2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.body.as_str(), answer.field("x-a")), (201, "made", Some("1")));
    let ((method, uri, fields), body) = heard.lock().unwrap().take().unwrap();
    assert_eq!((method.as_str(), uri.to_string().as_str()), ("POST", "http://app.test/a?b=c"));
    assert_eq!(body, b"abc");
    assert_eq!(fields["x-c"], "2");
    assert!(
        ["connection", "x-b", "transfer-encoding", "host"].iter().all(|name| !fields.contains_key(*name))
    );
}

#[test]
fn large_bodies_pass_both_ways() {
    let app = Backend::h2c(echo);
    let world = app.alone(H2c).start();
    let body = "0123456789abcdef".repeat(1 << 17);
    let mut client = world.connect();
    client.send(&format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()));
    let mut sender = client.sender();
    let sent = body.clone();
    let sending = std::thread::spawn(move || sender.write_all(sent.as_bytes()).unwrap());
    assert!(client.answer().body == body);
    sending.join().unwrap();
}

#[test]
fn trailers_reach_clients_that_want_them() {
    let app = Backend::h2c(async |mut call: Call| {
        let mut stream = call.begin(Response::new(()));
        send_all(&mut stream, Bytes::from_static(b"hello"), false).await;
        let trailers: HeaderMap = [("x-sum".parse().unwrap(), "7".parse().unwrap())].into_iter().collect();
        stream.send_trailers(trailers).unwrap();
    });
    let world = app.alone(H2c).start();
    let mut client = world.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n");
    let answer = client.rest().unwrap();
    assert!(answer.ends_with("5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n"), "{answer}");
}

#[test]
fn an_early_hint_passes() {
    let app = Backend::h2c(async |mut call: Call| {
        let hint =
            Response::builder().status(StatusCode::EARLY_HINTS).header("link", "</a.css>").body(()).unwrap();
        call.respond.send_informational(hint).unwrap();
        call.say("late");
    });
    let world = app.alone(H2c).start();
    let mut client = world.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((client.head().status(), client.answer().body.as_str()), (103, "late"));
}

#[test]
fn requests_share_a_connection() {
    let gate = Arc::new(Semaphore::new(0));
    let opens = Arc::clone(&gate);
    let app = Backend::h2c(move |mut call| {
        let gate = Arc::clone(&gate);
        async move {
            if call.nth == 50 {
                gate.add_permits(50);
            }
            // None is answered before all of them are there.
            drop(gate.acquire().await.unwrap());
            call.say("ok");
        }
    });
    let world = app.alone(H2c).start();
    assert!(at_once(&world, 50).iter().all(|answer| *answer == (200, "ok".to_owned())));
    assert_eq!(app.connections(), 1);
    drop(opens);
}

#[test]
fn a_backend_that_takes_one_stream_at_a_time_gets_more_connections() {
    let app = Backend::h2(Builder::new().max_concurrent_streams(1).clone(), None, slow);
    let world = app.alone(H2c).start();
    assert!(at_once(&world, 4).iter().all(|answer| answer.0 == 200));
    assert_eq!((app.connections(), app.calls()), (4, 4));
}

#[test]
fn where_no_more_connections_may_be_opened_requests_wait_for_each_other() {
    let app = Backend::h2(Builder::new().max_concurrent_streams(1).clone(), None, slow);
    let world = app.alone(H2c).policy(|policy| policy.upstream.max_connections = 1).start();
    assert!(at_once(&world, 4).iter().all(|answer| answer.0 == 200));
    assert_eq!((app.connections(), app.calls()), (1, 4));
}

async fn slow(mut call: Call) {
    tokio::time::sleep(Duration::from_millis(50)).await;
    call.say("ok");
}

#[test]
fn a_stream_that_is_refused_is_tried_again_whatever_it_asks() {
    let app = Backend::h2c(async |mut call: Call| match call.nth {
        1 => call.respond.send_reset(Reason::REFUSED_STREAM),
        _ => echo(call).await,
    });
    let world = app.alone(H2c).start();
    let answer = world.connect().send(POST).answer();
    assert_eq!((answer.status(), answer.body.as_str()), (200, "body"));
    assert!(world.set().backends[0].is_sendable());
}

#[test]
fn a_backend_that_refuses_everything_is_not_asked_for_ever() {
    let app = Backend::h2c(async |mut call: Call| call.respond.send_reset(Reason::REFUSED_STREAM));
    let world = app.alone(H2c).start();
    assert_eq!(world.connect().send(POST).answer().status(), 502);
    assert!(app.calls() < 8, "{}", app.calls());
}

#[test]
fn a_stream_that_is_reset_fails_alone() {
    let go = Arc::new(Notify::new());
    let gone = Arc::clone(&go);
    let app = Backend::h2c(move |mut call| {
        let go = Arc::clone(&go);
        async move {
            if call.request.uri().path() == "/bad" {
                call.respond.send_reset(Reason::INTERNAL_ERROR);
            } else {
                go.notified().await;
                call.say("ok");
            }
        }
    });
    let world = app.alone(H2c).policy(|policy| policy.upstream.retries = 0).start();
    let mut good = world.connect();
    good.send("GET /good HTTP/1.1\r\nHost: x\r\n\r\n");
    world.eventually("it is there", || app.calls() == 1);
    assert_eq!(
        world.connect().send("POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").answer().status(),
        502
    );
    gone.notify_one();
    assert_eq!(good.answer().body, "ok");
}

#[test]
fn a_backend_that_goes_away_finishes_what_it_has() {
    let go = Arc::new(Notify::new());
    let finish = Arc::clone(&go);
    let app = Backend::h2c(move |mut call| {
        let go = Arc::clone(&go);
        async move {
            if call.nth == 1 {
                call.go_away();
                go.notified().await;
            }
            let text = format!("{}", call.connection);
            call.say(text);
        }
    });
    let world = app.alone(H2c).start();
    let mut first = world.connect();
    first.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    world.eventually("it is there", || app.calls() == 1);
    world.eventually("another connection takes the next ones", || {
        let answer = world.connect().send(POST).answer();
        assert_eq!(answer.status(), 200);
        answer.body == "2"
    });
    finish.notify_one();
    assert_eq!(first.answer().body, "1");
    assert!(world.set().backends[0].is_sendable(), "it said goodbye");
}

#[test]
fn a_connection_that_breaks_under_its_streams_is_a_sign() {
    let app = Backend::h2c(async |call: Call| call.hang_up());
    let world = app.alone(H2c).policy(|policy| policy.upstream.retries = 0).start();
    assert_eq!(world.connect().send(POST).answer().status(), 502);
    // The streams may be told of their end before the connection is known to be over.
    world.eventually("the process is suspected", || !world.set().backends[0].is_sendable());
    assert!(world.take_alarm());
}

#[test]
fn an_idle_connection_that_ends_is_a_sign() {
    let app = Backend::h2c(async |mut call: Call| {
        call.say("ok");
        tokio::time::sleep(Duration::from_millis(50)).await;
        call.hang_up();
    });
    let world = app.alone(H2c).start();
    assert_eq!(world.connect().get("/").body, "ok");
    world.eventually("the process is suspected", || !world.set().backends[0].is_sendable());
    world.eventually("the connection is over", || world.set().backends[0].traffic.connections() == 0);
}

#[test]
fn a_connection_to_a_process_of_before_is_closed() {
    let app = Backend::h2c(echo);
    let world = app.alone(H2c).start();
    assert_eq!(world.connect().send(POST).answer().body, "body");
    world.probed("a", Finding::Down);
    world.probed("a", up("v1"));
    assert_eq!(world.connect().send(POST).answer().body, "body");
    assert_eq!(app.connections(), 2);
    world.eventually("the old one is closed", || world.set().backends[0].traffic.connections() == 1);
}

#[test]
fn a_connection_without_streams_is_closed_in_time() {
    let app = Backend::h2c(echo);
    let world = app.alone(H2c).policy(|policy| policy.upstream.idle_timeout = Millis(100)).start();
    assert_eq!(world.connect().send(POST).answer().body, "body");
    world.eventually("it is closed", || world.set().backends[0].traffic.connections() == 0);
    assert!(world.set().backends[0].is_sendable(), "that was us");
}

#[test]
fn a_client_that_leaves_takes_its_stream_along_and_nothing_else() {
    let was_reset = Arc::new(AtomicBool::new(false));
    let notes = Arc::clone(&was_reset);
    let app = Backend::h2c(move |mut call| {
        let notes = Arc::clone(&notes);
        async move {
            if call.nth > 1 {
                return call.say("ok");
            }
            let reason = std::future::poll_fn(|cx| call.respond.poll_reset(cx)).await;
            notes.store(reason.is_ok_and(|reason| reason == Reason::CANCEL), Relaxed);
        }
    });
    let world = app.alone(H2c).start();
    let mut client = world.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    world.eventually("it is there", || app.calls() == 1);
    client.reset();
    world.eventually("the stream is cancelled", || was_reset.load(Relaxed));
    assert_eq!(world.connect().get("/").body, "ok");
    assert_eq!(app.connections(), 1);
}

#[test]
fn a_backend_without_http_2_is_a_bad_gateway() {
    let app = App::answering(&["HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"; 8]);
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")])
        .policy(|policy| {
            policy.upstream.protocol = H2c;
            policy.upstream.connect_timeout = Millis(300);
        })
        .start();
    assert_eq!(world.connect().get("/").status(), 502);
    assert!(world.metrics().contains(r#"cutover_upstream_errors_total{kind="http2",service="web"}"#));
}

#[test]
fn http_2_over_tls_must_be_agreed_on() {
    let certificate = Certificate::of("127.0.0.1");
    for (alpn, status) in [(&["h2", "http/1.1"][..], 200), (&["http/1.1"], 502), (&[], 502)] {
        let app = Backend::h2(Builder::new(), Some(certificate.acceptor(alpn)), echo);
        let world = app.alone(HttpsH2).policy(|policy| certificate.believe(policy)).start();
        let answer = world.connect().send(POST).answer();
        assert_eq!(answer.status(), status, "{alpn:?}");
        let tls_errors = r#"cutover_upstream_errors_total{kind="tls",service="web"} 1"#;
        assert_eq!(world.metrics().contains(tls_errors), status == 502);
    }
}

#[test]
fn large_bodies_pass_over_tls_too() {
    let certificate = Certificate::of("127.0.0.1");
    let app = Backend::h2(Builder::new(), Some(certificate.acceptor(&["h2"])), echo);
    let world = app.alone(HttpsH2).policy(|policy| certificate.believe(policy)).start();
    let body = "0123456789abcdef".repeat(1 << 16);
    let mut client = world.connect();
    client.send(&format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()));
    let mut sender = client.sender();
    let sent = body.clone();
    let sending = std::thread::spawn(move || sender.write_all(sent.as_bytes()).unwrap());
    assert!(client.answer().body == body);
    sending.join().unwrap();
}

/// Frames of HTTP/2, one by one: its type and its flags (RFC 9113 section 4.1).
fn frame(stream: &mut impl Read) -> (u8, u8) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    stream.read_exact(&mut vec![0; length as usize]).unwrap();
    (head[3], head[4])
}

#[test]
fn a_backend_that_does_not_answer_is_asked_whether_it_is_there() {
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    const SETTINGS_ACK: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let app = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.read_exact(&mut [0; 24]).unwrap();
        stream.write_all(&[SETTINGS, SETTINGS_ACK].concat()).unwrap();
        // A PING that is no answer to one of ours, behind HEADERS and the RST_STREAM that takes them back.
        let mut seen = Vec::new();
        while seen.last() != Some(&(6, 0)) {
            seen.push(frame(&mut stream));
        }
        seen.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>()
    });
    let world = Setup::new(&[("a", &address.to_string(), "v1")])
        .policy(|policy| {
            policy.upstream.protocol = H2c;
            policy.upstream.response_timeout = Millis(100);
        })
        .start();
    assert_eq!(world.connect().get("/").status(), 504);
    let seen = app.join().unwrap();
    assert!(seen.contains(&1) && seen.contains(&3), "{seen:?}");
}
