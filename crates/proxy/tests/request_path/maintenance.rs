//! Maintenance: clients are turned away in the words of the operator, and everything else goes on.

use std::fs;
use std::time::Duration;

use cutover_core::command::Change;
use cutover_core::policy::ErrorPage;
use cutover_core::suspend::Suspended;
use cutover_core::time::Timestamp;

use crate::app::App;
use crate::world::{Setup, World, now};

fn setup(app: &App) -> Setup {
    Setup::new(&[("a", &app.address.to_string(), "v1")])
}

fn begin(world: &World, until: Option<Timestamp>) {
    let (what, reason, by) = (Suspended::Requests, "moving".to_owned(), "ops".to_owned());
    world.changed(Change::Suspend { what, reason, until, by });
}

#[test]
fn clients_are_turned_away_and_told_when_to_come_again() {
    let app = App::saying("ok");
    let world = setup(&app).start();
    let mut client = world.connect();
    begin(&world, None);
    let closed = client.get("/");
    assert_eq!((closed.status(), closed.field("retry-after")), (503, Some("60")));
    assert_eq!(closed.field("content-type"), Some("application/problem+json"));
    assert!(!closed.body.contains("moving") && !closed.body.contains("ops"), "{closed:?}");
    assert_eq!((closed.field("set-cookie"), closed.field("connection")), (None, None));
    begin(&world, Some(Timestamp(now().0 + 90_000)));
    let secs: u64 = client.get("/").field("retry-after").unwrap().parse().unwrap();
    assert!((80..=90).contains(&secs), "{secs}");
    assert_eq!(client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").head().status(), 503);
    let version = client.get("/.cutover/version");
    assert!(version.status() == 200 && version.body.contains("\"active\":\"v1\""), "{version:?}");
    assert!(app.is_idle());
    world.changed(Change::Resume(Suspended::Requests));
    assert_eq!(client.get("/").body, "ok", "its connection is usable");
}

#[test]
fn a_policy_closes_its_service_and_its_redirects() {
    let app = App::saying("ok");
    let world = setup(&app)
        .policy(|policy| {
            policy.is_in_maintenance = true;
            let from = cutover_core::route::PathPrefix::root();
            policy.redirects = vec![cutover_core::policy::Redirect {
                from,
                to: "https://other.example".into(),
                status: 308,
            }];
        })
        .start();
    let mut old = world.connect();
    let closed = old.send("GET / HTTP/1.0\r\n\r\n").answer();
    assert_eq!((closed.status(), closed.field("retry-after")), (503, Some("60")));
    assert_eq!(old.rest().unwrap(), "");
    let mut client = world.connect();
    let closed = client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").answer();
    assert_eq!((closed.status(), closed.field("connection")), (503, Some("close")), "its body was not read");
    assert_eq!(client.rest().unwrap(), "");
    assert!(app.is_idle());
}

#[test]
fn what_is_under_way_ends_as_it_would() {
    let app = App::playing(|mut visit| {
        while visit.request().is_some() {
            let is_sent = visit.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbe");
            std::thread::sleep(Duration::from_millis(50));
            if !(is_sent && visit.send("gn")) {
                return;
            }
        }
    });
    let world = setup(&app).start();
    let mut client = world.connect();
    let head = client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head();
    begin(&world, None);
    assert_eq!(client.body_of(head).unwrap().body, "begn");
    assert_eq!(client.get("/").status(), 503);
}

#[test]
fn a_flip_goes_on_meanwhile() {
    let (old, new) = (App::saying("old"), App::saying("new"));
    let backends = [("a", &*old.address.to_string(), "v1"), ("b", &*new.address.to_string(), "v2")];
    let world = Setup::new(&backends).start();
    begin(&world, None);
    world.flip("v2");
    assert_eq!(world.connect().get("/").status(), 503);
    world.changed(Change::Resume(Suspended::Requests));
    assert_eq!(world.connect().get("/").body, "new");
}

#[test]
fn browsers_get_the_page_of_the_operator() {
    let app = App::saying("ok");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("503.html");
    fs::write(&path, "<title>{status}</title>first {request_id}").unwrap();
    let page = ErrorPage { status: 503, path: path.to_str().unwrap().to_owned() };
    let world = setup(&app)
        .workers(2)
        .policy(|policy| (policy.is_in_maintenance, policy.error_pages) = (true, vec![page]))
        .start();
    let get = |accept: &str| {
        let id = "<b>";
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: {id}\r\nAccept: {accept}\r\n\r\n");
        world.connect().send(&request).answer()
    };
    world.eventually("the page is read", || get("text/html").body.contains("first"));
    let shown = get("text/html,*/*;q=0.8");
    assert_eq!((shown.status(), shown.field("content-type")), (503, Some("text/html; charset=utf-8")));
    assert!(shown.body.starts_with("<title>503</title>first ") && !shown.body.contains("<b>"), "{shown:?}");
    assert_eq!(get("application/json").field("content-type"), Some("application/problem+json"));
    fs::write(&path, "second").unwrap();
    world.eventually("it is read again", || get("text/html").body == "second");
    fs::remove_file(&path).unwrap();
    world.eventually("our own words are back", || get("text/html").body.contains("closed for maintenance"));
}

#[test]
fn what_the_app_answers_is_no_matter_of_pages() {
    let app = App::answering(&["HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\napp!"]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("503.html");
    fs::write(&path, "ours").unwrap();
    let page = ErrorPage { status: 503, path: path.to_str().unwrap().to_owned() };
    let world = setup(&app).policy(|policy| policy.error_pages = vec![page]).start();
    begin(&world, None);
    let get = || world.connect().send("GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n").answer().body;
    world.eventually("the page is read", || get() == "ours");
    world.changed(Change::Resume(Suspended::Requests));
    assert_eq!(get(), "app!");
}
