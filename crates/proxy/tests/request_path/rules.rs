//! What a service does to its messages: header rules, and prefixes that become others.

use std::net::SocketAddr;

use cutover_core::policy::{Balance, HeaderRules, IdentitySource, Policy};
use cutover_core::route::PathPrefix;
use cutover_proxy::access_log::Format;

use crate::app::App;
use crate::message::Message;
use crate::world::{Setup, World};

fn world(app: &App, change: impl FnOnce(&mut Policy)) -> World {
    at(app.address, change)
}

fn at(address: SocketAddr, change: impl FnOnce(&mut Policy)) -> World {
    Setup::new(&[("a", &address.to_string(), "v1")]).policy(change).start()
}

pub(crate) fn rules(remove: &[&str], set: &[(&str, &str)], add: &[(&str, &str)]) -> HeaderRules {
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let remove = remove.iter().map(ToString::to_string).collect();
    HeaderRules { remove, set: pairs(set), add: pairs(add) }
}

fn values<'a>(message: &'a Message, name: &str) -> Vec<&'a str> {
    message.fields.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn the_app_sees_what_the_rules_make_of_a_request() {
    let app = App::saying("ok");
    let world = world(&app, |policy| {
        policy.request = rules(&["authorization"], &[("x-tenant", "7")], &[("accept-language", "de")]);
    });
    world.connect().send(
        "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: secret\r\nX-Tenant: 1\r\nX-TENANT: 2\r\nX_Tenant: 3\r\nAccept-Language: en\r\n\r\n",
    );
    let heard = app.heard();
    assert_eq!(heard.field("authorization"), None);
    assert_eq!(heard.field("x_tenant"), None, "apps behind CGI and WSGI can't tell it from the other");
    assert_eq!(
        (values(&heard, "x-tenant"), values(&heard, "accept-language")),
        (vec!["7"], vec!["en", "de"])
    );
}

#[test]
fn rules_undo_neither_framing_nor_what_is_said_about_the_way() {
    let app = App::saying("ok");
    let names =
        ["content-length", "host", "x-forwarded-for", "forwarded", "x-request-id", "via", "connection"];
    let world = world(&app, |policy| policy.request = rules(&names, &names.map(|name| (name, "0")), &[]));
    let answer = world
        .connect()
        .send("POST / HTTP/1.1\r\nHost: x\r\nX-Request-Id: id\r\nContent-Length: 5\r\n\r\nhello")
        .answer();
    let heard = app.heard();
    assert_eq!((answer.status(), heard.body.as_str()), (200, "hello"));
    let said = ["host", "content-length", "x-forwarded-for", "x-request-id"].map(|name| values(&heard, name));
    assert_eq!(said, [["x"], ["5"], ["127.0.0.1"], ["id"]]);
}

#[test]
fn the_client_sees_what_the_rules_make_of_an_answer_and_gets_its_pin() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nServer: app/1\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok";
    let app = App::playing(|mut visit| while visit.request().is_some() && visit.send(ANSWER) {});
    let hsts = ("strict-transport-security", "max-age=63072000");
    let world = world(&app, |policy| {
        policy.response = rules(&["server", "set-cookie", "content-length"], &[hsts], &[]);
    });
    let answer = world.connect().get("/");
    assert_eq!((answer.field("server"), answer.field(hsts.0)), (None, Some(hsts.1)));
    let cookies = values(&answer, "set-cookie");
    assert!(cookies.len() == 1 && cookies[0].starts_with("cutover="), "{cookies:?}");
    assert_eq!(answer.body, "ok");
}

#[test]
fn no_pin_goes_out_on_an_answer_that_a_rule_lets_caches_store() {
    let app = App::saying("ok");
    let world =
        world(&app, |policy| policy.response = rules(&[], &[("cache-control", "public, max-age=60")], &[]));
    let answer = world.connect().get("/");
    assert_eq!(values(&answer, "cache-control"), ["public, max-age=60"]);
    assert_eq!(answer.field("set-cookie"), None);
}

#[test]
fn answers_of_our_own_follow_the_rules_too() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let set = [("strict-transport-security", "max-age=1"), ("cache-control", "public")];
    let world = at(closed, |policy| policy.response = rules(&[], &set, &[]));
    let answer = world.connect().get("/");
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.field(set[0].0), Some(set[0].1));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    let version = world.connect().get("/.cutover/version");
    assert_eq!((version.status(), version.field(set[0].0)), (200, Some(set[0].1)));
}

#[test]
fn the_prefix_by_which_a_service_was_found_is_taken_off() {
    let app = App::saying("ok");
    let world = world(&app, |policy| {
        policy.paths = ["/api", "/api/v2"].map(|path| PathPrefix::parse(path).unwrap()).to_vec();
        policy.rewrite_prefix = Some("/".to_owned());
    });
    let mut client = world.connect();
    let cases = [
        ("/api", "/", "/api"),
        ("/api/a%2Fb?x=/api", "/a%2Fb?x=/api", "/api"),
        ("/api/v2/x", "/x", "/api/v2"),
        ("/api//evil.example", "/evil.example", "/api"),
    ];
    for (asked, expected, prefix) in cases {
        let request = format!("GET {asked} HTTP/1.1\r\nHost: x\r\nX-Forwarded-Prefix: /mine\r\n\r\n");
        assert_eq!(client.send(&request).answer().status(), 200);
        let heard = app.heard();
        assert_eq!(heard.start, format!("GET {expected} HTTP/1.1"));
        assert_eq!(values(&heard, "x-forwarded-prefix"), [prefix]);
    }
    assert_eq!(client.get("/apis").status(), 404);
}

#[test]
fn a_service_that_has_only_a_prefix_tells_its_version_below_it() {
    let app = App::saying("the app's");
    let world = world(&app, |policy| policy.paths = vec![PathPrefix::parse("/app").unwrap()]);
    let mut client = world.connect();
    assert!(client.get("/app/.cutover/version").body.contains(r#""active":"v1""#));
    assert_eq!(client.get("/.cutover/version").status(), 404);
    assert_eq!(client.get("/app/x/.cutover/version").body, "the app's");
}

#[test]
fn a_prefix_becomes_another_also_when_the_request_is_sent_again() {
    let app = App::saying("ok");
    let mute = App::playing(|mut visit| drop(visit.request()));
    let backends = [("a", &*app.address.to_string(), "v1"), ("b", &*mute.address.to_string(), "v1")];
    let world = Setup::new(&backends)
        .policy(|policy| {
            policy.paths = vec![PathPrefix::parse("/old").unwrap()];
            policy.rewrite_prefix = Some("/new/app".to_owned());
            policy.identity.source = IdentitySource::Label;
            policy.balance = Balance::RoundRobin;
        })
        .start();
    let mut client = world.connect();
    for _ in 0..4 {
        assert_eq!(client.get("/old/x?q").body, "ok");
        assert_eq!(app.heard().start, "GET /new/app/x?q HTTP/1.1");
    }
    assert_eq!(client.get("/old/a/../../../secret").status(), 400, "it would be a way out of /new/app");
    assert_eq!(mute.heard().start, "GET /new/app/x?q HTTP/1.1");
}

#[test]
fn without_a_rewrite_no_prefix_is_claimed() {
    let app = App::saying("ok");
    let world = world(&app, |policy| policy.paths = vec![PathPrefix::parse("/api").unwrap()]);
    world.connect().send("GET /api/x HTTP/1.1\r\nHost: x\r\nX-Forwarded-Prefix: /mine\r\n\r\n");
    let heard = app.heard();
    assert_eq!((heard.start.as_str(), heard.field("x-forwarded-prefix")), ("GET /api/x HTTP/1.1", None));
}

#[test]
fn the_log_has_what_the_client_asked_for() {
    let app = App::saying("ok");
    let setup = Setup::new(&[("a", &app.address.to_string(), "v1")]);
    let world = setup
        .policy(|policy| {
            policy.paths = vec![PathPrefix::parse("/api").unwrap()];
            policy.rewrite_prefix = Some("/".to_owned());
            policy.request = rules(&["referer"], &[("user-agent", "nobody")], &[]);
        })
        .logging(Format::Combined)
        .start();
    world
        .connect()
        .send("GET /api/x?q HTTP/1.1\r\nHost: x\r\nReferer: /r\r\nUser-Agent: me\r\n\r\n")
        .answer();
    let heard = app.heard();
    assert_eq!((heard.field("referer"), heard.field("user-agent")), (None, Some("nobody")));
    world.eventually("it is logged", || {
        let logged = world.logged();
        logged.contains("GET /api/x?q") && logged.contains("\"/r\" \"me\"")
    });
}
