//! Interim answers on their way to the client.

use crate::case::{Case, get, old_get};
use crate::stage::Area;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";

pub(crate) fn area() -> Area {
    Area::usual([passed_on(), not_passed_on(), too_many()])
}

/// RFC 9110 section 15.2: they go on as they come, before the final one.
fn passed_on() -> Vec<Case> {
    let one = |status: u16| {
        get(format!("rfc9110_15_2_passed_on_{status}"))
            .answering(format!("HTTP/1.1 {status} Wait\r\nX-A: 1\r\n\r\n{OK}"))
            .gets(status)
            .has("x-a: 1")
            .lacks("set-cookie")
            .gets(200)
            .body("ok")
    };
    let mut cases: Vec<Case> = [102, 103, 199].into_iter().map(one).collect();
    cases.extend([
        get("rfc8297_2_hints_with_their_links")
            .answering([HINTS, OK].concat())
            .gets(103)
            .has("link: </a.css>; rel=preload")
            .gets(200),
        get("rfc9110_15_2_several_in_their_order")
            .answering(
                ["HTTP/1.1 102 Processing\r\n\r\n", HINTS, "HTTP/1.1 102 Processing\r\n\r\n", OK].concat(),
            )
            .gets(102)
            .gets(103)
            .gets(102)
            .gets(200)
            .body("ok"),
        get("rfc9110_7_6_1_hop_by_hop_fields_of_an_interim_answer_end_here")
            .answering(format!(
                "HTTP/1.1 103 Early Hints\r\nConnection: X-A\r\nX-A: 1\r\nKeep-Alive: a\r\nX-B: 2\r\n\r\n{OK}"
            ))
            .gets(103)
            .lacks("x-a")
            .lacks("connection")
            .lacks("keep-alive")
            .has("x-b: 2")
            .gets(200),
        get("rfc9110_8_6_an_interim_answer_has_no_length")
            .answering(format!("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n{OK}"))
            .gets(103)
            .lacks("content-length")
            .gets(200)
            .body("ok"),
        get("rfc9110_15_2_an_upstream_that_dies_after_an_interim_answer")
            .answering_and_closing(HINTS)
            .gets(103)
            .gets(502),
        get("rfc9110_15_2_a_broken_final_answer_after_an_interim_one")
            .answering_and_closing([HINTS, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"].concat())
            .gets(103)
            .gets(502),
    ]);
    cases
}

/// RFC 9110 sections 15.2 and 15.2.1: a client gets none that it can't understand, and no 100 that it does not wait for.
fn not_passed_on() -> Vec<Case> {
    vec![
        get("rfc9110_15_2_1_leave_that_nobody_waits_for")
            .answering(format!("HTTP/1.1 100 Continue\r\n\r\n{OK}"))
            .gets(200)
            .body("ok"),
        old_get("rfc9110_15_2_none_for_http_1_0")
            .answering([HINTS, OK].concat())
            .gets(200)
            .body("ok")
            .closed(),
        old_get("rfc9110_15_2_1_no_leave_for_http_1_0")
            .answering(format!("HTTP/1.1 100 Continue\r\n\r\n{OK}"))
            .gets(200)
            .body("ok")
            .closed(),
    ]
}

/// RFC 9110 section 15.2: any number, within reason.
fn too_many() -> Vec<Case> {
    let all = (0..32)
        .fold(get("rfc9110_15_2_thirty_two").answering(HINTS.repeat(32) + OK), |case, _| case.gets(103));
    let more = (0..32)
        .fold(get("rfc9110_15_2_thirty_three").answering_and_closing(HINTS.repeat(33) + OK), |case, _| {
            case.gets(103)
        });
    vec![all.gets(200).body("ok"), more.gets(502)]
}
