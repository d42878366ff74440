//! Settings of the client, and what the proxy says of itself.

use super::GET;
use crate::case::case;
use crate::h2::client::PLAIN;
use crate::h2::frame::{Code, Frame, flag, kind, setting};
use crate::h2::hpack;
use crate::h2::stage::{Area, H2Case, plays};

pub(crate) fn area() -> Area {
    Area::usual([values(), acknowledged(), of_the_proxy()])
}

/// RFC 9113 section 6.5.2: values that can't be, and one that can.
fn values() -> Vec<H2Case> {
    let ends = |ending: &str, name: u16, value: u32, code: &'static [Code]| {
        plays(case(format!("rfc9113_6_5_2_{ending}")), move |scene| {
            scene.client.send(&Frame::settings(&[(name, value)]));
            scene.client.goes_away(code).map(drop)
        })
    };
    let goes_on = |ending: &str, name: u16, value: u32| {
        plays(case(format!("rfc9113_6_5_2_{ending}")), move |scene| {
            let before = scene.client.acks;
            scene.client.send(&Frame::settings(&[(name, value)]));
            scene.client.until("an acknowledgement", |client| client.acks > before)?;
            scene.client.serves()
        })
    };
    let protocol = &[Code::PROTOCOL_ERROR];
    vec![
        ends("push_that_is_two", setting::ENABLE_PUSH, 2, protocol),
        ends(
            "a_window_too_large",
            setting::INITIAL_WINDOW_SIZE,
            1 << 31,
            &[Code::FLOW_CONTROL_ERROR, Code::PROTOCOL_ERROR],
        ),
        ends("frames_too_small", setting::MAX_FRAME_SIZE, (1 << 14) - 1, protocol),
        ends("frames_too_large", setting::MAX_FRAME_SIZE, 1 << 24, protocol),
        goes_on("the_largest_window", setting::INITIAL_WINDOW_SIZE, (1 << 31) - 1),
        goes_on("the_largest_frames", setting::MAX_FRAME_SIZE, (1 << 24) - 1),
        goes_on("no_stream_of_the_proxys", setting::MAX_CONCURRENT_STREAMS, 0),
        goes_on("a_huge_table", setting::HEADER_TABLE_SIZE, u32::MAX),
        goes_on("one_that_nobody_knows", 0xfafa, 7),
    ]
}

/// RFC 9113 section 6.5.3: each is taken note of, in order.
fn acknowledged() -> Vec<H2Case> {
    vec![plays(case("rfc9113_6_5_3_every_one_is_acknowledged"), |scene| {
        let before = scene.client.acks;
        for size in [1, 2, 3] {
            scene.client.send(&Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, size << 16)]));
        }
        scene.client.sync()?;
        let seen = scene.client.acks - before;
        if seen == 3 {
            scene.client.serves()
        } else {
            Err(format!("expected 3 acknowledgements, seen {seen}"))
        }
    })]
}

/// What the proxy says of itself, and keeps to.
fn of_the_proxy() -> Vec<H2Case> {
    vec![
        plays(case("rfc8441_3_extended_connect_is_offered"), |scene| {
            match scene.client.settings.get(&setting::ENABLE_CONNECT_PROTOCOL) {
                Some(1) => Ok(()),
                _ => Err(format!("seen {:?}", scene.client.settings)),
            }
        }),
        plays(case("rfc9113_6_5_2_streams_are_limited"), |scene| {
            match scene.client.settings.get(&setting::MAX_CONCURRENT_STREAMS) {
                Some(128) => Ok(()),
                _ => Err(format!("seen {:?}", scene.client.settings)),
            }
        }),
        plays(
            case("rfc9113_6_5_2_no_table_where_the_client_wants_none").forwards("GET / HTTP/1.1\nHost: a"),
            |scene| {
                // Its decoder would not find an entry that the proxy put into a table and took out again.
                let mut client = scene.client_with(&PLAIN)?;
                let stream = client.request(&GET);
                client.gets(stream, 200)?;
                client.serves()?;
                client.serves()
            },
        ),
        plays(
            case("rfc9113_6_5_2_a_table_where_the_client_has_one").forwards("GET / HTTP/1.1\nHost: a"),
            |scene| {
                let mut client = scene.client_with(&[])?;
                let stream = client.request(&GET);
                client.gets(stream, 200)?;
                client.serves()?;
                client.serves()
            },
        ),
        plays(
            case("rfc7541_4_2_the_clients_own_table")
                .forwards("GET /a HTTP/1.1\nHost: a\nX-A: 1")
                .forwards("GET /b HTTP/1.1\nHost: a\nX-A: 1"),
            |scene| {
                let entry = |name: &str, value: &str| {
                    let mut block = hpack::encode(&[(name, value)]);
                    // The same literal, but put into the table.
                    block[0] = 0x40;
                    block
                };
                let flags = flag::END_HEADERS | flag::END_STREAM;
                let first = [
                    vec![0x82, 0x86],
                    entry(":authority", "a"),
                    hpack::encode(&[(":path", "/a")]),
                    entry("x-a", "1"),
                ]
                .concat();
                // Indexes 63 and 62: the authority, and the field behind it.
                let second = [&[0x82, 0x86, 0xbf][..], &hpack::encode(&[(":path", "/b")]), &[0xbe]].concat();
                for block in [first, second] {
                    let stream = scene.client.next;
                    scene.client.next += 2;
                    scene.client.send(&Frame::new(kind::HEADERS, flags, stream, block));
                    scene.client.gets(stream, 200)?;
                }
                scene.client.serves()
            },
        ),
    ]
}
