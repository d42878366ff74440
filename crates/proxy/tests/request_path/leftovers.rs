//! What one request leaves behind: nothing that the next one, of the same client or of another, could take for its own.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use crate::app::App;
use crate::client::Client;
use crate::world::Setup;

/// An app on a Unix socket that answers one request per connection, and from then on refuses to be sent anything, which only a
/// write finds out. It ends with its sender.
fn deaf() -> (String, Sender<()>) {
    let path = std::env::temp_dir().join(format!("cutover-{}-deaf", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let (end, ended) = channel();
    let at = path.clone();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        std::fs::remove_file(at).unwrap();
        for line in BufReader::new(&stream).lines() {
            if line.unwrap().is_empty() {
                break;
            }
        }
        stream.shutdown(Shutdown::Read).unwrap();
        (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        let _ = ended.recv();
    });
    (format!("unix:{}", path.display()), end)
}

#[test]
fn a_body_that_no_backend_took_is_not_the_next_request() {
    let (app, _end) = deaf();
    let world =
        Setup::new(&[("a", &app, "v1")]).policy(|policy| policy.upstream.response_timeout.0 = 60).start();
    let mut client = world.connect();
    assert_eq!(client.get("/").body, "ok");
    let smuggled = "GET /.cutover/version HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200);
    client
        .send(&format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len()));
    assert_eq!(client.answer().status(), 504);
    client.send("DELETE /.cutover/version HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.answer().status(), 405, "the answer to what was asked");
}

#[test]
fn a_body_of_a_refused_request_is_not_the_next_request() {
    let world = Setup::new(&[("a", &App::saying("ok").address.to_string(), "v1")]).start();
    let looping = "Via: 1.1 cutover\r\n".repeat(8);
    for (status, fields) in [(417, "Expect: 200-ok\r\n"), (508, &looping)] {
        let smuggled = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let len = smuggled.len();
        let mut client = world.connect();
        client.send(&format!("PUT / HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {len}\r\n\r\n{smuggled}"));
        assert_eq!(client.answer().status(), status);
        assert_eq!(client.rest().unwrap(), "", "{status} is the only answer");
    }
}

#[test]
fn the_method_of_one_client_is_not_that_of_another() {
    let app = App::saying("ok");
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")]).start();
    let mut first = world.connect();
    assert_eq!(first.send("HEAD / HTTP/1.0\r\nConnection: close\r\n\r\n").head().status(), 200);
    assert_eq!(first.rest().unwrap(), "");
    world.eventually("it is gone", || world.metrics().contains("cutover_connections 0"));
    let mut second = world.connect();
    let answer = second.send("\0").answer();
    assert_eq!((answer.status(), answer.body.is_empty()), (400, false), "it did not ask with HEAD");
}

#[test]
fn an_interim_answer_that_is_under_way_goes_out_once_and_whole() {
    let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(60_000));
    let app = App::playing(move |mut visit| {
        visit.head();
        while visit.send(&hint) {}
        visit.wait_for_close();
    });
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")]).start();
    let mut client = Client::narrow(world.address);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    // Time for hints to fill the way to the client.
    std::thread::sleep(Duration::from_millis(50));
    client.send("broken");
    let mut answer = client.head();
    while answer.status() == 103 {
        assert_eq!(answer.field("link").map(str::len), Some(60_000));
        answer = client.head();
    }
    assert_eq!(client.body_of(answer).unwrap().status(), 400);
}

#[test]
fn an_answer_that_can_have_no_body_has_no_length() {
    let app = App::playing(|mut visit| {
        while visit.request().is_some() {
            let nth = visit.nth;
            // Behind the head comes what this backend takes for a body.
            visit.send(&format!("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\nX-Nth: {nth}\r\n\r\n"));
        }
    });
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")]).start();
    let mut client = world.connect();
    for nth in ["1", "2"] {
        let answer = client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head();
        assert_eq!((answer.status(), answer.field("content-length")), (204, None));
        assert_eq!(answer.field("x-nth"), Some(nth), "what may come behind it would be the next answer");
    }
}
