//! What lasts and has to go: tunnels and streams whose version or backend is evicted, or whose proxy ends.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use cutover_core::backend::AdminState;
use cutover_core::command::{Change, Rollback, Sessions};
use cutover_core::id::{BackendId, VersionLabel};
use cutover_core::policy::{Balance, DrainPolicy};
use cutover_core::time::Millis;

use crate::app::App;
use crate::client::Client;
use crate::world::{SOON, Setup, World};

/// A close frame with code 1012, as a server sends it.
const RESTART: [u8; 4] = [0x88, 2, 0x03, 0xf4];
/// One with code 1000, as a server and as a client sends it.
const CLOSE: [u8; 4] = [0x88, 2, 0x03, 0xe8];
const MASKED_CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];

#[test]
fn a_websocket_is_told_on_both_sides_to_begin_anew() {
    let stage = Stage::new(AT_ONCE);
    let mut socket = stage.open();
    stage.world.flip("v2");
    assert_eq!(socket.client_hears(4), RESTART);
    assert_eq!(socket.app_hears_close(), 1012);
    assert_eq!(stage.world.tunnels("v1"), 1, "they may say goodbye");
    socket.client_says(&MASKED_CLOSE);
    socket.app_says(&CLOSE);
    socket.ends();
    stage.world.eventually("the tunnel is over", || stage.world.tunnels("v1") == 0);
}

#[test]
fn a_frame_that_is_under_way_comes_to_its_end_first_and_nothing_follows_it() {
    let stage = Stage::new(AT_ONCE);
    let mut socket = stage.open();
    socket.app_says(b"\x81\x0ahalf");
    assert_eq!(socket.client_hears(6), b"\x81\x0ahalf");
    stage.world.flip("v2");
    assert_eq!(socket.app_hears_close(), 1012, "its side is between frames");
    socket.app_says(b" ended\x81\x04late");
    assert_eq!(socket.client_hears(10), [b" ended", &RESTART[..]].concat());
    socket.client_says(&MASKED_CLOSE);
    socket.app_says(&CLOSE);
    socket.ends();
}

#[test]
fn between_the_fragments_of_a_message_is_between_frames() {
    let stage = Stage::new(AT_ONCE);
    let mut socket = stage.open();
    let first_fragment = b"\x01\x82\0\0\0\0ab";
    socket.client_says(first_fragment);
    assert_eq!(socket.app_hears(8), first_fragment);
    stage.world.flip("v2");
    assert_eq!(socket.app_hears_close(), 1012);
    assert_eq!(socket.client_hears(4), RESTART);
}

#[test]
fn sides_that_say_goodbye_already_are_left_to_it() {
    let stage = Stage::new(AT_ONCE);
    let mut socket = stage.open();
    socket.client_says(&MASKED_CLOSE);
    assert_eq!(socket.app_hears(8), MASKED_CLOSE);
    stage.world.flip("v2");
    socket.app_says(b"\x81\x02ok");
    assert_eq!(socket.client_hears(4), b"\x81\x02ok");
    socket.app_says(&CLOSE);
    socket.app.shutdown(Shutdown::Write).unwrap();
    assert_eq!(socket.client_hears(4), CLOSE);
    socket.client.half_close();
    socket.ends();
}

#[test]
fn who_does_not_say_goodbye_is_not_waited_for_long() {
    let stage = Stage::new(AT_ONCE);
    let mut socket = stage.open();
    let begun = Instant::now();
    stage.world.flip("v2");
    assert_eq!(socket.client_hears(4), RESTART);
    assert_eq!(socket.app_hears_close(), 1012);
    socket.ends();
    assert!((2..8).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[test]
fn a_websocket_whose_app_has_closed_is_over_soon_though_its_client_has_not() {
    let stage = Stage::new(DrainPolicy::default());
    let mut socket = stage.open();
    socket.app_says(&CLOSE);
    let begun = Instant::now();
    drop(socket.app);
    assert_eq!(socket.client.stream().bytes().take(4).map(Result::unwrap).collect::<Vec<_>>(), CLOSE);
    stage.world.eventually("the tunnel is over", || stage.world.tunnels("v1") == 0);
    assert!((2..8).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[test]
fn a_side_of_another_protocol_that_says_no_more_is_said_more_to() {
    let stage = Stage::new(DrainPolicy::default());
    let mut socket = stage.open_as("shout");
    socket.app.shutdown(Shutdown::Write).unwrap();
    assert_eq!(socket.client.rest().unwrap(), "");
    // Longer than a WebSocket would be left.
    std::thread::sleep(Duration::from_millis(3500));
    socket.client_says(b"still here");
    assert_eq!(socket.app_hears(10), b"still here");
}

#[test]
fn tunnels_of_a_version_end_one_after_the_other() {
    let stage = Stage::new(DrainPolicy { deadline: Millis::ZERO, spread: Millis(1500) });
    let mut sockets: Vec<Socket> = (0..16).map(|_| stage.open()).collect();
    let begun = Instant::now();
    stage.world.flip("v2");
    let mut ends: Vec<Duration> = Vec::new();
    std::thread::scope(|scope| {
        let heard: Vec<_> = sockets
            .iter_mut()
            .map(|socket| {
                scope.spawn(move || {
                    assert_eq!(socket.client_hears(4), RESTART);
                    begun.elapsed()
                })
            })
            .collect();
        ends.extend(heard.into_iter().map(|heard| heard.join().unwrap()));
    });
    ends.sort();
    assert!(ends[15] - ends[0] > Duration::from_millis(300), "{ends:?}");
}

#[test]
fn a_backend_that_is_drained_ends_its_own_tunnels_and_no_others() {
    let stage = Stage::new(AT_ONCE);
    let mut sockets = [stage.open(), stage.open()];
    stage.patch("a", AdminState::Drain);
    let on_a = usize::from(sockets[0].name != "a");
    assert_eq!(sockets[on_a].client_hears(4), RESTART);
    let other = &mut sockets[1 - on_a];
    assert_eq!(other.name, "b");
    other.app_says(b"\x81\x02hi");
    assert_eq!(other.client_hears(4), b"\x81\x02hi");
    stage.patch("a", AdminState::Ready);
    stage.patch("b", AdminState::Maint);
    assert_eq!(sockets[1 - on_a].client_hears(4), RESTART);
}

#[test]
fn a_tunnel_keeps_no_connections_to_others_open() {
    let stage = Stage::new(AT_ONCE);
    let mut socket = stage.open();
    let mut client = stage.world.connect();
    assert!((0..2).all(|_| client.get("/").body == "v1"));
    let before = stage.world.set();
    let gone = &before.backends[1];
    assert_eq!((socket.name, gone.id.as_str(), gone.traffic.connections()), ("a", "b", 1));
    let [a, _, c] = stage.apps.each_ref().map(|app| app.address.to_string());
    stage.world.reload(&[("a", a, "v1"), ("c", c, "v2")]);
    stage.world.eventually("it is closed", || gone.traffic.connections() == 0);
    socket.app_says(b"\x81\x02hi");
    assert_eq!(socket.client_hears(4), b"\x81\x02hi");
}

#[test]
fn a_tunnel_ends_when_its_version_is_evicted_or_rolled_back() {
    let rollback =
        Change::Rollback(Rollback { if_epoch: None, sessions: Sessions::Move, reason: "bad".to_owned() });
    let v1 = VersionLabel::parse("v1").unwrap();
    for (change, is_after_flip) in [(Change::Evict(v1), false), (rollback, true)] {
        let stage = Stage::new(DrainPolicy::default());
        let before = stage.open();
        stage.world.flip("v2");
        let mut socket = if is_after_flip { stage.open() } else { before };
        socket.app_says(b"\x81\x02hi");
        assert_eq!(socket.client_hears(4), b"\x81\x02hi", "a flip ends nothing");
        stage.world.change(change);
        assert_eq!(socket.client_hears(4), RESTART);
    }
}

#[test]
fn a_proxy_that_ends_tells_its_websockets() {
    let stage = Stage::new(AT_ONCE);
    let mut socket = stage.open();
    stage.world.shutdown(SOON);
    assert_eq!(socket.client_hears(4), RESTART);
    assert_eq!(socket.app_hears_close(), 1012);
    socket.client_says(&MASKED_CLOSE);
    socket.app_says(&CLOSE);
    socket.ends();
    assert_eq!(stage.world.ended(), 0, "nothing was cut");
}

#[test]
fn a_tunnel_of_another_protocol_gets_what_was_sent_and_then_its_end() {
    let stage = Stage::new(AT_ONCE);
    let mut socket = stage.open_as("shout");
    socket.client_says(b"before");
    assert_eq!(socket.app_hears(6), b"before");
    socket.app_says(b"answer");
    stage.world.flip("v2");
    assert_eq!(socket.client.rest().unwrap(), "answer");
    assert_eq!(socket.app.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_stream_of_events_ends_behind_its_event_as_if_it_were_over() {
    let stage = Stage::new(AT_ONCE);
    let mut events = stage.stream("text/event-stream; charset=utf-8");
    events.app_says(&chunk("data: 1\n\nda"));
    let head = events.client.head();
    assert_eq!(events.client_hears(16), chunk("data: 1\n\nda"));
    stage.world.flip("v2");
    std::thread::sleep(Duration::from_millis(50));
    events.app_says(&chunk("ta: 2\n\ndata: 3\n\n"));
    assert_eq!(events.client.body_of(head).unwrap().body, "ta: 2\n\n");
    stage.world.eventually("nothing is in flight", || stage.world.in_flight("v1") == 0);
    events.client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(events.client.answer().body, "v2", "the connection serves on");
    assert_eq!(events.app.read(&mut [0; 8]).unwrap_or(0), 0, "the app's does not");
}

#[test]
fn a_stream_of_anything_else_runs_on() {
    let events = "text/event-stream";
    for (method, accepted, kind) in [
        ("GET", events, "application/x-ndjson"),
        // Who would not ask again by itself takes the end for the end of what was asked for.
        ("POST", events, events),
        ("GET", "application/json", events),
    ] {
        let stage = Stage::new(AT_ONCE);
        let mut stream = stage.ask(method, &format!("Accept: {accepted}\r\nX-Wanted: {kind}"));
        stream.app_says(&chunk("data: 1\n\n"));
        let head = stream.client.head();
        stage.world.flip("v2");
        stage.world.change(Change::Evict(VersionLabel::parse("v1").unwrap()));
        std::thread::sleep(Duration::from_millis(50));
        stream.app_says(&chunk("data: 2\n\n"));
        stream.app_says(b"0\r\n\r\n");
        let whole = stream.client.body_of(head).unwrap().body;
        assert_eq!(whole, "data: 1\n\ndata: 2\n\n", "{method} {accepted} {kind}");
    }
}

#[test]
fn while_sessions_are_evicted_answers_to_them_close_the_connection() {
    let spread = Millis::from_secs(100_000);
    let (old, new) = (App::saying("v1"), App::saying("v2"));
    let world = Setup::new(&[("a", &old.address.to_string(), "v1"), ("b", &new.address.to_string(), "v2")])
        .policy(|policy| policy.drain = DrainPolicy { deadline: Millis::ZERO, spread })
        .start();
    let first = world.connect().get("/");
    let cookie = first.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(first.field("connection"), None);
    world.flip("v2");
    let pinned = format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n");
    let again = world.connect().send(&pinned).answer();
    assert_eq!((again.body.as_str(), again.field("connection")), ("v1", Some("close")));
    assert_eq!(world.connect().get("/").field("connection"), None, "the active version's do not");
}

const AT_ONCE: DrainPolicy = DrainPolicy { deadline: Millis::ZERO, spread: Millis::ZERO };

/// Backends `a` and `b` of `v1`, taken in turns, and one of `v2`. Their connections are the test's to play.
struct Stage {
    world: World,
    opened: Receiver<(&'static str, TcpStream)>,
    apps: [App; 3],
}

/// Both ends of what the proxy carries.
struct Socket {
    client: Client,
    /// The backend that has the other end.
    name: &'static str,
    app: TcpStream,
}

impl Stage {
    fn new(drain: DrainPolicy) -> Self {
        let (sender, opened) = channel();
        let app = |name: &'static str| {
            let sender = sender.clone();
            App::playing(move |mut visit| {
                while let Some(request) = visit.request() {
                    let wanted = request.field("upgrade").map(str::to_owned);
                    let head = match (wanted, request.field("x-wanted")) {
                        (Some(protocol), _) => format!(
                            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n"
                        ),
                        (None, Some(wanted)) => format!(
                            "HTTP/1.1 200 OK\r\nContent-Type: {wanted}\r\nTransfer-Encoding: chunked\r\n\r\n"
                        ),
                        (None, None) => {
                            visit.say(if name == "c" { "v2" } else { "v1" });
                            continue;
                        }
                    };
                    visit.send(&head);
                    let stream = visit.stream().get_ref().try_clone().unwrap();
                    return drop(sender.send((name, stream)));
                }
            })
        };
        let apps = ["a", "b", "c"].map(app);
        let [a, b, c] = apps.each_ref().map(|app| app.address.to_string());
        let world = Setup::new(&[("a", &a, "v1"), ("b", &b, "v1"), ("c", &c, "v2")])
            .policy(|policy| (policy.drain, policy.balance) = (drain, Balance::RoundRobin))
            .start();
        Self { world, opened, apps }
    }

    fn open(&self) -> Socket {
        self.open_as("websocket")
    }

    fn open_as(&self, protocol: &str) -> Socket {
        let upgrade = format!("Connection: upgrade\r\nUpgrade: {protocol}");
        let mut socket = self.ask("GET", &upgrade);
        assert_eq!(socket.client.head().status(), 101);
        socket
    }

    fn stream(&self, kind: &str) -> Socket {
        self.ask("GET", &format!("Accept: text/event-stream\r\nX-Wanted: {kind}"))
    }

    fn ask(&self, method: &str, fields: &str) -> Socket {
        let mut client = self.world.connect();
        client.send(&format!("{method} / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n"));
        let (name, app) = self.opened.recv_timeout(SOON).unwrap();
        Socket { client, name, app }
    }

    fn patch(&self, backend: &str, admin: AdminState) {
        let backend = BackendId::parse(backend).unwrap();
        let by = "ops".to_owned();
        self.world.change(Change::Patch { backend, admin: Some(admin), weight: None, force: true, by });
    }
}

impl Socket {
    fn client_says(&mut self, bytes: &[u8]) {
        self.client.sender().write_all(bytes).unwrap();
    }

    fn app_says(&mut self, bytes: &[u8]) {
        self.app.write_all(bytes).unwrap();
    }

    fn client_hears(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.client.stream().read_exact(&mut bytes).unwrap();
        bytes
    }

    fn app_hears(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.app.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads a close frame as a server does; answers its code.
    fn app_hears_close(&mut self) -> u16 {
        let frame = self.app_hears(8);
        assert_eq!(frame[..2], [0x88, 0x82], "it is masked");
        u16::from_be_bytes([frame[6] ^ frame[2], frame[7] ^ frame[3]])
    }

    /// Both ends see the end, and nothing before it.
    fn ends(mut self) {
        assert_eq!(self.client.rest().unwrap(), "");
        assert_eq!(self.app.read(&mut [0; 8]).unwrap(), 0);
    }
}

/// One chunk of a body.
fn chunk(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
}
