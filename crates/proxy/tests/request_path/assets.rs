//! Files that the chosen version does not have: where they are looked for, and what the client gets if they are nowhere.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use cutover_core::asset::AssetPattern;
use cutover_proxy::access_log::Format;
use cutover_vault::Vaults;
use tempfile::TempDir;

use crate::app::{App, Visit};
use crate::http2;
use crate::message::Message;
use crate::world::{Setup, World};

/// An app that has these files: paths and what is in them.
fn having(files: &'static [(&'static str, &'static str)]) -> App {
    App::playing(move |mut visit| {
        while let Some(asked) = visit.request() {
            let found = files.iter().find(|(path, _)| asked.path() == *path);
            let is_sent = match found {
                Some((_, text)) => visit.say(text),
                None => visit.says_not_found("no such file"),
            };
            if !is_sent {
                return;
            }
        }
    })
}

impl Visit {
    fn says_not_found(&mut self, text: &str) -> bool {
        self.send(&format!(
            "HTTP/1.1 404 Not Found\r\nCache-Control: max-age=60\r\nETag: \"e\"\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        ))
    }
}

impl Message {
    fn path(&self) -> &str {
        self.start.split(' ').nth(1).unwrap()
    }
}

/// A service whose active version is v2, while v1 drains, and whose assets are under `/assets`.
fn flipped(v1: &App, v2: &App) -> World {
    let world = setup(v1, v2).start();
    world.flip("v2");
    world
}

fn setup(v1: &App, v2: &App) -> Setup {
    Setup::new(&[("a", &v1.address.to_string(), "v1"), ("b", &v2.address.to_string(), "v2")])
        .policy(|policy| policy.assets.paths = vec![AssetPattern::parse("/assets/**").unwrap()])
}

fn counted(world: &World, outcome: &str) -> bool {
    let line = format!("cutover_assets_total{{outcome=\"{outcome}\",service=\"web\"}} 1");
    world.metrics().lines().any(|found| found == line)
}

#[test]
fn a_file_of_a_page_from_before_the_flip_is_found_in_its_version() {
    let (v1, v2) = (having(&[("/assets/1.js", "one")]), having(&[("/", "page"), ("/assets/2.js", "two")]));
    let world = flipped(&v1, &v2);
    let mut client = world.connect();
    let found = client.get("/assets/1.js");
    assert_eq!((found.status(), found.body.as_str()), (200, "one"));
    assert_eq!(found.field("set-cookie"), None, "where a file is does not say where a session is");
    assert_eq!(client.get("/assets/2.js").body, "two");
    world.eventually("both are counted", || counted(&world, "other_version") && counted(&world, "hit"));
    let page = client.get("/");
    assert_eq!((page.body.as_str(), page.field("set-cookie").is_some()), ("page", true));
    assert_eq!(v2.connections(), 1, "the answer that nobody got was read to its end");
    let misses = |version: &str| world.set().version(version).unwrap().traffic.answers.tally().asset_misses;
    assert_eq!((misses("v1"), misses("v2")), (0, 1));
    world.eventually("nothing is in flight", || world.in_flight("v1") + world.in_flight("v2") == 0);
}

#[test]
fn a_session_stays_where_it_is_pinned() {
    let (v1, v2) = (having(&[("/", "one")]), having(&[("/assets/2.js", "two")]));
    let world = setup(&v1, &v2).start();
    let page = world.connect().get("/");
    let cookie = page.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    world.flip("v2");
    let mut client = world.connect();
    let mut ask = |path: &str| {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n")).answer()
    };
    let found = ask("/assets/2.js");
    assert_eq!((found.body.as_str(), found.field("set-cookie")), ("two", None));
    assert_eq!(found.field("cutover-update"), Some("v2"), "its page is still outdated");
    assert_eq!(ask("/").body, "one");
}

#[test]
fn what_is_nowhere_is_missed_in_the_words_of_the_chosen_version_and_never_stored() {
    let v1 =
        App::playing(|mut visit| while visit.request().is_some() && visit.says_not_found("v1 has none") {});
    let v2 =
        App::playing(|mut visit| while visit.request().is_some() && visit.says_not_found("v2 has none") {});
    let world = flipped(&v1, &v2);
    let mut client = world.connect();
    for _ in 0..2 {
        let missed = client.get("/assets/x.js");
        assert_eq!((missed.status(), missed.body.as_str()), (404, "v2 has none"));
        assert_eq!((missed.field("cache-control"), missed.field("etag")), (Some("no-store"), Some("\"e\"")));
        assert_eq!((v1.heard().path(), v2.heard().path()), ("/assets/x.js", "/assets/x.js"));
    }
    assert_eq!((v1.connections(), v2.connections()), (1, 1));
}

#[test]
fn only_files_are_looked_for() {
    let (v1, v2) = (App::saying("one"), having(&[]));
    let world = flipped(&v1, &v2);
    let mut client = world.connect();
    for path in [
        "/other.js",
        "/assets",
        "/assets/../x.js",
        "/assets/%2e%2e/x.js",
        "/assets//x.js",
        "/assets/a%2fb.js",
    ] {
        let missed = client.get(path);
        assert_eq!((missed.status(), missed.field("cache-control")), (404, Some("max-age=60")), "{path}");
    }
    let posted = "POST /assets/x.js HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na";
    assert_eq!(client.send(posted).answer().status(), 404);
    assert_eq!(
        client.send("GET /assets/x.js HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na").answer().status(),
        404
    );
    assert!(v1.is_idle());
}

#[test]
fn a_page_in_place_of_a_file_is_a_miss() {
    const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npage\r\n0\r\n\r\n";
    let (v1, v2) = (
        having(&[("/assets/1.js", "one"), ("/assets/1", "one")]),
        App::playing(|mut visit| while visit.request().is_some() && visit.send(PAGE) {}),
    );
    let world = flipped(&v1, &v2);
    let mut client = world.connect();
    let bodies = ["/assets/1.js", "/assets/1", "/assets/x.js"].map(|path| client.get(path).body);
    assert_eq!(bodies, ["one", "page", "page"], "a path without an extension may be a page");
    assert_eq!(v2.connections(), 1);
}

#[test]
fn conditions_and_ranges_are_answered_by_whoever_has_the_file() {
    const ANSWERS: &[&str] = &[
        "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-1/3\r\nContent-Length: 1\r\n\r\nn",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
    ];
    let (v1, v2) = (App::answering(ANSWERS), having(&[]));
    let world = flipped(&v1, &v2);
    let mut client = world.connect();
    let get = |more: &str| format!("GET /assets/1.js HTTP/1.1\r\nHost: x\r\n{more}\r\n\r\n");
    assert_eq!(client.send(&get("If-None-Match: \"1\"")).answer().status(), 304);
    assert_eq!(v1.heard().field("if-none-match"), Some("\"1\""));
    let part = client.send(&get("Range: bytes=1-1")).answer();
    assert_eq!(
        (part.status(), part.body.as_str(), part.field("content-range")),
        (206, "n", Some("bytes 1-1/3"))
    );
}

#[test]
fn the_head_of_a_file_is_found_too() {
    let found = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    let v1 = App::playing(move |mut visit| while visit.request().is_some() && visit.send(found) {});
    let v2 = App::playing(|mut visit| {
        while visit.request().is_some() && visit.send("HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\n")
        {
        }
    });
    let world = flipped(&v1, &v2);
    let mut client = world.connect();
    for _ in 0..2 {
        client.send("HEAD /assets/1.js HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = client.head();
        assert_eq!((head.status(), head.field("content-length")), (200, Some("3")));
    }
    assert_eq!((v1.connections(), v2.connections()), (1, 1));
}

#[test]
fn nobody_waits_for_the_rest_of_an_answer_that_nobody_gets() {
    let (closed, is_closed) = channel();
    let closed = Mutex::new(closed);
    let v1 = having(&[("/assets/1.js", "one")]);
    let v2 = App::playing(move |mut visit| {
        visit.request();
        visit.send("HTTP/1.1 404 Not Found\r\nContent-Length: 1000000\r\n\r\nslow");
        visit.wait_for_close();
        closed.lock().unwrap().send(()).unwrap();
    });
    let world = flipped(&v1, &v2);
    assert_eq!(world.connect().get("/assets/1.js").body, "one");
    is_closed.recv_timeout(crate::world::SOON).expect("its connection can't be used again");
}

#[test]
fn a_large_miss_is_passed_on_whole() {
    let text: &'static str = "x".repeat(300_000).leak();
    let (v1, v2) = (
        having(&[]),
        App::playing(move |mut visit| while visit.request().is_some() && visit.says_not_found(text) {}),
    );
    let world = flipped(&v1, &v2);
    let mut client = world.connect();
    for _ in 0..2 {
        assert_eq!(client.get("/assets/x.js").body.len(), 300_000);
    }
}

#[test]
fn errors_of_other_versions_are_no_files() {
    const ANSWERS: &[&str] = &[
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
        "nonsense\r\n\r\n",
    ];
    let (v1, v2) = (App::answering(ANSWERS), having(&[]));
    let world = flipped(&v1, &v2);
    let mut client = world.connect();
    for _ in 0..4 {
        let missed = client.get("/assets/x.js");
        assert_eq!((missed.status(), missed.body.as_str()), (404, "no such file"));
    }
}

#[test]
fn a_staged_version_is_asked_for_nothing() {
    let (v1, v2) = (having(&[]), App::saying("two"));
    let world = setup(&v1, &v2).start();
    assert_eq!(world.connect().get("/assets/2.js").status(), 404);
    assert!(v2.is_idle());
}

#[test]
fn both_versions_know_of_a_request_that_is_looked_for() {
    let (answer, answers) = channel::<()>();
    let answers = Mutex::new(answers);
    let v1 = App::playing(move |mut visit| {
        while visit.request().is_some() && answers.lock().unwrap().recv().is_ok() && visit.say("one") {}
    });
    let v2 = having(&[]);
    let world = flipped(&v1, &v2);
    let mut client = world.connect();
    client.send("GET /assets/1.js HTTP/1.1\r\nHost: x\r\n\r\n");
    v1.heard();
    assert_eq!((world.in_flight("v1"), world.in_flight("v2")), (1, 1));
    answer.send(()).unwrap();
    assert_eq!(client.answer().body, "one");
    world.eventually("nothing is in flight", || world.in_flight("v1") + world.in_flight("v2") == 0);
}

#[test]
fn a_client_that_leaves_while_it_is_looked_for_is_missed_by_nobody() {
    let v1 = App::playing(|mut visit| {
        visit.request();
        visit.wait_for_close();
    });
    let v2 = having(&[]);
    let world = flipped(&v1, &v2);
    let mut client = world.connect();
    client.send("GET /assets/1.js HTTP/1.1\r\nHost: x\r\n\r\n");
    v1.heard();
    client.reset();
    world.eventually("nothing is in flight", || world.in_flight("v1") + world.in_flight("v2") == 0);
}

#[test]
fn it_is_the_same_over_http_2() {
    let (v1, v2) = (having(&[("/assets/1.js", "one")]), having(&[]));
    let world = flipped(&v1, &v2);
    let mut client = http2::Client::connect(world.address);
    assert_eq!(client.get("/assets/1.js").body, b"one");
    let missed = client.get("/assets/x.js");
    assert_eq!((missed.status.as_u16(), &missed.body[..]), (404, &b"no such file"[..]));
    assert_eq!(missed.fields["cache-control"], "no-store");
}

#[test]
fn the_log_says_where_a_file_was_found() {
    let (v1, v2) = (having(&[("/assets/1.js", "one")]), having(&[]));
    let world = setup(&v1, &v2).logging(Format::Json).start();
    world.flip("v2");
    world.connect().get("/assets/1.js");
    world.eventually("it is logged", || world.logged().ends_with('\n'));
    let line = world.logged();
    let is_told = [r#""asset":"other_version""#, r#""version":"v1""#, r#""backend":"a""#, r#""status":200"#];
    assert!(is_told.iter().all(|told| line.contains(told)), "{line}");
}

/// A service with a vault, whose active version is v1.
struct Keeping {
    world: World,
    vaults: Arc<Vaults>,
    #[expect(dead_code, reason = "it is held, not read")]
    dir: TempDir,
}

impl Keeping {
    fn new(v1: &App, v2: &App, more: impl FnOnce(Setup) -> Setup) -> Self {
        let dir = TempDir::new().unwrap();
        let vaults = Arc::new(Vaults::start(dir.path().to_owned()).unwrap());
        let mut setup = more(setup(v1, v2)).policy(|policy| policy.assets.vault = 4 << 20);
        setup.vaults = Arc::clone(&vaults);
        Self { world: setup.start(), vaults, dir }
    }

    /// Asks for these as long as v1 is active, and lets v1 end: v2 is asked from then on.
    fn seen(&self, requests: &[&str]) {
        for request in requests {
            assert_eq!(self.world.connect().send(request).answer().status(), 200, "{request}");
        }
        self.world.eventually("all is passed on", || self.world.in_flight("v1") == 0);
        self.vaults.flush();
        self.world.flip("v2");
        self.world.probed("a", cutover_core::command::Finding::Down);
        self.world.probed("a", cutover_core::command::Finding::Down);
        self.world.probed("a", cutover_core::command::Finding::Down);
    }

    fn entries(&self) -> u64 {
        self.vaults.flush();
        self.vaults.find("web").unwrap().stats().entries
    }
}

fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n")
}

/// An app that answers everything with this head and body.
fn answering(fields: &'static str, text: &'static str) -> App {
    App::playing(move |mut visit| {
        while visit.request().is_some()
            && visit.send(&format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{text}", text.len()))
        {
        }
    })
}

const IMMUTABLE: &str = "Cache-Control: public, max-age=31536000, immutable\r\nContent-Type: text/javascript\r\nETag: \"1\"\r\nX-App-Version: v1\r\n";

#[test]
fn a_file_outlives_the_last_server_of_its_version() {
    let (v1, v2) = (answering(IMMUTABLE, "one"), having(&[]));
    let keeping = Keeping::new(&v1, &v2, |setup| {
        setup.policy(|policy| policy.response.add = vec![("x-rule".to_owned(), "r".to_owned())])
    });
    keeping.seen(&[&get("/assets/1.js?v=1", "")]);
    let mut client = keeping.world.connect();
    let found = client.send(&get("/assets/1.js?v=1", "X-Request-Id: me\r\n")).answer();
    assert_eq!((found.status(), found.body.as_str()), (200, "one"));
    let fields = ["content-type", "etag", "x-rule", "x-request-id", "set-cookie", "x-app-version", "age"]
        .map(|name| found.field(name));
    assert_eq!(fields, [Some("text/javascript"), Some("\"1\""), Some("r"), Some("me"), None, None, None]);
    assert!(
        found.field("date").is_some()
            && found.fields.iter().filter(|(name, _)| name == "x-rule").count() == 1
    );
    assert_eq!(client.send(&get("/assets/1.js?v=1", "If-None-Match: W/\"1\"\r\n")).answer().status(), 304);
    client.send("HEAD /assets/1.js?v=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = client.head();
    assert_eq!((head.status(), head.field("content-length")), (200, Some("3")));
    assert_eq!(client.get("/assets/1.js?v=2").status(), 404, "another query is another file");
    assert_eq!(client.get("/assets/1.js").field("cache-control"), Some("no-store"));
    let mut client = http2::Client::connect(keeping.world.address);
    assert_eq!(client.get("/assets/1.js?v=1").body, b"one");
    assert_eq!(v2.connections(), 2, "answers that nobody got were read to their ends");
}

#[test]
fn a_file_is_found_where_no_backend_is_left() {
    let (v1, v2) = (answering(IMMUTABLE, "one"), answering(IMMUTABLE, "two"));
    let keeping = Keeping::new(&v1, &v2, |setup| {
        setup.policy(|policy| policy.queue_timeout = cutover_core::time::Millis(20)).logging(Format::Json)
    });
    keeping.seen(&[&get("/assets/1.js", "")]);
    for _ in 0..3 {
        keeping.world.probed("b", cutover_core::command::Finding::Down);
    }
    let mut client = keeping.world.connect();
    assert_eq!(client.get("/assets/1.js").body, "one");
    assert_eq!((client.get("/assets/2.js").status(), client.get("/").status()), (503, 503));
    keeping.world.eventually("it is counted", || counted(&keeping.world, "vault"));
    keeping.world.eventually("it is logged", || keeping.world.logged().contains(r#""asset":"vault""#));
}

#[test]
fn only_what_never_changes_for_anybody_is_kept() {
    for fields in [
        "Cache-Control: max-age=60\r\n",
        "Cache-Control: immutable\r\nSet-Cookie: a=b\r\n",
        "Cache-Control: immutable\r\nVary: Origin\r\n",
        "Cache-Control: immutable, private\r\n",
        "",
    ] {
        let (v1, v2) = (answering(fields, "one"), having(&[]));
        let keeping = Keeping::new(&v1, &v2, |setup| setup);
        keeping.seen(&[&get("/assets/1.js", "")]);
        assert_eq!(
            (keeping.entries(), keeping.world.connect().get("/assets/1.js").status()),
            (0, 404),
            "{fields}"
        );
    }
}

#[test]
fn only_what_anybody_may_ask_for_is_kept() {
    let (v1, v2) = (answering(IMMUTABLE, "one"), having(&[]));
    let keeping = Keeping::new(&v1, &v2, |setup| setup);
    keeping.seen(&[
        &get("/assets/1.js", "Authorization: Basic YTpi\r\n"),
        &get("/other/1.js", ""),
        &get("/assets/../1.js", ""),
        &get("/assets/%2e%2e/1.js", ""),
        &get("/assets/a%2f1.js", ""),
        "POST /assets/1.js HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ]);
    assert_eq!(keeping.entries(), 0);
}

#[test]
fn bodies_are_kept_however_they_come() {
    let text: &'static str = "0123456789abcdef".repeat(20_000).leak();
    let head = "HTTP/1.1 200 OK\r\nCache-Control: immutable\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = format!("{:x}\r\n{text}\r\n5\r\nlast.\r\n0\r\n\r\n", text.len());
    let chunked = App::playing(
        move |mut visit| {
            while visit.request().is_some() && visit.send(&format!("{head}{body}")) {}
        },
    );
    let v2 = having(&[]);
    let keeping = Keeping::new(&chunked, &v2, |setup| {
        setup.policy(|policy| policy.compression = Some(Default::default()))
    });
    keeping.seen(&[&get("/assets/1.js", "Accept-Encoding: gzip\r\n")]);
    let found = keeping.world.connect().get("/assets/1.js");
    assert_eq!(
        (found.body.len(), found.field("content-encoding")),
        (text.len() + 5, None),
        "as the app has sent it"
    );
    assert!(found.body.starts_with(text) && found.body.ends_with("last."));
    let whole = answering("Cache-Control: immutable\r\n", text);
    let keeping = Keeping::new(&whole, &v2, |setup| setup);
    keeping.seen(&[&get("/assets/1.js", "")]);
    assert!(keeping.world.connect().get("/assets/1.js").body == text);
    assert!(http2::Client::connect(keeping.world.address).get("/assets/1.js").body == text.as_bytes());
}

#[test]
fn an_answer_that_breaks_off_is_not_kept() {
    for head in ["Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n", ""] {
        let v1 = App::playing(move |mut visit| {
            visit.request();
            visit.send(&format!("HTTP/1.1 200 OK\r\nCache-Control: immutable\r\n{head}\r\n3\r\none"));
        });
        let v2 = having(&[]);
        let keeping = Keeping::new(&v1, &v2, |setup| setup);
        let mut client = keeping.world.connect();
        client.send("GET /assets/1.js HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let _ = client.rest();
        keeping.world.eventually("it is over", || keeping.world.in_flight("v1") == 0);
        assert_eq!(keeping.entries(), 0, "{head}");
    }
}

#[test]
fn a_file_that_is_coded_goes_to_who_can_read_it() {
    let (v1, v2) = (answering("Cache-Control: immutable\r\nContent-Encoding: br\r\n", "coded"), having(&[]));
    let keeping = Keeping::new(&v1, &v2, |setup| setup);
    keeping.seen(&[&get("/assets/1.js", "Accept-Encoding: br\r\n")]);
    let mut client = keeping.world.connect();
    let found = client.send(&get("/assets/1.js", "Accept-Encoding: gzip, br\r\n")).answer();
    assert_eq!(
        (found.body.as_str(), found.field("content-encoding"), found.field("vary")),
        ("coded", Some("br"), Some("Accept-Encoding"))
    );
    assert_eq!(client.send(&get("/assets/1.js", "Accept-Encoding: gzip\r\n")).answer().status(), 404);
    assert_eq!(client.get("/assets/1.js").status(), 404);
}

#[test]
fn a_page_in_place_of_a_file_is_never_kept() {
    let v1 = answering("Cache-Control: immutable\r\nContent-Type: text/html\r\n", "page");
    let v2 = having(&[]);
    let keeping = Keeping::new(&v1, &v2, |setup| setup);
    keeping.seen(&[&get("/assets/1.js", "")]);
    assert_eq!(keeping.entries(), 0);
}
