//! Answers that are compressed on their way, because the app did not.

use std::io::{BufRead, Read};

use cutover_core::policy::Compression;

use crate::app::App;
use crate::client::Client;
use crate::http2;
use crate::message::Message;
use crate::world::{Setup, World};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

fn world(app: &App) -> World {
    let setup = Setup::new(&[("a", &app.address.to_string(), "v1")]);
    setup.policy(|policy| policy.compression = Some(Compression { min_size: 100 })).start()
}

/// A page of about `len` bytes.
fn page(len: usize) -> String {
    (0..len / 20).map(|line| format!("line {line} of the page\n")).collect()
}

/// An answer with this body and, between the others, these fields.
fn html(fields: &str, body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{fields}Content-Length: {len}\r\n\r\n{body}")
}

/// An app that answers everything so.
fn answering(answer: String) -> App {
    App::playing(move |mut visit| while visit.request().is_some() && visit.send(&answer) {})
}

fn ask<'a>(client: &'a mut Client, coding: &str) -> &'a mut Client {
    client.send(&format!("GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {coding}\r\n\r\n"))
}

/// Reads a chunk; none is the last one.
fn chunk(client: &mut Client) -> Vec<u8> {
    let stream = client.stream();
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let mut data = vec![0; usize::from_str_radix(line.trim_end(), 16).unwrap()];
    stream.read_exact(&mut data).unwrap();
    if !data.is_empty() {
        stream.read_line(&mut line).unwrap();
    }
    data
}

/// Reads an answer in chunks, up to its trailers.
fn coded(client: &mut Client) -> (Message, Vec<u8>) {
    let head = client.head();
    assert_eq!(head.field("transfer-encoding"), Some("chunked"));
    let mut body = Vec::new();
    loop {
        let chunk = chunk(client);
        if chunk.is_empty() {
            return (head, body);
        }
        body.extend_from_slice(&chunk);
    }
}

/// Reads the trailers.
fn trailers(client: &mut Client) -> Vec<String> {
    let lines = client.stream().lines().map(Result::unwrap);
    lines.take_while(|line| !line.is_empty()).collect()
}

/// What a client makes of so much of a body.
fn decoded(coding: &str, coded: &[u8]) -> String {
    let mut decoder: Box<dyn Read> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(coded)),
        "br" => Box::new(brotli::Decompressor::new(coded, 4096)),
        "zstd" => Box::new(zstd::Decoder::new(coded).unwrap()),
        other => panic!("what is {other}?"),
    };
    let (mut plain, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = decoder.read(&mut buffer) {
        plain.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(plain).unwrap()
}

#[test]
fn what_comes_out_is_what_the_app_sent() {
    for len in [200, 5_000, 3_000_000] {
        let page = page(len);
        let app = answering(html("", &page));
        let world = world(&app);
        let mut client = world.connect();
        for coding in CODINGS {
            let (head, body) = coded(ask(&mut client, coding));
            assert_eq!(head.field("content-encoding"), Some(coding));
            assert_eq!((head.field("content-length"), head.field("vary")), (None, Some("Accept-Encoding")));
            assert!(body.len() < page.len(), "{} bytes of {}", body.len(), page.len());
            assert_eq!(decoded(coding, &body), page);
            assert!(trailers(&mut client).is_empty());
        }
        assert_eq!(app.connections(), 1, "the app's connection is used again");
    }
}

#[test]
fn bodies_of_unknown_length_are_compressed_too() {
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
                   6\r\n{\"a\": \r\n2\r\n1}\r\n0\r\n\r\n";
    let closing = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"a\": 1}";
    for answer in [chunked, closing] {
        let app = App::playing(move |mut visit| {
            visit.request();
            visit.send(answer);
        });
        let world = world(&app);
        let mut client = world.connect();
        let (_, body) = coded(ask(&mut client, "gzip"));
        assert_eq!(decoded("gzip", &body), "{\"a\": 1}");
    }
}

#[test]
fn an_app_that_pauses_keeps_nobody_waiting() {
    for coding in CODINGS {
        let (go_on, is_told) = std::sync::mpsc::channel();
        let is_told = std::sync::Mutex::new(is_told);
        let app = App::playing(move |mut visit| {
            visit.request();
            visit.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
            is_told.lock().unwrap().recv().unwrap();
            visit.send("6\r\nsecond\r\n0\r\n\r\n");
        });
        let world = world(&app);
        let mut client = world.connect();
        ask(&mut client, coding).head();
        let mut body = Vec::new();
        // Until the app is told to, it does not go on.
        while decoded(coding, &body) != "first" {
            body.extend(chunk(&mut client));
        }
        go_on.send(()).unwrap();
        loop {
            let next = chunk(&mut client);
            if next.is_empty() {
                break;
            }
            body.extend(next);
        }
        assert_eq!(decoded(coding, &body), "firstsecond", "{coding}");
    }
}

#[test]
fn the_app_may_do_it_itself_and_the_client_without() {
    let page = page(1000);
    let app = answering(html("Content-Encoding: br\r\n", &page));
    let world_of_it = world(&app);
    let answer = ask(&mut world_of_it.connect(), "gzip").answer();
    assert_eq!((answer.field("content-encoding"), &answer.body), (Some("br"), &page));
    let app = answering(html("ETag: \"a\"\r\n", &page));
    let answer = ask(&mut world(&app).connect(), "identity").answer();
    assert_eq!((answer.field("etag"), answer.field("content-encoding")), (Some("\"a\""), None));
    assert_eq!((answer.field("vary"), &answer.body), (Some("Accept-Encoding"), &page));
}

#[test]
fn names_of_the_other_form_are_weak_and_its_ranges_gone() {
    let app = answering(html("ETag: \"a\"\r\nAccept-Ranges: bytes\r\nRepr-Digest: x\r\n", &page(1000)));
    let world = world(&app);
    let mut client = world.connect();
    let (head, _) = coded(ask(&mut client, "zstd"));
    assert_eq!(head.field("etag"), Some("W/\"a\""));
    assert_eq!((head.field("accept-ranges"), head.field("repr-digest")), (None, None));
}

#[test]
fn a_head_is_that_of_the_get() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: \"a\"\r\nContent-Length: 1000\r\n\r\n";
    let app = answering(head.to_owned());
    let world = world(&app);
    let mut client = world.connect();
    let head = client.send("HEAD / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n\r\n").head();
    assert_eq!((head.field("content-encoding"), head.field("etag")), (Some("br"), Some("W/\"a\"")));
    assert_eq!(head.field("content-length"), None);
    assert_eq!(
        client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").head().field("content-length"),
        Some("1000")
    );
}

#[test]
fn a_part_stays_a_part() {
    let part = "HTTP/1.1 206 Partial Content\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-4/200\r\n\
                Content-Length: 5\r\n\r\nhello";
    let app = answering(part.to_owned());
    let answer = ask(&mut world(&app).connect(), "gzip").answer();
    assert_eq!((answer.status(), answer.field("content-encoding"), &*answer.body), (206, None, "hello"));
}

#[test]
fn trailers_are_kept_but_not_those_that_measure_the_body() {
    let app = answering(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\
         X-Sum: 1\r\nContent-Digest: sha-256=:x:\r\n\r\n"
            .to_owned(),
    );
    let world = world(&app);
    let mut client = world.connect();
    let (_, body) = coded(ask(&mut client, "gzip"));
    assert_eq!(decoded("gzip", &body), "hello");
    assert_eq!(trailers(&mut client), ["X-Sum: 1"]);
}

#[test]
fn over_http2_it_is_the_same() {
    let page = page(300_000);
    let app = answering(html("", &page));
    let world_of_pages = world(&app);
    let mut client = http2::Client::connect(world_of_pages.address);
    for coding in CODINGS {
        let answer = client.exchange(accepting(coding), b"", None).unwrap();
        assert_eq!(
            (&answer.fields["content-encoding"], answer.fields.get("content-length")),
            (&coding.parse().unwrap(), None)
        );
        assert!(answer.body.len() < page.len() && decoded(coding, &answer.body) == page, "{coding}");
    }
    let app = answering(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"
            .to_owned(),
    );
    let world = world(&app);
    let answer = http2::Client::connect(world.address).exchange(accepting("zstd"), b"", None).unwrap();
    assert_eq!(decoded("zstd", &answer.body), "hello");
    assert_eq!(answer.trailers.unwrap()["x-sum"], "1");
}

/// A GET of HTTP/2.
fn accepting(coding: &str) -> http::Request<()> {
    let mut request = http2::get("/");
    request.headers_mut().insert("accept-encoding", coding.parse().unwrap());
    request
}

#[test]
fn an_older_client_gets_it_until_the_connection_closes() {
    let page = page(5000);
    let app = answering(html("", &page));
    let world = world(&app);
    let mut client = world.connect();
    client.send("GET / HTTP/1.0\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n");
    let head = client.head();
    assert_eq!((head.field("connection"), head.field("transfer-encoding")), (Some("close"), None));
    let mut body = Vec::new();
    client.stream().read_to_end(&mut body).unwrap();
    assert_eq!(decoded("gzip", &body), page);
}

#[test]
fn a_body_that_breaks_off_does_not_look_whole() {
    let app = App::playing(|mut visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\nonly a part");
    });
    let world = world(&app);
    let mut client = world.connect();
    ask(&mut client, "gzip").head();
    let mut rest = Vec::new();
    let _ = client.stream().read_to_end(&mut rest);
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a last chunk would say that it is whole");
}

#[test]
fn a_client_that_reads_slowly_gets_all_of_it() {
    let page = page(2_000_000);
    let app = answering(html("", &page));
    let world = world(&app);
    let mut client = Client::narrow(world.address);
    let head = ask(&mut client, "gzip").head();
    assert_eq!(head.field("content-encoding"), Some("gzip"));
    std::thread::sleep(std::time::Duration::from_millis(50));
    let mut body = Vec::new();
    loop {
        let next = chunk(&mut client);
        if next.is_empty() {
            break;
        }
        body.extend(next);
    }
    assert_eq!(decoded("gzip", &body), page);
}
