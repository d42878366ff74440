//! The host that a request is for.

use crate::case::{Case, case, each};
use crate::stage::Area;

pub(crate) fn area() -> Area {
    Area::usual([hosts(), wrong_hosts(), how_many()])
}

/// RFC 9110 section 7.2: a host with an optional port goes on as it came.
fn hosts() -> Vec<Case> {
    let rows = [
        ("a_name", "shop.example"),
        ("a_name_with_a_port", "shop.example:8080"),
        ("a_name_in_mixed_case", "Shop.EXAMPLE"),
        ("a_name_with_a_dot_at_its_end", "shop.example."),
        ("a_name_with_an_underscore", "my_shop.example"),
        ("an_ipv4_address", "127.0.0.1:80"),
        ("an_ipv6_address", "[::1]"),
        ("an_ipv6_address_with_a_port", "[2001:db8::1]:8080"),
        ("an_empty_port", "shop.example:"),
    ];
    let mut cases = each("rfc9110_7_2_host_that_is", &rows, |case, host| {
        case.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .forwards(&format!("GET / HTTP/1.1\nHost: {host}"))
            .upstream_has(&format!("x-forwarded-host: {host}"))
            .gets(200)
    });
    cases.push(
        case("rfc9112_3_2_host_that_is_empty")
            .send("GET / HTTP/1.1\r\nHost:\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: ")
            .gets(200),
    );
    cases.push(
        case("rfc9110_7_2_host_that_is_not_the_first_field")
            .send("GET / HTTP/1.1\r\nA: b\r\nHost: a\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a\nA: b")
            .gets(200),
    );
    cases
}

/// RFC 9112 section 3.2: a host that is none is refused, before anybody takes a part of it for one.
fn wrong_hosts() -> Vec<Case> {
    let rows: [(&str, &[u8]); 23] = [
        ("a_percent_code", b"a%62"),
        ("a_user", b"user@a"),
        ("a_space", b"a b"),
        ("a_tab", b"a\tb"),
        ("a_comma", b"a,b"),
        ("a_comma_and_a_space", b"a, b"),
        ("a_slash", b"a/b"),
        ("a_path", b"a/"),
        ("a_scheme", b"http://a"),
        ("a_query", b"a?b"),
        ("a_fragment", b"a#b"),
        ("a_port_that_is_none", b"a:x"),
        ("a_signed_port", b"a:+80"),
        ("two_ports", b"a:80:81"),
        ("a_port_and_no_name", b":80"),
        ("an_unclosed_bracket", b"[::1"),
        ("brackets_around_a_name", b"[a]"),
        ("junk_after_a_bracket", b"[::1]a"),
        ("a_quote", b"\"a\""),
        ("a_semicolon", b"a;b"),
        ("obs_text", b"\xe4"),
        ("a_backslash", b"a\\b"),
        ("an_asterisk", b"*"),
    ];
    each("rfc9112_3_2_host_with", &rows, |case, host| {
        case.send([b"GET / HTTP/1.1\r\nHost: ", host, b"\r\n\r\n"].concat()).refused(400)
    })
}

/// RFC 9112 section 3.2: exactly one, but for clients of HTTP/1.0.
fn how_many() -> Vec<Case> {
    let several = [
        ("different", "Host: a\r\nHost: b"),
        ("equal", "Host: a\r\nHost: a"),
        ("different_case_of_the_name", "Host: a\r\nhOST: b"),
        ("far_from_each_other", "Host: a\r\nA: b\r\nHost: b"),
        ("the_second_empty", "Host: a\r\nHost:"),
        ("the_first_empty", "Host:\r\nHost: a"),
    ];
    let mut cases = each("rfc9112_3_2_two_hosts", &several, |case, lines| {
        case.send(format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n")).refused(400)
    });
    cases.extend([
        case("rfc9112_3_2_no_host").send("GET / HTTP/1.1\r\nA: b\r\n\r\n").refused(400),
        case("rfc9112_3_2_no_field_at_all").send("GET / HTTP/1.1\r\n\r\n").refused(400),
        case("rfc9112_3_2_no_host_but_one_that_is_like_it")
            .send("GET / HTTP/1.1\r\nX-Host: a\r\nHost_: a\r\n\r\n")
            .refused(400),
        case("rfc9112_3_2_two_hosts_of_http_1_0")
            .send("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")
            .refused(400),
        case("rfc9112_3_2_invalid_host_of_http_1_0").send("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n").refused(400),
        case("rfc9110_7_6_1_connection_can_not_take_the_host_out")
            .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200),
    ]);
    cases
}
