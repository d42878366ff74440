//! Backends that fail: what is tried again, what is not, and what is noticed about them.

use std::net::TcpListener;

use crate::app::App;
use crate::world::{Setup, World};

/// An address that nobody listens on.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn alone(app: &App) -> World {
    Setup::new(&[("a", &app.address.to_string(), "v1")]).start()
}

const POST: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";

#[test]
fn a_refused_connection_costs_the_client_nothing() {
    let app = App::saying("ok");
    let world = Setup::new(&[("dead", &nobody(), "v1"), ("live", &app.address.to_string(), "v1")])
        .policy(|policy| policy.balance = cutover_core::policy::Balance::RoundRobin)
        .start();
    let mut client = world.connect();
    for _ in 0..3 {
        client.send(POST);
        assert_eq!(client.answer().body, "ok", "nothing was sent, so even a POST may go elsewhere");
        assert_eq!(app.heard().body, "body");
    }
    let dead = world.set();
    let dead = dead.backends.iter().find(|entry| entry.id.as_str() == "dead").unwrap();
    assert!(!dead.is_sendable(), "the process that was there is gone");
    assert!(world.take_alarm());
}

#[test]
fn a_session_is_tied_to_the_backend_that_answered() {
    let app = App::saying("ok");
    let world = Setup::new(&[("dead", &nobody(), "v1"), ("live", &app.address.to_string(), "v1")])
        .policy(|policy| {
            policy.balance = cutover_core::policy::Balance::RoundRobin;
            policy.affinity = cutover_core::policy::Affinity::Backend;
        })
        .start();
    let first = world.connect().get("/");
    let cookie = first.field("set-cookie").unwrap().split(';').next().unwrap();
    let again = format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n");
    assert_eq!(world.connect().send(&again).answer().field("set-cookie"), None, "it need not move");
}

#[test]
fn a_retry_never_leaves_the_version() {
    let other = App::saying("v2");
    let world = Setup::new(&[("dead", &nobody(), "v1"), ("live", &other.address.to_string(), "v2")]).start();
    assert_eq!(world.connect().get("/").status(), 502);
    assert!(other.is_idle());
}

#[test]
fn a_stale_connection_costs_the_client_nothing() {
    // Answers one request per connection and then closes without saying so.
    let app = App::playing(|mut visit| {
        visit.request();
        let text = visit.nth.to_string();
        visit.say(&text);
    });
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")])
        .policy(|policy| policy.identity.source = cutover_core::policy::IdentitySource::Label)
        .start();
    let mut client = world.connect();
    let bodies: Vec<_> = (0..20).map(|_| client.get("/").body).collect();
    assert_eq!(bodies, (1..=20).map(|nth| nth.to_string()).collect::<Vec<_>>());
    assert!(
        world.set().backends[0].is_sendable(),
        "a backend may close what idles, where nobody asks who it is"
    );
}

#[test]
fn a_connection_that_breaks_under_a_request_is_tried_again_only_if_that_is_safe() {
    let app = App::playing(|mut visit| {
        visit.request();
        if visit.nth % 2 == 0 {
            visit.say("second try");
        }
    });
    let two = app.address.to_string();
    let world = Setup::new(&[("a", &two, "v1"), ("b", &two, "v1")])
        .policy(|policy| policy.identity.source = cutover_core::policy::IdentitySource::Label)
        .start();
    assert_eq!(world.connect().get("/").body, "second try");
    assert_eq!(world.connect().send(POST).answer().status(), 502, "the app may have acted on it");
}

#[test]
fn a_process_that_closes_without_an_answer_may_be_another_one_next_time() {
    let app = App::playing(|mut visit| {
        visit.request();
    });
    let world = alone(&app);
    assert_eq!(world.connect().get("/").status(), 502);
    assert!(!world.set().backends[0].is_sendable());
    assert!(world.take_alarm());
}

#[test]
fn nonsense_is_not_passed_on() {
    for nonsense in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ] {
        let app = App::answering(Box::leak(Box::new([nonsense])));
        assert_eq!(alone(&app).connect().get("/").status(), 502, "{nonsense:?}");
    }
}

#[test]
fn a_broken_answer_never_looks_complete() {
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    ] {
        let app = App::answering(Box::leak(Box::new([answer])));
        let world = alone(&app);
        let mut client = world.connect();
        let head = client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head();
        assert_eq!(client.body_of(head), None);
        assert!(!world.set().backends[0].is_sendable(), "it died in the middle of an answer");
    }
}

#[test]
fn an_old_client_notices_a_broken_answer_by_a_reset() {
    let app = App::answering(&["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]);
    let world = alone(&app);
    let broken = world.connect().send("GET / HTTP/1.0\r\n\r\n").rest();
    assert_eq!(broken, Err(std::io::ErrorKind::ConnectionReset));
}

#[test]
fn errors_in_a_row_raise_the_alarm() {
    let app = App::answering(&["HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"; 5]);
    let world = alone(&app);
    let mut client = world.connect();
    for nth in 1..=5 {
        assert!(!world.take_alarm());
        client.get("/");
        assert_eq!(world.set().backends[0].traffic.consecutive_errors(), nth);
    }
    assert!(world.take_alarm());
}

#[test]
fn a_full_backend_is_waited_for() {
    let app = App::playing(|mut visit| {
        while visit.request().is_some() {
            std::thread::sleep(std::time::Duration::from_millis(20));
            visit.say("ok");
        }
    });
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")])
        .policy(|policy| policy.upstream.max_connections = 1)
        .workers(2)
        .start();
    let mut clients: Vec<_> = (0..4).map(|_| world.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    let statuses: Vec<_> = clients.iter_mut().map(|client| client.answer().status()).collect();
    assert_eq!(statuses, [200; 4]);
    assert!(world.set().backends[0].traffic.connections() <= 1);
}

#[test]
fn a_client_that_breaks_its_upload_does_not_cost_the_backend_its_place() {
    // Answers before it has the body, as an echo does.
    let app = App::playing(|mut visit| {
        visit.head();
        visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        visit.wait_for_close();
    });
    let world = alone(&app);
    let mut client = world.connect();
    let head =
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").head();
    client.send("no chunk\r\n");
    assert_eq!(client.body_of(head), None, "the answer can't go on");
    world.eventually("the request is over", || world.in_flight("v1") == 0);
    assert!(world.set().backends[0].is_sendable(), "the backend is not to blame");
    assert_eq!(world.set().backends[0].traffic.consecutive_errors(), 0);
}
