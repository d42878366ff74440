//! Clients that wait for leave to send their bodies.

use crate::case::{Case, case, each, say};
use crate::stage::Area;
use crate::upstream::Act;

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
const FORWARDED: &str = "POST / HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 5";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

pub(crate) fn area() -> Area {
    Area::usual([leave(), silence(), no_leave(), expectations()])
}

/// RFC 9110 section 10.1.1: the upstream decides, and the client gets its 100 once.
fn leave() -> Vec<Case> {
    vec![
        case("rfc9110_10_1_1_leave_is_passed_on")
            .send(HEAD)
            .awaits("\r\n\r\n")
            .send("hello")
            .upstream([say(CONTINUE), Act::Body, say(OK)])
            .forwards_body(FORWARDED, "hello")
            .gets(100)
            .gets(200)
            .body("ok"),
        case("rfc9110_10_1_1_leave_for_chunks")
            .send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
            .awaits("\r\n\r\n")
            .send("5\r\nhello\r\n0\r\n\r\n")
            .upstream([say(CONTINUE), Act::Body, say(OK)])
            .forwards_body(
                "POST / HTTP/1.1\nHost: a\nExpect: 100-continue\nTransfer-Encoding: chunked",
                "hello",
            )
            .gets(100)
            .gets(200),
        case("rfc9110_10_1_1_leave_is_given_once")
            .send(HEAD)
            .awaits("\r\n\r\n")
            .send("hello")
            .upstream([say([CONTINUE, CONTINUE].concat()), Act::Body, say([CONTINUE, OK].concat())])
            .forwards_body(FORWARDED, "hello")
            .gets(100)
            .gets(200),
        case("rfc9110_10_1_1_a_body_that_comes_unasked_is_sent_on")
            .send(format!("{HEAD}hello"))
            .forwards_body(FORWARDED, "hello")
            .gets(200),
        case("rfc9110_10_1_1_the_connection_goes_on_after_leave_was_used")
            .send(HEAD)
            .awaits("\r\n\r\n")
            .send("helloGET /b HTTP/1.1\r\nHost: b\r\n\r\n")
            .upstream([say(CONTINUE), Act::Body, say(OK)])
            .forwards_body(FORWARDED, "hello")
            .forwards("GET /b HTTP/1.1\nHost: b")
            .gets(100)
            .gets(200)
            .gets(200),
    ]
}

/// RFC 9110 section 10.1.1: an upstream that says nothing is no reason to wait for ever.
fn silence() -> Vec<Case> {
    vec![
        case("rfc9110_10_1_1_we_give_leave_when_the_upstream_is_silent")
            .send(HEAD)
            .awaits("\r\n\r\n")
            .send("hello")
            .forwards_body(FORWARDED, "hello")
            .gets(100)
            .gets(200)
            .whole_only(),
        case("rfc9110_10_1_1_the_upstreams_leave_after_ours_is_not_passed_on")
            .send(HEAD)
            .awaits("\r\n\r\n")
            .send("hello")
            .upstream([Act::Body, say([CONTINUE, OK].concat())])
            .forwards_body(FORWARDED, "hello")
            .gets(100)
            .gets(200)
            .whole_only(),
    ]
}

/// RFC 9110 section 10.1.1: a final answer instead of leave is the answer. The body is not waited for, so that nothing behind it can be read.
fn no_leave() -> Vec<Case> {
    let rows = [("401", 401), ("413", 413), ("417", 417), ("500", 500)];
    let mut cases = each("rfc9110_10_1_1_no_leave_but", &rows, |case, status| {
        case.send(HEAD)
            .upstream([say(format!("HTTP/1.1 {status} No\r\nContent-Length: 2\r\n\r\nno")), Act::Gone])
            .forwards_bytes(FORWARDED, "")
            .gets(status)
            .has("connection: close")
            .body("no")
            .closed()
    });
    cases.push(
        case("rfc9110_10_1_1_a_body_after_a_final_answer_is_no_request")
            .send(HEAD)
            .awaits("\r\n\r\nno")
            .send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
            .upstream([say("HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno"), Act::Gone])
            .forwards_begun(FORWARDED)
            .gets(401)
            .body("no")
            .closed(),
    );
    cases
}

/// RFC 9110 section 10.1.1: one expectation is known; HTTP/1.0 has none.
fn expectations() -> Vec<Case> {
    let rows = [
        ("that_is_unknown", "200-ok"),
        ("with_junk_before", "y 100-continue"),
        ("with_junk_behind", "100-continue y"),
        ("beside_another", "100-continue, wonders"),
        ("with_a_parameter", "100-continue;a=b"),
        ("in_quotes", "\"100-continue\""),
    ];
    let mut cases = each("rfc9110_10_1_1_an_expectation", &rows, |case, what| {
        case.send(format!("GET / HTTP/1.1\r\nHost: a\r\nExpect: {what}\r\n\r\n"))
            .gets(417)
            .has("content-length")
    });
    cases.push(
        case("rfc9110_10_1_1_an_expectation_in_any_case")
            .send(format!("{}hello", HEAD.replace("100-continue", "100-Continue")))
            .forwards_body(&FORWARDED.replace("100-continue", "100-Continue"), "hello")
            .gets(200),
    );
    cases.push(
        case("rfc9110_10_1_1_an_expectation_of_http_1_0_is_ignored")
            .send("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
            .forwards_body("POST / HTTP/1.1\nHost: a\nContent-Length: 5", "hello")
            .gets(200)
            .closed(),
    );
    cases.push(
        case("rfc9110_10_1_1_an_unknown_expectation_of_http_1_0_is_ignored")
            .send("GET / HTTP/1.0\r\nHost: a\r\nExpect: wonders\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200)
            .closed(),
    );
    cases
}
