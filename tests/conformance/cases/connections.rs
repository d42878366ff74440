//! How long a client's connection lasts, and what happens on it in which order.

use crate::case::{Case, case, get, say};
use crate::proxy::Config;
use crate::stage::Area;
use crate::upstream::Act;

pub(crate) fn area() -> Area {
    Area::usual([pipelining(), turns(), closing(), leaving(), early_answers()])
}

/// A connection that may carry two requests.
pub(crate) fn area_of_short_lives() -> Area {
    let config = Config { global: "limits.requests_per_connection = 2", ..Config::default() };
    let three = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n";
    let cases = vec![
        case("rfc9112_9_6_a_connection_ends_with_its_last_request_and_says_so")
            .send(three)
            .forwards("GET /1 HTTP/1.1\nHost: a")
            .forwards("GET /2 HTTP/1.1\nHost: a")
            .gets(200)
            .lacks("connection")
            .gets(200)
            .has("connection: close")
            .closed(),
        case("rfc9112_9_6_a_refusal_that_keeps_the_connection_counts")
            .send("GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards("GET /2 HTTP/1.1\nHost: a")
            .gets(417)
            .gets(200)
            .has("connection: close")
            .closed(),
    ];
    Area::with(config, [cases])
}

fn hello(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// RFC 9112 section 9.3.2: answers come in the order of their requests.
fn pipelining() -> Vec<Case> {
    let ten = (0..10).fold(
        case("rfc9112_9_3_2_ten_requests_at_once")
            .send((0..10).map(|at| format!("GET /{at} HTTP/1.1\r\nHost: a\r\n\r\n")).collect::<String>()),
        |case, at| {
            case.answering(hello(&at.to_string()))
                .forwards(&format!("GET /{at} HTTP/1.1\nHost: a"))
                .gets(200)
                .body(at.to_string())
        },
    );
    vec![
        ten,
        case("rfc9112_9_3_2_bodies_of_every_framing")
            .send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            .send("POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n")
            .send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
            .answering(hello("one"))
            .answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n")
            .answering_and_closing("HTTP/1.1 200 OK\r\n\r\nthree")
            .forwards_body("POST /1 HTTP/1.1\nHost: a\nContent-Length: 3", "abc")
            .forwards_body("POST /2 HTTP/1.1\nHost: a\nTransfer-Encoding: chunked", "def")
            .forwards("GET /3 HTTP/1.1\nHost: a")
            .gets(200)
            .body("one")
            .gets(200)
            .body("two")
            .gets(200)
            .body("three"),
        case("rfc9112_9_3_2_head_between_gets")
            .send("HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            .answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            .answering(hello("two"))
            .forwards("HEAD /1 HTTP/1.1\nHost: a")
            .forwards("GET /2 HTTP/1.1\nHost: a")
            .gets(200)
            .has("content-length: 5")
            .bodiless()
            .gets(200)
            .body("two"),
    ]
}

/// RFC 9112 section 9.3.2: one after the other, whoever answers.
fn turns() -> Vec<Case> {
    vec![
        case("rfc9112_9_3_2_the_second_waits_for_the_first_answer")
            .send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            .awaits_requests(1)
            .cues_upstream()
            .upstream([Act::Body, Act::OnCue, say(hello("one"))])
            .answering(hello("two"))
            .forwards("GET /1 HTTP/1.1\nHost: a")
            .forwards("GET /2 HTTP/1.1\nHost: a")
            .gets(200)
            .body("one")
            .gets(200)
            .body("two"),
        case("rfc9112_9_3_2_a_refused_request_ends_those_behind_it")
            .send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n")
            .forwards("GET /1 HTTP/1.1\nHost: a")
            .gets(200)
            .refused(400),
        case("rfc9112_9_3_2_an_answer_of_ours_keeps_its_place")
            .send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards("GET /1 HTTP/1.1\nHost: a")
            .forwards("GET /3 HTTP/1.1\nHost: a")
            .gets(200)
            .gets(417)
            .gets(200),
        case("rfc9112_9_3_a_connection_lasts_for_many_requests")
            .send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
            .awaits("\r\n\r\nok")
            .send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards("GET /1 HTTP/1.1\nHost: a")
            .forwards("GET /2 HTTP/1.1\nHost: a")
            .gets(200)
            .lacks("connection")
            .gets(200)
            .lacks("connection"),
    ]
}

/// RFC 9112 section 9.6: after `close` comes nothing.
fn closing() -> Vec<Case> {
    let rows = [
        ("as_it_is", "Connection: close"),
        ("in_capitals", "Connection: CLOSE"),
        ("in_a_list", "Connection: keep-alive, close"),
        ("on_the_second_line", "Connection: keep-alive\r\nConnection: close"),
        ("with_empty_elements", "Connection: , close ,"),
    ];
    let mut cases = crate::case::each("rfc9112_9_6_close", &rows, |case, lines| {
        case.send(format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        ))
        .forwards("GET / HTTP/1.1\nHost: a")
        .gets(200)
        .has("connection: close")
        .body("ok")
        .closed()
    });
    cases.extend([
        case("rfc9112_9_6_close_after_a_body")
            .send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhelloGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards_body("POST / HTTP/1.1\nHost: a\nContent-Length: 5", "hello")
            .gets(200)
            .has("connection: close")
            .closed(),
        case("rfc9112_9_3_what_is_like_close_is_not")
            .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed, x-close\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200)
            .lacks("connection"),
        get("rfc9112_9_6_an_upstream_that_closes_does_not_close_the_clients_connection")
            .answering_and_closing("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            .gets(200)
            .lacks("connection")
            .body("ok"),
        case("rfc9112_9_6_an_answer_in_chunks_before_the_end")
            .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200)
            .has("transfer-encoding: chunked")
            .body("ok")
            .closed(),
    ]);
    cases
}

/// RFC 9112 section 9.6: a client that goes takes its request with it; one that only says that it has nothing more to say does not.
fn leaving() -> Vec<Case> {
    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npart";
    vec![
        get("rfc9112_9_6_a_client_that_leaves_before_the_answer_cancels_it")
            .awaits_requests(1)
            .leaves()
            .upstream([Act::Body, Act::Gone]),
        get("rfc9112_9_6_a_client_that_closes_its_half_before_the_answer_cancels_it")
            .awaits_requests(1)
            .half_closes()
            .upstream([Act::Body, Act::Gone])
            .closed_or_reset(),
        get("rfc9112_9_6_a_client_that_leaves_in_the_answer_cancels_it").awaits("part").leaves().upstream([
            Act::Body,
            say(begun),
            Act::Gone,
        ]),
        get("rfc9112_9_6_a_client_that_closes_its_half_in_the_answer_gets_the_rest")
            .awaits("part")
            .half_closes()
            .cues_upstream()
            .upstream([Act::Body, say(begun), Act::OnCue, say("rest")])
            .gets(200)
            .body("partrest")
            .closed(),
        case("rfc9112_9_6_a_client_that_leaves_in_its_body_is_no_complete_request")
            .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
            .awaits_requests(1)
            .leaves()
            .forwards_never_whole("POST / HTTP/1.1\nHost: a\nContent-Length: 10"),
        case("rfc9112_9_6_a_client_that_leaves_in_its_head_is_no_request")
            .send("GET / HTTP/1.1\r\nHost: a\r\n")
            .half_closes()
            .gets(400)
            .or_nothing()
            .closed(),
        case("rfc9112_9_6_a_client_that_leaves_between_requests")
            .send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .awaits("\r\n\r\nok")
            .half_closes()
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200)
            .body("ok")
            .closed(),
    ]
}

/// RFC 9112 section 9.3: an answer that does not wait for the whole request is passed on at once, and is the last one of both connections.
fn early_answers() -> Vec<Case> {
    let (sized, chunked) = (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    );
    let heads = [
        ("of_known_length", sized, "POST / HTTP/1.1\nHost: a\nContent-Length: 10"),
        ("in_chunks", chunked, "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked"),
    ];
    let mut cases = Vec::new();
    for (what, request, head) in heads {
        let early = |name: &str| case(format!("rfc9112_9_3_{name}_{what}")).send(request);
        let no = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
        cases.push(
            early("a_final_answer_before_the_end_of_a_body")
                .upstream([say(no), Act::Gone])
                .forwards_begun(head)
                .gets(403)
                .has("connection: close")
                .body("no")
                .closed(),
        );
        cases.push(
            early("an_upstream_that_answers_and_closes_before_the_end_of_a_body")
                .upstream([say(no), Act::HalfClose, Act::Gone])
                .forwards_begun(head)
                .gets(403)
                .has("connection: close")
                .body("no")
                .closed(),
        );
        let rest = if what == "in_chunks" { "5\r\nworld\r\n0\r\n\r\n" } else { "world" };
        cases.push(
            early("a_body_goes_on_while_the_answer_comes")
                .awaits("part")
                .send(rest)
                .upstream([say("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npart"), Act::Body, say("rest")])
                .forwards_body(head, "helloworld")
                .gets(200)
                .has("connection: close")
                .body("partrest")
                .closed(),
        );
        cases.push(
            early("what_follows_an_early_answer_is_never_a_request")
                .awaits("\r\n\r\nno")
                .send(format!("{rest}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"))
                .upstream([say(no), Act::Gone])
                .forwards_begun(head)
                .gets(403)
                .body("no")
                .closed(),
        );
    }
    cases
}
