//! Peers that are slow, endless or gone: each is told so or cut off, nothing of it stays, and everybody else is served meanwhile.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::time::Duration;

use cutover_proxy::access_log::Format;

use crate::app::{App, Visit};
use crate::client::Client;
use crate::world::{SOON, Setup, World};

const SHORT: Duration = Duration::from_millis(60);
/// Peers of one kind at the same time.
const MANY: usize = 50;

fn setup(app: &App) -> Setup {
    Setup::new(&[("a", &app.address.to_string(), "v1")])
}

/// Nothing of a request is left, and the next one is served.
fn is_well(world: &World) {
    world.eventually("nothing is in flight", || world.in_flight("v1") == 0);
    world.eventually("nobody is connected", || world.metrics().contains("cutover_connections 0"));
    assert_eq!(world.tunnels("v1"), 0);
    assert_eq!(world.connect().get("/").status(), 200);
}

/// `many` clients that have each sent this.
fn clients(world: &World, sent: &str) -> Vec<Client> {
    (0..MANY)
        .map(|_| {
            let mut client = world.connect();
            client.send(sent);
            client
        })
        .collect()
}

#[test]
fn slow_heads_get_408_while_others_are_served() {
    let app = App::saying("ok");
    let world = setup(&app).limits(|limits| limits.header_timeout = SHORT).start();
    let slow = clients(&world, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
    assert_eq!(world.connect().get("/").status(), 200);
    for mut client in slow {
        let answer = client.answer();
        assert_eq!((answer.status(), answer.field("connection")), (408, Some("close")));
        assert_eq!(client.rest().unwrap(), "");
    }
    is_well(&world);
}

#[test]
fn slow_bodies_get_408_while_others_are_served() {
    let app = App::saying("ok");
    let world = setup(&app).limits(|limits| limits.body_idle_timeout = SHORT).start();
    let mut slow = clients(&world, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbod");
    slow.extend(clients(&world, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbod"));
    assert_eq!(world.connect().get("/").status(), 200);
    for mut client in slow {
        let answer = client.answer();
        assert_eq!((answer.status(), answer.field("connection")), (408, Some("close")));
    }
    assert_eq!(world.set().backends[0].traffic.consecutive_errors(), 0, "the backend is not to blame");
    is_well(&world);
}

/// Writes `piece` until the proxy takes no more; answers what it said.
fn flood(mut client: Client, start: &str, piece: &str) -> u16 {
    client.send(start);
    let mut sender = client.sender();
    sender.set_write_timeout(Some(SOON)).unwrap();
    let piece = piece.repeat(((16 << 10) / piece.len()).max(1));
    // Far more than any limit, and all buffers on the way.
    let most = (64 << 20) / piece.len();
    let sending = std::thread::spawn(move || {
        let sent = (0..most).take_while(|_| sender.write_all(piece.as_bytes()).is_ok()).count();
        assert!(sent < most, "it was all taken");
    });
    let status = client.head().status();
    sending.join().unwrap();
    status
}

#[test]
fn heads_without_an_end_are_refused() {
    let app = App::saying("ok");
    let world = setup(&app).start();
    let large = "x".repeat(16 << 10);
    assert_eq!(flood(world.connect(), "", &large), 414, "a method");
    assert_eq!(flood(world.connect(), "GET /", &large), 414, "a target");
    assert_eq!(flood(world.connect(), "GET / HTTP/1.1\r\n", &large), 431, "a name");
    assert_eq!(flood(world.connect(), "GET / HTTP/1.1\r\nX: ", &large), 431, "a value");
    assert_eq!(flood(world.connect(), "GET / HTTP/1.1\r\n", "X: 1\r\n"), 431, "fields");
    assert_eq!(flood(world.connect(), "GET / HTTP/1.1\r\n", &format!("X: {large}\r\n")), 431, "large fields");
    assert!(app.is_idle(), "nothing of it reached the app");
    is_well(&world);
}

#[test]
fn endless_trailers_are_refused() {
    let app = App::saying("ok");
    let world = setup(&app).start();
    let start = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n";
    assert_eq!(flood(world.connect(), start, "X: 1\r\n"), 400);
    assert_eq!(flood(world.connect(), start, &"x".repeat(16 << 10)), 400);
    assert_eq!(flood(world.connect(), start.trim_end_matches("0\r\n"), "1;x=y\r\na\r\n"), 400, "extensions");
    assert!(app.is_idle(), "it never looked complete");
    is_well(&world);
}

#[test]
fn thousands_of_tiny_chunks_are_a_body_like_any_other() {
    let app = App::playing(|mut visit| {
        while let Some(request) = visit.request() {
            let chunks = tiny_chunks(&request.body);
            visit.send(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
        }
    });
    let world = setup(&app).start();
    let body: String = ('a'..='z').cycle().take(20_000).collect();
    let mut client = world.connect();
    let mut sender = client.sender();
    let chunks = tiny_chunks(&body);
    let sending = std::thread::spawn(move || {
        write!(sender, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").unwrap();
    });
    assert!(client.answer().body == body, "it changed on its way");
    sending.join().unwrap();
    assert_eq!(client.get("/").status(), 200, "the connection goes on");
}

fn tiny_chunks(body: &str) -> String {
    let mut chunks = String::new();
    body.chars().for_each(|c| write!(chunks, "1\r\n{c}\r\n").unwrap());
    chunks + "0\r\n\r\n"
}

/// An app that answers with `start` and then `piece`, for ever; the second connection and all others get a plain answer.
fn endless(start: &'static str, piece: &'static str) -> App {
    App::playing(move |mut visit| {
        while visit.request().is_some() {
            if visit.nth > 1 {
                visit.say("ok");
                continue;
            }
            visit.send(start);
            let piece = piece.repeat(1000);
            while visit.send(&piece) {}
            return;
        }
    })
}

#[test]
fn an_answer_that_never_begins_becomes_502() {
    for (start, piece) in [
        ("", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("", "x"),
        ("HTTP/1.1 200 OK\r\n", "X: 1\r\n"),
        ("HTTP/1.1 200 OK\r\nX: ", "x"),
        ("HTTP/1.1 200 ", "x"),
    ] {
        let app = endless(start, piece);
        let world = setup(&app).start();
        let mut client = world.connect();
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut answer = client.answer();
        let mut interims = 0;
        while answer.status() == 103 {
            interims += 1;
            answer = client.answer();
        }
        assert_eq!(answer.status(), 502, "{start:?} {piece:?}");
        assert!(interims <= 32);
        drop(client);
        is_well(&world);
    }
}

#[test]
fn an_answer_whose_trailers_never_end_is_broken() {
    for piece in ["X: 1\r\n", "x"] {
        let app = endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", piece);
        let world = setup(&app).policy(|policy| policy.identity.source = LABEL).start();
        let mut client = world.connect();
        let head = client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head();
        // It breaks off, or has not begun when it is found out.
        assert!(head.status() == 502 || client.body_of(head).is_none(), "it looks complete");
        drop(client);
        is_well(&world);
    }
}

const LABEL: cutover_core::policy::IdentitySource = cutover_core::policy::IdentitySource::Label;

/// How far a request comes before its client goes.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Connected,
    Head,
    HeadEnd,
    Body,
    Interim,
    Waiting,
    Answer,
    AnswerBody,
    Tunnel,
}

/// Plays its part in every phase, as the path says it.
fn part(mut visit: Visit) {
    while let Some(mut request) = visit.head() {
        visit.tell(request.clone());
        let is = |what: &str| request.start.contains(what);
        match () {
            () if is("/Body") || is("/HeadEnd") => drop(visit.body_of(&mut request)),
            () if is("/Waiting") => visit.wait_for_close(),
            () if is("/Interim") => {
                visit.send("HTTP/1.1 103 Early Hints\r\n\r\n");
                visit.wait_for_close();
            }
            () if is("/AnswerBody") => {
                visit.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
                let piece = "x".repeat(100_000);
                while visit.send(&piece) {}
            }
            () if is("/Answer") => {
                visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
                visit.wait_for_close();
            }
            () if is("/Tunnel") => {
                visit.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
                let _ = visit.stream().read_to_end(&mut Vec::new());
            }
            () => drop(visit.say("ok")),
        }
    }
}

/// A client that has come so far.
fn come_to(phase: Phase, world: &World, app: &App) -> Client {
    let mut client = world.connect();
    let request = |method, fields| format!("{method} /{phase:?} HTTP/1.1\r\nHost: x\r\n{fields}");
    let status = match phase {
        Phase::Connected => return client,
        Phase::Head => {
            client.send(&request("GET", "X: "));
            return client;
        }
        Phase::HeadEnd => {
            client.send(&request("POST", "Content-Length: 9\r\n\r\n"));
            None
        }
        Phase::Body => {
            client.send(&request("POST", "Content-Length: 9\r\n\r\nbody"));
            None
        }
        Phase::Waiting => {
            client.send(&request("GET", "\r\n"));
            None
        }
        Phase::Interim => Some(client.send(&request("GET", "\r\n")).head().status()),
        Phase::Answer | Phase::AnswerBody => Some(client.send(&request("GET", "\r\n")).head().status()),
        Phase::Tunnel => {
            Some(client.send(&request("GET", "Connection: upgrade\r\nUpgrade: x\r\n\r\n")).head().status())
        }
    };
    assert_eq!(app.heard().start.split(' ').nth(1), Some(&*format!("/{phase:?}")));
    assert!(status.is_none_or(|status| matches!(status, 101 | 103 | 200)), "{phase:?}");
    client
}

#[test]
fn clients_that_go_in_any_phase_leave_nothing() {
    use Phase::{Answer, AnswerBody, Body, Connected, Head, HeadEnd, Interim, Tunnel, Waiting};
    let app = App::playing(part);
    let world = setup(&app).workers(2).start();
    for phase in [Connected, Head, HeadEnd, Body, Interim, Waiting, Answer, AnswerBody, Tunnel] {
        for goes in [Client::reset, drop::<Client>] {
            let clients: Vec<_> = (0..4).map(|_| come_to(phase, &world, &app)).collect();
            clients.into_iter().for_each(goes);
            world.eventually("nothing is in flight", || world.in_flight("v1") == 0);
            world.eventually("nobody is connected", || world.metrics().contains("cutover_connections 0"));
            world.eventually("no connection of theirs is kept", || {
                world.set().backends[0].traffic.connections() <= 2
            });
            assert_eq!(world.set().backends[0].traffic.in_flight(), 0, "{phase:?}");
            assert_eq!(world.set().backends[0].traffic.consecutive_errors(), 0, "{phase:?}");
            assert_eq!(world.connect().get("/").body, "ok");
            assert_eq!(app.heard().start, "GET / HTTP/1.1");
        }
    }
    assert!(world.metrics().contains("cutover_tunnels 0"));
}

#[test]
fn a_client_that_went_before_its_answer_is_logged_as_gone() {
    let app = App::playing(part);
    let world = setup(&app).logging(Format::Json).start();
    come_to(Phase::Waiting, &world, &app).reset();
    world.eventually("it is logged", || world.logged().contains("\"target\":\"/Waiting\""));
    assert!(world.logged().contains("\"status\":499"), "{}", world.logged());
}

#[test]
fn more_clients_than_a_listener_may_have_are_served_in_turn() {
    let app = App::saying("ok");
    let world = setup(&app).max_connections(8).start();
    let waiting = clients(&world, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for mut client in waiting {
        assert_eq!(client.answer().status(), 200);
    }
    // Those that keep theirs keep the others waiting, until they go.
    let mut keeping: Vec<_> = (0..8).map(|_| world.connect()).collect();
    keeping.iter_mut().for_each(|client| assert_eq!(client.get("/").status(), 200));
    let late = clients(&world, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    keeping.iter_mut().for_each(|client| assert_eq!(client.get("/").status(), 200));
    assert!(world.metrics().contains("cutover_connections 8"));
    drop(keeping);
    for mut client in late {
        assert_eq!(client.answer().status(), 200);
    }
    is_well(&world);
}
