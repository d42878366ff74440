//! People and tests that try a version out: by a header field, or by a link and the cookie that it leaves.

use std::io::{Read, Write};

use cutover_core::command::{Change, Finding, Rollback, Sessions};
use cutover_core::id::{ServiceName, VersionLabel};
use cutover_core::pin::{PinKey, version_hash};
use cutover_core::policy::{ErrorPage, Policy};
use cutover_core::preview::Preview;
use cutover_core::time::{Millis, Timestamp};
use cutover_proxy::access_log::Format;
use cutover_proxy::keyring::Keyring;

use crate::app::App;
use crate::client::Client;
use crate::message::Message;
use crate::world::{Setup, now};

/// A link's text for a version of `web`, alive for so long, by the key that signs in these tests.
fn token_of(service: &str, version: &str, secs: u64) -> String {
    let keyring = Keyring::new(&[PinKey { id: 1, secret: [7; 32], made_at: Timestamp(0) }]);
    let version = version_hash(&VersionLabel::parse(version).unwrap());
    let expires_at = Timestamp::from_secs(now().as_secs() + secs);
    let service = ServiceName::parse(service).unwrap();
    keyring.seal_preview(&Preview { version, expires_at }, &service).unwrap()
}

fn token(version: &str) -> String {
    token_of("web", version, 60)
}

/// One that has expired.
fn old_token(version: &str) -> String {
    token_of("web", version, 0)
}

/// An app that answers with what `fields` says, and the name of its version.
fn app(version: &'static str, fields: &'static str) -> App {
    App::playing(move |mut visit| {
        while visit.request().is_some() {
            let length = version.len();
            if !visit.send(&format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\n\r\n{version}")) {
                return;
            }
        }
    })
}

/// v1 is active, v2 staged.
fn setup(v1: &App, v2: &App) -> Setup {
    Setup::new(&[("a", &v1.address.to_string(), "v1"), ("b", &v2.address.to_string(), "v2")])
}

fn ask(client: &mut Client, target: &str, fields: &str) -> Message {
    client.send(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")).answer()
}

fn by_header(client: &mut Client, token: &str) -> Message {
    ask(client, "/", &format!("Cutover-Preview: {token}\r\n"))
}

#[test]
fn a_header_reaches_a_staged_version_and_nobody_else_learns_of_it() {
    let (v1, v2) = (app("v1", ""), app("v2", "Cutover-Pin: end\r\nCache-Control: public, s-maxage=9\r\n"));
    let world = setup(&v1, &v2).start();
    let mut client = world.connect();
    let tried = by_header(&mut client, &token("v2"));
    assert_eq!((tried.status(), tried.body.as_str()), (200, "v2"));
    assert_eq!(tried.field("cache-control"), Some("private, no-store"));
    assert_eq!((tried.field("set-cookie"), tried.field("cutover-update")), (None, None));
    assert_eq!(v2.heard().field("cutover-preview"), None);
    assert_eq!(client.get("/").body, "v1", "it is about one request");
}

#[test]
fn a_link_leaves_a_cookie_and_leads_to_the_same_place() {
    let (v1, v2) = (app("v1", ""), app("v2", ""));
    let world = setup(&v1, &v2).start();
    let mut client = world.connect();
    let token = token("v2");
    let led = client.get(&format!("/shop?q=1&cutover-preview={token}&r"));
    assert_eq!((led.status(), led.field("location")), (303, Some("/shop?q=1&r")));
    assert_eq!(led.field("cache-control"), Some("no-store"));
    assert_eq!(led.field("referrer-policy"), Some("no-referrer"));
    let cookie = led.field("set-cookie").unwrap();
    let expected = format!("cutover-preview={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age=");
    let max_age: u64 = cookie.strip_prefix(&expected).unwrap().parse().unwrap();
    assert!((55..=61).contains(&max_age), "{cookie}");

    let cookie = format!("Cookie: a=b; cutover-preview={token}; c=d\r\n");
    assert_eq!(ask(&mut client, "/shop?q=1&r", &cookie).body, "v2");
    let heard = v2.heard();
    assert_eq!((heard.start.as_str(), heard.field("cookie")), ("GET /shop?q=1&r HTTP/1.1", Some("a=b; c=d")));

    let left = ask(&mut client, "/?cutover-preview=end", &cookie);
    assert_eq!((left.status(), left.field("location")), (303, Some("/")));
    assert_eq!(left.field("set-cookie"), Some("cutover-preview=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"));
    assert!(v1.is_idle());
}

#[test]
fn over_tls_the_cookie_is_the_hosts_own() {
    let (v1, v2) = (app("v1", ""), app("v2", ""));
    let world = setup(&v1, &v2).trusting().start();
    let mut client = world.connect();
    let (https, token) = ("X-Forwarded-Proto: https\r\n", token("v2"));
    let led = ask(&mut client, &format!("/?cutover-preview={token}"), https);
    let cookie = led.field("set-cookie").unwrap();
    assert!(cookie.starts_with(&format!("__Host-cutover-preview={token}; Path=/;")), "{cookie}");
    assert!(cookie.ends_with("; Secure"), "{cookie}");
    let with = |name: &str| format!("{https}Cookie: {name}={token}\r\n");
    assert_eq!(ask(&mut client, "/", &with("__Host-cutover-preview")).body, "v2");
    assert_eq!(
        ask(&mut client, "/", &with("cutover-preview")).body,
        "v1",
        "anybody on the way can have set it"
    );
}

#[test]
fn a_pin_is_neither_used_nor_changed() {
    let (v1, v2) = (app("v1", ""), app("v2", ""));
    let world = setup(&v1, &v2).start();
    let mut client = world.connect();
    let pinned = client.get("/");
    let pin = pinned.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let both = format!("Cookie: {pin}; cutover-preview={}\r\n", token("v2"));
    let tried = ask(&mut client, "/", &both);
    assert_eq!((tried.body.as_str(), tried.field("set-cookie")), ("v2", None));
    let back = ask(&mut client, "/", &format!("Cookie: {pin}\r\n"));
    assert_eq!((back.body.as_str(), back.field("set-cookie")), ("v1", None), "it is where it was");
}

#[test]
fn who_names_a_preview_that_is_not_valid_is_told_and_not_served_by_another() {
    let (v1, v2) = (app("v1", ""), app("v2", ""));
    let world = setup(&v1, &v2).start();
    let mut client = world.connect();
    let mut forged = token("v2").into_bytes();
    forged[5] ^= 1;
    let cases = [
        (old_token("v2"), 410, "expired"),
        (String::from_utf8(forged).unwrap(), 403, "not valid"),
        (token_of("other", "v2", 60), 403, "not valid"),
        ("x".to_owned(), 403, "not valid"),
    ];
    for (token, status, word) in cases {
        let page = "Accept: text/html\r\n";
        for said in [
            by_header(&mut client, &token),
            client.get(&format!("/?cutover-preview={token}")),
            ask(&mut client, &format!("/?cutover-preview={token}"), page),
        ] {
            assert_eq!((said.status(), said.field("set-cookie")), (status, None), "{said:?}");
            assert!(said.body.contains(word) && said.field("cache-control") == Some("no-store"), "{said:?}");
        }
    }
    assert!(v1.is_idle() && v2.is_idle());
    let metrics = world.metrics();
    for (outcome, count) in [("expired", 3), ("bad_mac", 6), ("malformed", 3), ("served", 0)] {
        let line = format!("cutover_previews_total{{outcome=\"{outcome}\",service=\"web\"}} {count}");
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
}

#[test]
fn a_cookie_that_is_not_valid_any_more_does_not_matter() {
    let (v1, v2) = (app("v1", ""), app("v2", ""));
    let world = setup(&v1, &v2).start();
    let mut client = world.connect();
    let old = format!("Cookie: cutover-preview={}\r\n", old_token("v2"));
    let served = ask(&mut client, "/", &old);
    assert!(served.body == "v1" && served.field("set-cookie").is_some(), "a session begins: {served:?}");
    assert_eq!(v1.heard().field("cookie"), None, "it is taken out all the same");
    assert!(world.metrics().contains("cutover_previews_total{outcome=\"expired\",service=\"web\"} 1"));
}

#[test]
fn without_a_usable_backend_it_is_told_so_in_the_proxys_words() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("503.html");
    std::fs::write(&page, "we are busy").unwrap();
    let (v1, v2) = (app("v1", ""), app("v2", ""));
    let everybody = |policy: &mut Policy| {
        policy.queue_timeout = Millis::ZERO;
        policy.error_pages = vec![ErrorPage { status: 503, path: page.to_string_lossy().into() }];
    };
    let world = setup(&v1, &v2).policy(everybody).start();
    world.probed("b", Finding::Down);
    let mut client = world.connect();
    let fields = format!("Accept: text/html\r\nCutover-Preview: {}\r\n", token("v2"));
    let said = ask(&mut client, "/", &fields);
    assert_eq!((said.status(), said.field("retry-after")), (503, Some("1")));
    assert!(said.body.contains("the version of this preview has no usable backend"), "{said:?}");
    assert_eq!(client.get("/").body, "v1");
    assert!(world.metrics().contains("cutover_previews_total{outcome=\"unavailable\",service=\"web\"} 1"));
}

#[test]
fn a_backend_that_is_gone_is_not_replaced_by_one_of_another_version() {
    let v1 = app("v1", "");
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let backends = [("a", &*v1.address.to_string(), "v1"), ("b", &*gone.to_string(), "v2")];
    let world = Setup::new(&backends).policy(|policy| policy.queue_timeout = Millis(50)).start();
    let said = by_header(&mut world.connect(), &token("v2"));
    assert!(matches!(said.status(), 502 | 503), "{said:?}");
    assert!(v1.is_idle());
}

#[test]
fn a_version_that_was_rolled_back_can_be_looked_at() {
    let (v1, v2) = (app("v1", ""), app("v2", ""));
    let world = setup(&v1, &v2).start();
    world.flip("v2");
    let (if_epoch, sessions, reason) = (None, Sessions::Move, "bad".to_owned());
    world.changed(Change::Rollback(Rollback { if_epoch, sessions, reason }));
    assert_eq!(by_header(&mut world.connect(), &token("v2")).body, "v2");
}

#[test]
fn the_clients_version_is_the_one_that_it_tries_out() {
    let (v1, v2) = (app("v1", ""), app("v2", ""));
    let world = setup(&v1, &v2).start();
    let fields = format!("Cutover-Preview: {}\r\n", token("v2"));
    let said = ask(&mut world.connect(), "/.cutover/version", &fields);
    let expected = concat!(
        r#"{"service":"web","version":"v2","epoch":null,"active":"v1","active_epoch":1,"update":false,"#,
        r#""preview":true}"#
    );
    assert_eq!(said.body.trim_end(), expected);
}

#[test]
fn the_log_marks_previews_and_has_no_credential() {
    let (v1, v2) = (app("v1", ""), app("v2", ""));
    let world = setup(&v1, &v2).logging(Format::Json).start();
    let mut client = world.connect();
    let token = token("v2");
    client.get(&format!("/?cutover-preview={token}"));
    ask(&mut client, "/", &format!("Cookie: cutover-preview={token}\r\n"));
    world.eventually("both are logged", || world.logged().lines().count() == 2);
    let logged = world.logged();
    assert!(!logged.contains(&token), "{logged}");
    assert!(logged.contains(r#""target":"/?cutover-preview=***""#), "{logged}");
    let (_, tried) = logged.trim_end().rsplit_once('\n').unwrap();
    assert!(tried.contains(r#""version":"v2""#) && tried.contains(r#""pin":"preview""#), "{tried}");
}

#[test]
fn a_websocket_tries_a_version_out_too_and_counts_on_it() {
    let v1 = app("v1", "");
    let v2 = App::playing(|mut visit| {
        let Some(request) = visit.head() else { return };
        visit.tell(request);
        let switched =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        let mut bytes = [0; 4];
        while visit.send(switched) && visit.stream().read_exact(&mut bytes).is_ok() {
            let _ = visit.stream().get_mut().write_all(&bytes);
        }
    });
    let world = setup(&v1, &v2).start();
    let mut client = world.connect();
    let fields = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    let cookie = format!("Cookie: cutover-preview={}\r\n", token("v2"));
    client.send(&format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}{cookie}\r\n"));
    assert_eq!(client.head().status(), 101);
    assert_eq!(v2.heard().field("cookie"), None);
    assert_eq!((world.tunnels("v1"), world.tunnels("v2")), (0, 1));
    assert_eq!(client.send("ping").bytes(4), "ping");
}

#[test]
fn a_link_with_a_body_keeps_its_method() {
    let (v1, v2) = (app("v1", ""), app("v2", ""));
    let world = setup(&v1, &v2).start();
    let post = format!(
        "POST /form?cutover-preview={} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        token("v2")
    );
    let led = world.connect().send(&post).answer();
    assert_eq!((led.status(), led.field("location")), (307, Some("/form")));
    assert!(v1.is_idle() && v2.is_idle());
}
