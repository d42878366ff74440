//! Processes that are replaced under their address: what shows it, and that nobody is answered by the wrong version because of it.

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

use crate::app::{App, Visit};
use crate::message::Message;
use crate::world::{SOON, Setup, World, up};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";

/// An app that says in every answer what it runs.
fn running(version: &'static str) -> App {
    App::playing(move |mut visit| while visit.request().is_some() && visit.says(version) {})
}

impl Visit {
    /// Answers 200 with `version` in the head and as the body.
    fn says(&mut self, version: &str) -> bool {
        self.send(&answer("200 OK", version))
    }
}

fn answer(status: &str, version: &str) -> String {
    let length = version.len();
    format!("HTTP/1.1 {status}\r\nX-App-Version: {version}\r\nContent-Length: {length}\r\n\r\n{version}")
}

/// Backends `a` and `b`, in turn from `a` on, both believed to run v1.
fn pair(a: &App, b: &App, source: IdentitySource) -> Setup {
    Setup::new(&[("a", &a.address.to_string(), "v1"), ("b", &b.address.to_string(), "v1")]).policy(|policy| {
        policy.balance = Balance::RoundRobin;
        policy.identity.source = source;
        // What a request waits, a test waits.
        policy.queue_timeout = Millis(100);
    })
}

fn alone(app: &App) -> Setup {
    Setup::new(&[("a", &app.address.to_string(), "v1")]).policy(|policy| {
        policy.identity.source = IdentitySource::Response;
        policy.queue_timeout = Millis(100);
    })
}

fn is_sendable(world: &World, id: &str) -> bool {
    let set = world.set();
    set.backends.iter().find(|entry| entry.id.as_str() == id).unwrap().is_sendable()
}

/// What was seen of a backend: version and process.
fn seen(world: &World, id: &str) -> (Option<String>, Option<String>) {
    let set = world.set();
    let entry = set.backends.iter().find(|entry| entry.id.as_str() == id).unwrap();
    let sighting = entry.traffic.sighting().unwrap();
    (sighting.version.as_ref().map(ToString::to_string), sighting.boot_id.clone())
}

fn mismatches(world: &World, outcome: &str) -> bool {
    let sample = format!("cutover_mismatches_total{{outcome=\"{outcome}\",service=\"web\"}} 1");
    world.metrics().lines().any(|line| line == sample)
}

#[test]
fn an_answer_of_another_version_is_discarded_and_the_right_one_asked() {
    let (wrong, right) = (running("v2"), running("v1"));
    let world = pair(&wrong, &right, IdentitySource::Response).start();
    let answer = world.connect().send(GET).answer();
    assert_eq!((answer.body.as_str(), answer.field("x-app-version")), ("v1", None));
    wrong.heard();
    assert!(!is_sendable(&world, "a") && is_sendable(&world, "b"));
    assert_eq!(seen(&world, "a"), (Some("v2".to_owned()), None));
    assert!(world.take_alarm() && mismatches(&world, "replayed"));
    let mut client = world.connect();
    assert!((0..4).all(|_| client.get("/").body == "v1") && wrong.is_idle(), "it is not asked again");
    assert!(
        world.metrics().contains("cutover_upstream_retries_total{service=\"web\"} 0"),
        "nobody is at fault"
    );
}

#[test]
fn what_cannot_be_done_twice_is_answered_by_whoever_did_it() {
    let (wrong, right) = (running("v2"), running("v1"));
    let world = pair(&wrong, &right, IdentitySource::Response).start();
    let answer = world.connect().send(POST).answer();
    assert_eq!((answer.body.as_str(), answer.field("x-app-version")), ("v2", None));
    assert!(right.is_idle() && !is_sendable(&world, "a") && mismatches(&world, "forwarded"));
    assert_eq!(world.connect().send(POST).answer().body, "v1");
}

#[test]
fn a_body_that_was_not_sent_is_sent_to_the_right_version() {
    let wrong = App::playing(|mut visit| {
        visit.head();
        visit.send("HTTP/1.1 100 Continue\r\nX-App-Version: v2\r\n\r\n");
        visit.wait_for_close();
    });
    let right = App::playing(|mut visit| {
        let Some(mut request) = visit.head() else { return };
        visit.send("HTTP/1.1 100 Continue\r\nX-App-Version: v1\r\n\r\n");
        visit.body_of(&mut request);
        visit.says("v1");
    });
    let world = pair(&wrong, &right, IdentitySource::Response).start();
    let mut client = world.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    let interim = client.head();
    assert_eq!((interim.status(), interim.field("x-app-version")), (100, None));
    assert_eq!(client.send("body").answer().body, "v1");
    assert_eq!(right.heard().body, "body");
    assert_eq!(seen(&world, "a").0.as_deref(), Some("v2"));
}

#[test]
fn who_begins_to_answer_may_have_begun_to_act() {
    let wrong = App::playing(|mut visit| {
        visit.head();
        visit.send("HTTP/1.1 103 Early Hints\r\nX-App-Version: v2\r\nLink: </v2.css>\r\n\r\n");
        visit.says("v2");
        visit.wait_for_close();
    });
    let right = running("v1");
    let world = pair(&wrong, &right, IdentitySource::Response).start();
    let mut client = world.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.head().status(), 103);
    assert_eq!(client.answer().body, "v2");
    assert!(right.connections() == 0 && mismatches(&world, "forwarded"));
}

#[test]
fn a_hint_of_another_version_does_not_reach_the_client() {
    let wrong = App::playing(|mut visit| {
        visit.request();
        visit.send("HTTP/1.1 103 Early Hints\r\nX-App-Version: v2\r\nLink: </v2.css>\r\n\r\n");
        visit.wait_for_close();
    });
    let right = running("v1");
    let world = pair(&wrong, &right, IdentitySource::Response).start();
    assert_eq!(world.connect().send(GET).answer().body, "v1");
}

#[test]
fn heads_and_upgrades_are_looked_at_like_any_answer() {
    for (request, wrong) in [
        (
            "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX-App-Version: v2\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\nX-App-Version: v2\r\n\r\n",
        ),
        (GET, "HTTP/1.1 304 Not Modified\r\nX-App-Version: v2\r\n\r\n"),
        (GET, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nX-App-Version: \r\n\r\n"),
    ] {
        let wrong = App::playing(move |mut visit| {
            visit.request();
            visit.send(wrong);
            visit.wait_for_close();
        });
        let right = App::playing(|mut visit| {
            visit.request();
            visit.send("HTTP/1.1 204 No Content\r\nX-App-Version: v1\r\n\r\n");
        });
        let world = pair(&wrong, &right, IdentitySource::Response).start();
        assert_eq!(world.connect().send(request).head().status(), 204, "{request:?}");
        assert!(!is_sendable(&world, "a"));
        world.eventually("no tunnel is left", || world.tunnels("v1") == 0);
    }
}

#[test]
fn an_upload_that_the_wrong_version_answered_early_goes_to_the_right_one_whole() {
    let wrong = App::playing(|mut visit| {
        visit.head();
        visit.says("v2");
        visit.wait_for_close();
    });
    let right = running("v1");
    let world = pair(&wrong, &right, IdentitySource::Response).start();
    let mut client = world.connect();
    client.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234");
    world.eventually("the wrong one has answered", || !is_sendable(&world, "a"));
    assert_eq!(client.send("56789").answer().body, "v1");
    assert_eq!(right.heard().body, "0123456789");
}

#[test]
fn what_runs_is_told_to_clients_by_no_trailer() {
    for is_exposed in [false, true] {
        let app = App::playing(|mut visit| {
            visit.request();
            visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n");
            visit.send("X-App-Version: v1\r\nX-App-Boot-Id: one\r\nX-Sum: 1\r\n\r\n");
        });
        let world = alone(&app).policy(|policy| policy.identity.expose_version = is_exposed).start();
        let names: Vec<_> = world.connect().get("/").trailers.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), if is_exposed { 3 } else { 1 }, "{names:?}");
        assert!(names.contains(&"x-sum".to_owned()));
    }
}

#[test]
fn an_answer_that_names_no_version_says_nothing() {
    let app = App::saying("ok");
    let world = alone(&app).start();
    assert_eq!(world.connect().get("/").body, "ok");
    assert!(is_sendable(&world, "a") && !world.take_alarm());
}

#[test]
fn only_answers_that_are_believed_are_looked_at() {
    for source in [IdentitySource::Label, IdentitySource::Health] {
        let app = running("v2");
        let world = alone(&app).policy(|policy| policy.identity.source = source).start();
        assert_eq!(world.connect().get("/").body, "v2");
        assert!(is_sendable(&world, "a"), "{source:?}");
    }
}

/// An app whose answers name a process, the next one with each request; version v1 where `is_named`.
fn restarting(is_named: bool) -> App {
    let next = Mutex::new(["one", "one", "two", "two"].iter());
    App::playing(move |mut visit| {
        while visit.request().is_some() {
            let Some(process) = next.lock().unwrap().next() else { return };
            let version = if is_named { "X-App-Version: v1\r\n" } else { "" };
            visit.send(&format!(
                "HTTP/1.1 200 OK\r\n{version}X-App-Boot-Id: {process}\r\nContent-Length: 3\r\n\r\n{process}"
            ));
        }
    })
}

#[test]
fn another_process_is_asked_who_it_is_before_it_gets_more() {
    for (source, is_named, third) in [
        (IdentitySource::Response, true, 200),
        (IdentitySource::Health, true, 200),
        // Which version it is that has answered, nobody knows.
        (IdentitySource::Health, false, 503),
    ] {
        let app = restarting(is_named);
        let world = alone(&app).policy(|policy| policy.identity.source = source).start();
        let mut client = world.connect();
        assert!((0..2).all(|_| client.get("/").body == "one") && is_sendable(&world, "a"));
        assert_eq!(client.get("/").status(), third, "{source:?}");
        assert!(!is_sendable(&world, "a"));
        assert_eq!(seen(&world, "a").1.as_deref(), Some("two"));
        world.probed("a", Finding::Down);
        world.probed("a", up("v1"));
        assert_eq!(client.get("/").body, "two", "that one is known now");
        assert!(is_sendable(&world, "a"));
    }
}

#[test]
fn with_labels_nobody_asks_which_process_answers() {
    let app = restarting(false);
    let world = alone(&app).policy(|policy| policy.identity.source = IdentitySource::Label).start();
    let mut client = world.connect();
    let bodies: Vec<_> = (0..4).map(|_| client.get("/").body).collect();
    assert_eq!(bodies, ["one", "one", "two", "two"]);
    assert!(is_sendable(&world, "a"));
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
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    let dies = App::playing(move |mut visit| {
        visit.request();
        let _ = wait.lock().unwrap().recv_timeout(SOON);
    });
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
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    let dies = App::playing(move |mut visit| {
        visit.request();
        let _ = wait.lock().unwrap().recv_timeout(SOON);
    });
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
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    let dies = App::playing(move |mut visit| {
        visit.request();
        let _ = wait.lock().unwrap().recv_timeout(SOON);
    });
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
