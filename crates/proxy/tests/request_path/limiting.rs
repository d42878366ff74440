//! Limits of single clients: how many connections they have, and how often they ask.

use std::num::NonZeroU32;

use cutover_core::policy::Rate;

use crate::app::App;
use crate::client::Client;
use crate::http2;
use crate::message::Message;
use crate::world::{Setup, World};

fn setup(app: &App) -> Setup {
    Setup::new(&[("a", &app.address.to_string(), "v1")])
}

/// The same where each client may have so many connections.
fn limited(app: &App, most: u32) -> Setup {
    setup(app).listener(|listener| listener.max_connections_per_client = NonZeroU32::new(most))
}

/// The same where each client may send so many requests at once, and next to none later.
fn rated(app: &App, burst: u32) -> Setup {
    setup(app).policy(|policy| policy.rate_limit = Some(Rate { per_second: 1, burst }))
}

fn is_closed(mut client: Client) -> bool {
    client.rest().map_or(true, |rest| rest.is_empty())
}

/// A connection on which a request was answered.
fn served(world: &World) -> Client {
    let mut client = world.connect();
    assert_eq!(client.get("/").status(), 200);
    client
}

fn is_counted(world: &World, line: &str) {
    world.eventually(line, || world.metrics().contains(line));
}

#[test]
fn a_client_has_so_many_connections() {
    let app = App::saying("ok");
    let world = limited(&app, 2).workers(2).start();
    let (first, mut second) = (served(&world), served(&world));
    assert!(is_closed(world.connect()), "over all workers");
    is_counted(&world, "cutover_connections_refused_total{reason=\"too_many\"} 1\n");
    assert_eq!(second.get("/").status(), 200);
    drop(first);
    is_counted(&world, "cutover_connections 1\n");
    served(&world);
}

#[test]
fn a_trusted_proxy_has_any_number_for_clients_that_have_not() {
    let app = App::saying("ok");
    let world = limited(&app, 1).trusting().start();
    let _all = [served(&world), served(&world), served(&world)];
    let world = limited(&app, 1).trusting().listener(|listener| listener.proxy_protocol = true).start();
    let of = |client: &str| {
        let mut connection = world.connect();
        connection.send(&format!("PROXY TCP4 {client} 10.0.0.1 1 2\r\n"));
        connection
    };
    let (mut one, mut other) = (of("203.0.113.1"), of("203.0.113.2"));
    assert_eq!((one.get("/").status(), other.get("/").status()), (200, 200));
    assert!(is_closed(of("203.0.113.1")));
}

/// What a client is told about how it stands.
fn told(answer: &Message) -> (&str, &str) {
    (answer.field("ratelimit-policy").unwrap(), answer.field("ratelimit").unwrap())
}

#[test]
fn a_client_asks_so_often() {
    let app = App::saying("ok");
    let world = rated(&app, 2).workers(2).start();
    let mut client = world.connect();
    let first = client.get("/");
    assert_eq!((first.status(), told(&first)), (200, ("\"client\";q=2;w=2", "\"client\";r=1;t=1")));
    assert_eq!(world.connect().get("/").status(), 200, "on whichever connection");
    let refused = client.get("/");
    assert_eq!((refused.status(), told(&refused)), (429, ("\"client\";q=2;w=2", "\"client\";r=0;t=1")));
    assert_eq!(refused.field("retry-after"), Some("1"));
    is_counted(&world, "cutover_rate_limited_total{service=\"web\"} 1\n");
    is_counted(&world, "cutover_own_answers_total{status=\"429\"} 1\n");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(client.get("/").status(), 200, "the connection is as good as before, and time heals");
}

#[test]
fn a_stream_is_a_request_like_any_other() {
    let app = App::saying("ok");
    let world = rated(&app, 1).start();
    let mut client = http2::Client::connect(world.address);
    let (first, second) = (client.get("/"), client.get("/"));
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 429));
    assert_eq!(first.fields["ratelimit"], "\"client\";r=0;t=1");
    assert_eq!(
        (&second.fields["ratelimit"], &second.fields["retry-after"]),
        (&first.fields["ratelimit"], &"1".parse().unwrap())
    );
}

#[test]
fn nothing_is_told_where_there_is_no_limit() {
    let app = App::saying("ok");
    let world = setup(&app).start();
    let answer = world.connect().get("/");
    assert_eq!((answer.field("ratelimit"), answer.field("ratelimit-policy")), (None, None));
}

#[test]
fn clients_behind_a_trusted_proxy_are_told_apart() {
    let app = App::saying("ok");
    let world = rated(&app, 1).trusting().start();
    let mut proxy = world.connect();
    let mut of = |client: &str| {
        let get = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {client}\r\n\r\n");
        proxy.send(&get).answer().status()
    };
    assert_eq!([of("203.0.113.1"), of("203.0.113.1"), of("203.0.113.2")], [200, 429, 200]);
    assert_eq!([of("2001:db8::1"), of("2001:db8::2"), of("2001:db8:0:1::1")], [200, 429, 200], "by /64");
}

#[test]
fn a_limit_outlives_snapshots_that_leave_it_as_it_is() {
    let app = App::saying("ok");
    let world = rated(&app, 1).start();
    let mut client = served(&world);
    let address = app.address.to_string();
    world.reload(&[("a", address.clone(), "v1"), ("b", address, "v1")]);
    assert_eq!(client.get("/").status(), 429);
}
