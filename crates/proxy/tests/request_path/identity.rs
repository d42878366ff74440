//! Processes that are replaced under their address: what shows it, and that nobody is answered by the wrong version because of it.

use std::sync::Mutex;

use cutover_core::command::Finding;
use cutover_core::policy::{Balance, IdentitySource};
use cutover_core::time::Millis;

use crate::app::{App, Visit};
use crate::world::{Setup, World, up};

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
pub(crate) const POST: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";

/// An app that says in every answer what it runs.
pub(crate) fn running(version: &'static str) -> App {
    App::playing(move |mut visit| while visit.request().is_some() && visit.says(version) {})
}

impl Visit {
    /// Answers 200 with `version` in the head and as the body.
    pub(crate) fn says(&mut self, version: &str) -> bool {
        self.send(&answer("200 OK", version))
    }
}

pub(crate) fn answer(status: &str, version: &str) -> String {
    let length = version.len();
    format!("HTTP/1.1 {status}\r\nX-App-Version: {version}\r\nContent-Length: {length}\r\n\r\n{version}")
}

/// Backends `a` and `b`, in turn from `a` on, both believed to run v1.
pub(crate) fn pair(a: &App, b: &App, source: IdentitySource) -> Setup {
    Setup::new(&[("a", &a.address.to_string(), "v1"), ("b", &b.address.to_string(), "v1")]).policy(|policy| {
        policy.balance = Balance::RoundRobin;
        policy.identity.source = source;
        // What a request waits, a test waits.
        policy.queue_timeout = Millis(100);
    })
}

pub(crate) fn alone(app: &App) -> Setup {
    Setup::new(&[("a", &app.address.to_string(), "v1")]).policy(|policy| {
        policy.identity.source = IdentitySource::Response;
        policy.queue_timeout = Millis(100);
    })
}

pub(crate) fn is_sendable(world: &World, id: &str) -> bool {
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
