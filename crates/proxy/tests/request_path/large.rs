//! Large bodies: streamed, so that memory does not depend on their size, and through the kernel where their length is known.

use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use crate::app::{App, Visit};
use crate::world::{Setup, World};

const SIZE: usize = 64 << 20;
const SIZE_IN_MEMORY_TEST: usize = 256 << 20;
const GROWTH_MAX: usize = 32 << 20;
/// Bytes that don't repeat, so that none of them can be missing, come twice or in another order.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut noise = vec![0; SIZE];
    noise.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&next()));
    noise
});
const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn an_answer_arrives_as_it_was_sent() {
    let (world, app) = world(|visit| while visit.request().is_some() && send_answer(visit) {});
    let mut client = world.connect();
    for _ in 0..2 {
        let head = client.send(GET).head();
        assert_eq!(head.field("content-length"), Some(SIZE.to_string().as_str()));
        assert_eq!(common(client.stream()), SIZE);
    }
    assert_eq!(app.connections(), 1, "the backend's connection is used again too");
}

#[test]
fn a_chunked_answer_arrives_as_it_was_sent() {
    let (world, _app) = world(|visit| {
        while visit.request().is_some() && visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        {
            send_chunks(visit.stream().get_mut());
        }
    });
    let mut client = world.connect();
    for _ in 0..2 {
        client.send(GET).head();
        assert_eq!(common_chunks(client.stream()), SIZE);
    }
}

#[test]
fn a_request_arrives_as_it_was_sent_and_the_one_behind_it_is_served() {
    let (world, app) = world(|visit| {
        visit.head();
        let received = common(visit.stream());
        visit.say(&received.to_string());
        while visit.request().is_some() && visit.say("next") {}
    });
    let mut client = world.connect();
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || {
        write!(sender, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n").unwrap();
        sender.write_all(&NOISE).unwrap();
        sender.write_all(b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    });
    assert_eq!(client.answer().body, SIZE.to_string());
    assert_eq!(client.answer().body, "next");
    sending.join().unwrap();
    assert_eq!(app.heard().start, "GET /next HTTP/1.1");
    assert_eq!(app.connections(), 1, "the backend's connection is used again too");
}

#[test]
fn a_chunked_request_arrives_as_it_was_sent() {
    let (world, _app) = world(|visit| {
        visit.head();
        let received = common_chunks(visit.stream());
        visit.say(&received.to_string());
    });
    let mut client = world.connect();
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || {
        sender.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        send_chunks(&mut sender);
    });
    assert_eq!(client.answer().body, SIZE.to_string());
    sending.join().unwrap();
}

#[test]
fn an_answer_that_breaks_off_never_looks_complete() {
    let (world, _app) = world(|visit| {
        visit.request();
        visit.send(&answer_head());
        visit.stream().get_mut().write_all(&NOISE[..SIZE / 2]).unwrap();
    });
    let mut client = world.connect();
    let head = client.send(GET).head();
    assert_eq!(head.field("content-length"), Some(SIZE.to_string().as_str()));
    let received = common(client.stream());
    assert!(received <= SIZE / 2, "{received} bytes");
    assert_eq!(client.stream().fill_buf().unwrap_or_default(), b"", "nothing follows");
}

#[test]
fn a_request_that_breaks_off_never_looks_complete() {
    let (world, app) = world(|visit| {
        let mut head = visit.head().unwrap();
        assert_eq!(head.field("content-length"), Some(SIZE.to_string().as_str()));
        head.body = common(visit.stream()).to_string();
        visit.tell(head);
    });
    let mut client = TcpStream::connect(world.address).unwrap();
    write!(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n").unwrap();
    client.write_all(&NOISE[..SIZE / 2]).unwrap();
    drop(client);
    let received: usize = app.heard().body.parse().unwrap();
    assert!(received <= SIZE / 2, "{received} bytes");
}

#[test]
fn what_passed_without_being_kept_is_not_sent_again() {
    let (world, app) = world(|visit| {
        visit.request();
        visit.say("first");
        let head = visit.head().unwrap();
        visit.tell(head);
        visit.stream().read_exact(&mut vec![0; 1 << 20]).unwrap();
    });
    let mut client = world.connect();
    // On a connection that was used before, what fails is tried again where that is safe.
    client.get("/");
    app.heard();
    client.send(&format!("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n"));
    // The head is gone when the first byte of the body comes: no buffer sees any of it.
    app.heard();
    let mut sender = client.sender();
    // The proxy may close before all of it is sent.
    let sending = std::thread::spawn(move || drop(sender.write_all(&NOISE)));
    assert_eq!(client.head().status(), 502);
    sending.join().unwrap();
    assert_eq!(app.connections(), 1);
}

#[test]
fn a_client_that_takes_nothing_gives_back_what_it_holds() {
    in_a_process_of_its_own("large::stop_reading");
}

#[test]
#[ignore = "the child process of the test above"]
fn stop_reading() {
    let (setup, app) = setup(|visit| {
        let head = visit.head().unwrap();
        if !send_answer(visit) {
            visit.tell(head);
        }
    });
    // The app ends its connections without saying so.
    let world = setup
        .policy(|policy| policy.identity.source = cutover_core::policy::IdentitySource::Label)
        .limits(|limits| limits.body_idle_timeout = Duration::from_secs(1))
        .start();
    let before = pipes();
    let mut client = world.connect();
    client.send(GET).head();
    assert_eq!(common(client.stream()), SIZE);
    assert_eq!(pipes(), before + 1, "one that is empty is kept");
    let mut idler = world.connect();
    idler.send(GET).head();
    app.heard();
    world.eventually("the pipe that nobody empties is closed", || pipes() == before);
    assert!(common(idler.stream()) < SIZE);
}

#[test]
fn a_large_body_passes_both_ways_in_constant_memory() {
    in_a_process_of_its_own("large::carry");
}

#[test]
#[ignore = "the child process of the test above"]
fn carry() {
    let app = App::playing(|mut visit| {
        visit.head();
        visit.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE_IN_MEMORY_TEST}\r\n\r\n"));
        let stream = visit.stream();
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            // An echo of the length of the request is the answer.
            stream.get_mut().write_all(&buffer[..read]).unwrap();
        }
    });
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")]).start();
    let before = resident();
    let mut client = TcpStream::connect(world.address).unwrap();
    let mut sender = client.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        write!(sender, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE_IN_MEMORY_TEST}\r\n\r\n")
            .unwrap();
        let chunk = vec![b'x'; 64 << 10];
        (0..SIZE_IN_MEMORY_TEST / chunk.len()).for_each(|_| sender.write_all(&chunk).unwrap());
    });
    let (mut received, mut buffer, mut most) = (0, vec![0; 64 << 10], 0);
    while received < SIZE_IN_MEMORY_TEST {
        let read = client.read(&mut buffer).unwrap();
        assert!(read > 0, "the answer ends after {received} bytes");
        received += read;
        most = most.max(resident());
    }
    sending.join().unwrap();
    assert!(most < before + GROWTH_MAX, "{before} bytes before, {most} at the most");
}

/// A proxy in front of one app that plays `script`.
fn setup(script: impl Fn(&mut Visit) + Send + Sync + 'static) -> (Setup, App) {
    let app = App::playing(move |mut visit| script(&mut visit));
    (Setup::new(&[("a", &app.address.to_string(), "v1")]), app)
}

fn world(script: impl Fn(&mut Visit) + Send + Sync + 'static) -> (World, App) {
    let (setup, app) = setup(script);
    (setup.start(), app)
}

fn answer_head() -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n")
}

/// Answers with all of it; `false` when the connection is gone.
fn send_answer(visit: &mut Visit) -> bool {
    visit.send(&answer_head()) && visit.stream().get_mut().write_all(&NOISE).is_ok()
}

/// Sends all of it, in chunks of many sizes.
fn send_chunks(stream: &mut TcpStream) {
    let mut left = NOISE.as_slice();
    for size in [1, 4095, 65_536, 300_000, 17].into_iter().cycle() {
        let (chunk, rest) = left.split_at(size.min(left.len()));
        if chunk.is_empty() {
            break;
        }
        stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).unwrap();
        stream.write_all(chunk).unwrap();
        stream.write_all(b"\r\n").unwrap();
        left = rest;
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
}

/// Reads no more than all of it. How much came before the stream ended: all that came is as it should be.
fn common(stream: &mut impl Read) -> usize {
    let (mut received, mut buffer) = (0, vec![0; 256 << 10]);
    while received < SIZE {
        let most = buffer.len().min(SIZE - received);
        let Ok(read @ 1..) = stream.read(&mut buffer[..most]) else { break };
        assert!(buffer[..read] == NOISE[received..received + read], "different after {received} bytes");
        received += read;
    }
    received
}

/// Reads a chunked body to its end.
fn common_chunks(stream: &mut impl BufRead) -> usize {
    let (mut received, mut line, mut chunk) = (0, String::new(), Vec::new());
    loop {
        line.clear();
        stream.read_line(&mut line).unwrap();
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        // The chunk, or nothing, and the empty line behind it.
        chunk.resize(size + 2, 0);
        stream.read_exact(&mut chunk).unwrap();
        if size == 0 {
            return received;
        }
        assert!(chunk[..size] == NOISE[received..received + size], "different after {received} bytes");
        received += size;
    }
}

/// Pipes that this process has open.
fn pipes() -> usize {
    let links =
        std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
    links.filter(|link| link.to_string_lossy().starts_with("pipe:")).count() / 2
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Runs a test where nothing of the others counts: their memory, their open files.
fn in_a_process_of_its_own(name: &str) {
    let test = std::env::current_exe().unwrap();
    let child = Command::new(test).args(["--ignored", "--exact", name]).output().unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&child.stderr)
    );
}
