//! The whole engine, between a client and a backend: pipelined requests with bodies. How the bytes are split changes nothing; what reaches
//! the backend is well-formed, and nothing else than what hyper's server understands of the same bytes.
//!
//! We refuse more than hyper does, each time with a status that says so (see [`is_refused_by_us_only`]):
//! - what readers disagree on (RFC 9112 section 11.2): a bare LF or CR, more than one empty line before a request, lengths that are repeated
//!   or stand beside a coding, codings but one `chunked` and any in HTTP/1.0, targets with a fragment or of no form, whitespace and control
//!   bytes in chunk lines, no `Host` or several or none that is one,
//! - what a reverse proxy does not do: CONNECT, a TRACE with a body, expectations but one, requests that run in a circle,
//! - what is larger than the limits, which are small here, and methods over 32 bytes.
//!
//! We take two things that hyper refuses: HTTP/1.2 to 1.9, which are handled as 1.1 (RFC 9110 section 2.5), and bytes in a target that are
//! in no URI but in many requests (`"`, `<`, `|` and the like), which go on as they came.
#![no_main]

use cutover_fuzz::message::{self, Fields, Message};
use cutover_fuzz::world::{self, Outcome, World};
use cutover_fuzz::{app, line_end, reference, split};
use cutover_proxy::fuzzing::{COUNT_MAX, FIELDS_MAX, LINE_MAX};
use libfuzzer_sys::fuzz_target;

/// What begins so is none of HTTP/1.1 (RFC 9113 section 3.4).
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

thread_local! {
    static WORLD: Option<World> = World::new();
}

fuzz_target!(|data: &[u8]| {
    let (cuts, input) = split::cuts(data);
    WORLD.with(|world| {
        let Some(world) = world else { panic!("it can't be set up") };
        if input.starts_with(HTTP2) {
            // Which answers there are is in frames. What reaches the backend is well-formed all the same, and everything ends.
            world.serve(input, &cuts);
            return;
        }
        let whole = world.serve(input, &[]);
        let pieces = world.serve(input, &cuts);
        assert!(is_same(&whole, &pieces), "in pieces {pieces:?}, whole {whole:?}");
        compare(&whole, &reference::requests(input), input);
    });
});

/// Of several things that are wrong another one may be seen first.
fn is_same(whole: &Outcome, pieces: &Outcome) -> bool {
    let is_answer = |(one, other): (&u16, &u16)| one == other || (*one >= 400 && *other >= 400);
    let (of_whole, of_pieces) = (statuses(whole), statuses(pieces));
    whole.is_closed == pieces.is_closed
        && of_whole.len() == of_pieces.len()
        && of_whole.iter().zip(&of_pieces).all(is_answer)
        && whole.forwarded.len() == pieces.forwarded.len()
        && whole.forwarded.iter().zip(&pieces.forwarded).all(|(one, other)| is_same_request(one, other))
}

fn statuses(outcome: &Outcome) -> Vec<u16> {
    // One to HEAD has the length of a body and no body.
    let is_to_head = |behind: &[u8]| behind.is_empty() || behind.starts_with(b"HTTP/1.1 ");
    let answers = message::answers(&outcome.answers, is_to_head);
    assert!(answers.iter().all(|answer| answer.is_whole), "{answers:?}");
    answers.iter().map(|answer| answer.status).collect()
}

/// But for the name that every request gets.
fn is_same_request(one: &Message, other: &Message) -> bool {
    let rest = |message: &Message| Message {
        fields: message.fields.iter().filter(|(name, _)| name != "x-request-id").cloned().collect(),
        ..message.clone()
    };
    rest(one) == rest(other)
}

fn compare(outcome: &Outcome, reference: &[Message], input: &[u8]) {
    let mut forwarded = outcome.forwarded.iter();
    let statuses = statuses(outcome);
    for (at, &status) in statuses.iter().enumerate() {
        let expected = reference.get(at);
        if status == app::STATUS {
            let Some(found) = forwarded.next() else { panic!("an answer to nothing") };
            let Some(expected) = expected else {
                return assert!(is_taken_by_us_only(found, input), "hyper refuses {found:?}");
            };
            assert_same(found, expected);
        } else if let Some(expected) = expected {
            let is_explained = is_refused_by_us_only(expected, status, input)
                || (status == 400 && (has_hidden_length(reference, input) || has_hidden_line_end(reference)));
            assert!(is_explained, "{status} for {expected:?}");
        }
    }
    assert_eq!(forwarded.next(), None, "a request without an answer");
    if let Some(next) = reference.get(statuses.len()) {
        // What we refused has an end that we don't know.
        let is_refused = statuses.last().is_some_and(|&status| status != app::STATUS);
        assert!(outcome.is_closed && is_refused, "hyper reads one more: {next:?}, {outcome:?}");
    }
}

/// Fields that are about one hop, or the proxy's own to say.
const NOT_COMPARED: [&str; 24] = [
    "connection",
    "content-length",
    "cookie",
    "cutover-pin",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];
/// Of these nothing goes on, whoever says it.
const NEVER_FORWARDED: [&str; 9] = [
    "cutover-pin",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "x-forwarded-port",
    "x-real-ip",
];
/// `Connection` can't take these out.
const PROTECTED: [&str; 1] = ["cache-control"];

fn assert_same(found: &Message, expected: &Message) {
    assert_eq!(found.method, expected.method);
    assert_eq!(found.body, expected.body, "{found:?}");
    let target = match (&expected.authority, expected.method.as_str(), expected.target.as_str()) {
        // RFC 9112 section 3.2.4.
        (Some(_), "OPTIONS", "/") if found.target == "*" => "*",
        (_, _, target) => target,
    };
    assert_eq!(found.target, target);

    let host = expected.values("host").next().map(|host| String::from_utf8_lossy(host).into_owned());
    let host = expected.authority.clone().or(host).unwrap_or_default();
    assert_eq!(found.values("host").collect::<Vec<_>>(), [host.as_bytes()]);
    let never = found.fields.iter().find(|(name, _)| NEVER_FORWARDED.contains(&name.as_str()));
    assert_eq!(never, None);
    let ended = expected.elements("connection");
    assert_eq!(compared(&found.fields, &[]), compared(&expected.fields, &ended));
    for trailer in &found.trailers {
        assert!(expected.trailers.contains(trailer), "{trailer:?} is new");
    }
}

/// What goes from end to end, by its names.
fn compared(fields: &Fields, ended: &[String]) -> Fields {
    let is_compared = |name: &String| {
        let is_ended = ended.contains(name) && !PROTECTED.contains(&name.as_str());
        // Apps take an underscore for a dash.
        let dashed = name.replace('_', "-");
        !is_ended && !NOT_COMPARED.contains(&name.as_str()) && !is_claim(&dashed)
    };
    let mut compared: Fields = fields.iter().filter(|(name, _)| is_compared(name)).cloned().collect();
    compared.sort_by(|(one, _), (other, _)| one.cmp(other));
    compared
}

/// Whether apps take the field for what a proxy says of the client.
fn is_claim(name: &str) -> bool {
    name.starts_with("x-forwarded-") || name == "x-real-ip"
}

/// Whether one of the differences at the top explains that a request was answered with `status`.
fn is_refused_by_us_only(expected: &Message, status: u16, input: &[u8]) -> bool {
    let has = |name: &str| expected.values(name).next().is_some();
    let is_options_or_trace = ["OPTIONS", "TRACE"].contains(&expected.method.as_str());
    match status {
        400 => {
            is_unreadable(input)
                || !is_plain(expected)
                // hyper leaves it out.
                || input.contains(&b'#')
                || !has_one_host(expected)
                || !has_one_framing(expected)
                || (has("transfer-encoding") && has_odd_chunk_line(input))
                || (expected.method == "TRACE" && (has("content-length") || has("transfer-encoding")))
        }
        405 if expected.target.starts_with("/.cutover/version") => true,
        405 => expected.method == "CONNECT" || (expected.method == "TRACE" && has("max-forwards")),
        413 => expected.body.len() as u64 > world::BODY_MAX,
        414 => input.split(|byte| *byte == b'\n').any(|line| line.len() > LINE_MAX),
        417 => expected.elements("expect") != ["100-continue"],
        431 => input.len() > FIELDS_MAX || expected.fields.len() > COUNT_MAX / 2,
        501 => expected.method.len() > 32 || has("transfer-encoding"),
        508 => expected.elements("via").len() >= 8,
        200 => expected.target.starts_with("/.cutover/version"),
        204 => is_options_or_trace && has("max-forwards"),
        503 | 409 => has("x-cutover-version"),
        _ => false,
    }
}

/// Whether it has line ends or empty lines that not every reader takes for such.
fn is_unreadable(input: &[u8]) -> bool {
    let has_bare_cr = input.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n');
    let has_empty_lines =
        input.starts_with(b"\r\n\r\n") || input.windows(6).any(|six| six == b"\r\n\r\n\r\n");
    line_end::has_bare_lf(input) || has_bare_cr || has_empty_lines
}

/// Whether the CR before an LF may be a body's last byte: then the next head begins with an LF alone, which hyper skips.
fn has_hidden_line_end(reference: &[Message]) -> bool {
    reference.iter().any(|message| message.body.ends_with(b"\r"))
}

/// Whether the target is in a form that is served, as far as hyper shows it.
fn is_plain(expected: &Message) -> bool {
    expected.authority.is_none() && expected.target.starts_with('/') && expected.target.is_ascii()
}

fn has_one_host(expected: &Message) -> bool {
    let hosts: Vec<_> = expected.values("host").collect();
    let is_name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    // Ports, addresses in brackets and percents (RFC 3986 section 2.1) have rules of their own.
    matches!(hosts[..], [host] if host.iter().all(is_name_byte))
}

fn has_one_framing(expected: &Message) -> bool {
    let lengths: Vec<_> = expected.values("content-length").collect();
    let codings: Vec<_> = expected.values("transfer-encoding").collect();
    match (&lengths[..], &codings[..]) {
        ([], []) => true,
        ([length], []) => length.iter().all(u8::is_ascii_digit) && length.len() < 20,
        ([], [coding]) => coding.eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

/// Whether there are lengths that hyper does not show: those beside a coding, and those that are repeated.
fn has_hidden_length(reference: &[Message], input: &[u8]) -> bool {
    let name = b"content-length";
    let all = input.windows(name.len()).filter(|found| found.eq_ignore_ascii_case(name)).count();
    all > reference.iter().map(|message| message.values("content-length").count()).sum()
}

/// Whether there may be a line with a chunk's size that has more than the size.
fn has_odd_chunk_line(input: &[u8]) -> bool {
    input.split(|byte| *byte == b'\n').any(|line| {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        digits > 0 && line.len() > digits + 1 && matches!(line[digits], b' ' | b'\t' | b';')
    })
}

/// Whether one of the differences at the top explains that hyper did not take a request.
fn is_taken_by_us_only(found: &Message, input: &[u8]) -> bool {
    let is_version = |line: &[u8]| matches!(line, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9']);
    let has_other_version = input.windows(8).any(is_version);
    has_other_version || found.target.contains(|byte| "\"<>\\^`{|}".contains(byte))
}
