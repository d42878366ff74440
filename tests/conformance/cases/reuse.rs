//! Connections to the upstream: used again only where nothing of an answer can be left on them.

use crate::case::{Case, case, say};
use crate::proxy::Config;
use crate::stage::Area;
use crate::upstream::Act;

const TWO: &str = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
/// What nobody may ever get.
const STRAY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray";

pub(crate) fn area() -> Area {
    Area::usual([again(), not_again(), extra_bytes(), idle()])
}

/// An upstream that takes too long.
pub(crate) fn area_of_slow_upstreams() -> Area {
    let config = Config { service: "upstream.response_timeout = \"300ms\"", ..Config::default() };
    let rows =
        [("in_the_status_line", "HTTP/1.1 2"), ("in_the_fields", "HTTP/1.1 200 OK\r\nX-A"), ("at_once", "")];
    let make = |&(what, begun): &(&str, &str)| {
        crate::case::get(format!("rfc9110_15_6_5_an_upstream_that_stops_{what}"))
            .upstream([Act::Body, say(begun), Act::Gone])
            .gets(504)
            .whole_only()
    };
    Area::with(config, [rows.iter().map(make).collect()])
}

/// Two requests of one client.
fn two(name: impl Into<String>) -> Case {
    case(name).send(TWO).forwards("GET /1 HTTP/1.1\nHost: a").forwards("GET /2 HTTP/1.1\nHost: a")
}

/// RFC 9112 section 9.3: after an answer that is complete beyond doubt.
fn again() -> Vec<Case> {
    let rows = [
        ("a_length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200),
        ("no_content", "HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("an_error", "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 500),
    ];
    rows.iter()
        .map(|(what, answer, status)| {
            two(format!("rfc9112_9_3_used_again_after_{what}"))
                .answering(answer)
                .upstream_same_connection()
                .gets(*status)
                .gets(200)
        })
        .collect()
}

/// RFC 9112 sections 9.3 and 9.6: not after one that ends the connection, whether it says so or not.
fn not_again() -> Vec<Case> {
    let rows = [
        ("close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
        ("close_in_a_list", "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok"),
        ("http_1_0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ];
    let mut cases: Vec<Case> = rows
        .iter()
        .map(|(what, answer)| {
            two(format!("rfc9112_9_6_not_used_again_after_{what}"))
                .answering(answer)
                .upstream_new_connection()
                .gets(200)
                .body("ok")
                .gets(200)
        })
        .collect();
    cases.push(
        two("rfc9112_9_6_not_used_again_after_an_answer_until_the_end")
            .answering_and_closing("HTTP/1.1 200 OK\r\n\r\nok")
            .upstream_new_connection()
            .gets(200)
            .body("ok")
            .gets(200),
    );
    cases
}

/// RFC 9112 section 11.1: bytes behind a complete answer are nobody's answer.
fn extra_bytes() -> Vec<Case> {
    let rows = [
        ("of_known_length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
        ("of_length_zero", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
        ("in_chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200),
        ("without_content", "HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("that_was_not_modified", "HTTP/1.1 304 Not Modified\r\n\r\n", 304),
    ];
    let mut cases = Vec::new();
    for (what, answer, status) in rows {
        for (extra, bytes) in [("another_answer", STRAY), ("a_line_end", "\r\n"), ("junk", "x")] {
            cases.push(
                case(format!("rfc9112_11_1_{extra}_behind_one_{what}"))
                    .send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
                    .awaits_cue()
                    .send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
                    .forwards("GET /1 HTTP/1.1\nHost: a")
                    .forwards("GET /2 HTTP/1.1\nHost: a")
                    .upstream([Act::Body, say([answer, bytes].concat()), Act::Cue])
                    .upstream_new_connection()
                    .gets(status)
                    .gets(200)
                    .body("ok"),
            );
        }
    }
    for (what, body) in [("its_body", "hello"), ("another_answer", STRAY)] {
        cases.push(
            case(format!("rfc9112_11_1_{what}_behind_one_to_head"))
                .send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
                .awaits_cue()
                .send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
                .upstream([
                    Act::Body,
                    say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())),
                    Act::Cue,
                ])
                .forwards("HEAD / HTTP/1.1\nHost: a")
                .forwards("GET /2 HTTP/1.1\nHost: a")
                .upstream_new_connection()
                .gets(200)
                .bodiless()
                .gets(200)
                .body("ok"),
        );
    }
    cases
}

/// RFC 9112 section 9.5: what an upstream says or does between two requests ends its connection, and costs nobody an answer.
fn idle() -> Vec<Case> {
    let after = |name: &str, request: &str| {
        case(name)
            .send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
            .awaits("\r\n\r\nok")
            .cues_upstream()
            .awaits_cue()
            .send(request)
            .forwards("GET /1 HTTP/1.1\nHost: a")
    };
    let first = || say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let get = "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut cases = Vec::new();
    let unasked = [
        ("an_answer", STRAY),
        ("a_timeout", "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        ("a_byte", "x"),
        ("a_line_end", "\r\n"),
    ];
    for (what, bytes) in unasked {
        cases.push(
            after(&format!("rfc9112_9_5_an_idle_upstream_says_{what}"), get)
                .upstream([Act::Body, first(), Act::OnCue, say(bytes), Act::Cue])
                .forwards("GET /2 HTTP/1.1\nHost: a")
                .upstream_new_connection()
                .gets(200)
                .body("ok")
                .gets(200)
                .body("ok"),
        );
    }
    cases.push(
        after("rfc9112_9_5_an_idle_upstream_closes", get)
            .upstream([Act::Body, first(), Act::OnCue, Act::HalfClose, Act::Cue])
            .forwards("GET /2 HTTP/1.1\nHost: a")
            .upstream_new_connection()
            .gets(200)
            .gets(200),
    );
    cases.push(
        after(
            "rfc9112_9_5_an_idle_upstream_closes_before_a_post",
            "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        )
        .upstream([Act::Body, first(), Act::OnCue, Act::HalfClose, Act::Cue])
        .forwards_body("POST /2 HTTP/1.1\nHost: a\nContent-Length: 2", "hi")
        .upstream_new_connection()
        .gets(200)
        .gets(200),
    );
    cases
}
