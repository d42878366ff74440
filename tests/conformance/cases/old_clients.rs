//! Clients of HTTP/1.0.

use crate::case::{Case, case, old_get, say};
use crate::stage::Area;
use crate::upstream::Act;

const KEPT: &str = "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";

pub(crate) fn area() -> Area {
    Area::usual([answers(), kept(), breaking()])
}

/// RFC 9112 sections 6.1 and 9.3: no chunks, and the end of the connection after the answer.
fn answers() -> Vec<Case> {
    vec![
        old_get("rfc9110_2_5_the_version_of_an_answer_is_ours").gets(200).body("ok").closed(),
        old_get("rfc9112_6_1_chunks_are_undone_for_http_1_0")
            .answering(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            )
            .gets(200)
            .lacks("transfer-encoding")
            .lacks("content-length")
            .body("hello")
            .closed(),
        old_get("rfc9112_7_1_2_trailers_are_left_out_for_http_1_0")
            .answering(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n",
            )
            .gets(200)
            .body("hello")
            .closed(),
        old_get("rfc9112_6_3_an_answer_until_the_end_for_http_1_0")
            .answering_and_closing("HTTP/1.1 200 OK\r\n\r\nhello")
            .gets(200)
            .lacks("transfer-encoding")
            .body("hello")
            .closed(),
        case("rfc9112_9_3_what_follows_a_request_of_http_1_0_is_no_request")
            .send("GET / HTTP/1.0\r\nHost: a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200)
            .closed(),
        case("rfc9112_3_2_http_1_0_without_a_host_reaches_the_upstream_with_an_empty_one")
            .send("GET /a HTTP/1.0\r\n\r\n")
            .forwards("GET /a HTTP/1.1\nHost: ")
            .gets(200)
            .closed(),
        case("rfc9112_6_2_a_body_of_http_1_0")
            .send("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
            .forwards_body("POST / HTTP/1.1\nHost: a\nContent-Length: 5", "hello")
            .gets(200)
            .closed(),
        case("rfc9110_9_3_2_head_of_http_1_0")
            .send("HEAD / HTTP/1.0\r\nHost: a\r\n\r\n")
            .answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            .forwards("HEAD / HTTP/1.1\nHost: a")
            .gets(200)
            .has("content-length: 5")
            .bodiless()
            .closed(),
        case("rfc9112_9_3_a_refusal_for_http_1_0_closes")
            .send("GET / HTTP/1.0\r\nHost: a\r\nA : b\r\n\r\n")
            .refused(400),
    ]
}

/// RFC 9112 section 9.3: kept where the client asks for it and can see the end of the answer.
fn kept() -> Vec<Case> {
    vec![
        case("rfc9112_9_3_http_1_0_is_kept_alive_where_it_asks")
            .send(KEPT)
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200)
            .has("connection: keep-alive")
            .has("content-length: 2")
            .body("ok"),
        case("rfc9112_9_3_http_1_0_is_kept_alive_for_several_requests")
            .send([KEPT, KEPT].concat())
            .forwards("GET / HTTP/1.1\nHost: a")
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200)
            .has("connection: keep-alive")
            .gets(200)
            .has("connection: keep-alive"),
        case("rfc9112_9_3_http_1_0_asks_in_capitals")
            .send(KEPT.replace("keep-alive", "Keep-Alive"))
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200)
            .has("connection: keep-alive"),
        case("rfc9112_9_3_close_wins_over_keep_alive")
            .send(KEPT.replace("keep-alive", "keep-alive, close"))
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200)
            .closed(),
        case("rfc9112_9_3_http_1_0_is_not_kept_alive_without_a_length")
            .send(KEPT)
            .answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200)
            .lacks("transfer-encoding")
            .body("ok")
            .closed(),
        case("rfc9112_9_3_http_1_0_is_kept_alive_after_no_content")
            .send(KEPT)
            .answering("HTTP/1.1 204 No Content\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(204)
            .has("connection: keep-alive"),
        case("rfc9112_9_3_keep_alive_is_nothing_new_to_http_1_1")
            .send(KEPT.replace("HTTP/1.0", "HTTP/1.1"))
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200)
            .body("ok"),
    ]
}

/// RFC 9112 section 8: where the end of the connection would look like the end of the answer, only a reset tells the truth.
fn breaking() -> Vec<Case> {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n~\r\n";
    let endless = "HTTP/1.1 200 OK\r\n\r\n~";
    let broken = |name: &str, answer: &str, end: Act| {
        old_get(name)
            .awaits("~")
            .cues_upstream()
            .upstream([Act::Body, say(answer), Act::OnCue, end])
            .gets(200)
            .cut_off_by_reset()
    };
    vec![
        broken("rfc9112_8_chunks_for_http_1_0_that_are_closed", chunks, Act::Close),
        broken("rfc9112_8_chunks_for_http_1_0_that_are_reset", chunks, Act::Reset),
        broken("rfc9112_8_chunks_for_http_1_0_that_are_malformed", chunks, say("x\r\n")),
        broken("rfc9112_8_an_answer_until_the_end_for_http_1_0_that_is_reset", endless, Act::Reset),
        old_get("rfc9112_8_a_known_length_for_http_1_0_that_is_closed")
            .answering_and_closing("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            .gets_no_complete_answer(),
    ]
}
