//! Status lines and fields of the upstream's answers.

use crate::case::{Case, get};
use crate::stage::Area;

pub(crate) fn area() -> Area {
    Area::usual([status_lines(), wrong_status_lines(), fields(), wrong_fields(), dates(), too_large()])
}

/// RFC 9112 section 4: any three digits, with a reason or without.
fn status_lines() -> Vec<Case> {
    let rows: [(&str, &[u8], u16); 10] = [
        ("with_a_reason", b"HTTP/1.1 200 All is well", 200),
        ("with_an_empty_reason", b"HTTP/1.1 200 ", 200),
        ("without_a_reason", b"HTTP/1.1 200", 200),
        ("with_obs_text", b"HTTP/1.1 200 \xe4\xff", 200),
        ("with_a_tab", b"HTTP/1.1 200 a\tb", 200),
        ("of_an_unknown_status", b"HTTP/1.1 299 Odd", 299),
        ("beyond_the_classes", b"HTTP/1.1 600 Odd", 600),
        ("of_the_highest_status", b"HTTP/1.1 999 Odd", 999),
        ("of_an_error", b"HTTP/1.1 500 Internal Server Error", 500),
        ("of_http_1_0", b"HTTP/1.0 404 Not Found", 404),
    ];
    let make = |&(what, line, status): &(&str, &[u8], u16)| {
        get(format!("rfc9112_4_status_line_{what}"))
            .answering_and_closing([line, b"\r\nContent-Length: 2\r\n\r\nok"].concat())
            .gets(status)
            .body("ok")
    };
    rows.iter().map(make).collect()
}

/// RFC 9112 section 4: anything else is no answer (RFC 9110 section 15.6.3).
fn wrong_status_lines() -> Vec<Case> {
    let rows: [(&str, &[u8]); 20] = [
        ("without_a_status", b"HTTP/1.1"),
        ("without_a_status_but_a_space", b"HTTP/1.1 "),
        ("of_two_digits", b"HTTP/1.1 20 OK"),
        ("of_four_digits", b"HTTP/1.1 2000 OK"),
        ("of_letters", b"HTTP/1.1 abc OK"),
        ("of_a_status_below_100", b"HTTP/1.1 099 OK"),
        ("of_zero", b"HTTP/1.1 000 OK"),
        ("with_a_sign", b"HTTP/1.1 +20 OK"),
        ("with_two_spaces", b"HTTP/1.1  200 OK"),
        ("with_a_tab", b"HTTP/1.1\t200 OK"),
        ("with_a_tab_behind_the_status", b"HTTP/1.1 200\tOK"),
        ("with_a_space_before", b" HTTP/1.1 200 OK"),
        ("of_http_2", b"HTTP/2.0 200 OK"),
        ("of_http_2_without_a_minor_number", b"HTTP/2 200 OK"),
        ("of_http_0_9", b"HTTP/0.9 200 OK"),
        ("in_lower_case", b"http/1.1 200 OK"),
        ("of_another_protocol", b"SSH-2.0-OpenSSH_9.2"),
        ("that_is_a_request", b"GET / HTTP/1.1"),
        ("with_a_nul", b"HTTP/1.1 200 O\0K"),
        ("with_a_bare_cr", b"HTTP/1.1 200 O\rK"),
    ];
    let make = |&(what, line): &(&str, &[u8])| {
        get(format!("rfc9112_4_no_status_line_{what}"))
            .answering_and_closing([line, b"\r\nContent-Length: 2\r\n\r\nok"].concat())
            .gets(502)
            .lacks("set-cookie")
    };
    rows.iter().map(make).collect()
}

/// RFC 9110 section 5: fields go on as they came.
fn fields() -> Vec<Case> {
    let answer =
        |fields: &[u8]| [b"HTTP/1.1 200 OK\r\n", fields, b"\r\nContent-Length: 2\r\n\r\nok"].concat();
    vec![
        get("rfc9110_5_5_obs_text_of_an_answer_passes")
            .answering(answer(b"X-A: \xe9\xff"))
            .gets(200)
            .has("x-a: \u{e9}\u{ff}"),
        get("rfc9110_5_1_names_of_an_answer_keep_their_case")
            .answering(answer(b"x-MiXeD: 1"))
            .gets(200)
            .line("x-MiXeD: 1"),
        get("rfc9110_5_3_fields_of_an_answer_keep_their_order")
            .answering(answer(b"X-A: 1\r\nX-B: 0\r\nX-A: 2"))
            .gets(200)
            .times("x-a", 2)
            .has("x-a: 1, 2"),
        get("rfc9110_5_5_blanks_around_a_value_of_an_answer_are_no_part_of_it")
            .answering(answer(b"X-A: \t a b \t\r\nX-B:\r\nX-C:c"))
            .gets(200)
            .has("x-a: a b")
            .has("x-b: ")
            .has("x-c: c"),
        get("rfc9110_10_2_4_the_name_of_the_server_passes")
            .answering(answer(b"Server: app/1"))
            .gets(200)
            .has("server: app/1"),
        get("rfc6265_3_cookies_of_the_app_pass_line_by_line")
            .answering(answer(b"Set-Cookie: a=\"b; c\"; Path=/\r\nSet-Cookie: d=e"))
            .gets(200)
            .times("set-cookie", 3)
            .has("set-cookie: a=\"b; c\"; Path=/")
            .has("set-cookie: d=e"),
        get("rfc9110_5_3_two_hundred_fields")
            .answering(answer("X-A: 1\r\n".repeat(190).trim_end().as_bytes()))
            .gets(200)
            .times("x-a", 190),
    ]
}

/// RFC 9112 sections 2.2, 5.1 and 5.2: what is wrong in a request is wrong in an answer.
fn wrong_fields() -> Vec<Case> {
    let rows: [(&str, &[u8]); 16] = [
        ("that_is_folded", b"X-A: 1\r\n 2\r\n"),
        ("that_is_folded_by_a_tab", b"X-A: 1\r\n\t2\r\n"),
        ("that_begins_with_a_space", b" X-A: 1\r\n"),
        ("with_a_space_before_the_colon", b"X-A : 1\r\n"),
        ("with_an_empty_name", b": 1\r\n"),
        ("without_a_colon", b"X-A\r\n"),
        ("with_a_space_in_its_name", b"X A: 1\r\n"),
        ("with_a_nul", b"X-A: 1\0\r\n"),
        ("with_a_control_character", b"X-A: \x01\r\n"),
        ("with_a_delete", b"X-A: \x7f\r\n"),
        ("with_a_bare_cr", b"X-A: 1\r2\r\n"),
        ("that_ends_in_a_bare_lf", b"X-A: 1\n"),
        ("that_ends_in_two_crs", b"X-A: 1\r\r\n"),
        ("with_obs_text_in_its_name", b"X-\xe4: 1\r\n"),
        ("with_a_space_before_the_colon_of_its_length", b"Content-Length : 0\r\n"),
        ("with_a_hidden_coding", b"X-A: 1\nTransfer-Encoding: chunked\r\n"),
    ];
    let make = |&(what, line): &(&str, &[u8])| {
        get(format!("rfc9112_5_a_field_of_an_answer_{what}"))
            .answering_and_closing([b"HTTP/1.1 200 OK\r\n", line, b"Content-Length: 2\r\n\r\nok"].concat())
            .gets(502)
    };
    let mut cases: Vec<Case> = rows.iter().map(make).collect();
    cases.extend([
        get("rfc9112_2_2_an_answer_of_bare_lfs")
            .answering_and_closing("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
            .gets(502),
        get("rfc9112_2_2_an_answer_whose_head_ends_in_a_bare_lf")
            .answering_and_closing("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok")
            .gets(502),
        get("rfc9112_2_2_an_answer_after_two_empty_lines")
            .answering_and_closing("\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .gets(502),
    ]);
    cases
}

/// RFC 9110 section 6.6.1: the app's date, or ours.
fn dates() -> Vec<Case> {
    vec![
        get("rfc9110_6_6_1_the_date_of_the_app_passes")
            .answering(
                "HTTP/1.1 200 OK\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nContent-Length: 2\r\n\r\nok",
            )
            .gets(200)
            .times("date", 1)
            .has("date: Tue, 15 Nov 1994 08:12:31 GMT"),
        get("rfc9110_6_6_1_a_date_is_added_where_there_is_none").gets(200).times("date", 1),
        get("rfc9110_6_6_1_a_date_is_added_to_an_error")
            .answering("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
            .gets(500)
            .times("date", 1),
    ]
}

/// RFC 9110 section 15.6.3: an answer's head has limits too.
fn too_large() -> Vec<Case> {
    let large = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(100_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X-A: 1\r\n".repeat(300));
    let endless = format!("HTTP/1.1 200 OK\r\nX-A: {}", "a".repeat(200_000));
    vec![
        get("rfc9110_15_6_3_a_head_of_an_answer_that_is_too_large").answering_and_closing(large).gets(502),
        get("rfc9110_15_6_3_a_head_of_an_answer_with_too_many_fields").answering_and_closing(many).gets(502),
        get("rfc9110_15_6_3_a_head_of_an_answer_without_an_end").answering(endless).gets(502),
        get("rfc9110_15_6_3_a_head_of_an_answer_of_forty_thousand_bytes")
            .answering(format!(
                "HTTP/1.1 200 OK\r\nX-A: {}\r\nContent-Length: 2\r\n\r\nok",
                "a".repeat(40_000)
            ))
            .gets(200)
            .has("x-a")
            .body("ok"),
    ]
}
