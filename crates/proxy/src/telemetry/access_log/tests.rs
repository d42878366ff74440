//! The access log's lines, and what its writer does when the output is slow, full or gone.

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cutover_core::id::Epoch;
use cutover_core::time::Timestamp;
use prometheus::IntCounter;
use proptest::prelude::*;

use super::*;

fn record() -> Record<'static> {
    Record {
        at: Timestamp(1_795_388_828_042),
        client: [203, 0, 113, 7].into(),
        request: Request {
            method: "GET",
            target: "/a?b=\"c\"",
            protocol: "HTTP/1.1",
            host: "example.com",
            user_agent: Some(b"curl/8 \"\\\x1b[2J\xff"),
            referer: None,
        },
        status: 200,
        received: 0,
        sent: 1234,
        took: Duration::from_micros(1_002_003),
        service: Some("web"),
        version: Some("v1"),
        epoch: Some(Epoch(3)),
        pin: Some("kept"),
        asset: None,
        upstream: Some(Upstream {
            backend: "a",
            connect: None,
            first_byte: Some(Duration::from_micros(900)),
            retries: 1,
        }),
        request_id: b"id-1",
    }
}

/// A request that was refused before anything was known about it.
fn refused() -> Record<'static> {
    let request = Request { host: "", user_agent: None, ..record().request };
    Record {
        request,
        status: 404,
        sent: 0,
        service: None,
        version: None,
        epoch: None,
        pin: None,
        upstream: None,
        ..record()
    }
}

fn line(format: Format, record: &Record<'_>) -> String {
    let mut out = Vec::new();
    match format {
        Format::Combined => combined::write(&mut out, record),
        Format::Json => jsonl::write(&mut out, record),
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn combined_lines_are_those_of_httpd_with_our_fields_behind() {
    let expected = concat!(
        r#"203.0.113.7 - - [22/Nov/2026:23:07:08 +0000] "GET /a?b=\"c\" HTTP/1.1" 200 1234 "-" "#,
        r#""curl/8 \"\\\x1b[2J\xff" host=example.com service=web version=v1 epoch=3 backend=a pin=kept "#,
        "received=0 time=1.002003 connect=- first_byte=0.000900 retries=1 id=id-1\n"
    );
    assert_eq!(line(Format::Combined, &record()), expected);
    let expected = concat!(
        r#"203.0.113.7 - - [22/Nov/2026:23:07:08 +0000] "GET /a?b=\"c\" HTTP/1.1" 404 - "-" "-" "#,
        "host=- service=- version=- epoch=- backend=- pin=- ",
        "received=0 time=1.002003 connect=- first_byte=- retries=0 id=id-1\n"
    );
    assert_eq!(line(Format::Combined, &refused()), expected);
}

#[test]
fn json_lines_are_one_object_each() {
    let expected = concat!(
        r#"{"time":"2026-11-22T23:07:08.042Z","client":"203.0.113.7","method":"GET","host":"example.com","#,
        r#""target":"/a?b=\"c\"","protocol":"HTTP/1.1","status":200,"received_bytes":0,"sent_bytes":1234,"#,
        r#""duration_us":1002003,"service":"web","version":"v1","epoch":3,"backend":"a","pin":"kept","#,
        r#""connect_us":null,"first_byte_us":900,"retries":1,"request_id":"id-1","#,
        r#""user_agent":"curl/8 \"\\\u001b[2J"#,
        "\u{fffd}\",\"referer\":null}\n"
    );
    assert_eq!(line(Format::Json, &record()), expected);
    assert!(
        line(Format::Json, &refused())
            .contains(r#""service":null,"version":null,"epoch":null,"backend":null"#)
    );
}

proptest! {
    #[test]
    fn whatever_a_client_sends_stays_one_short_line(agent in prop::collection::vec(any::<u8>(), 0..4096)) {
        let request = Request { user_agent: Some(&agent), referer: Some(&agent), ..record().request };
        for format in [Format::Combined, Format::Json] {
            let line = line(format, &Record { request, ..record() });
            prop_assert!(line.len() < 16 * 1024);
            prop_assert!(line.bytes().filter(|byte| *byte < 0x20 || *byte == 0x7f).eq([b'\n']));
        }
    }
}

/// An output that can be told to fail, to take only so many bytes, and to wait.
#[derive(Clone, Default)]
struct Output {
    written: Arc<Mutex<Vec<u8>>>,
    /// Bytes that it takes until it is full.
    room: Arc<Mutex<Option<usize>>>,
    gate: Option<Arc<Mutex<Receiver<()>>>>,
}

impl Output {
    fn text(&self) -> String {
        String::from_utf8(self.written.lock().unwrap().clone()).unwrap()
    }

    /// An output whose every write waits until something comes through the sender, or that is dropped.
    fn stuck() -> (Self, Sender<()>) {
        let (open, gate) = mpsc::channel();
        (Self { gate: Some(Arc::new(Mutex::new(gate))), ..Self::default() }, open)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(gate) = &self.gate {
            let _ = gate.lock().unwrap().recv();
        }
        let mut room = self.room.lock().unwrap();
        let len = room.map_or(bytes.len(), |room| room.min(bytes.len()));
        if len == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *room = room.map(|room| room - len);
        self.written.lock().unwrap().extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log_to(output: &Output) -> (AccessLog, IntCounter) {
    let dropped = IntCounter::new("dropped", "x").unwrap();
    (AccessLog::start(output.clone(), Format::Combined, dropped.clone()).unwrap(), dropped)
}

fn wait_until(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn lines_of_all_workers_are_written_without_being_asked_and_at_the_end() {
    let output = Output::default();
    let (log, dropped) = log_to(&output);
    let sinks = [log.sink(), log.sink()];
    sinks.iter().for_each(|sink| sink.log(&record()));
    wait_until(|| output.text().lines().count() == 2);
    (0..1000).for_each(|_| sinks[0].log(&refused()));
    assert!(log.finish(Duration::from_secs(10)));
    assert_eq!(output.text().lines().count(), 1002);
    assert_eq!(dropped.get(), 0);
}

#[test]
fn a_stuck_output_holds_up_nobody_and_what_is_too_much_is_counted() {
    let (output, open) = Output::stuck();
    let (log, dropped) = log_to(&output);
    let sink = log.sink();
    let mut logged = 0;
    while dropped.get() < 10 {
        sink.log(&record());
        logged += 1;
        assert!(logged < 100_000, "memory is bounded");
    }
    let begun = Instant::now();
    let limit = Duration::from_millis(50);
    assert!(!log.finish(limit), "the end of the process does not wait for ever");
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(open);
    wait_until(|| output.text().lines().count() as u64 + dropped.get() == logged);
}

#[test]
fn a_full_disk_costs_lines_but_not_the_next_ones() {
    let output = Output { room: Arc::new(Mutex::new(Some(100))), ..Output::default() };
    let (log, dropped) = log_to(&output);
    let sink = log.sink();
    sink.log(&record());
    sink.log(&record());
    wait_until(|| dropped.get() == 2);
    *output.room.lock().unwrap() = None;
    sink.log(&refused());
    assert!(log.finish(Duration::from_secs(10)));
    let text = output.text();
    let [torn, whole] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert_eq!(torn.len(), 100);
    assert_eq!(whole, line(Format::Combined, &refused()).trim_end());
}

#[test]
fn a_file_is_appended_to() {
    let path = std::env::temp_dir().join(format!("cutover-access-log-{}", std::process::id()));
    std::fs::write(&path, "before\n").unwrap();
    let dropped = IntCounter::new("dropped", "x").unwrap();
    let log = AccessLog::to_file(&path, Format::Json, dropped).unwrap();
    log.sink().log(&record());
    assert!(log.finish(Duration::from_secs(10)));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(text, format!("before\n{}", line(Format::Json, &record())));
}

#[test]
fn a_file_that_was_moved_away_is_opened_again_and_no_line_is_lost() {
    let dir = std::env::temp_dir().join(format!("cutover-access-log-moved-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (path, moved) = (dir.join("access.log"), dir.join("access.log.1"));
    let dropped = IntCounter::new("dropped", "x").unwrap();
    let log = AccessLog::to_file(&path, Format::Combined, dropped.clone()).unwrap();
    let sink = log.sink();
    let lines = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
    sink.log(&record());
    wait_until(|| lines(&path) == 1);
    std::fs::rename(&path, &moved).unwrap();
    sink.log(&record());
    wait_until(|| lines(&moved) == 2);

    // A new file can't be made where a directory stands.
    std::fs::create_dir(&path).unwrap();
    log.reopen();
    sink.log(&record());
    wait_until(|| lines(&moved) == 3);
    std::fs::remove_dir(&path).unwrap();
    log.reopen();
    wait_until(|| path.exists());
    sink.log(&refused());

    assert!(log.finish(Duration::from_secs(10)));
    assert_eq!((lines(&moved), lines(&path), dropped.get()), (3, 1, 0));
    std::fs::remove_dir_all(&dir).unwrap();
}
