//! Our own answers: limits, times, and requests that make no sense.

use std::time::Duration;

use cutover_core::command::Finding;

use crate::app::App;
use crate::client::Client;
use crate::world::{Setup, World, up};

const SHORT: Duration = Duration::from_millis(60);

fn setup(app: &App) -> Setup {
    Setup::new(&[("a", &app.address.to_string(), "v1")])
}

/// The status that these bytes get.
fn status(world: &World, text: &str) -> u16 {
    world.connect().send(text).head().status()
}

#[test]
fn what_makes_no_sense_is_refused() {
    let app = App::saying("ok");
    let world = setup(&app).start();
    let status = |text: &str| status(&world, text);
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400, "no host");
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400, "two hosts");
    assert_eq!(status("G@T / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, "no method");
    assert_eq!(status("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), 405);
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n"), 417);
    assert_eq!(status("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), 501);
    assert!(app.is_idle(), "nothing of it reached the app");
    world.eventually("all are counted", || {
        world.metrics().contains("cutover_own_answers_total{status=\"400\"} 3")
    });
}

#[test]
fn heads_have_limits() {
    let app = App::saying("ok");
    let world = setup(&app).limits(|limits| limits.request_line = 100).start();
    let long = "a".repeat(100);
    assert_eq!(status(&world, &format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n")), 414);
    let large = "a".repeat(33_000);
    assert_eq!(status(&world, &format!("GET / HTTP/1.1\r\nHost: x\r\nX: {large}\r\n\r\n")), 431);
    let many = "X: 1\r\n".repeat(101);
    assert_eq!(status(&world, &format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")), 431);
}

#[test]
fn a_head_must_come_in_time_but_an_idle_connection_may_wait() {
    let app = App::saying("ok");
    let world = setup(&app).limits(|limits| limits.header_timeout = SHORT).start();
    let mut client = world.connect();
    std::thread::sleep(SHORT * 2);
    assert_eq!(client.get("/").status(), 200, "no byte had come, so no time had run");
    std::thread::sleep(SHORT * 2);
    assert_eq!(client.get("/").status(), 200);
    assert_eq!(client.send("GET / HT").answer().status(), 408);
    assert_eq!(client.rest().unwrap(), "");
}

#[test]
fn an_idle_connection_is_closed() {
    let app = App::saying("ok");
    let world = setup(&app).limits(|limits| limits.keepalive_timeout = SHORT).start();
    let mut client = world.connect();
    client.get("/");
    assert_eq!(client.rest().unwrap(), "");
}

#[test]
fn a_body_has_a_limit() {
    let app = App::saying("ok");
    let world = setup(&app).policy(|policy| policy.limits.body = Some(5)).start();
    let mut announced = world.connect();
    announced.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n");
    assert_eq!(announced.answer().status(), 413, "before a byte of it came");
    assert!(app.is_idle());
    let mut chunked = world.connect();
    chunked.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n");
    assert_eq!(chunked.answer().status(), 413, "when it is exceeded");
    let mut small = world.connect();
    small.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345");
    assert_eq!(small.answer().status(), 200);
}

#[test]
fn a_body_must_not_stall() {
    let app = App::saying("ok");
    let world = setup(&app).limits(|limits| limits.body_idle_timeout = SHORT).start();
    let mut client = world.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc");
    assert_eq!(client.answer().status(), 408);
    assert_eq!(world.set().backends[0].traffic.consecutive_errors(), 0, "the backend is not to blame");
}

#[test]
fn an_answer_must_come_in_time() {
    let app = App::playing(|mut visit| {
        visit.request();
        visit.wait_for_close();
    });
    let world = setup(&app).policy(|policy| policy.upstream.response_timeout.0 = 60).start();
    assert_eq!(world.connect().get("/").status(), 504);
    assert_eq!(world.set().backends[0].traffic.consecutive_errors(), 1);
    world.eventually("the request is cancelled", || world.set().backends[0].traffic.connections() == 0);
}

#[test]
fn without_a_backend_a_request_waits_and_then_is_told_when_to_come_again() {
    let app = App::saying("ok");
    let world = setup(&app).policy(|policy| policy.queue_timeout.0 = 60).start();
    world.probed("a", Finding::Down);
    let answer = world.connect().get("/");
    assert_eq!((answer.status(), answer.field("retry-after")), (503, Some("1")));
}

#[test]
fn a_waiting_request_is_served_when_a_backend_comes() {
    let app = App::saying("ok");
    let world = setup(&app).policy(|policy| policy.queue_timeout.0 = 60_000).start();
    world.probed("a", Finding::Down);
    let mut client = world.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    world.eventually("the request waits", || world.metrics().contains("cutover_queue_waiting 1"));
    world.probed("a", up("v1"));
    assert_eq!(client.answer().body, "ok");
}

#[test]
fn refusals_are_written_in_the_form_that_was_asked_for() {
    let app = App::saying("ok");
    let world =
        setup(&app).policy(|policy| policy.paths = vec!["/app"].into_iter().map(path).collect()).start();
    let answer = world.connect().send("GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n").answer();
    assert_eq!((answer.status(), answer.field("content-type")), (404, Some("text/html; charset=utf-8")));
    let answer = world.connect().get("/");
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    assert!(answer.body.contains(answer.field("x-request-id").unwrap()), "{}", answer.body);
}

fn path(text: &str) -> cutover_core::route::PathPrefix {
    cutover_core::route::PathPrefix::parse(text).unwrap()
}

#[test]
fn the_proxy_tells_its_own_version_page() {
    let app = App::saying("ok");
    let world = setup(&app).start();
    let mut client: Client = world.connect();
    let answer = client.get("/.cutover/version");
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert!(answer.body.contains("\"active\":\"v1\""), "{}", answer.body);
    assert!(app.is_idle());
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending_its_body() {
    let app = App::saying("ok");
    let world = setup(&app).policy(|policy| policy.paths = vec![path("/app")]).start();
    for _ in 0..10 {
        let mut client = world.connect();
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6000000\r\n\r\n");
        let half = "a".repeat(3_000_000);
        client.send(&half);
        std::thread::sleep(Duration::from_millis(5));
        client.send(&half);
        assert_eq!(client.answer().status(), 404, "it is not lost to a reset");
    }
}

#[test]
fn a_target_that_is_an_authority_does_not_win_over_the_host() {
    let app = App::saying("ok");
    let world = setup(&app).start();
    for target in ["other", "other:80", "ftp://other/"] {
        assert_eq!(status(&world, &format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")), 400, "{target}");
    }
    assert!(app.is_idle(), "nothing of it reached the app");
}
