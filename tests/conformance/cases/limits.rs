//! Too much, and too slow.

use crate::case::{Case, case, each};
use crate::proxy::Config;
use crate::stage::Area;

pub(crate) fn area() -> Area {
    let config = Config {
        global: "\
limits.request_line = \"100B\"
limits.headers = \"1KiB\"
limits.header_count = 10
limits.body = \"16B\"
",
        ..Config::default()
    };
    Area::with(config, [lines(), heads(), bodies()])
}

/// In an area of its own, because elsewhere bytes may take as long as a busy machine needs.
pub(crate) fn area_of_times() -> Area {
    let config = Config {
        global: "\
limits.header_timeout = \"300ms\"
limits.body_idle_timeout = \"300ms\"
limits.keepalive_timeout = \"500ms\"
",
        ..Config::default()
    };
    Area::with(config, [times()])
}

/// RFC 9110 section 15.5.15: a request line has a limit, which is exactly where it is said to be.
fn lines() -> Vec<Case> {
    // "GET / HTTP/1.1" has 14 bytes.
    let fits = format!("/{}", "a".repeat(86));
    let rows = [("one_byte_too_long", 87), ("far_too_long", 5000)];
    let mut cases = each("rfc9110_15_5_15_request_line_that_is", &rows, |case, length| {
        case.send(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length))).refused(414)
    });
    cases.extend([
        case("rfc9110_15_5_15_request_line_that_just_fits")
            .send(format!("GET {fits} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .forwards(&format!("GET {fits} HTTP/1.1\nHost: a"))
            .gets(200),
        case("rfc9110_15_5_15_absolute_target_that_is_too_long")
            .send(format!("GET http://a/{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(87)))
            .refused(414),
        case("rfc9110_15_5_15_request_line_without_an_end")
            .send(format!("GET /{}", "a".repeat(5000)))
            .refused_without_more(414),
    ]);
    cases
}

/// RFC 6585 section 5: so have header fields, together and in number.
fn heads() -> Vec<Case> {
    let field = |length: usize| format!("A: {}\r\n", "b".repeat(length));
    vec![
        case("rfc6585_5_one_field_that_is_too_large")
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", field(2000)))
            .refused(431),
        case("rfc6585_5_fields_that_are_too_large_together")
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", field(200).repeat(6)))
            .refused(431),
        case("rfc6585_5_a_name_that_is_too_large")
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}: b\r\n\r\n", "A".repeat(2000)))
            .refused(431),
        case("rfc6585_5_fields_that_just_fit")
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", field(900)))
            .forwards(&format!("GET / HTTP/1.1\nHost: a\nA: {}", "b".repeat(900)))
            .gets(200),
        case("rfc6585_5_ten_fields")
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(9)))
            .forwards(&format!("GET / HTTP/1.1\nHost: a{}", "\nA: b".repeat(9)))
            .gets(200),
        case("rfc6585_5_one_field_too_many")
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(10)))
            .refused(431),
        case("rfc6585_5_a_head_without_an_end")
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}", field(400).repeat(5)))
            .refused_without_more(431),
        case("rfc6585_5_a_field_without_an_end")
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}", "b".repeat(5000)))
            .refused_without_more(431),
    ]
}

/// RFC 9110 section 15.5.14: a body that is too large is refused, at once where its length says so.
fn bodies() -> Vec<Case> {
    let chunked = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let begun = "POST /a HTTP/1.1\nHost: a\nTransfer-Encoding: chunked";
    vec![
        case("rfc9110_15_5_14_a_body_that_just_fits")
            .send(format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n\r\n{}", "x".repeat(16)))
            .forwards_body("POST /a HTTP/1.1\nHost: a\nContent-Length: 16", "x".repeat(16))
            .gets(200),
        case("rfc9110_15_5_14_a_length_that_is_too_large")
            .send(format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\n\r\n{}", "x".repeat(17)))
            .refused(413),
        case("rfc9110_15_5_14_a_length_that_is_too_large_before_its_body")
            .send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n")
            .refused_without_more(413),
        case("rfc9110_15_5_14_a_length_that_is_too_large_while_the_client_waits")
            .send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\nExpect: 100-continue\r\n\r\n")
            .refused_without_more(413),
        case("rfc9110_15_5_14_chunks_that_just_fit")
            .send(format!("{chunked}8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n"))
            .forwards_body(begun, "0123456701234567")
            .gets(200),
        case("rfc9110_15_5_14_chunks_that_are_too_large")
            .send(format!("{chunked}10\r\n0123456701234567\r\n1\r\n8\r\n0\r\n\r\n"))
            .forwards_never_whole(begun)
            .refused(413),
        case("rfc9110_15_5_14_one_chunk_that_is_too_large")
            .send(format!("{chunked}11\r\n01234567012345678\r\n0\r\n\r\n"))
            .forwards_never_whole(begun)
            .refused(413),
    ]
}

/// RFC 9110 section 15.5.9: who stops in the middle is told so. Who has not begun is not.
fn times() -> Vec<Case> {
    let heads = [
        ("in_the_method", "GE"),
        ("in_the_target", "GET /"),
        ("in_the_version", "GET / HTTP/1"),
        ("after_the_request_line", "GET / HTTP/1.1\r\n"),
        ("in_a_name", "GET / HTTP/1.1\r\nHo"),
        ("in_a_value", "GET / HTTP/1.1\r\nHost: a"),
        ("before_the_empty_line", "GET / HTTP/1.1\r\nHost: a\r\n"),
        ("in_the_empty_line", "GET / HTTP/1.1\r\nHost: a\r\n\r"),
    ];
    let mut cases = each("rfc9110_15_5_9_a_head_that_stops", &heads, |case, head| {
        case.send(head).refused_without_more(408).whole_only()
    });
    let bodies = [
        ("before_its_first_byte", "Content-Length: 5\r\n\r\n"),
        ("in_its_middle", "Content-Length: 5\r\n\r\nhel"),
        ("in_a_chunk", "Transfer-Encoding: chunked\r\n\r\n5\r\nhel"),
        ("before_its_last_chunk", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ];
    cases.extend(each("rfc9110_15_5_9_a_body_that_stops", &bodies, |case, rest| {
        let framing = rest.split("\r\n").next().unwrap_or_default();
        case.send(format!("POST /a HTTP/1.1\r\nHost: a\r\n{rest}"))
            .forwards_never_whole(&format!("POST /a HTTP/1.1\nHost: a\n{framing}"))
            .refused_without_more(408)
            .whole_only()
    }));
    cases.push(
        case("rfc9112_9_5_a_connection_without_a_byte_is_closed_silently").send("").closed().whole_only(),
    );
    cases.push(
        case("rfc9112_9_5_an_idle_connection_is_closed_silently")
            .send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200)
            .closed()
            .whole_only(),
    );
    cases
}
