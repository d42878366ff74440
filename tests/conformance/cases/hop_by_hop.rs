//! Fields that are between two hops, and those that look so.

use crate::case::{Case, case, each};
use crate::stage::Area;

pub(crate) fn area() -> Area {
    Area::usual([named(), protected(), always(), trailers_accepted(), answers()])
}

/// RFC 9110 section 7.6.1: what `Connection` names ends here, and so does `Connection`.
fn named() -> Vec<Case> {
    let rows = [
        ("one_field", "Connection: X-A\r\nX-A: 1"),
        ("a_field_before_it", "X-A: 1\r\nConnection: X-A"),
        ("in_another_case", "connection: x-a\r\nX-A: 1"),
        ("several_fields", "Connection: X-A, X-B\r\nX-A: 1\r\nX-B: 2"),
        ("fields_on_several_lines", "Connection: X-A\r\nConnection: X-B\r\nX-A: 1\r\nX-B: 2"),
        ("a_field_of_several_lines", "Connection: X-A\r\nX-A: 1\r\nX-A: 2"),
        ("with_empty_elements", "Connection: ,, X-A ,,\r\nX-A: 1"),
        ("with_blanks", "Connection: \t X-A \t , close\t\r\nX-A: 1"),
        ("what_is_not_there", "Connection: X-A, X-B"),
        ("what_is_no_name", "Connection: X-A, a b, \"c\"\r\nX-A: 1"),
        ("itself", "Connection: Connection, X-A\r\nX-A: 1"),
    ];
    let mut cases = each("rfc9110_7_6_1_connection_names", &rows, |case, lines| {
        let case = case
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\nX-Stays: 1\r\n\r\n"))
            .forwards("GET / HTTP/1.1\nHost: a\nX-Stays: 1")
            .gets(200);
        if lines.contains("close") { case.has("connection: close").closed() } else { case }
    });
    cases.push(
        case("rfc9110_7_6_1_what_connection_does_not_name_stays")
            .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: X-A\r\nX-AB: 1\r\nA: X-A\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a\nX-AB: 1\nA: X-A")
            .gets(200),
    );
    cases
}

/// RFC 9110 section 7.6.1: what frames or routes a message is never between two hops, whatever a client says.
fn protected() -> Vec<Case> {
    let post = |connection: &str| {
        format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\nContent-Length: 5\r\n\r\nhello")
    };
    vec![
        case("rfc9110_7_6_1_connection_names_content_length")
            .send(post("content-length"))
            .forwards_body("POST / HTTP/1.1\nHost: a\nContent-Length: 5", "hello")
            .gets(200),
        case("rfc9110_7_6_1_connection_names_host_and_content_length")
            .send(post("keep-alive, Host, Content-Length"))
            .forwards_body("POST / HTTP/1.1\nHost: a\nContent-Length: 5", "hello")
            .gets(200),
        case("rfc9110_7_6_1_connection_names_transfer_encoding")
            .send("POST / HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .forwards_body("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked", "hello")
            .gets(200),
        case("rfc9110_7_6_1_connection_names_cache_control")
            .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Cache-Control\r\nCache-Control: no-cache\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a\nCache-Control: no-cache")
            .gets(200),
        case("rfc9110_7_6_1_connection_names_what_the_proxy_adds")
            .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Via, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a")
            .upstream_has("via: 1.1 cutover")
            .upstream_has("x-forwarded-for: 127.0.0.1")
            .upstream_has("x-forwarded-proto: http")
            .upstream_has("x-forwarded-host: a")
            .upstream_has("forwarded: for=127.0.0.1;proto=http;host=a")
            .gets(200),
        case("rfc9110_7_6_1_connection_names_the_request_id")
            .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Request-Id\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a")
            .upstream_has("x-request-id")
            .gets(200)
            .has("x-request-id"),
    ]
}

/// RFC 9110 sections 7.6.1 and 11.7: some fields end here even if nobody says so.
fn always() -> Vec<Case> {
    let rows = [
        ("keep_alive", "Keep-Alive: timeout=5, max=100"),
        ("proxy_connection", "Proxy-Connection: keep-alive"),
        ("te_of_codings", "TE: gzip;q=0.5"),
        ("te_that_connection_names", "Connection: TE\r\nTE: deflate"),
        ("upgrade_that_connection_does_not_name", "Upgrade: websocket"),
        ("http2_settings", "Connection: HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
        ("http2_settings_that_connection_does_not_name", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
        ("proxy_authorization", "Proxy-Authorization: Basic x"),
        ("proxy", "Proxy: http://evil.example:80/"),
        ("cutover_pin", "Cutover-Pin: end"),
    ];
    each("rfc9110_7_6_1_never_passed_on", &rows, |case, lines| {
        case.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\nX-Stays: 1\r\n\r\n"))
            .forwards("GET / HTTP/1.1\nHost: a\nX-Stays: 1")
            .gets(200)
    })
}

/// RFC 9110 section 10.1.4: of `TE`, the readiness for trailers is passed on, as our own.
fn trailers_accepted() -> Vec<Case> {
    let rows = [
        ("alone", "TE: trailers"),
        ("in_another_case", "TE: Trailers"),
        ("with_a_coding", "TE: gzip, trailers"),
        ("that_connection_names", "Connection: TE\r\nTE: trailers"),
    ];
    each("rfc9110_10_1_4_te_trailers", &rows, |case, lines| {
        case.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n"))
            .forwards("GET / HTTP/1.1\nHost: a\nConnection: te\nTE: trailers")
            .gets(200)
    })
}

/// RFC 9110 section 7.6.1: the same holds for answers.
fn answers() -> Vec<Case> {
    let rows = [
        ("named_by_connection", "Connection: X-A\r\nX-A: 1", "x-a"),
        ("named_on_the_second_line", "Connection: X-B\r\nConnection: x-a\r\nX-A: 1", "x-a"),
        ("connection", "Connection: X-A", "connection"),
        ("close", "Connection: close", "connection"),
        ("keep_alive", "Keep-Alive: timeout=5", "keep-alive"),
        ("proxy_connection", "Proxy-Connection: keep-alive", "proxy-connection"),
        ("proxy_authenticate", "Proxy-Authenticate: Basic", "proxy-authenticate"),
        ("upgrade", "Upgrade: h2c", "upgrade"),
        ("te", "TE: trailers", "te"),
        ("app_version", "X-App-Version: v1", "x-app-version"),
    ];
    let mut cases: Vec<Case> = rows
        .iter()
        .map(|(what, lines, gone)| {
            crate::case::get(format!("rfc9110_7_6_1_never_passed_back_{what}"))
                .answering(format!("HTTP/1.1 200 OK\r\n{lines}\r\nX-Stays: 1\r\nContent-Length: 2\r\n\r\nok"))
                .gets(200)
                .has("x-stays: 1")
                .has("content-length: 2")
                .lacks(gone)
                .body("ok")
        })
        .collect();
    cases.push(
        crate::case::get("rfc9110_7_6_1_connection_of_an_answer_can_not_take_its_framing_out")
            .answering("HTTP/1.1 200 OK\r\nConnection: content-length, cache-control\r\nContent-Length: 2\r\nCache-Control: no-store\r\n\r\nok")
            .gets(200)
            .has("content-length: 2")
            .has("cache-control: no-store")
            .body("ok"),
    );
    cases
}
