//! Bodies in chunks, extensions and trailers, in requests.

use crate::case::{Case, case, each};
use crate::stage::Area;

const HEAD: &str = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const FORWARDED: &str = "POST /a HTTP/1.1\nHost: a\nTransfer-Encoding: chunked";

pub(crate) fn area() -> Area {
    Area::usual([
        chunks(),
        wrong_sizes(),
        wrong_ends(),
        extensions(),
        wrong_extensions(),
        trailers(),
        forbidden(),
        wrong_trailers(),
    ])
}

fn chunked(case: Case, body: impl AsRef<[u8]>) -> Case {
    case.send([HEAD.as_bytes(), body.as_ref()].concat())
}

/// RFC 9112 section 7.1: what is a chunked body.
fn chunks() -> Vec<Case> {
    let rows = [
        ("one", "5\r\nhello\r\n0\r\n\r\n"),
        ("several", "1\r\nh\r\n3\r\nell\r\n1\r\no\r\n0\r\n\r\n"),
        ("with_leading_zeros", "0005\r\nhello\r\n0\r\n\r\n"),
        ("with_sixteen_digits", "0000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("with_a_last_chunk_of_many_zeros", "5\r\nhello\r\n000\r\n\r\n"),
    ];
    let mut cases = each("rfc9112_7_1_chunks", &rows, |case, body| {
        chunked(case, body).forwards_body(FORWARDED, "hello").gets(200)
    });
    let hex =
        [("lower_case", "a\r\n0123456789\r\n0\r\n\r\n"), ("upper_case", "A\r\n0123456789\r\n0\r\n\r\n")];
    cases.extend(each("rfc9112_7_1_chunk_size_in", &hex, |case, body| {
        chunked(case, body).forwards_body(FORWARDED, "0123456789").gets(200)
    }));
    let data = [
        ("line_ends", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"),
        ("a_last_chunk", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
    ];
    for (what, body, carried) in data {
        let case = case(format!("rfc9112_7_1_chunk_data_that_looks_like_{what}"));
        cases.push(chunked(case, body).forwards_body(FORWARDED, carried).gets(200));
    }
    cases.push(chunked(case("rfc9112_7_1_no_chunk_but_the_last"), "0\r\n\r\n").forwards(FORWARDED).gets(200));
    cases.push(
        chunked(
            case("rfc9112_7_1_what_follows_the_last_chunk_is_the_next_request"),
            "5\r\nhello\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: b\r\n\r\n",
        )
        .forwards_body(FORWARDED, "hello")
        .forwards("GET /b HTTP/1.1\nHost: b")
        .gets(200)
        .gets(200),
    );
    cases
}

/// RFC 9112 section 7.1: `chunk-size = 1*HEXDIG`, and nothing that has to be guessed at.
fn wrong_sizes() -> Vec<Case> {
    let rows: [(&str, &[u8]); 21] = [
        ("that_is_missing", b"\r\nhello\r\n"),
        ("with_a_plus", b"+5\r\nhello\r\n"),
        ("with_a_minus", b"-5\r\nhello\r\n"),
        ("with_0x", b"0x5\r\nhello\r\n"),
        ("with_a_space_before", b" 5\r\nhello\r\n"),
        ("with_a_tab_before", b"\t5\r\nhello\r\n"),
        ("with_a_space_behind", b"5 \r\nhello\r\n"),
        ("with_a_tab_behind", b"5\t\r\nhello\r\n"),
        ("with_a_space_inside", b"0 5\r\nhello\r\n"),
        ("that_is_no_hex", b"g\r\nhello\r\n"),
        ("with_junk_behind", b"5z\r\nhello\r\n"),
        ("that_is_a_word", b"five\r\nhello\r\n"),
        ("with_a_comma", b"5,\r\nhello\r\n"),
        ("with_an_underscore", b"0_5\r\nhello\r\n"),
        ("with_a_decimal_point", b"5.0\r\nhello\r\n"),
        ("with_a_nul", b"5\0\r\nhello\r\n"),
        ("of_seventeen_digits", b"00000000000000005\r\nhello\r\n"),
        ("that_overflows_64_bits", b"10000000000000005\r\nhello\r\n"),
        ("beyond_signed_64_bits", b"8000000000000000\r\nhello\r\n"),
        ("of_all_ones", b"ffffffffffffffff\r\nhello\r\n"),
        ("that_is_quoted", b"\"5\"\r\nhello\r\n"),
    ];
    each("rfc9112_7_1_chunk_size", &rows, |case, body| {
        chunked(case, [body, b"0\r\n\r\n"].concat()).forwards_never_whole(FORWARDED).refused(400)
    })
}

/// RFC 9112 sections 2.2 and 7.1: lines and data end in CRLF, exactly there.
fn wrong_ends() -> Vec<Case> {
    let rows = [
        ("size_line_in_a_bare_lf", "5\nhello\r\n0\r\n\r\n"),
        ("size_line_in_a_bare_cr", "5\rhello\r\n0\r\n\r\n"),
        ("size_line_in_two_crs", "5\r\r\nhello\r\n0\r\n\r\n"),
        ("data_in_a_bare_lf", "5\r\nhello\n0\r\n\r\n"),
        ("data_in_a_bare_cr", "5\r\nhello\r0\r\n\r\n"),
        ("data_without_a_line_end", "5\r\nhello0\r\n\r\n"),
        ("data_later_than_said", "4\r\nhello\r\n0\r\n\r\n"),
        ("data_earlier_than_said", "6\r\nhello\r\n0\r\n\r\n"),
        ("last_chunk_line_in_a_bare_lf", "5\r\nhello\r\n0\n\r\n"),
        ("last_chunk_line_in_a_bare_cr", "5\r\nhello\r\n0\r\r\n"),
        ("body_in_a_bare_lf", "5\r\nhello\r\n0\r\n\n"),
        ("body_in_two_crs", "5\r\nhello\r\n0\r\n\r\r\n"),
    ];
    let mut cases = each("rfc9112_7_1_ends_of_the", &rows, |case, body| {
        chunked(case, body).forwards_never_whole(FORWARDED).refused(400)
    });
    let early = [
        ("in_a_size", "5"),
        ("after_a_size", "5\r\n"),
        ("in_the_data", "5\r\nhel"),
        ("after_the_data", "5\r\nhello"),
        ("before_the_last_chunk", "5\r\nhello\r\n"),
        ("in_the_last_chunk", "5\r\nhello\r\n0\r\n"),
        ("in_the_last_line_end", "5\r\nhello\r\n0\r\n\r"),
        ("in_a_trailer", "5\r\nhello\r\n0\r\nX-Sum"),
    ];
    cases.extend(each("rfc9112_8_chunks_that_end_early", &early, |case, body| {
        chunked(case, body).half_closes().forwards_never_whole(FORWARDED).gets(400).or_nothing().closed()
    }));
    cases
}

/// RFC 9112 section 7.1.1: extensions are between two hops, and nobody has ever needed one.
fn extensions() -> Vec<Case> {
    let rows = [
        ("with_a_value", "5;a=b\r\nhello\r\n0\r\n\r\n"),
        ("without_a_value", "5;a\r\nhello\r\n0\r\n\r\n"),
        ("with_a_quoted_value", "5;a=\"b c\"\r\nhello\r\n0\r\n\r\n"),
        ("with_an_escaped_quote", "5;a=\"b\\\"c\"\r\nhello\r\n0\r\n\r\n"),
        ("several", "5;a=b;c;d=\"e\"\r\nhello\r\n0\r\n\r\n"),
        ("after_blanks", "5 \t;a=b\r\nhello\r\n0\r\n\r\n"),
        ("of_the_last_chunk", "5\r\nhello\r\n0;a=b\r\n\r\n"),
        ("with_a_semicolon_in_quotes", "5;a=\";b\"\r\nhello\r\n0\r\n\r\n"),
    ];
    each("rfc9112_7_1_1_chunk_extension", &rows, |case, body| {
        chunked(case, body).forwards_body(FORWARDED, "hello").gets(200)
    })
}

/// RFC 9112 section 7.1.1: extensions have a limit, and no control characters to hide a line end in.
fn wrong_extensions() -> Vec<Case> {
    let rows = [
        ("with_a_bare_lf", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("with_a_bare_cr", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
        ("with_a_bare_lf_in_quotes", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"),
        ("with_a_nul", "5;a=\0\r\nhello\r\n0\r\n\r\n"),
        ("with_a_delete", "5;a=\x7f\r\nhello\r\n0\r\n\r\n"),
        ("that_ends_in_a_bare_lf", "5;a=b\nhello\r\n0\r\n\r\n"),
        ("of_the_last_chunk_with_a_bare_lf", "5\r\nhello\r\n0;a\nb\r\n\r\n"),
    ];
    let mut cases = each("rfc9112_7_1_1_chunk_extension", &rows, |case, body| {
        chunked(case, body).forwards_never_whole(FORWARDED).refused(400)
    });
    let long = format!("5;a={}\r\nhello\r\n0\r\n\r\n", "b".repeat(5000));
    let many = format!("1;a={}\r\nx\r\n", "b".repeat(4000)).repeat(20) + "0\r\n\r\n";
    for (what, body) in [("that_is_too_long", long), ("many_that_are_too_long_together", many)] {
        let case = case(format!("rfc9112_7_1_1_chunk_extension_{what}"));
        cases.push(chunked(case, body).forwards_never_whole(FORWARDED).refused(400));
    }
    cases
}

/// RFC 9112 section 7.1.2: trailer fields go on as trailer fields.
fn trailers() -> Vec<Case> {
    vec![
        chunked(case("rfc9112_7_1_2_a_trailer"), "5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n")
            .forwards_body(FORWARDED, "hello")
            .upstream_trailer("x-sum: 7")
            .gets(200),
        chunked(case("rfc9112_7_1_2_several_trailers"), "5\r\nhello\r\n0\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\n\r\n")
            .forwards_body(FORWARDED, "hello")
            .upstream_trailer("x-a: 1")
            .upstream_trailer("x-b: 2")
            .upstream_trailer("x-a: 3")
            .gets(200),
        chunked(case("rfc9112_7_1_2_a_trailer_without_a_body"), "0\r\nX-Sum: 7\r\n\r\n")
            .forwards(FORWARDED)
            .upstream_trailer("x-sum: 7")
            .gets(200),
        case("rfc9110_6_6_2_an_announced_trailer")
            .send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n0\r\nX-Sum: 7\r\n\r\n")
            .forwards("POST /a HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTrailer: X-Sum")
            .upstream_trailer("x-sum: 7")
            .gets(200),
        chunked(case("rfc9110_6_5_a_trailer_is_no_header"), "0\r\nX-Cutover-Version: v9\r\n\r\nGET /b HTTP/1.1\r\nHost: b\r\n\r\n")
            .forwards(FORWARDED)
            .upstream_lacks("x-cutover-version")
            .forwards("GET /b HTTP/1.1\nHost: b")
            .upstream_lacks("x-cutover-version")
            .gets(200)
            .gets(200),
    ]
}

/// RFC 9110 section 6.5.1: what frames, routes, authenticates or describes a message can't come after it. It is left out.
fn forbidden() -> Vec<Case> {
    let rows = [
        ("host", "Host: b"),
        ("content_length", "Content-Length: 3"),
        ("transfer_encoding", "Transfer-Encoding: chunked"),
        ("connection", "Connection: close"),
        ("keep_alive", "Keep-Alive: timeout=5"),
        ("upgrade", "Upgrade: websocket"),
        ("te", "TE: trailers"),
        ("trailer", "Trailer: X-A"),
        ("authorization", "Authorization: Basic x"),
        ("proxy_authorization", "Proxy-Authorization: Basic x"),
        ("cookie", "Cookie: a=b"),
        ("set_cookie", "Set-Cookie: a=b"),
        ("content_type", "Content-Type: text/html"),
        ("content_encoding", "Content-Encoding: gzip"),
        ("content_range", "Content-Range: bytes 0-1/2"),
        ("expect", "Expect: 100-continue"),
        ("max_forwards", "Max-Forwards: 0"),
        ("x_forwarded_for", "X-Forwarded-For: 1.2.3.4"),
        ("forwarded", "Forwarded: for=1.2.3.4"),
    ];
    each("rfc9110_6_5_1_forbidden_trailer", &rows, |case, line| {
        chunked(case, format!("5\r\nhello\r\n0\r\n{line}\r\nX-Sum: 7\r\n\r\n"))
            .forwards_body(FORWARDED, "hello")
            .upstream_trailer("x-sum: 7")
            .gets(200)
    })
}

/// RFC 9112 sections 5 and 7.1.2: trailer fields have the syntax and the limits of header fields.
fn wrong_trailers() -> Vec<Case> {
    let rows = [
        ("without_a_colon", "X-Sum 7\r\n".to_owned()),
        ("with_an_empty_name", ": 7\r\n".to_owned()),
        ("with_a_space_before_the_colon", "X-Sum : 7\r\n".to_owned()),
        ("with_a_space_in_the_name", "X Sum: 7\r\n".to_owned()),
        ("with_a_nul", "X-Sum: 7\0\r\n".to_owned()),
        ("with_a_bare_cr", "X-Sum: 7\r8\r\n".to_owned()),
        ("that_ends_in_a_bare_lf", "X-Sum: 7\n".to_owned()),
        ("that_is_folded", "X-Sum: 7\r\n 8\r\n".to_owned()),
        ("that_begins_with_a_space", " X-Sum: 7\r\n".to_owned()),
        ("that_is_too_long", format!("X-Sum: {}\r\n", "7".repeat(40_000))),
        ("of_which_there_are_too_many", "X: 7\r\n".repeat(110)),
    ];
    let make = |(what, line): &(&str, String)| {
        chunked(case(format!("rfc9112_7_1_2_a_trailer_{what}")), format!("5\r\nhello\r\n0\r\n{line}\r\n"))
            .forwards_never_whole(FORWARDED)
            .refused(400)
    };
    rows.iter().map(make).collect()
}
