//! Where the body of an answer ends.

use crate::case::{Case, case, get, say};
use crate::stage::Area;
use crate::upstream::Act;

pub(crate) fn area() -> Area {
    Area::usual([framings(), bodiless(), wrong_framings(), trailers(), breaking(), wrong_chunks()])
}

/// RFC 9112 section 6.3: by a length, in chunks, or until the end of the connection.
fn framings() -> Vec<Case> {
    let large = "0123456789abcdef".repeat(20_000);
    vec![
        get("rfc9112_6_3_an_answer_of_known_length")
            .answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            .gets(200)
            .has("content-length: 5")
            .lacks("transfer-encoding")
            .body("hello"),
        get("rfc9112_6_3_an_answer_of_no_length")
            .answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .gets(200)
            .has("content-length: 0")
            .body(""),
        get("rfc9112_6_3_an_answer_in_chunks")
            .answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;a=\"b\"\r\nlo\r\n0\r\n\r\n")
            .gets(200)
            .has("transfer-encoding: chunked")
            .lacks("content-length")
            .body("hello"),
        get("rfc9112_6_3_an_answer_in_no_chunk_but_the_last")
            .answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            .gets(200)
            .body(""),
        get("rfc9112_6_3_an_answer_until_the_end")
            .answering_and_closing("HTTP/1.1 200 OK\r\n\r\nhello")
            .gets(200)
            .has("transfer-encoding: chunked")
            .body("hello"),
        get("rfc9112_6_3_an_empty_answer_until_the_end")
            .answering_and_closing("HTTP/1.1 200 OK\r\n\r\n")
            .gets(200)
            .body(""),
        get("rfc9112_6_3_an_answer_of_http_1_0_until_the_end")
            .answering_and_closing("HTTP/1.0 200 OK\r\n\r\nhello")
            .gets(200)
            .body("hello"),
        get("rfc9112_6_3_an_answer_of_http_1_0_of_known_length")
            .answering_and_closing("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            .gets(200)
            .has("content-length: 5")
            .body("hello"),
        get("rfc9112_6_3_a_large_answer_of_known_length")
            .answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}", large.len()))
            .gets(200)
            .body(&large),
        get("rfc9112_6_3_a_large_answer_in_chunks")
            .answering(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:X}\r\n{large}\r\n0\r\n\r\n",
                large.len()
            ))
            .gets(200)
            .body(&large),
        get("rfc9112_6_3_a_large_answer_until_the_end")
            .answering_and_closing(format!("HTTP/1.1 200 OK\r\n\r\n{large}"))
            .gets(200)
            .body(&large),
    ]
}

/// RFC 9112 section 6.3, rule 1: HEAD, 204 and 304 have no body, whatever they say.
fn bodiless() -> Vec<Case> {
    let head = |name: &str| {
        case(name).send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").forwards("HEAD / HTTP/1.1\nHost: a")
    };
    vec![
        head("rfc9112_6_3_head_with_a_length")
            .answering("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
            .gets(200)
            .bodiless()
            .has("content-length: 5000"),
        head("rfc9112_6_3_head_in_chunks")
            .answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .gets(200)
            .bodiless(),
        head("rfc9112_6_3_head_without_a_length").answering("HTTP/1.1 200 OK\r\n\r\n").gets(200).bodiless(),
        head("rfc9112_6_3_head_of_an_error")
            .answering("HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n")
            .gets(404)
            .bodiless()
            .has("content-length: 9"),
        get("rfc9112_6_3_no_content").answering("HTTP/1.1 204 No Content\r\n\r\n").gets(204),
        get("rfc9110_8_6_no_content_has_no_length")
            .answering("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
            .gets(204)
            .lacks("content-length"),
        get("rfc9112_6_1_no_content_has_no_coding")
            .answering("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n")
            .gets(204)
            .lacks("transfer-encoding"),
        get("rfc9112_6_3_not_modified")
            .answering("HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n")
            .gets(304)
            .has("etag: \"e\""),
        get("rfc9110_15_4_5_not_modified_may_say_a_length")
            .answering("HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\n\r\n")
            .gets(304)
            .has("content-length: 5000"),
        get("rfc9112_6_3_reset_content_has_a_length_of_zero")
            .answering("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n")
            .gets(205)
            .body(""),
    ]
}

/// RFC 9112 section 6.3: an answer whose end can't be known for certain is none.
fn wrong_framings() -> Vec<Case> {
    let rows = [
        ("length_and_coding", "Content-Length: 2\r\nTransfer-Encoding: chunked"),
        ("coding_and_length", "Transfer-Encoding: chunked\r\nContent-Length: 2"),
        ("two_different_lengths", "Content-Length: 2\r\nContent-Length: 3"),
        ("two_equal_lengths", "Content-Length: 2\r\nContent-Length: 2"),
        ("a_list_of_lengths", "Content-Length: 2, 2"),
        ("a_signed_length", "Content-Length: +2"),
        ("a_negative_length", "Content-Length: -2"),
        ("an_empty_length", "Content-Length:"),
        ("a_length_that_is_no_number", "Content-Length: x"),
        ("a_length_that_overflows", "Content-Length: 18446744073709551618"),
        ("a_length_in_hex", "Content-Length: 0x2"),
        ("a_length_with_a_blank_inside", "Content-Length: 2 2"),
        ("another_coding", "Transfer-Encoding: gzip"),
        ("another_coding_before", "Transfer-Encoding: gzip, chunked"),
        ("another_coding_behind", "Transfer-Encoding: chunked, gzip"),
        ("chunks_in_chunks", "Transfer-Encoding: chunked, chunked"),
        ("two_codings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        ("an_empty_coding", "Transfer-Encoding:"),
        ("a_coding_that_is_like_chunked", "Transfer-Encoding: xchunked"),
        ("a_coding_with_a_parameter", "Transfer-Encoding: chunked;a=b"),
        ("identity", "Transfer-Encoding: identity"),
    ];
    let mut cases: Vec<Case> = rows
        .iter()
        .map(|(what, lines)| {
            get(format!("rfc9112_6_3_an_answer_framed_by_{what}"))
                .answering_and_closing(format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n2\r\nok\r\n0\r\n\r\n"))
                .gets(502)
                .lacks("set-cookie")
        })
        .collect();
    cases.push(
        get("rfc9112_6_1_an_answer_of_http_1_0_in_chunks")
            .answering_and_closing(
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            )
            .gets(502),
    );
    cases
}

/// RFC 9112 section 7.1.2 and RFC 9110 section 6.5.1: trailer fields go on, but for those that can't come last.
fn trailers() -> Vec<Case> {
    let ask = |name: &str| {
        case(name)
            .send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a\nTE: trailers\nConnection: te")
    };
    let answer = |trailers: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\n{trailers}\r\n"
        )
    };
    let mut cases = vec![
        ask("rfc9112_7_1_2_a_trailer_of_an_answer")
            .answering(answer("X-Sum: 7\r\n"))
            .gets(200)
            .has("trailer: X-Sum")
            .body("ok")
            .trailer("x-sum: 7"),
        ask("rfc9110_6_5_1_trailers_of_an_answer_that_can_not_come_last")
            .answering(answer(
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\nX-Sum: 7\r\nConnection: close\r\nContent-Type: a/b\r\n",
            ))
            .gets(200)
            .body("ok")
            .trailer("x-sum: 7"),
    ];
    let rows = [
        ("without_a_colon", "X-Sum 7\r\n"),
        ("with_a_bare_lf", "X-Sum: 7\nX-A: 1\r\n"),
        ("that_is_folded", "X-Sum: 7\r\n 8\r\n"),
        ("with_a_nul", "X-Sum: \0\r\n"),
    ];
    for (what, lines) in rows {
        cases.push(
            ask(&format!("rfc9112_7_1_2_a_trailer_of_an_answer_{what}"))
                .answering_and_closing(answer(lines))
                .gets_no_complete_answer(),
        );
    }
    cases
}

/// RFC 9112 section 8: an answer that breaks off never looks complete.
fn breaking() -> Vec<Case> {
    let rows = [
        ("in_a_body_of_known_length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        ("before_a_body_of_known_length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
        ("in_a_chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello"),
        ("after_a_chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        ("before_the_first_chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("in_the_last_chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"),
        (
            "in_the_trailers",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: 1\r\n",
        ),
    ];
    let mut cases = Vec::new();
    for (what, answer) in rows {
        cases.push(
            get(format!("rfc9112_8_an_answer_that_is_closed_{what}"))
                .answering_and_closing(answer)
                .gets_no_complete_answer(),
        );
        cases.push(
            get(format!("rfc9112_8_an_answer_that_is_reset_{what}"))
                .upstream([Act::Body, say(answer), Act::Reset])
                .gets_no_complete_answer(),
        );
    }
    let heads = [
        ("without_a_byte", ""),
        ("in_the_status_line", "HTTP/1.1 2"),
        ("in_the_fields", "HTTP/1.1 200 OK\r\nContent-Le"),
        ("before_the_empty_line", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
    ];
    for (what, head) in heads {
        // A POST, because a GET may be asked again.
        let post = |name: String| {
            case(name)
                .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
                .forwards_body("POST / HTTP/1.1\nHost: a\nContent-Length: 2", "hi")
        };
        cases.push(
            post(format!("rfc9110_15_6_3_an_upstream_that_closes_{what}"))
                .answering_and_closing(head)
                .gets(502),
        );
        let script = [Act::Body, say(head), Act::Reset];
        cases.push(post(format!("rfc9110_15_6_3_an_upstream_that_resets_{what}")).upstream(script).gets(502));
    }
    cases.push(
        get("rfc9112_8_an_answer_until_the_end_that_is_reset")
            .upstream([Act::Body, say("HTTP/1.1 200 OK\r\n\r\nhello"), Act::Reset])
            .gets_no_complete_answer(),
    );
    cases.push(
        get("rfc9112_8_an_answer_whose_head_has_gone_on_breaks_off")
            .awaits("~")
            .cues_upstream()
            .upstream([
                Act::Body,
                say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n~\r\n"),
                Act::OnCue,
                Act::Close,
            ])
            .gets(200)
            .body("~")
            .cut_off(),
    );
    cases
}

/// RFC 9112 section 7.1: chunks of an answer are as strict as those of a request.
fn wrong_chunks() -> Vec<Case> {
    let rows = [
        ("without_a_size", "\r\nhello\r\n0\r\n\r\n"),
        ("of_a_size_that_is_no_hex", "x\r\nhello\r\n0\r\n\r\n"),
        ("of_a_size_with_a_sign", "+5\r\nhello\r\n0\r\n\r\n"),
        ("of_a_size_with_0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("of_a_size_with_a_space_before", " 5\r\nhello\r\n0\r\n\r\n"),
        ("of_a_size_that_overflows", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("whose_size_ends_in_a_bare_lf", "5\nhello\r\n0\r\n\r\n"),
        ("whose_data_end_in_a_bare_lf", "5\r\nhello\n0\r\n\r\n"),
        ("whose_data_are_too_long", "4\r\nhello\r\n0\r\n\r\n"),
        ("whose_data_are_too_short", "6\r\nhello\r\n0\r\n\r\n"),
        ("with_a_bare_lf_in_an_extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("whose_last_line_ends_in_a_bare_lf", "5\r\nhello\r\n0\r\n\n"),
    ];
    rows.iter()
        .map(|(what, body)| {
            get(format!("rfc9112_7_1_a_chunk_of_an_answer_{what}"))
                .answering_and_closing(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"))
                .gets_no_complete_answer()
        })
        .collect()
}
