//! What lasts: flips while requests are under way, tunnels, clients that leave, the end of the proxy.

use std::io::{Read, Write};
use std::time::Duration;

use crate::app::{App, Visit};
use crate::world::{SOON, Setup, World};

fn world(app: &App) -> World {
    Setup::new(&[("a", &app.address.to_string(), "v1")]).start()
}

/// An app that streams: it sends a first chunk, and the rest when the test says so.
fn streaming() -> (App, std::sync::mpsc::Sender<()>) {
    let (go, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let app = App::playing(move |mut visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        if wait.lock().unwrap().recv_timeout(SOON).is_ok() {
            visit.send("4\r\nlast\r\n0\r\n\r\n");
        }
        visit.wait_for_close();
    });
    (app, go)
}

#[test]
fn a_flip_is_served_by_every_worker_and_ends_nothing() {
    let ((old, go), new) = (streaming(), App::saying("v2"));
    let world = Setup::new(&[("a", &old.address.to_string(), "v1"), ("b", &new.address.to_string(), "v2")])
        .workers(2)
        .start();
    let mut under_way = world.connect();
    let head = under_way.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head();
    assert_eq!(world.in_flight("v1"), 1);
    world.flip("v2");
    for _ in 0..10 {
        assert_eq!(world.connect().get("/").body, "v2", "new sessions go to the new version at once");
    }
    assert_eq!(world.in_flight("v1"), 1, "until its last byte");
    go.send(()).unwrap();
    assert_eq!(under_way.body_of(head).unwrap().body, "firstlast");
    world.eventually("nothing is in flight", || world.in_flight("v1") == 0);
}

#[test]
fn a_session_stays_on_its_version() {
    let (old, new) = (App::saying("v1"), App::saying("v2"));
    let world =
        Setup::new(&[("a", &old.address.to_string(), "v1"), ("b", &new.address.to_string(), "v2")]).start();
    let first = world.connect().get("/");
    let cookie = first.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    world.flip("v2");
    let again =
        world.connect().send(&format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n")).answer();
    assert_eq!((again.body.as_str(), again.field("cutover-update")), ("v1", Some("v2")));
    assert_eq!(again.field("set-cookie"), None, "it has one that is good");
    assert!(old.heard().field("cookie").is_none() && old.heard().field("cookie").is_none());
}

#[test]
fn a_client_that_leaves_takes_its_request_with_it() {
    let (app, _go) = streaming();
    let world = world(&app);
    let mut client = world.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head();
    assert_eq!(client.bytes(10), "5\r\nfirst\r\n");
    drop(client);
    world.eventually("the backend's connection is closed", || {
        world.set().backends[0].traffic.connections() == 0
    });
    world.eventually("nothing is in flight", || world.in_flight("v1") == 0);
}

#[test]
fn a_client_that_leaves_before_the_answer_cancels_it() {
    let app = App::playing(|mut visit| {
        visit.request();
        visit.wait_for_close();
    });
    let world = world(&app);
    let mut client = world.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    app.heard();
    drop(client);
    world.eventually("nothing is in flight", || world.in_flight("v1") == 0);
    world.eventually("the connection is closed", || world.set().backends[0].traffic.connections() == 0);
}

/// Switches to a protocol that sends everything back in capitals.
fn shouting(mut visit: Visit) {
    visit.request();
    visit.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\nHI ");
    let mut bytes = [0; 64];
    while let Ok(read @ 1..) = visit.stream().read(&mut bytes) {
        bytes[..read].make_ascii_uppercase();
        visit.stream().get_mut().write_all(&bytes[..read]).unwrap();
    }
    visit.send(" BYE");
}

#[test]
fn an_upgrade_becomes_a_tunnel_that_outlives_a_flip() {
    let (app, new) = (App::playing(shouting), App::saying("v2"));
    let world =
        Setup::new(&[("a", &app.address.to_string(), "v1"), ("b", &new.address.to_string(), "v2")]).start();
    let mut client = world.connect();
    let head =
        client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\n").head();
    assert_eq!((head.status(), head.field("upgrade")), (101, Some("shout")));
    assert_eq!(client.bytes(3), "HI ");
    world.eventually("the tunnel is counted", || world.tunnels("v1") == 1);
    world.flip("v2");
    assert_eq!(client.send("hello").bytes(5), "HELLO");
    client.half_close();
    assert_eq!(client.rest().unwrap(), " BYE");
    world.eventually("the tunnel is over", || world.tunnels("v1") == 0 && world.in_flight("v1") == 0);
}

#[test]
fn a_refused_upgrade_is_an_answer_like_any_other() {
    let app = App::saying("no");
    let world = world(&app);
    let mut client = world.connect();
    let upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\n";
    assert_eq!(client.send(upgrade).answer().body, "no");
    assert_eq!(client.get("/").body, "no");
}

#[test]
fn connections_to_the_app_are_used_again() {
    let app = App::playing(|mut visit| {
        while visit.request().is_some() {
            let text = visit.nth.to_string();
            visit.say(&text);
        }
    });
    let world = world(&app);
    let mut client = world.connect();
    let bodies: Vec<_> = (0..5).map(|_| client.get("/").body).collect();
    assert_eq!(bodies, ["1"; 5]);
    assert_eq!(world.connect().get("/").body, "1", "for another client too");
}

#[test]
fn the_proxy_ends_when_the_last_request_does() {
    let (app, go) = streaming();
    let world = world(&app);
    let mut client = world.connect();
    let head = client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head();
    world.shutdown(SOON);
    world.eventually("nobody listens", || std::net::TcpStream::connect(world.address).is_err());
    go.send(()).unwrap();
    assert_eq!(client.body_of(head).unwrap().body, "firstlast");
    assert_eq!(client.rest().unwrap(), "");
    assert_eq!(world.ended(), 0, "nothing was cut");
}

#[test]
fn a_connection_that_idles_at_the_end_may_ask_once_more() {
    let app = App::saying("ok");
    let world = world(&app);
    let mut client = world.connect();
    client.get("/");
    world.shutdown(SOON);
    world.eventually("nobody listens", || std::net::TcpStream::connect(world.address).is_err());
    let last = client.get("/");
    assert_eq!((last.status(), last.field("connection")), (200, Some("close")));
    assert_eq!(world.ended(), 0);
}

#[test]
fn a_new_connection_gets_its_time_where_another_process_has_taken_over() {
    let app = App::saying("ok");
    let world = world(&app);
    let mut client = world.connect();
    world.eventually("it is accepted", || world.metrics().contains("cutover_connections_accepted_total 1"));
    world.retire(SOON);
    // Longer than one would have otherwise.
    std::thread::sleep(Duration::from_millis(800));
    let answer = client.get("/");
    assert_eq!((answer.status(), answer.field("connection")), (200, Some("close")));
    assert_eq!(world.ended(), 0);
}

#[test]
fn what_does_not_end_in_time_is_cut() {
    let (app, _go) = streaming();
    let world = world(&app);
    let mut client = world.connect();
    let head = client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head();
    world.shutdown(Duration::from_millis(20));
    assert_eq!(world.ended(), 1);
    assert_eq!(client.body_of(head), None);
}

#[test]
fn a_connection_closes_after_its_requests() {
    let app = App::saying("ok");
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")])
        .limits(|limits| limits.requests_per_connection = Some(2))
        .start();
    let mut client = world.connect();
    assert_eq!(client.get("/").field("connection"), None);
    assert_eq!(client.get("/").field("connection"), Some("close"));
    assert_eq!(client.rest().unwrap(), "");
}

#[test]
fn more_connections_than_a_listener_may_have_wait() {
    let app = App::saying("ok");
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")]).max_connections(1).start();
    let mut first = world.connect();
    assert_eq!(first.get("/").status(), 200);
    let mut second = world.connect();
    second.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(first.get("/").status(), 200);
    app.heard();
    app.heard();
    assert!(app.is_idle(), "the second one is not served yet");
    drop(first);
    assert_eq!(second.answer().status(), 200);
}

#[test]
fn a_worker_that_waits_for_a_connection_does_not_keep_it_from_the_others() {
    let app = App::saying("ok");
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")]).workers(2).max_connections(1).start();
    for _ in 0..40 {
        // The kernel gives it to one of the two.
        let mut client = world.connect();
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").answer().body, "ok");
    }
}
