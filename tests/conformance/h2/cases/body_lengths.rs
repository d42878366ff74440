//! How long a body is: its frames say, and a content-length that says something else makes the message malformed.

use super::{Fields, GET, POST, and};
use crate::case::{Case, case};
use crate::h2::frame::Code;
use crate::h2::stage::{Area, H2Case, plays};
use crate::upstream::Act;

pub(crate) fn area() -> Area {
    Area::usual([right(), wrong(), unreadable(), trailers()])
}

/// RFC 9113 section 8.1.1: lengths that are right.
fn right() -> Vec<H2Case> {
    let sends = |case: Case, fields: Vec<(&'static str, &'static str)>, parts: &'static [&'static str]| {
        plays(case, move |scene| {
            let stream = scene.client.open(&fields);
            for (at, part) in parts.iter().enumerate() {
                match at + 1 == parts.len() {
                    true => scene.client.last_data(stream, part),
                    false => scene.client.data(stream, part),
                }
            }
            scene.client.gets(stream, 200)?;
            scene.client.serves()
        })
    };
    let chunked = "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked";
    let length = |length: &'static str| and(&POST, &[("content-length", length)]);
    vec![
        sends(
            case("rfc9113_8_1_1_a_length_that_is_right")
                .forwards_body("POST / HTTP/1.1\nHost: a\nContent-Length: 5", "hello"),
            length("5"),
            &["hello"],
        ),
        sends(
            case("rfc9113_8_1_1_a_length_over_several_frames")
                .forwards_body("POST / HTTP/1.1\nHost: a\nContent-Length: 5", "hello"),
            length("5"),
            &["he", "", "llo", ""],
        ),
        sends(
            case("rfc9113_8_1_a_body_of_unknown_length").forwards_body(chunked, "hello"),
            POST.to_vec(),
            &["hel", "lo"],
        ),
        sends(
            case("rfc9113_8_1_an_empty_frame_ends_a_body").forwards_body(chunked, "hello"),
            POST.to_vec(),
            &["hello", ""],
        ),
        plays(
            case("rfc9113_8_1_a_request_that_ends_in_its_head")
                .forwards("POST / HTTP/1.1\nHost: a\nContent-Length: 0"),
            |scene| {
                let stream = scene.client.request(&and(&POST, &[("content-length", "0")]));
                scene.client.gets(stream, 200).map(drop)
            },
        ),
    ]
}

/// RFC 9113 section 8.1.1: lengths that are wrong. What was sent on before it was seen is never complete.
fn wrong() -> Vec<H2Case> {
    let breaks = |ending: &str, length: &'static str, parts: &'static [&'static str]| {
        let case = case(format!("rfc9113_8_1_1_{ending}"))
            .forwards_never_whole(&format!("POST / HTTP/1.1\nHost: a\nContent-Length: {length}"));
        plays(case, move |scene| {
            let stream = scene.client.open(&and(&POST, &[("content-length", length)]));
            for part in &parts[..parts.len() - 1] {
                scene.client.data(stream, part);
            }
            scene.client.last_data(stream, parts[parts.len() - 1]);
            scene.client.is_reset(stream, &[Code::PROTOCOL_ERROR])?;
            scene.client.serves()
        })
    };
    let mut cases = vec![
        breaks("fewer_bytes_than_said", "6", &["hello"]),
        breaks("fewer_bytes_than_said_in_two_frames", "6", &["hel", "lo"]),
        breaks("no_byte_where_some_were_said", "1", &[""]),
        breaks("more_bytes_than_said", "4", &["hello"]),
        breaks("more_bytes_than_said_in_two_frames", "4", &["hel", "lo"]),
    ];
    cases.push(plays(
        // Its head alone is a whole request, and may have been sent on before the rest came.
        case("rfc9113_8_1_1_bytes_where_none_were_said")
            .forwards("POST / HTTP/1.1\nHost: a\nContent-Length: 0")
            .upstream([Act::Body, Act::OnCue]),
        |scene| {
            let stream = scene.client.open(&and(&POST, &[("content-length", "0")]));
            scene.upstream.wait_for_requests(1)?;
            scene.client.last_data(stream, "hello");
            scene.client.is_reset(stream, &[Code::PROTOCOL_ERROR])?;
            scene.upstream.cue();
            scene.client.serves()
        },
    ));
    cases
}

/// RFC 9110 section 8.6: lengths that are none.
fn unreadable() -> Vec<H2Case> {
    let rows: [(&str, Fields<'static>); 7] = [
        ("two_lengths", &[("content-length", "5"), ("content-length", "6")]),
        ("a_list_of_two_lengths", &[("content-length", "5, 6")]),
        ("a_sign", &[("content-length", "+5")]),
        ("a_negative_one", &[("content-length", "-1")]),
        ("a_word", &[("content-length", "five")]),
        ("an_empty_one", &[("content-length", "")]),
        ("one_beyond_all_numbers", &[("content-length", "99999999999999999999999")]),
    ];
    let mut cases: Vec<H2Case> = rows
        .into_iter()
        .map(|(ending, lengths)| {
            plays(case(format!("rfc9110_8_6_{ending}")), move |scene| {
                let stream = scene.client.open(&and(&POST, lengths));
                scene.client.last_data(stream, "hello");
                if scene.client.refuses(stream)? { scene.client.serves() } else { Ok(()) }
            })
        })
        .collect();
    cases.push(plays(case("rfc9113_8_1_1_a_length_and_no_body"), |scene| {
        let stream = scene.client.request(&and(&GET, &[("content-length", "5")]));
        if scene.client.refuses(stream)? { scene.client.serves() } else { Ok(()) }
    }));
    cases
}

/// RFC 9113 section 8.1: trailers end a message, and have no pseudo-header fields.
fn trailers() -> Vec<H2Case> {
    let chunked = "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTE: trailers\nConnection: te";
    let ask = || and(&POST, &[("te", "trailers")]);
    let mut cases = vec![plays(
        case("rfc9113_8_1_trailers_arrive").forwards_body(chunked, "hello").upstream_trailer("x-t: 1"),
        move |scene| {
            let stream = scene.client.open(&ask());
            scene.client.data(stream, "hello");
            scene.client.trailers(stream, &[("x-t", "1")]);
            scene.client.gets(stream, 200)?;
            scene.client.serves()
        },
    )];
    let rows: [(&str, Fields<'static>); 5] = [
        ("a_pseudo_header_behind_others", &[("x-t", "1"), (":path", "/")]),
        ("an_upper_case_name", &[("X-T", "1")]),
        ("a_line_in_a_value", &[("x-t", "1\r\nx-u: 2")]),
        ("a_field_of_a_connection", &[("connection", "close")]),
        ("a_coding", &[("transfer-encoding", "chunked")]),
    ];
    cases.extend(rows.into_iter().map(|(ending, trailers)| {
        let case = case(format!("rfc9113_8_1_trailers_with_{ending}")).forwards_never_whole(chunked);
        plays(case, move |scene| {
            let stream = scene.client.open(&ask());
            scene.client.data(stream, "hello");
            scene.client.trailers(stream, trailers);
            if scene.client.breaks_off(stream)? { scene.client.serves() } else { Ok(()) }
        })
    }));
    cases.push(plays(
        // The `h2` crate drops it instead of refusing the message. It must not become anything else on the way.
        case("rfc9113_8_1_a_pseudo_header_of_trailers_goes_nowhere")
            .forwards_body(chunked, "hello")
            .upstream_trailer("x-t: 1"),
        move |scene| {
            let stream = scene.client.open(&ask());
            scene.client.data(stream, "hello");
            scene.client.trailers(stream, &[(":path", "/admin"), ("x-t", "1")]);
            scene.client.gets(stream, 200)?;
            scene.client.serves()
        },
    ));
    cases
}
