//! Frames: their sizes, their places, and those that say nothing.

use super::{GET, POST, and};
use crate::case::case;
use crate::h2::frame::{Code, Frame, PREFACE, flag, kind};
use crate::h2::hpack;
use crate::h2::link::Link;
use crate::h2::stage::{Area, H2Case, plays};
use crate::wire::Fault;

pub(crate) fn area() -> Area {
    Area::usual([sizes(), places(), ignored(), padding(), compression(), prefaces(), pings()])
}

/// What ends the whole connection with one of these codes.
fn ends(name: &str, codes: &'static [Code], send: impl Fn(&mut Link) + Send + Sync + 'static) -> H2Case {
    plays(case(name), move |scene| {
        send(&mut scene.client.link);
        scene.client.goes_away(codes).map(drop)
    })
}

/// What is no error: another request is served after it.
fn goes_on(name: &str, send: impl Fn(&mut Link) + Send + Sync + 'static) -> H2Case {
    plays(case(name), move |scene| {
        send(&mut scene.client.link);
        scene.client.serves()
    })
}

fn block() -> Vec<u8> {
    hpack::encode(&GET)
}

/// RFC 9113 sections 4.2 and 6: frames of lengths that they can't have.
fn sizes() -> Vec<H2Case> {
    // The `h2` crate calls most of them an error of the protocol.
    let size = &[Code::FRAME_SIZE_ERROR, Code::PROTOCOL_ERROR];
    vec![
        ends("rfc9113_4_2_a_frame_larger_than_allowed", size, |link| {
            link.send(&Frame::new(kind::HEADERS, flag::END_HEADERS, 1, vec![0; (16 << 10) + 1]));
        }),
        ends("rfc9113_6_5_settings_of_five_bytes", size, |link| {
            link.send(&Frame::new(kind::SETTINGS, 0, 0, [0; 5]));
        }),
        ends("rfc9113_6_5_an_acknowledgement_with_settings", size, |link| {
            link.send(&Frame::new(kind::SETTINGS, flag::ACK, 0, [0; 6]));
        }),
        ends("rfc9113_6_7_a_ping_of_seven_bytes", size, |link| {
            link.send(&Frame::new(kind::PING, 0, 0, [0; 7]));
        }),
        ends("rfc9113_6_9_a_window_update_of_three_bytes", size, |link| {
            link.send(&Frame::new(kind::WINDOW_UPDATE, 0, 0, [0; 3]));
        }),
        ends("rfc9113_6_4_a_reset_of_three_bytes", size, |link| {
            link.send(&Frame::new(kind::HEADERS, flag::END_HEADERS, 1, hpack::encode(&POST)));
            link.send(&Frame::new(kind::RST_STREAM, 0, 1, [0; 3]));
        })
        .forwarding_begun(),
    ]
}

/// RFC 9113 sections 5.1 and 6: frames on streams where they can't be.
fn places() -> Vec<H2Case> {
    let protocol = &[Code::PROTOCOL_ERROR];
    vec![
        ends("rfc9113_6_1_data_on_no_stream", protocol, |link| link.send(&Frame::data(0, 0, "a"))),
        ends("rfc9113_6_2_headers_on_no_stream", protocol, |link| {
            link.send(&Frame::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 0, block()));
        }),
        ends("rfc9113_6_4_a_reset_of_no_stream", protocol, |link| link.send(&Frame::reset(0, Code::CANCEL))),
        ends("rfc9113_6_5_settings_on_a_stream", protocol, |link| {
            link.send(&Frame::new(kind::SETTINGS, 0, 1, ""));
        }),
        ends("rfc9113_6_7_a_ping_on_a_stream", protocol, |link| {
            link.send(&Frame::new(kind::PING, 0, 1, [0; 8]));
        }),
        ends("rfc9113_6_8_a_goaway_on_a_stream", protocol, |link| {
            link.send(&Frame { stream: 1, ..Frame::goaway(0, Code::NO_ERROR) });
        }),
        ends("rfc9113_6_10_a_continuation_of_nothing", protocol, |link| {
            link.send(&Frame::new(kind::CONTINUATION, flag::END_HEADERS, 1, block()));
        }),
        ends("rfc9113_6_10_another_frame_in_a_header_block", protocol, |link| {
            link.send(&Frame::new(kind::HEADERS, flag::END_STREAM, 1, block()));
            link.send(&Frame::ping([0; 8]));
        }),
        ends("rfc9113_6_10_a_continuation_on_another_stream", protocol, |link| {
            link.send(&Frame::new(kind::HEADERS, flag::END_STREAM, 1, block()));
            link.send(&Frame::new(kind::CONTINUATION, flag::END_HEADERS, 3, ""));
        }),
        ends("rfc9113_8_4_a_push_of_a_client", protocol, |link| {
            link.send(&Frame::new(kind::HEADERS, flag::END_HEADERS, 1, hpack::encode(&POST)));
            link.send(&Frame::new(
                kind::PUSH_PROMISE,
                flag::END_HEADERS,
                1,
                [&[0, 0, 0, 2], &block()[..]].concat(),
            ));
        })
        .forwarding_begun(),
        ends("rfc9113_5_1_data_on_an_idle_stream", protocol, |link| link.send(&Frame::data(1, 0, "a"))),
        ends("rfc9113_5_1_a_reset_of_an_idle_stream", protocol, |link| {
            link.send(&Frame::reset(1, Code::CANCEL));
        }),
        ends("rfc9113_5_1_a_window_of_an_idle_stream", protocol, |link| {
            link.send(&Frame::window_update(1, 1));
        }),
        ends("rfc9113_5_1_1_a_stream_of_the_servers", protocol, |link| {
            link.send(&Frame::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 2, block()));
        }),
    ]
}

/// RFC 9113 sections 4.1, 5.3 and 5.5: what is ignored.
fn ignored() -> Vec<H2Case> {
    vec![
        goes_on("rfc9113_4_1_a_frame_that_nobody_knows", |link| {
            link.send(&Frame::new(0xfa, 0xff, 0, "hello"));
        }),
        goes_on("rfc9113_5_5_the_same_on_a_stream", |link| link.send(&Frame::new(0xfa, 0, 1, "hello"))),
        goes_on("rfc9113_4_1_flags_that_nobody_knows", |link| {
            link.send(&Frame::new(kind::PING, 0xfe, 0, [0; 8]));
        }),
        goes_on("rfc9113_4_1_the_reserved_bit", |link| {
            link.send(&Frame::new(kind::WINDOW_UPDATE, 0, 1 << 31, 1_u32.to_be_bytes()));
        }),
        goes_on("rfc9113_5_3_a_priority_of_an_idle_stream", |link| {
            link.send(&Frame::new(kind::PRIORITY, 0, 101, [0, 0, 0, 3, 15]));
        }),
        goes_on("rfc9218_7_1_a_priority_update", |link| {
            link.send(&Frame::new(0x10, 0, 0, [&[0, 0, 0, 1], &b"u=1"[..]].concat()));
        }),
        plays(case("rfc9113_5_3_a_priority_in_a_head").forwards("GET / HTTP/1.1\nHost: a"), |scene| {
            let flags = flag::END_HEADERS | flag::END_STREAM | flag::PRIORITY;
            let payload = [&[0x80, 0, 0, 0, 255], &block()[..]].concat();
            scene.client.next += 2;
            scene.client.send(&Frame::new(kind::HEADERS, flags, 1, payload));
            scene.client.gets(1, 200)?;
            scene.client.serves()
        }),
    ]
}

/// RFC 9113 sections 6.1 and 6.2: padding.
fn padding() -> Vec<H2Case> {
    let post = || and(&POST, &[("content-length", "5")]);
    vec![
        plays(
            case("rfc9113_6_1_padded_data")
                .forwards_body("POST / HTTP/1.1\nHost: a\nContent-Length: 5", "hello"),
            move |scene| {
                let stream = scene.client.open(&post());
                let padded = b"\x03hello\0\0\0";
                scene.client.send(&Frame::data(stream, flag::END_STREAM | flag::PADDED, padded));
                scene.client.gets(stream, 200)?;
                scene.client.serves()
            },
        ),
        plays(case("rfc9113_6_2_a_padded_head").forwards("GET / HTTP/1.1\nHost: a"), |scene| {
            let flags = flag::END_HEADERS | flag::END_STREAM | flag::PADDED;
            scene.client.next += 2;
            scene.client.send(&Frame::new(kind::HEADERS, flags, 1, [&[2], &block()[..], &[0, 0]].concat()));
            scene.client.gets(1, 200)?;
            scene.client.serves()
        }),
        ends("rfc9113_6_1_more_padding_than_data", &[Code::PROTOCOL_ERROR], |link| {
            link.send(&Frame::new(kind::HEADERS, flag::END_HEADERS, 1, hpack::encode(&POST)));
            link.send(&Frame::data(1, flag::PADDED, b"\x06hello"));
        })
        .forwarding_begun(),
        ends("rfc9113_6_2_more_padding_than_a_head", &[Code::PROTOCOL_ERROR], |link| {
            link.send(&Frame::new(kind::HEADERS, flag::END_HEADERS | flag::PADDED, 1, [200, 0x82]));
        }),
    ]
}

/// RFC 7541: header blocks that can't be read. What the two sides think of the table differs from then on, so nothing can go on.
fn compression() -> Vec<H2Case> {
    [
        ("rfc7541_6_1_the_index_zero", &[0x80][..]),
        ("rfc7541_2_3_3_an_index_beyond_the_tables", &[0xc0]),
        ("rfc7541_5_2_a_string_longer_than_its_block", &[0, 5, b'a']),
        (
            "rfc7541_5_1_an_integer_without_an_end",
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
        ("rfc7541_5_2_a_code_that_ends_in_the_end_symbol", &[0, 0x84, 0xff, 0xff, 0xff, 0xff, 0]),
        ("rfc7541_6_3_a_table_larger_than_allowed", &[0x3f, 0xe2, 0x7f]),
        ("rfc7541_4_2_a_table_resized_behind_a_field", &[0x82, 0x20]),
    ]
    .into_iter()
    .map(|(name, block)| {
        ends(name, &[Code::COMPRESSION_ERROR, Code::PROTOCOL_ERROR], move |link| {
            link.send(&Frame::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, block));
        })
    })
    .collect()
}

/// RFC 9113 section 3.4: how a connection begins.
fn prefaces() -> Vec<H2Case> {
    let breaks = |name: &str, bytes: Vec<u8>| {
        plays(case(name), move |scene| {
            let mut link = scene.link()?;
            link.write(&bytes);
            match link.rest() {
                Fault::Closed | Fault::Reset => Ok(()),
                fault => Err(format!("expected the end, seen {fault}")),
            }
        })
    };
    let mut wrong = PREFACE.to_vec();
    wrong[20] = b'X';
    vec![breaks(
        "rfc9113_3_4_a_preface_with_a_wrong_end",
        [&wrong[..], &Frame::settings(&[]).bytes()].concat(),
    )]
}

/// RFC 9113 section 6.7: pings.
fn pings() -> Vec<H2Case> {
    vec![
        plays(case("rfc9113_6_7_a_ping_is_answered_with_its_bytes"), |scene| {
            for bytes in [*b"12345678", [0xff; 8], [0; 8]] {
                scene.client.send(&Frame::ping(bytes));
                scene.client.until("the answer to a PING", |client| client.pongs == [bytes])?;
                scene.client.pongs.clear();
            }
            scene.client.serves()
        }),
        goes_on("rfc9113_6_7_an_answer_that_nobody_waits_for", |link| {
            link.send(&Frame::new(kind::PING, flag::ACK, 0, [1; 8]));
        }),
    ]
}
