//! Processes that end: what shows it, who is asked instead, and what is no sign.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use cutover_core::backend::AdminState;
use cutover_core::command::{Change, Finding, Rollback, Sessions};
use cutover_core::id::BackendId;
use cutover_core::policy::{Balance, IdentitySource, OnMissingVersion, PinMode};
use cutover_core::time::Millis;
use cutover_proxy::access_log::Format;
use socket2::SockRef;

use crate::app::App;
use crate::identity::{GET, POST, alone, is_sendable, pair, running};
use crate::message::Message;
use crate::world::{SOON, Setup, up};

/// An app that takes a request and ends its connection without an answer when it is told to.
fn dying_when_told() -> (App, Sender<()>) {
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    let app = App::playing(move |mut visit| {
        visit.request();
        let _ = wait.lock().unwrap().recv_timeout(SOON);
    });
    (app, go)
}

/// An app that answers one request per connection, and ends all its connections when it is told to.
fn mortal(version: &'static str, head: &'static str) -> (App, Sender<()>) {
    let (die, dies) = channel();
    let dies = Mutex::new(dies);
    let app = App::playing(move |mut visit| {
        visit.request();
        visit.send(&format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 2\r\n\r\n{version}"));
        let _ = dies.lock().unwrap().recv_timeout(SOON);
    });
    (app, die)
}

#[test]
fn a_process_that_ends_while_nobody_asks_it_is_noticed_at_once() {
    for source in [IdentitySource::Health, IdentitySource::Response] {
        let (app, die) = mortal("v1", "");
        let world = alone(&app).policy(|policy| policy.identity.source = source).start();
        assert_eq!(world.connect().get("/").body, "v1");
        // Long enough to idle, and much less than until anything is swept or probed.
        std::thread::sleep(Duration::from_millis(60));
        assert!(is_sendable(&world, "a") && !world.take_alarm());
        die.send(()).unwrap();
        world.eventually("its end is noticed", || !is_sendable(&world, "a"));
        assert!(world.take_alarm());
        assert_eq!(world.set().backends[0].traffic.connections(), 0);
    }
}

#[test]
fn an_end_at_the_time_that_was_told_is_no_sign() {
    let (app, die) = mortal("v1", "Keep-Alive: timeout=1\r\n");
    let world = alone(&app).start();
    assert_eq!(world.connect().get("/").body, "v1");
    std::thread::sleep(Duration::from_millis(800));
    die.send(()).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(is_sendable(&world, "a") && !world.take_alarm());
}

#[test]
fn who_notices_by_an_idle_connection_goes_elsewhere_and_sends_it_nothing() {
    // Ends the connection right behind its answer.
    let gone = App::playing(|mut visit| {
        visit.request();
        visit.says("v1");
    });
    let stays = running("v1");
    let world = pair(&gone, &stays, IdentitySource::Health).start();
    let mut client = world.connect();
    for _ in 0..6 {
        // Nothing was sent, so even this may go elsewhere.
        assert_eq!(client.send(POST).answer().body, "v1");
    }
    gone.heard();
    assert!(gone.is_idle() && !is_sendable(&world, "a"));
    assert_eq!(gone.connections(), 1);
}

/// An app that takes a request over a kept connection and ends without a byte of an answer; its next connection says `next`.
fn dying_under_a_request(next: &'static str) -> App {
    App::playing(move |mut visit| {
        if visit.nth == 1 {
            visit.request();
            visit.says("v1");
            visit.request();
            return;
        }
        while visit.request().is_some() && visit.says(next) {}
    })
}

#[test]
fn what_comes_after_a_stale_connection_is_not_asked_before_it_said_who_it_is() {
    let app = dying_under_a_request("v2");
    let world = alone(&app).policy(|policy| policy.identity.source = IdentitySource::Health).start();
    let mut client = world.connect();
    assert_eq!(client.get("/").body, "v1");
    assert_eq!(client.get("/").status(), 502, "nobody has asked in time who is there now");
    assert_eq!(app.connections(), 1);
}

#[test]
fn a_request_waits_for_the_process_that_was_asked_who_it_is() {
    let app = dying_under_a_request("v1");
    let world = alone(&app).policy(|policy| policy.queue_timeout = Millis(10_000)).start();
    let mut client = world.connect();
    assert_eq!(client.get("/").body, "v1");
    client.send(GET);
    world.eventually("the loss is noticed", || !is_sendable(&world, "a"));
    world.probed("a", Finding::Down);
    world.probed("a", up("v1"));
    assert_eq!(client.answer().body, "v1");
    world.eventually("nothing is in flight", || world.in_flight("v1") == 0);
}

#[test]
fn a_session_whose_version_is_gone_moves_like_any_other() {
    let app = dying_under_a_request("v2");
    let new = running("v2");
    let world = Setup::new(&[("a", &app.address.to_string(), "v1"), ("b", &new.address.to_string(), "v2")])
        .policy(|policy| policy.queue_timeout = Millis(10_000))
        .start();
    let mut client = world.connect();
    let first = client.get("/");
    let cookie = first.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    world.flip("v2");
    client.send(&format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n"));
    world.eventually("the loss is noticed", || !is_sendable(&world, "a"));
    world.probed("a", Finding::Down);
    world.probed("a", up("v2"));
    let moved = client.answer();
    assert_eq!(moved.body, "v2");
    assert!(moved.field("set-cookie").is_some(), "it has a pin for that version now");
    world.eventually("it is counted", || {
        world.metrics().contains("cutover_pins_total{outcome=\"moved_no_backend\",service=\"web\"} 1")
    });
    world.eventually("nothing is in flight", || world.in_flight("v1") + world.in_flight("v2") == 0);
}

#[test]
fn a_session_does_not_wait_for_ever_for_a_process_that_does_not_say_who_it_is() {
    let (app, new) = (dying_under_a_request("v2"), running("v2"));
    let world = Setup::new(&[("a", &app.address.to_string(), "v1"), ("b", &new.address.to_string(), "v2")])
        .policy(|policy| policy.queue_timeout = Millis(100))
        .start();
    let mut client = world.connect();
    let first = client.get("/");
    let cookie = first.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    world.flip("v2");
    client.send(&format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n"));
    let moved = client.answer();
    assert_eq!(moved.body, "v2", "as it is with sessions that come only now");
    assert!(moved.field("set-cookie").is_some(), "it has a pin for that version now");
    assert_eq!(app.connections(), 1);
}

#[test]
fn a_request_without_a_pin_stays_inside_its_version_while_that_can_serve_it() {
    let (app, other, new) = (dying_under_a_request("v2"), running("v1"), running("v2"));
    let world = Setup::new(&[
        ("a", &app.address.to_string(), "v1"),
        ("b", &other.address.to_string(), "v1"),
        ("c", &new.address.to_string(), "v2"),
    ])
    .policy(|policy| {
        policy.balance = Balance::RoundRobin;
        policy.pin.mode = PinMode::None;
    })
    .start();
    let mut client = world.connect();
    let bodies: Vec<_> = (0..4).map(|_| client.get("/").body).collect();
    assert_eq!(bodies, ["v1"; 4]);
}

#[test]
fn who_chooses_again_does_not_choose_what_drains_by_now() {
    let (dies, go) = dying_when_told();
    let (drains, stays) = (running("v1"), running("v1"));
    let setup = Setup::new(&[
        ("a", &dies.address.to_string(), "v1"),
        ("b", &drains.address.to_string(), "v1"),
        ("c", &stays.address.to_string(), "v1"),
    ]);
    let world = setup.policy(|policy| policy.balance = Balance::RoundRobin).start();
    let mut client = world.connect();
    client.send(GET);
    dies.heard();
    let backend = BackendId::parse("b").unwrap();
    let admin = Some(AdminState::Drain);
    world.change(Change::Patch { backend, admin, weight: None, force: true, by: "test".to_owned() });
    go.send(()).unwrap();
    assert_eq!(client.answer().body, "v1");
    assert!(drains.is_idle() && !stays.is_idle());
}

#[test]
fn a_request_whose_backend_is_gone_for_everybody_by_now_is_logged_with_it() {
    let (dies, go) = dying_when_told();
    let world = alone(&dies).logging(Format::Json).start();
    let mut client = world.connect();
    client.send(GET);
    dies.heard();
    world.probed("a", Finding::Down);
    go.send(()).unwrap();
    assert_eq!(client.answer().status(), 502);
    world.eventually("it is logged", || world.logged().contains(r#""backend":"a""#));
}

#[test]
fn a_version_that_was_named_is_not_replaced_by_another_one() {
    let (app, new) = (dying_under_a_request("v2"), running("v2"));
    let world = Setup::new(&[("a", &app.address.to_string(), "v1"), ("b", &new.address.to_string(), "v2")])
        .policy(|policy| {
            policy.on_missing_version = OnMissingVersion::Conflict;
            policy.queue_timeout = Millis(10_000);
        })
        .start();
    let mut client = world.connect();
    assert_eq!(client.get("/").body, "v1");
    world.flip("v2");
    client.send("GET / HTTP/1.1\r\nHost: x\r\nX-Cutover-Version: v1\r\n\r\n");
    world.eventually("the loss is noticed", || !is_sendable(&world, "a"));
    world.probed("a", Finding::Down);
    world.probed("a", up("v2"));
    assert_eq!(client.answer().status(), 409);
}

#[test]
fn who_chooses_again_after_a_rollback_does_not_choose_what_was_rolled_back() {
    let (dies, go) = dying_when_told();
    let (good, bad) = (running("v1"), running("v2"));
    let world = Setup::new(&[
        ("a", &good.address.to_string(), "v1"),
        ("b", &dies.address.to_string(), "v2"),
        ("c", &bad.address.to_string(), "v2"),
    ])
    .policy(|policy| policy.balance = Balance::RoundRobin)
    .start();
    world.flip("v2");
    let mut client = world.connect();
    client.send(GET);
    dies.heard();
    let rollback = Rollback { if_epoch: None, sessions: Sessions::Move, reason: "bad".to_owned() };
    world.change(Change::Rollback(rollback));
    go.send(()).unwrap();
    assert_eq!(client.answer().body, "v1");
    assert!(bad.is_idle());
}

#[test]
fn a_tunnel_that_breaks_is_a_sign_and_one_that_ends_is_none() {
    const GOODBYE: &[u8] = b"\x88\x02\x03\xe8";
    for (protocol, last, is_reset, is_sign) in [
        ("echo", &b"bye"[..], false, false),
        ("echo", b"bye", true, true),
        ("websocket", GOODBYE, false, false),
        ("websocket", b"\x81\x02ok", false, true),
        ("websocket", b"\x81\x02ok", true, true),
    ] {
        let (go, wait) = channel();
        let wait = Mutex::new(wait);
        let app = App::playing(move |mut visit| {
            visit.request();
            visit.send(&format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n"
            ));
            let _ = visit.stream().get_mut().write_all(last);
            let _ = wait.lock().unwrap().recv_timeout(SOON);
            if is_reset {
                SockRef::from(visit.stream().get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
            }
        });
        let world = alone(&app).start();
        let mut client = world.connect();
        client.send(&format!(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        ));
        assert_eq!(client.head().status(), 101);
        let mut heard = vec![0; last.len()];
        client.stream().read_exact(&mut heard).unwrap();
        assert!(is_sendable(&world, "a") && heard == last);
        go.send(()).unwrap();
        let _ = client.rest();
        client.half_close();
        world.eventually("the tunnel is over", || world.tunnels("v1") == 0);
        assert_eq!(is_sendable(&world, "a"), !is_sign, "{protocol} {last:?} {is_reset}");
    }
}

#[test]
fn a_client_that_says_goodbye_costs_the_backend_nothing() {
    const GOODBYE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";
    for is_reset in [false, true] {
        let app = App::playing(move |mut visit| {
            visit.request();
            visit.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            );
            // Many servers close without a goodbye of their own.
            let _ = visit.stream().read_exact(&mut [0; GOODBYE.len()]);
            if is_reset {
                SockRef::from(visit.stream().get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
            }
        });
        let world = alone(&app).start();
        let mut client = world.connect();
        client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
        assert_eq!(client.head().status(), 101);
        client.sender().write_all(GOODBYE).unwrap();
        let _ = client.rest();
        client.half_close();
        world.eventually("the tunnel is over", || world.tunnels("v1") == 0);
        assert!(is_sendable(&world, "a"), "any client could take it out otherwise: {is_reset}");
    }
}

#[test]
fn an_end_inside_the_head_is_an_end_of_the_process() {
    let broken = App::playing(|mut visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\nContent-Le");
    });
    let whole = running("v1");
    let world = pair(&broken, &whole, IdentitySource::Health).start();
    assert_eq!(world.connect().send(GET).answer().body, "v1", "the client has nothing of it");
    assert!(!is_sendable(&world, "a") && world.take_alarm());
}

#[test]
fn a_request_that_ends_whoever_gets_it_ends_a_few_of_them_and_not_all() {
    let apps: Vec<_> = (0..8)
        .map(|_| {
            App::playing(|mut visit| {
                while let Some(request) = visit.request() {
                    if request.start.contains("/deadly") || !visit.says("v1") {
                        return;
                    }
                }
            })
        })
        .collect();
    let addresses: Vec<_> = apps.iter().map(|app| app.address.to_string()).collect();
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let backends: Vec<_> = ids.iter().zip(&addresses).map(|(id, at)| (*id, at.as_str(), "v1")).collect();
    let world = Setup::new(&backends).policy(|policy| policy.balance = Balance::RoundRobin).start();
    let mut client = world.connect();
    assert!((0..8).all(|_| client.get("/").status() == 200));
    assert_eq!(client.get("/deadly").status(), 502);
    let lost = ids.iter().filter(|id| !is_sendable(&world, id)).count();
    // The first one, one for free because a stale connection is mostly harmless, and two retries.
    assert_eq!(lost, 4);
}

#[test]
fn with_labels_a_backend_may_end_its_connections_as_it_likes() {
    let app = App::playing(|mut visit| {
        visit.request();
        visit.says("v1");
    });
    let world = alone(&app).policy(|policy| policy.identity.source = IdentitySource::Label).start();
    let mut client = world.connect();
    assert!((0..10).all(|_| client.get("/").body == "v1"));
    std::thread::sleep(Duration::from_millis(60));
    assert!(is_sendable(&world, "a") && !world.take_alarm());
}

#[test]
fn a_refused_connection_is_not_the_end_of_the_request() {
    // Nobody listens at any of them but the last.
    let nobody: Vec<_> = (0..5).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let mut addresses: Vec<_> = nobody.iter().map(|free| free.local_addr().unwrap().to_string()).collect();
    drop(nobody);
    let app = running("v1");
    addresses.push(app.address.to_string());
    let ids = ["a", "b", "c", "d", "e", "f"];
    let backends: Vec<_> = ids.iter().zip(&addresses).map(|(id, at)| (*id, at.as_str(), "v1")).collect();
    let world = Setup::new(&backends).policy(|policy| policy.balance = Balance::RoundRobin).start();
    let answer: Message = world.connect().send(POST).answer();
    assert_eq!(answer.body, "v1", "all of them were replaced at once, and nothing was sent");
}
