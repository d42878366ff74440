//! The client: it does the steps of a case and judges what comes back.

use std::net::{SocketAddr, TcpStream};

use crate::case::{Answer, Case, End, Step};
use crate::cut::Cut;
use crate::head::{Framing, Head};
use crate::upstream::{MARKER, Upstream};
use crate::wire::{Body, Fault, Wire, text};

/// Plays the client's part of a case. The error says what was expected and what was seen.
pub(crate) fn play(case: &Case, cut: Cut, proxy: SocketAddr, upstream: &Upstream) -> Result<(), String> {
    let mut wire = connect(proxy)?;
    for step in &case.steps {
        match step {
            Step::Send(bytes) => wire.write(bytes, cut),
            Step::Await(bytes) => wire.wait_for(bytes).map_err(|fault| {
                format!("expected {:?}, seen {:?} and {fault}", text(bytes), wire.leftover())
            })?,
            Step::AwaitRequests(count) => upstream.wait_for_requests(*count)?,
            Step::Cue => upstream.cue(),
            Step::OnCue => upstream.wait_for_cue()?,
            Step::HalfClose => wire.half_close(),
            Step::Leave => return Ok(()),
        }
    }
    for (at, expected) in case.answers.iter().enumerate() {
        let begun = |problem| format!("answer {}: {problem}", at + 1);
        match answer(&mut wire, expected) {
            Err(Wrong::Missing) if expected.is_optional => {}
            Err(wrong) => return Err(begun(wrong.describe(expected))),
            Ok(502) if expected.or_502 => return Ok(()),
            Ok(_) => {}
        }
    }
    end(wire, &case.end)
}

/// Asks on a connection of its own for what is no part of a case. Whether it was answered as it should be.
pub(crate) fn ask_marker(proxy: SocketAddr) -> Result<(), String> {
    marker(&mut connect(proxy)?)
}

fn connect(proxy: SocketAddr) -> Result<Wire, String> {
    TcpStream::connect(proxy).map(Wire::new).map_err(|error| format!("no connection to the proxy: {error}"))
}

/// Asks for the marker over a connection that must be able to carry another request.
fn marker(wire: &mut Wire) -> Result<(), String> {
    wire.write(format!("GET {MARKER} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), Cut::Whole);
    let mut body = Body::default();
    let answered = wire.head().and_then(|head| {
        wire.body(head.answer_framing(false)?, &mut body)?;
        Ok(head)
    });
    match answered {
        Ok(head) if head.start == "HTTP/1.1 200 OK" && body.bytes == b"marker" => Ok(()),
        Ok(head) => {
            Err(format!("another request was answered with {:?} and {:?}", head.raw, text(&body.bytes)))
        }
        Err(fault) => Err(format!("another request was answered with {:?} and {fault}", wire.leftover())),
    }
}

/// What is wrong with an answer.
enum Wrong {
    /// The connection ended before a byte of it.
    Missing,
    /// This is what came instead.
    Other(String),
}

impl Wrong {
    fn describe(self, expected: &Answer) -> String {
        match self {
            Self::Missing => format!("expected {}, seen the end of the connection", expected.status),
            Self::Other(seen) => seen,
        }
    }
}

/// Reads an answer. Answers its status where all is well.
fn answer(wire: &mut Wire, expected: &Answer) -> Result<u16, Wrong> {
    let head = wire.head().map_err(|fault| match fault {
        Fault::Closed if !wire.has_leftover() => Wrong::Missing,
        fault => {
            Wrong::Other(format!("expected {}, seen {:?} and {fault}", expected.status, wire.leftover()))
        }
    })?;
    let malformed = |fault: Fault| Wrong::Other(format!("{fault} in {:?}", head.raw));
    let (status, framing) =
        (head.status().map_err(malformed)?, head.answer_framing(expected.is_bodiless).map_err(malformed)?);
    let mut body = Body::default();
    let ended = wire.body(framing, &mut body);
    if status == 502 && expected.or_502 && ended.is_ok() {
        return Ok(status);
    }
    let mut problems = Vec::new();
    if status != expected.status {
        problems.push(format!("expected the status {}, seen {status}", expected.status));
    }
    problems.extend(fields(&head, status, expected));
    problems.extend(content(&body, framing, ended, expected));
    if problems.is_empty() {
        return Ok(status);
    }
    Err(Wrong::Other(format!("{}; it was {:?} and {:?}", problems.join("; "), head.raw, text(&body.bytes))))
}

/// What is wrong with the head beside its status.
fn fields(head: &Head, status: u16, expected: &Answer) -> Vec<String> {
    let mut problems = Vec::new();
    // Every final answer has a date, the backend's or ours (RFC 9110 section 6.6.1).
    if status >= 200 && head.field("date").is_none() {
        problems.push("expected a Date".to_owned());
    }
    for wanted in &expected.has {
        if !has_field(head, wanted) {
            problems.push(format!("expected the field {wanted:?}"));
        }
    }
    for name in &expected.lacks {
        if let Some(value) = head.field(name) {
            problems.push(format!("expected no field {name}, seen {value:?}"));
        }
    }
    for (name, count) in &expected.times {
        let seen = head.all(name).count();
        if seen != *count {
            problems.push(format!("expected {name} {count} times, seen {seen}"));
        }
    }
    for line in &expected.lines {
        if !head.raw.split("\r\n").any(|found| found == line) {
            problems.push(format!("expected the line {line:?}"));
        }
    }
    problems
}

/// What is wrong with the body.
fn content(body: &Body, framing: Framing, ended: Result<(), Fault>, expected: &Answer) -> Vec<String> {
    let mut problems = Vec::new();
    match ended {
        Err(fault @ (Fault::Silent | Fault::Malformed(_))) => problems.push(format!("its body: {fault}")),
        Err(fault) if !expected.is_cut => problems.push(format!("its body broke off by {fault}")),
        Ok(()) if expected.is_cut => problems.push(format!("{framing:?}: it looks complete")),
        Ok(()) | Err(_) => {}
    }
    if let Some(wanted) = expected.body.as_ref().filter(|wanted| **wanted != body.bytes) {
        problems.push(format!("expected the body {:?}", text(wanted)));
    }
    let trailers: Vec<String> =
        body.trailers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    if trailers != expected.trailers {
        problems.push(format!("expected the trailers {:?}, seen {trailers:?}", expected.trailers));
    }
    problems
}

/// Whether a field is there: `name: value`, where the value is that of one line or of all lines joined, or any value for a name alone.
pub(crate) fn has_field(head: &Head, wanted: &str) -> bool {
    match wanted.split_once(": ") {
        Some((name, value)) => {
            head.all(name).any(|line| line == value) || head.field(name).is_some_and(|found| found == value)
        }
        None => head.field(wanted).is_some(),
    }
}

fn end(mut wire: Wire, expected: &End) -> Result<(), String> {
    if matches!(expected, End::Open) {
        return marker(&mut wire);
    }
    let mut rest = Vec::new();
    let fault = wire.rest(&mut rest);
    let is_right = match expected {
        End::Open | End::Left => true,
        End::Closed => fault == Fault::Closed && rest.is_empty(),
        End::Reset => fault == Fault::Reset && rest.is_empty(),
        End::Broken => matches!(fault, Fault::Closed | Fault::Reset) && rest.is_empty(),
        End::Tunnel(bytes) => fault == Fault::Closed && rest == *bytes,
    };
    if is_right {
        return Ok(());
    }
    Err(format!("expected the connection to be {expected:?}, seen {:?} and {fault}", text(&rest)))
}
