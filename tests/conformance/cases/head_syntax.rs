//! Lines and fields of a request's head.

use crate::case::{Case, case, each};
use crate::stage::Area;

pub(crate) fn area() -> Area {
    Area::usual([
        before_the_line(),
        line_ends(),
        wrong_names(),
        names(),
        wrong_values(),
        values(),
        folds(),
        many(),
        refusals(),
    ])
}

/// RFC 9112 section 2.2: one empty line before a request is forgiven, and nothing else.
fn before_the_line() -> Vec<Case> {
    let rows: [(&str, &[u8]); 9] = [
        ("two_empty_lines", b"\r\n\r\n"),
        ("a_bare_lf", b"\n"),
        ("a_bare_cr", b"\r"),
        ("a_space", b" "),
        ("a_tab", b"\t"),
        ("a_nul", b"\0"),
        ("a_byte_order_mark", b"\xef\xbb\xbf"),
        ("a_line_of_nothing_but_a_space", b" \r\n"),
        ("the_beginning_of_tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ];
    let mut cases = each("rfc9112_2_2_before_the_request_line", &rows, |case, before| {
        case.send([before, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).refused(400)
    });
    cases.push(
        case("rfc9112_2_2_before_the_request_line_one_empty_line")
            .send("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200),
    );
    cases.push(
        case("rfc9112_2_2_an_empty_line_after_a_body_is_before_the_next_request")
            .send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx\r\nGET /b HTTP/1.1\r\nHost: b\r\n\r\n")
            .forwards_body("POST /a HTTP/1.1\nHost: a\nContent-Length: 1", "x")
            .forwards("GET /b HTTP/1.1\nHost: b")
            .gets(200)
            .gets(200),
    );
    cases
}

/// RFC 9112 section 2.2: lines end in CRLF, and neither half of it means anything alone.
fn line_ends() -> Vec<Case> {
    let rows = [
        ("lf_after_the_request_line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        ("lf_after_a_field", "GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\n"),
        ("lf_after_the_last_field", "GET / HTTP/1.1\r\nHost: a\n\r\n"),
        ("lf_as_the_empty_line", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
        ("lf_everywhere", "GET / HTTP/1.1\nHost: a\n\n"),
        ("lf_in_a_value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\nc\r\n\r\n"),
        ("lf_in_a_name", "GET / HTTP/1.1\r\nHost: a\r\nA\nB: c\r\n\r\n"),
        ("cr_after_the_request_line", "GET / HTTP/1.1\rHost: a\r\n\r\n"),
        ("cr_after_a_field", "GET / HTTP/1.1\r\nHost: a\rA: b\r\n\r\n"),
        ("cr_in_a_value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n"),
        ("cr_in_a_name", "GET / HTTP/1.1\r\nHost: a\r\nA\rB: c\r\n\r\n"),
        ("cr_doubled", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
        ("cr_doubled_after_a_field", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
        ("cr_before_the_empty_line", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n"),
        ("cr_at_the_begin_of_a_line", "GET / HTTP/1.1\r\nHost: a\r\n\rA: b\r\n\r\n"),
    ];
    each("rfc9112_2_2_bare", &rows, |case, head| case.send(head).refused(400))
}

/// RFC 9112 section 5.1: a name is a token, and directly before its colon.
fn wrong_names() -> Vec<Case> {
    let rows: [(&str, &[u8]); 17] = [
        ("with_a_space_before_the_colon", b"A : b"),
        ("with_a_tab_before_the_colon", b"A\t: b"),
        ("with_a_space_inside", b"A B: c"),
        ("that_is_empty", b": b"),
        ("that_is_a_space", b" : b"),
        ("without_a_colon", b"A b"),
        ("that_is_all_there_is", b"A"),
        ("with_a_nul", b"A\0: b"),
        ("with_a_nul_inside", b"A\0B: c"),
        ("with_a_delete", b"A\x7f: b"),
        ("with_obs_text", b"\xc3\x84: b"),
        ("with_a_slash", b"A/B: c"),
        ("with_parentheses", b"A(B): c"),
        ("in_quotes", b"\"A\": b"),
        ("with_a_comma", b"A,B: c"),
        ("with_an_equals_sign", b"A=B: c"),
        ("with_brackets", b"[A]: b"),
    ];
    let mut cases = each("rfc9112_5_1_name", &rows, |case, line| {
        case.send([b"GET / HTTP/1.1\r\nHost: a\r\n", line, b"\r\n\r\n"].concat()).refused(400)
    });
    let framing = [
        ("host", "Host : a"),
        ("content_length", "Host: a\r\nContent-Length : 5"),
        ("transfer_encoding", "Host: a\r\nTransfer-Encoding : chunked"),
        ("content_length_behind_a_tab", "Host: a\r\nContent-Length\t: 5"),
    ];
    cases.extend(each("rfc9112_5_1_blank_before_the_colon_of", &framing, |case, lines| {
        case.send(format!("POST / HTTP/1.1\r\n{lines}\r\n\r\nhello")).refused(400)
    }));
    cases
}

/// RFC 9110 section 5.1: any token is a name; it goes on as it came.
fn names() -> Vec<Case> {
    let rows = [
        ("of_every_kind_of_character", "!#$%&'*+-.^_`|~09AZaz: b"),
        ("of_one_character", "A: b"),
        ("of_digits", "123: b"),
        ("with_an_underscore", "X_A: b"),
        ("in_mixed_case", "x-MiXeD: b"),
    ];
    let mut cases = each("rfc9110_5_1_name", &rows, |case, line| {
        case.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n"))
            .forwards(&format!("GET / HTTP/1.1\nHost: a\n{line}"))
            .upstream_line(line)
            .gets(200)
    });
    let long = format!("X-{}: b", "a".repeat(2000));
    cases.push(
        case("rfc9110_5_4_name_that_is_long")
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{long}\r\n\r\n"))
            .forwards(&format!("GET / HTTP/1.1\nHost: a\n{long}"))
            .gets(200),
    );
    cases
}

/// RFC 9110 section 5.5: control characters have no place in a value.
fn wrong_values() -> Vec<Case> {
    let rows: [(&str, &[u8]); 9] = [
        ("nul", b"\0"),
        ("bell", b"\x07"),
        ("backspace", b"\x08"),
        ("vertical_tab", b"\x0b"),
        ("form_feed", b"\x0c"),
        ("escape", b"\x1b"),
        ("unit_separator", b"\x1f"),
        ("delete", b"\x7f"),
        ("start_of_heading", b"\x01"),
    ];
    let mut cases = each("rfc9110_5_5_value_with", &rows, |case, byte| {
        case.send([b"GET / HTTP/1.1\r\nHost: a\r\nA: b", byte, b"c\r\n\r\n"].concat()).refused(400)
    });
    cases.push(
        case("rfc9110_5_5_value_that_begins_with_nul")
            .send("GET / HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n")
            .refused(400),
    );
    cases
}

/// RFC 9110 section 5.5: every other byte of a value goes on as it came; blanks around it are no part of it.
fn values() -> Vec<Case> {
    let rows: [(&str, &[u8], &str); 9] = [
        ("that_is_empty", b"A:", "A: "),
        ("that_is_blank", b"A: \t ", "A: "),
        ("without_a_blank_before", b"A:b", "A: b"),
        ("with_blanks_around", b"A: \t b \t ", "A: b"),
        ("with_a_tab_inside", b"A: b\tc", "A: b\tc"),
        ("with_blanks_inside", b"A: b  c", "A: b  c"),
        ("with_obs_text", b"A: \xe9\x80\xff", "A: \u{e9}\u{80}\u{ff}"),
        ("with_utf_8", b"A: \xc3\xa9", "A: \u{c3}\u{a9}"),
        ("with_colons", b"A: b: c", "A: b: c"),
    ];
    let make = |&(what, line, expected): &(&str, &[u8], &str)| {
        case(format!("rfc9110_5_5_value_{what}"))
            .send([b"GET / HTTP/1.1\r\nHost: a\r\n", line, b"\r\n\r\n"].concat())
            .forwards(&format!("GET / HTTP/1.1\nHost: a\n{expected}"))
            .gets(200)
    };
    rows.iter().map(make).collect()
}

/// RFC 9112 sections 2.2 and 5.2: a line that begins with a blank continues nothing.
fn folds() -> Vec<Case> {
    let rows = [
        ("by_a_space", "Host: a\r\nA: b\r\n c"),
        ("by_a_tab", "Host: a\r\nA: b\r\n\tc"),
        ("that_is_blank", "Host: a\r\nA: b\r\n "),
        ("of_the_host", "Host: a\r\n b"),
        ("of_the_coding", "Host: a\r\nTransfer-Encoding:\r\n chunked"),
        ("of_the_length", "Host: a\r\nContent-Length:\r\n 5"),
        ("that_looks_like_a_field", "Host: a\r\nA: b\r\n Content-Length: 5"),
    ];
    let mut cases = each("rfc9112_5_2_fold", &rows, |case, lines| {
        case.send(format!("POST / HTTP/1.1\r\n{lines}\r\n\r\nhello")).refused(400)
    });
    let first =
        [("space", " Host: a"), ("tab", "\tHost: a"), ("space_before_another_field", " A: b\r\nHost: a")];
    cases.extend(each("rfc9112_2_2_first_field_after_a", &first, |case, lines| {
        case.send(format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n")).refused(400)
    }));
    cases
}

/// RFC 9110 section 5.3: several fields of a name stay as many, in their order.
fn many() -> Vec<Case> {
    vec![
        case("rfc9110_5_3_fields_of_one_name_keep_their_order")
            .send("GET / HTTP/1.1\r\nHost: a\r\nA: 3\r\nB: x\r\nA: 1\r\nA: 2\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a\nA: 3\nA: 1\nA: 2\nB: x")
            .gets(200),
        case("rfc9110_5_3_ninety_fields")
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(90)))
            .forwards(&format!("GET / HTTP/1.1\nHost: a{}", "\nA: b".repeat(90)))
            .gets(200),
    ]
}

/// RFC 9110 section 15: a refusal of ours is an answer like any other, in the form that was asked for where that is known.
fn refusals() -> Vec<Case> {
    vec![
        case("rfc9110_15_5_1_a_refusal_has_a_length")
            .send("GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n")
            .refused(400)
            .has("content-length")
            .lacks("transfer-encoding")
            .lacks("set-cookie"),
        case("rfc9110_9_3_2_a_refused_head_has_no_body")
            .send("HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            .refused(400)
            .bodiless(),
        case("rfc9110_12_5_1_a_refusal_is_a_page_for_a_browser")
            .send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nAccept: text/html\r\n\r\n")
            .gets(400)
            .has("content-type: text/html; charset=utf-8")
            .has("connection: close")
            .closed(),
    ]
}
