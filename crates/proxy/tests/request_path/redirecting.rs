//! Requests that are sent elsewhere.

use cutover_core::policy::{Policy, Redirect};
use cutover_core::route::PathPrefix;

use crate::app::App;
use crate::world::{Setup, World};

fn redirect(from: &str, to: &str, status: u16) -> Redirect {
    Redirect { from: PathPrefix::parse(from).unwrap(), to: to.to_owned(), status }
}

fn world(app: &App, change: impl FnOnce(&mut Policy)) -> World {
    Setup::new(&[("a", &app.address.to_string(), "v1")])
        .policy(|policy| {
            policy.redirects =
                vec![redirect("/old", "/new", 308), redirect("/shop", "https://shop.example/", 302)];
            change(policy);
        })
        .start()
}

#[test]
fn a_redirect_leads_elsewhere_and_its_connection_stays() {
    let app = App::saying("ok");
    let world = world(&app, |_| {});
    let mut client = world.connect();
    let moved = client.get("/old/a%0d%0aX:%20y?q=1");
    assert_eq!((moved.status(), moved.field("location")), (308, Some("/new/a%0d%0aX:%20y?q=1")));
    assert_eq!(
        (moved.field("set-cookie"), moved.field("cache-control")),
        (None, None),
        "no pin was looked at"
    );
    assert!(moved.field("x-request-id").is_some() && moved.field("date").is_some(), "{moved:?}");
    let moved = client.get("/shop");
    assert_eq!((moved.status(), moved.field("location")), (302, Some("https://shop.example/")));
    assert!(app.is_idle(), "no backend was asked");
    assert_eq!(client.get("/older").body, "ok");
}

#[test]
fn head_and_http_1_0_are_sent_elsewhere_alike() {
    let app = App::saying("ok");
    let world = world(&app, |_| {});
    let mut client = world.connect();
    let moved = client.send("HEAD /old HTTP/1.1\r\nHost: x\r\n\r\n").head();
    assert_eq!((moved.status(), moved.field("location")), (308, Some("/new")));
    assert_eq!(client.get("/").body, "ok", "nothing followed the head");
    let mut old = world.connect();
    let moved = old.send("GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer();
    assert_eq!((moved.status(), moved.field("connection")), (308, Some("keep-alive")));
    let moved = old.send("GET /old HTTP/1.0\r\n\r\n").answer();
    assert_eq!((moved.status(), moved.field("connection")), (308, Some("close")));
    assert_eq!(old.rest().unwrap(), "");
}

#[test]
fn a_body_that_nobody_reads_ends_the_connection() {
    let app = App::saying("ok");
    let world = world(&app, |_| {});
    let mut client = world.connect();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    client.send(&format!(
        "POST /old HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{smuggled}",
        smuggled.len()
    ));
    let moved = client.answer();
    assert_eq!((moved.status(), moved.field("connection")), (308, Some("close")));
    assert_eq!(client.rest().unwrap(), "");
    assert!(app.is_idle());
}

#[test]
fn who_is_there_already_is_served() {
    let app = App::saying("ok");
    let world = world(&app, |policy| policy.redirects = vec![redirect("/", "http://example.com", 301)]);
    let mut client = world.connect();
    let asked = |client: &mut crate::client::Client, host: &str| {
        client.send(&format!("GET /a?b HTTP/1.1\r\nHost: {host}\r\n\r\n")).answer()
    };
    assert_eq!(asked(&mut client, "www.example.com").field("location"), Some("http://example.com/a?b"));
    assert_eq!(asked(&mut client, "Example.com:80").body, "ok");
}

#[test]
fn no_path_leads_to_a_host_that_the_client_names() {
    let app = App::saying("ok");
    let world = world(&app, |policy| policy.redirects = vec![redirect("/old", "/", 301)]);
    for path in ["/old//evil.example", "/old/\\evil.example"] {
        assert_eq!(world.connect().get(path).field("location"), Some("/evil.example"), "{path}");
    }
}

#[test]
fn a_redirect_is_logged_with_its_service() {
    let app = App::saying("ok");
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")])
        .policy(|policy| policy.redirects = vec![redirect("/old", "/new", 301)])
        .logging(cutover_proxy::access_log::Format::Json)
        .start();
    world.connect().get("/old");
    world.eventually("it is logged", || {
        let logged = world.logged();
        logged.contains("\"status\":301") && logged.contains("\"service\":\"web\"")
    });
}
