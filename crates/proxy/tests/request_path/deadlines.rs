//! Times: each runs for the one who is waited for, and ends what it is about.

use std::time::Duration;

use cutover_core::command::Finding;
use cutover_core::policy::Balance;
use cutover_core::time::Millis;
use cutover_proxy::access_log::Format;

use crate::app::App;
use crate::client::Client;
use crate::http2;
use crate::world::{SOON, Setup, World, up};

const SHORT: Duration = Duration::from_millis(60);
/// Time for an answer, and a while that is longer.
const PATIENCE_MS: u64 = 400;
const LONGER: Duration = Duration::from_millis(500);

fn setup(app: &App) -> Setup {
    Setup::new(&[("a", &app.address.to_string(), "v1")])
}

/// No request is in flight, no connection to the backend open, and nobody blames it.
fn is_over(world: &World) {
    world.eventually("nothing is in flight", || world.in_flight("v1") == 0);
    world.eventually("its connection is closed", || world.set().backends[0].traffic.connections() == 0);
    assert_eq!(world.set().backends[0].traffic.consecutive_errors(), 0, "the backend is not to blame");
}

#[test]
fn a_slow_head_is_no_time_of_the_backend() {
    let app = App::saying("ok");
    let world = setup(&app).policy(|policy| policy.upstream.response_timeout.0 = PATIENCE_MS).start();
    let mut client = world.connect();
    assert_eq!(client.get("/").body, "ok");
    client.send("GET / HTTP/1.1\r\n");
    std::thread::sleep(LONGER);
    assert_eq!(client.send("Host: x\r\n\r\n").answer().status(), 200);
    assert_eq!(world.set().backends[0].traffic.consecutive_errors(), 0);
}

/// An app whose answers take a while between two pieces.
fn pausing(pause: Duration) -> App {
    App::playing(move |mut visit| {
        while visit.request().is_some() {
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
            std::thread::sleep(pause);
            visit.send("cde");
        }
    })
}

#[test]
fn connections_idle_from_the_last_piece_of_an_answer_on() {
    let app = pausing(Duration::from_millis(1500));
    let world = setup(&app)
        .limits(|limits| limits.keepalive_timeout = Duration::from_secs(1))
        .policy(|policy| policy.upstream.idle_timeout = Millis::from_secs(1))
        .start();
    let mut client = world.connect();
    assert_eq!(client.get("/").body, "abcde");
    // Time in which a connection is closed that is thought to have idled under the answer.
    std::thread::sleep(SHORT);
    assert_eq!(client.get("/").body, "abcde");
    assert_eq!(app.connections(), 1);
}

#[test]
fn an_answer_takes_until_its_last_piece() {
    let pause = Duration::from_millis(300);
    let app = pausing(pause);
    let world = setup(&app).logging(Format::Json).start();
    assert_eq!(world.connect().get("/").body, "abcde");
    assert_eq!(http2::Client::connect(world.address).get("/").body, b"abcde");
    world.eventually("both are logged", || world.logged().lines().count() == 2);
    for line in world.logged().lines() {
        let (_, took) = line.split_once(r#""duration_us":"#).unwrap();
        let took_us: u128 = took.split(',').next().unwrap().parse().unwrap();
        assert!(took_us >= pause.as_micros(), "{line}");
    }
}

#[test]
fn a_client_that_waits_for_its_turn_to_send_is_told_once() {
    // Breaks its first connection when the body is there, and takes longer over the second than a client is kept waiting.
    let app = App::playing(|mut visit| {
        visit.request();
        if visit.nth == 2 {
            std::thread::sleep(Duration::from_millis(1200));
            visit.say("ok");
        }
    });
    let address = app.address.to_string();
    let world = Setup::new(&[("a", &address, "v1"), ("b", &address, "v1")])
        .policy(|policy| policy.balance = Balance::RoundRobin)
        .start();
    let mut client = world.connect();
    client.send("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.head().status(), 100);
    let answer = client.send("body").answer();
    assert_eq!((answer.status(), answer.body.as_str()), (200, "ok"));
}

#[test]
fn an_upload_that_stalls_under_an_answer_ends_both() {
    let app = App::playing(|mut visit| {
        visit.head();
        visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
        visit.wait_for_close();
    });
    let world = setup(&app).limits(|limits| limits.body_idle_timeout = SHORT).start();
    let mut client = world.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc");
    assert_eq!(client.head().status(), 200);
    is_over(&world);
}

#[test]
fn a_client_that_takes_no_interim_answer_is_not_the_backends_fault() {
    let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(60_000));
    let app = App::playing(move |mut visit| {
        visit.head();
        while visit.send(&hint) {}
        visit.wait_for_close();
    });
    let world = setup(&app)
        .policy(|policy| policy.upstream.response_timeout.0 = 60)
        .limits(|limits| limits.body_idle_timeout = SHORT)
        .start();
    let mut client = Client::narrow(world.address);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.head().status(), 103);
    is_over(&world);
}

#[test]
fn a_reader_that_stalls_gives_the_backend_free() {
    let app = App::playing(|mut visit| {
        visit.head();
        visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        while visit.send(&chunk) {}
    });
    let world = setup(&app).limits(|limits| limits.body_idle_timeout = SHORT).start();
    let mut clients: Vec<_> = (0..10).map(|_| world.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head().status(), 200);
    }
    is_over(&world);
    world.eventually("they are gone", || world.metrics().contains("cutover_connections 0"));
}

#[test]
fn an_idle_connection_is_idle_whatever_was_read_before() {
    let app = App::saying("ok");
    let world = setup(&app).start();
    let mut client = world.connect();
    // As long as a buffer: a read that fills it does not tell whether there is more.
    let (start, end) = ("GET /.cutover/version HTTP/1.1\r\nHost: x\r\nX: ", "\r\n\r\n");
    let filler = "x".repeat((16 << 10) - start.len() - end.len());
    assert_eq!(client.send(&format!("{start}{filler}{end}")).answer().status(), 200);
    world.shutdown(SOON);
    assert_eq!(world.ended(), 0, "it closes by itself");
}

#[test]
fn who_leaves_the_queue_is_not_waited_with() {
    let app = App::saying("ok");
    let world = setup(&app).policy(|policy| policy.queue_timeout.0 = 60_000).start();
    world.probed("a", Finding::Down);
    let mut clients: Vec<_> = (0..4).map(|_| world.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    world.eventually("they wait", || world.metrics().contains("cutover_queue_waiting 4"));
    clients.drain(..2).for_each(Client::reset);
    world.eventually("two have left", || world.metrics().contains("cutover_queue_waiting 2"));
    clients.clear();
    world.eventually("all have left", || world.metrics().contains("cutover_queue_waiting 0"));
    world.probed("a", up("v1"));
    assert_eq!(world.connect().get("/").body, "ok");
    assert_eq!(app.heard().start, "GET / HTTP/1.1");
    assert!(app.is_idle(), "nobody else's request was sent");
}
