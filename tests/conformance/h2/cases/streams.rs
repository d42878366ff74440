//! Streams: how many, in which order, and what may come when they are over.

use super::{GET, POST, and};
use crate::case::{Case, case};
use crate::h2::frame::{Code, Frame, flag, kind};
use crate::h2::hpack;
use crate::h2::stage::{Area, H2Case, plays};
use crate::proxy::Config;
use crate::upstream::Act;

pub(crate) fn area() -> Area {
    let config = Config { global: "limits.h2_max_concurrent_streams = 4", ..Config::default() };
    Area::with(config, [identifiers(), states(), many(), cancelled()])
}

/// RFC 9113 section 5.1.1: numbers of streams.
fn identifiers() -> Vec<H2Case> {
    vec![
        plays(
            case("rfc9113_5_1_1_a_stream_below_the_last_one").forwards("GET / HTTP/1.1\nHost: a"),
            |scene| {
                scene.client.next = 5;
                let stream = scene.client.request(&GET);
                scene.client.gets(stream, 200)?;
                scene.client.next = 3;
                scene.client.request(&and(&GET, &[("x-late", "1")]));
                scene.client.goes_away(&[Code::PROTOCOL_ERROR, Code::STREAM_CLOSED]).map(drop)
            },
        ),
        plays(case("rfc9113_5_1_1_streams_that_are_skipped").forwards("GET / HTTP/1.1\nHost: a"), |scene| {
            scene.client.next = 1001;
            let stream = scene.client.request(&GET);
            scene.client.gets(stream, 200)?;
            scene.client.serves()
        }),
        plays(case("rfc9113_5_1_1_a_stream_twice").forwards("GET / HTTP/1.1\nHost: a"), |scene| {
            let stream = scene.client.request(&GET);
            scene.client.gets(stream, 200)?;
            scene.client.next = stream;
            scene.client.request(&and(&GET, &[("x-late", "1")]));
            scene.client.goes_away(&[Code::PROTOCOL_ERROR, Code::STREAM_CLOSED]).map(drop)
        }),
    ]
}

/// RFC 9113 section 5.1: what may come on a stream whose request is over.
fn states() -> Vec<H2Case> {
    let waits = |name: &str| {
        let script =
            [Act::Body, Act::OnCue, crate::case::say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")];
        case(name).forwards("GET / HTTP/1.1\nHost: a").upstream(script)
    };
    let late = |name: &str, frame: fn(u32) -> Frame| {
        plays(waits(name), move |scene| {
            let stream = scene.client.request(&GET);
            scene.upstream.wait_for_requests(1)?;
            scene.client.send(&frame(stream));
            let outcome = match scene.client.ended(stream) {
                // An error of the stream or of the connection, as section 5.1 leaves open.
                Ok(answer) if answer.end == Some(crate::h2::answer::End::Reset(Code::STREAM_CLOSED)) => {
                    Ok(())
                }
                Ok(answer) => Err(format!("expected the end of the stream, seen {answer:?}")),
                Err(_) => scene.client.goes_away(&[Code::STREAM_CLOSED, Code::PROTOCOL_ERROR]).map(drop),
            };
            scene.upstream.cue();
            outcome
        })
    };
    vec![
        late("rfc9113_5_1_data_after_the_end", |stream| Frame::data(stream, flag::NONE, "x")),
        late("rfc9113_5_1_a_head_after_the_end", |stream| {
            Frame::new(
                kind::HEADERS,
                flag::END_HEADERS | flag::END_STREAM,
                stream,
                hpack::encode(&[("x-t", "1")]),
            )
        }),
        plays(waits("rfc9113_5_1_a_window_after_the_end"), |scene| {
            let stream = scene.client.request(&GET);
            scene.upstream.wait_for_requests(1)?;
            scene.client.send(&Frame::window_update(stream, 10));
            scene.upstream.cue();
            scene.client.gets(stream, 200)?;
            scene.client.send(&Frame::window_update(stream, 10));
            scene.client.send(&Frame::reset(stream, Code::CANCEL));
            scene.client.serves()
        }),
    ]
}

/// RFC 9113 section 5.1.2: as many at a time as the proxy said, and no more.
fn many() -> Vec<H2Case> {
    let waiting = |case: Case| {
        case.forwards("GET / HTTP/1.1\nHost: a").upstream([
            Act::Body,
            Act::OnCue,
            crate::case::say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ])
    };
    let four = |name: &str| (0..4).fold(case(name), |case, _| waiting(case));
    vec![
        plays(four("rfc9113_5_1_2_more_streams_than_allowed"), |scene| {
            let streams: Vec<u32> = (0..4).map(|_| scene.client.request(&GET)).collect();
            scene.upstream.wait_for_requests(4)?;
            let more = scene.client.request(&and(&GET, &[("x-more", "1")]));
            scene.client.is_reset(more, &[Code::REFUSED_STREAM])?;
            streams.iter().for_each(|_| scene.upstream.cue());
            for stream in streams {
                scene.client.gets(stream, 200)?;
            }
            scene.client.serves()
        }),
        plays(
            (0..8).fold(case("rfc9113_5_answers_in_any_order"), |case, _| {
                case.forwards("GET / HTTP/1.1\nHost: a")
            }),
            |scene| {
                for _ in 0..2 {
                    let streams: Vec<u32> = (0..4).map(|_| scene.client.request(&GET)).collect();
                    for stream in streams.into_iter().rev() {
                        scene.client.gets(stream, 200)?;
                    }
                }
                scene.client.serves()
            },
        ),
    ]
}

/// RFC 9113 section 6.4: a client that gives up.
fn cancelled() -> Vec<H2Case> {
    vec![
        plays(
            case("rfc9113_6_4_a_reset_ends_the_request_upstream")
                .forwards_begun("GET / HTTP/1.1\nHost: a")
                .upstream([Act::Cue, Act::Gone]),
            |scene| {
                let stream = scene.client.request(&GET);
                scene.upstream.wait_for_cue()?;
                scene.client.send(&Frame::reset(stream, Code::CANCEL));
                scene.client.serves()
            },
        ),
        plays(
            case("rfc9113_6_4_a_reset_ends_a_body")
                .forwards_never_whole("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked"),
            |scene| {
                let stream = scene.client.open(&POST);
                scene.client.data(stream, "hello");
                scene.upstream.wait_for_requests(1)?;
                scene.client.send(&Frame::reset(stream, Code::CANCEL));
                scene.client.serves()
            },
        ),
    ]
}
