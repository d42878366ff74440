//! Changes of protocol: only what was asked for, and nothing that is HTTP again.

use crate::case::{Case, case, each, get, say};
use crate::stage::Area;
use crate::upstream::Act;

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const ASKED: &str = "GET /ws HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

pub(crate) fn area() -> Area {
    Area::usual([tunnels(), protocols(), not_asked_for(), wrong_switches(), refused_switches()])
}

/// RFC 9110 section 7.8: both sides agreed, and the connection is theirs.
fn tunnels() -> Vec<Case> {
    vec![
        case("rfc9110_7_8_a_tunnel_carries_bytes_both_ways")
            .send(ASK)
            .awaits("\r\n\r\n")
            .send(b"ping \0\xff")
            .upstream([say(SWITCH), Act::Bytes(7), say("pong"), Act::Close])
            .forwards_bytes(ASKED, b"ping \0\xff")
            .gets(101)
            .has("upgrade: websocket")
            .has("connection: upgrade")
            .tunnel("pong"),
        case("rfc9110_7_8_bytes_right_behind_the_switch")
            .send(ASK)
            .upstream([say(format!("{SWITCH}first")), Act::Close])
            .forwards_begun(ASKED)
            .gets(101)
            .tunnel("first"),
        case("rfc9110_7_8_what_looks_like_http_in_a_tunnel_is_none")
            .send(ASK)
            .awaits("\r\n\r\n")
            .send("GET /x HTTP/1.1\r\n\r\n")
            .upstream([say(SWITCH), Act::Bytes(19), say("HTTP/1.1 200 OK\r\n\r\n"), Act::Close])
            .forwards_bytes(ASKED, "GET /x HTTP/1.1\r\n\r\n")
            .gets(101)
            .tunnel("HTTP/1.1 200 OK\r\n\r\n"),
        case("rfc9110_7_8_a_client_that_closes_its_half_is_still_sent_to")
            .send(ASK)
            .awaits("\r\n\r\n")
            .send("bye")
            .half_closes()
            .upstream([say(SWITCH), Act::Bytes(3), Act::OnCue, say("and bye"), Act::Close])
            .cues_upstream()
            .forwards_bytes(ASKED, "bye")
            .gets(101)
            .tunnel("and bye"),
        case("rfc9110_7_8_an_upstream_that_closes_its_half_is_still_sent_to")
            .send(ASK)
            .awaits("done")
            .send("more")
            .half_closes()
            .upstream([say(format!("{SWITCH}done")), Act::HalfClose, Act::Gone])
            .forwards_bytes(ASKED, "more")
            .gets(101)
            .tunnel("done"),
    ]
}

/// RFC 9110 section 7.8: whatever the protocol is, as long as it is the one that was asked for.
fn protocols() -> Vec<Case> {
    vec![
        case("rfc9110_7_8_the_name_of_a_protocol_has_no_case")
            .send(ASK)
            .upstream([say(SWITCH.replace("websocket", "WebSocket")), Act::Close])
            .forwards_begun(ASKED)
            .gets(101)
            .tunnel(""),
        case("rfc9110_7_8_a_protocol_with_a_version")
            .send(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, upgrade\r\nUpgrade: shout/1.3\r\n\r\n",
            )
            .upstream([say(SWITCH.replace("websocket", "shout/1.3")), Act::Close])
            .forwards_begun("GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: shout/1.3")
            .gets(101)
            .tunnel(""),
        case("rfc6455_4_2_2_a_handshake_passes_with_its_fields")
            .send(
                "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            )
            .upstream([
                say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
                Act::Close,
            ])
            .forwards_begun(&format!(
                "{ASKED}\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13"
            ))
            .gets(101)
            .has("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            .lacks("content-length")
            .lacks("transfer-encoding")
            .tunnel(""),
    ]
}

/// RFC 9110 section 7.8: a wish that may not pass is ignored, and the request is one like any other.
fn not_asked_for() -> Vec<Case> {
    let rows = [
        ("h2c", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"),
        ("h2c_in_capitals", "Connection: Upgrade\r\nUpgrade: H2C"),
        ("h2", "Connection: Upgrade\r\nUpgrade: h2"),
        ("http", "Connection: Upgrade\r\nUpgrade: HTTP/2.0"),
        ("tls", "Connection: Upgrade\r\nUpgrade: TLS/1.0"),
        ("h2c_after_another_one", "Connection: Upgrade\r\nUpgrade: websocket, h2c"),
        ("h2c_on_a_second_line", "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c"),
        ("two_at_once", "Connection: Upgrade\r\nUpgrade: a, b"),
        ("nothing", "Connection: Upgrade\r\nUpgrade:"),
        ("no_upgrade", "Connection: Upgrade"),
        ("one_that_connection_does_not_name", "Upgrade: websocket"),
    ];
    let mut cases = each("rfc9110_7_8_not_passed_on", &rows, |case, lines| {
        case.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n"))
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200)
    });
    cases.extend([
        case("rfc9110_7_8_not_passed_on_with_a_body")
            .send("POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello")
            .forwards_body("POST / HTTP/1.1\nHost: a\nContent-Length: 5", "hello")
            .gets(200),
        case("rfc9110_7_8_not_passed_on_with_chunks")
            .send("POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            .forwards("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked")
            .gets(200),
        case("rfc9110_7_8_not_passed_on_in_http_1_0")
            .send("GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(200)
            .closed(),
    ]);
    cases
}

/// RFC 9110 section 15.2.2: a switch that nobody asked for is no answer to the request.
fn wrong_switches() -> Vec<Case> {
    let another = [
        ("to_another_protocol", SWITCH.replace("websocket", "h2c")),
        ("to_one_more_protocol", SWITCH.replace("websocket", "websocket, h2c")),
        ("to_no_protocol", "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned()),
    ];
    let mut cases: Vec<Case> = another
        .iter()
        .map(|(what, answer)| {
            case(format!("rfc9110_15_2_2_a_switch_{what}"))
                .send(ASK)
                .upstream([say(format!("{answer}HTTP/1.1 200 OK\r\n\r\n")), Act::Gone])
                .forwards_begun(ASKED)
                .gets(502)
        })
        .collect();
    cases.push(
        get("rfc9110_15_2_2_a_switch_that_nobody_asked_for")
            .answering_and_closing(format!("{SWITCH}HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"))
            .gets(502),
    );
    cases.push(
        case("rfc9110_15_2_2_a_switch_to_what_was_not_passed_on")
            .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
            .answering_and_closing(SWITCH.replace("websocket", "h2c"))
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(502),
    );
    cases
}

/// RFC 9110 section 7.8: an upstream that does not switch answers, and what follows is HTTP.
fn refused_switches() -> Vec<Case> {
    vec![
        case("rfc9110_7_8_an_upstream_that_does_not_switch")
            .send(ASK)
            .forwards(ASKED)
            .gets(200)
            .body("ok")
            .lacks("upgrade"),
        case("rfc9110_7_8_what_follows_a_refused_switch_is_a_request")
            .send(format!("{ASK}GET /b HTTP/1.1\r\nHost: b\r\n\r\n"))
            .forwards(ASKED)
            .forwards("GET /b HTTP/1.1\nHost: b")
            .gets(200)
            .gets(200),
        case("rfc9110_15_5_22_upgrade_required_says_to_what")
            .send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .answering("HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n")
            .forwards("GET / HTTP/1.1\nHost: a")
            .gets(426)
            .has("upgrade: websocket")
            .has("connection: upgrade"),
    ]
}
