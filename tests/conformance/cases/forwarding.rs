//! What the proxy says about the way of a message, and where a message ends.

use crate::case::{Case, case, each, get};
use crate::proxy::Config;
use crate::stage::Area;

/// Behind a proxy whose word counts.
pub(crate) fn area() -> Area {
    Area::usual([via(), max_forwards(), believed()])
}

/// Before clients whose word does not.
pub(crate) fn area_of_strangers() -> Area {
    Area::with(Config { listener: "trusted_proxies = []", ..Config::default() }, [not_believed()])
}

/// RFC 9110 section 7.6.3: every hop says in which version it got the message.
fn via() -> Vec<Case> {
    let chain = |hops: usize| vec!["1.1 cutover"; hops].join(", ");
    vec![
        case("rfc9110_7_6_3_via_of_a_request")
            .send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a\nVia: 1.1 cutover")
            .gets(200),
        case("rfc9110_7_6_3_via_of_a_request_of_http_1_0")
            .send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a\nVia: 1.0 cutover")
            .gets(200)
            .closed(),
        case("rfc9110_7_6_3_via_goes_behind_the_hops_before")
            .send("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 fred, HTTP/1.1 p.example.net (x)\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a")
            .upstream_has("via: 1.0 fred, HTTP/1.1 p.example.net (x), 1.1 cutover")
            .gets(200),
        get("rfc9110_7_6_3_via_of_an_answer").gets(200).has("via: 1.1 cutover"),
        get("rfc9110_7_6_3_via_of_an_answer_of_http_1_0")
            .answering_and_closing("HTTP/1.0 200 OK\r\nVia: 1.1 varnish\r\nContent-Length: 2\r\n\r\nok")
            .gets(200)
            .has("via: 1.1 varnish, 1.0 cutover"),
        case("rfc9110_7_6_3_seven_passes_are_no_circle")
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\nVia: {}\r\n\r\n", chain(7)))
            .forwards("GET / HTTP/1.1\nHost: a")
            .upstream_has(&format!("via: {}", chain(8)))
            .gets(200),
        case("rfc9110_7_6_3_eight_passes_are_a_circle")
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\nVia: {}\r\n\r\n", chain(8)))
            .gets(508),
    ]
}

/// RFC 9110 section 7.6.2: counted down for OPTIONS and TRACE, and left alone for others.
fn max_forwards() -> Vec<Case> {
    let rows = [
        ("of_options", "OPTIONS", "5", "4"),
        ("of_trace", "TRACE", "1", "0"),
        ("of_get", "GET", "0", "0"),
        ("of_post", "POST", "3", "3"),
        ("that_is_no_number", "OPTIONS", "many", "many"),
        ("that_is_negative", "OPTIONS", "-1", "-1"),
    ];
    let mut cases: Vec<Case> = rows
        .iter()
        .map(|(what, method, given, left)| {
            case(format!("rfc9110_7_6_2_max_forwards_{what}"))
                .send(format!("{method} / HTTP/1.1\r\nHost: a\r\nMax-Forwards: {given}\r\n\r\n"))
                .forwards(&format!("{method} / HTTP/1.1\nHost: a\nMax-Forwards: {left}"))
                .gets(200)
        })
        .collect();
    cases.extend([
        case("rfc9110_7_6_2_options_that_end_here")
            .send("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
            .gets(204)
            .lacks("content-length")
            .lacks("transfer-encoding"),
        case("rfc9110_7_6_2_options_of_the_server_that_end_here")
            .send("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
            .gets(204),
        case("rfc9110_9_3_8_a_trace_that_ends_here_shows_nothing")
            .send("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nX-Secret: s\r\n\r\n")
            .gets(405)
            .has("allow"),
        case("rfc9110_9_3_8_a_trace_without_a_limit")
            .send("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards("TRACE / HTTP/1.1\nHost: a")
            .gets(200),
    ]);
    cases
}

/// RFC 7239 section 4: a hop whose word counts is kept, and this one goes behind it.
fn believed() -> Vec<Case> {
    let head = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a:80\r\n{fields}\r\n");
    let forwarded = "GET / HTTP/1.1\nHost: a:80";
    vec![
        case("rfc7239_4_this_hop")
            .send(head(""))
            .forwards(forwarded)
            .upstream_has("forwarded: for=127.0.0.1;proto=http;host=\"a:80\"")
            .upstream_has("x-forwarded-for: 127.0.0.1")
            .upstream_has("x-forwarded-proto: http")
            .upstream_has("x-forwarded-host: a:80")
            .gets(200),
        case("rfc7239_4_this_hop_after_others")
            .send(head("Forwarded: for=203.0.113.9;proto=https\r\nForwarded: for=198.51.100.7\r\n"))
            .forwards(forwarded)
            .upstream_has(
                "forwarded: for=203.0.113.9;proto=https, for=198.51.100.7, for=127.0.0.1;host=\"a:80\"",
            )
            .upstream_has("x-forwarded-for: 198.51.100.7, 127.0.0.1")
            .upstream_has("x-forwarded-proto: https")
            .gets(200),
        case("rfc7239_7_4_this_hop_after_others_in_x_forwarded_for")
            .send(head("X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.7\r\n"))
            .forwards(forwarded)
            .upstream_has("x-forwarded-for: 203.0.113.9, 198.51.100.7, 127.0.0.1")
            .upstream_has("forwarded: for=198.51.100.7;proto=http;host=\"a:80\", for=127.0.0.1")
            .gets(200),
        case("rfc7239_7_4_scheme_and_host_are_those_of_the_first_hop")
            .send(head("X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n"))
            .forwards(forwarded)
            .upstream_has("x-forwarded-proto: https")
            .upstream_has("x-forwarded-host: shop.example")
            .upstream_has("forwarded: for=127.0.0.1;proto=https;host=shop.example")
            .gets(200),
        case("rfc7239_4_no_host_is_no_host")
            .send("GET / HTTP/1.0\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: ")
            .upstream_has("forwarded: for=127.0.0.1;proto=http")
            .upstream_lacks("x-forwarded-host")
            .gets(200)
            .closed(),
    ]
}

/// RFC 7239 section 8.1: what a stranger says about where it comes from is replaced.
fn not_believed() -> Vec<Case> {
    let rows = [
        ("forwarded", "Forwarded: for=203.0.113.9;proto=https;host=b"),
        ("x_forwarded_for", "X-Forwarded-For: 203.0.113.9"),
        ("x_forwarded_proto", "X-Forwarded-Proto: https"),
        ("x_forwarded_host", "X-Forwarded-Host: b"),
        ("x_forwarded_port", "X-Forwarded-Port: 443"),
        ("x_forwarded_prefix", "X-Forwarded-Prefix: /admin"),
        ("x_forwarded_scheme", "X-Forwarded-Scheme: https"),
        ("x_forwarded_server", "X-Forwarded-Server: b"),
        ("x_forwarded_ssl", "X-Forwarded-Ssl: on"),
        ("x_real_ip", "X-Real-IP: 203.0.113.9"),
        ("an_alias_with_underscores", "X_Forwarded_For: 203.0.113.9"),
        ("a_mixed_alias", "X-Forwarded_Proto: https"),
        ("several_lines", "X-Forwarded-For: 203.0.113.9\r\nx-forwarded-for: 203.0.113.10"),
        (
            "what_only_the_proxy_says",
            "Cutover-State: role=draining; epoch=1; admin=drain\r\nCutover-Update: v2",
        ),
        ("an_alias_of_that", "cutover_state: role=draining; epoch=1; admin=drain"),
        ("what_connection_names", "Connection: X-Forwarded-For\r\nX-Forwarded-For: 203.0.113.9"),
    ];
    each("rfc7239_8_1_a_stranger_says", &rows, |case, lines| {
        case.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n"))
            .forwards(
                "GET / HTTP/1.1\nHost: a\nForwarded: for=127.0.0.1;proto=http;host=a\n\
                 X-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nX-Forwarded-Host: a",
            )
            .gets(200)
    })
}
