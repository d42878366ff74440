//! Trace context, and the spans that a collector is told.

use std::net::TcpListener;

use cutover_core::policy::Balance;
use cutover_proxy::trace::{Kind, Parent, Span, Value, spans};
use prometheus::IntCounter;
use tokio::sync::mpsc::Receiver;

use crate::app::App;
use crate::world::{Setup, World};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A world whose spans come out of the receiver.
fn traced(setup: Setup) -> (World, Receiver<Span>) {
    let (sink, receiver) = spans(IntCounter::new("dropped", "x").unwrap());
    (setup.tracing(sink).start(), receiver)
}

fn request(flags: &str) -> String {
    format!(
        "GET /a?b=c HTTP/1.1\r\nHost: x:81\r\nTraceparent: 00-{TRACE}-{CALLER}-{flags}\r\nTracestate: v=1\r\n\r\n"
    )
}

fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

fn text(span: &Span, name: &str) -> String {
    match attribute(span, name) {
        Some(Value::Text(text)) => text.clone(),
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn context_is_passed_on_as_it_came_where_nobody_collects_spans() {
    let app = App::saying("ok");
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")]).start();
    world.connect().send(&request("01")).answer();
    let heard = app.heard();
    assert_eq!(heard.field("traceparent"), Some(format!("00-{TRACE}-{CALLER}-01").as_str()));
    assert_eq!(heard.field("tracestate"), Some("v=1"));
}

#[test]
fn a_request_and_its_tries_are_spans_of_the_callers_trace() {
    let (app, nobody) = (App::saying("ok"), TcpListener::bind("127.0.0.1:0").unwrap());
    let dead = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let backends = [("dead", dead.as_str(), "v1"), ("live", &app.address.to_string(), "v1")];
    let setup = Setup::new(&backends).policy(|policy| policy.balance = Balance::RoundRobin);
    let (world, mut receiver) = traced(setup);
    let mut client = world.connect();
    let mut next = || receiver.blocking_recv().unwrap();
    // The first or the second begins with the backend that is not there.
    let (failed, answered, server) = loop {
        client.send(&request("01"));
        assert_eq!(client.answer().body, "ok");
        let first = next();
        if text(&first, "cutover.backend") == "dead" {
            break (first, next(), next());
        }
        next();
        app.heard();
    };

    for span in [&failed, &answered, &server] {
        assert_eq!(format!("{:032x}", span.trace), TRACE);
        assert_eq!((span.name, text(span, "cutover.version").as_str()), ("GET", "v1"));
        assert!(span.began <= span.ended);
    }
    assert_eq!((failed.kind, answered.kind, server.kind), (Kind::Client, Kind::Client, Kind::Server));
    assert_eq!(server.parent.map(|parent| format!("{:016x}", parent.id)), Some(CALLER.to_owned()));
    let of_server = Some(Parent { id: server.id, is_remote: false });
    assert_eq!((failed.parent, answered.parent), (of_server, of_server));
    assert!(failed.is_failed && !answered.is_failed && !server.is_failed);
    assert_eq!(text(&failed, "error.type"), "not_connected");
    assert_eq!(attribute(&answered, "http.request.resend_count"), Some(&Value::Number(1)));
    assert_eq!(attribute(&server, "http.response.status_code"), Some(&Value::Number(200)));
    assert_eq!((text(&server, "url.path"), text(&server, "url.query")), ("/a".to_owned(), "b=c".to_owned()));
    assert_eq!(
        (text(&server, "server.address"), attribute(&server, "server.port")),
        ("x".to_owned(), Some(&Value::Number(81)))
    );
    let heard = app.heard();
    assert_eq!(heard.field("traceparent"), Some(format!("00-{TRACE}-{:016x}-01", answered.id).as_str()));
    assert_eq!(heard.field("tracestate"), Some("v=1"));
}

#[test]
fn a_request_without_a_context_begins_a_trace() {
    let app = App::saying("ok");
    let (world, mut receiver) = traced(Setup::new(&[("a", &app.address.to_string(), "v1")]));
    let broken = "GET / HTTP/1.1\r\nHost: x\r\nTraceparent: 00-0-0-01\r\nTracestate: v=1\r\n\r\n";
    world.connect().send(broken).answer();
    let (asked, server) = (receiver.blocking_recv().unwrap(), receiver.blocking_recv().unwrap());
    assert_eq!((server.parent, asked.trace), (None, server.trace));
    let heard = app.heard();
    assert_eq!(
        heard.field("traceparent"),
        Some(format!("00-{:032x}-{:016x}-01", asked.trace, asked.id).as_str())
    );
    assert_eq!(heard.field("tracestate"), None, "what it said was about a trace that nobody can tell");
}

#[test]
fn a_trace_that_nobody_records_has_no_spans() {
    let app = App::saying("ok");
    let (world, mut receiver) = traced(Setup::new(&[("a", &app.address.to_string(), "v1")]));
    let mut client = world.connect();
    client.send(&request("00"));
    client.answer();
    assert_eq!(app.heard().field("traceparent"), Some(format!("00-{TRACE}-{CALLER}-00").as_str()));
    client.get("/after");
    assert_eq!(text(&receiver.blocking_recv().unwrap(), "cutover.backend"), "a");
    assert_eq!(text(&receiver.blocking_recv().unwrap(), "url.path"), "/after");
}
