//! Flow control: the proxy sends no byte more than the client allows, and is ready for every way in which a client can allow too much.

use super::{GET, POST};
use crate::case::{Case, case, say};
use crate::h2::client::Client;
use crate::h2::frame::{Code, Frame, flag, setting};
use crate::h2::stage::{Area, H2Case, plays};
use crate::upstream::Act;

pub(crate) fn area() -> Area {
    Area::usual([obeyed(), shared(), wrong(), uploads()])
}

const HUNDRED: usize = 100;

/// A request for a hundred bytes.
fn hundred(name: &str) -> Case {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {HUNDRED}\r\n\r\n{}", "x".repeat(HUNDRED));
    case(name).forwards("GET / HTTP/1.1\nHost: a").answering(answer)
}

/// Waits until exactly so much of a body has come, and no more comes by itself.
fn has(client: &mut Client, stream: u32, length: usize) -> Result<(), String> {
    client.until(&format!("{length} bytes"), |client| client.so_far(stream).body.len() >= length)?;
    client.sync()?;
    client.sync()?;
    match client.so_far(stream).body.len() {
        seen if seen == length => Ok(()),
        seen => Err(format!("expected {length} bytes, seen {seen}")),
    }
}

/// RFC 9113 section 6.9.1 and 6.9.2: windows of streams.
fn obeyed() -> Vec<H2Case> {
    vec![
        plays(hundred("rfc9113_6_9_1_no_more_than_the_window"), |scene| {
            let mut client = scene.client_with(&[(setting::INITIAL_WINDOW_SIZE, 10)])?;
            client.is_refilling = false;
            let stream = client.request(&GET);
            has(&mut client, stream, 10)?;
            client.send(&Frame::window_update(stream, 1));
            has(&mut client, stream, 11)?;
            client.send(&Frame::window_update(stream, 1000));
            client.gets(stream, 200)?;
            client.serves()
        }),
        plays(hundred("rfc9113_6_9_2_a_window_that_is_none"), |scene| {
            let mut client = scene.client_with(&[(setting::INITIAL_WINDOW_SIZE, 0)])?;
            client.is_refilling = false;
            let stream = client.request(&GET);
            client.until("the head", |client| !client.so_far(stream).head.is_empty())?;
            has(&mut client, stream, 0)?;
            client.send(&Frame::window_update(stream, 100));
            client.gets(stream, 200).map(drop)
        }),
        plays(hundred("rfc9113_6_9_2_settings_change_open_windows"), |scene| {
            let mut client = scene.client_with(&[(setting::INITIAL_WINDOW_SIZE, 10)])?;
            client.is_refilling = false;
            let stream = client.request(&GET);
            has(&mut client, stream, 10)?;
            client.send(&Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 30)]));
            has(&mut client, stream, 30)?;
            // Below what was sent already: the window is negative until that is made up for.
            client.send(&Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 5)]));
            client.send(&Frame::window_update(stream, 20));
            has(&mut client, stream, 30)?;
            client.send(&Frame::window_update(stream, 6));
            has(&mut client, stream, 31)?;
            client.send(&Frame::window_update(stream, 100));
            client.gets(stream, 200)?;
            Ok(())
        }),
    ]
}

/// RFC 9113 section 6.9.1: the window of the connection, and a stream whose client takes nothing.
fn shared() -> Vec<H2Case> {
    const LARGE: usize = 100_000;
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n{}", "x".repeat(LARGE));
    vec![
        plays(
            case("rfc9113_6_9_1_no_more_than_the_connections_window")
                .forwards("GET / HTTP/1.1\nHost: a")
                .answering(&large)
                .whole_only(),
            |scene| {
                let mut client = scene.client_with(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)])?;
                client.is_refilling = false;
                let stream = client.request(&GET);
                has(&mut client, stream, 65_535)?;
                client.send(&Frame::window_update(0, 5));
                has(&mut client, stream, 65_540)?;
                client.send(&Frame::window_update(0, 1 << 20));
                client.gets(stream, 200)?;
                client.serves()
            },
        ),
        plays(
            case("rfc9113_5_2_one_slow_stream_does_not_stop_others")
                .forwards("GET / HTTP/1.1\nHost: a")
                .answering(&large)
                .whole_only(),
            |scene| {
                let mut client = scene.client_with(&[(setting::INITIAL_WINDOW_SIZE, 10)])?;
                client.is_refilling = false;
                let slow = client.request(&GET);
                has(&mut client, slow, 10)?;
                client.serves()?;
                client.serves()?;
                client.is_refilling = true;
                client.send(&Frame::window_update(slow, 10));
                client.gets(slow, 200).map(drop)
            },
        ),
    ]
}

/// RFC 9113 section 6.9 and 6.9.1: updates that can't be.
fn wrong() -> Vec<H2Case> {
    let begun = |name: &str| {
        case(name)
            .forwards_begun("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked")
            .upstream([Act::Gone])
    };
    let stream_ends = |name: &str, more: u32, codes: &'static [Code]| {
        plays(begun(name), move |scene| {
            let stream = scene.client.open(&POST);
            scene.upstream.wait_for_requests(1)?;
            scene.client.send(&Frame::window_update(stream, more));
            scene.client.is_reset(stream, codes)?;
            scene.client.serves()
        })
    };
    let connection_ends = |name: &str, more: u32, codes: &'static [Code]| {
        plays(case(name), move |scene| {
            scene.client.send(&Frame::window_update(0, more));
            scene.client.goes_away(codes).map(drop)
        })
    };
    vec![
        connection_ends("rfc9113_6_9_nothing_more_for_the_connection", 0, &[Code::PROTOCOL_ERROR]),
        connection_ends(
            "rfc9113_6_9_1_too_much_for_the_connection",
            (1 << 31) - 1,
            &[Code::FLOW_CONTROL_ERROR],
        ),
        stream_ends("rfc9113_6_9_1_too_much_for_a_stream", (1 << 31) - 1, &[Code::FLOW_CONTROL_ERROR]),
    ]
}

/// RFC 9113 section 6.9: what the proxy allows the client.
fn uploads() -> Vec<H2Case> {
    vec![
        plays(
            case("rfc9113_6_9_a_large_body_is_let_through")
                .forwards_body("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked", vec![b'x'; 3 << 20])
                .whole_only(),
            |scene| {
                let stream = scene.client.open(&POST);
                scene.client.upload(stream, 3 << 20)?;
                scene.client.gets(stream, 200)?;
                scene.client.serves()
            },
        ),
        plays(
            case("rfc9113_6_9_1_a_client_that_sends_more_than_it_may")
                .forwards_begun("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked")
                .upstream([
                    Act::OnCue,
                    say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
                    Act::Close,
                ])
                .whole_only(),
            |scene| {
                let stream = scene.client.open(&POST);
                scene.upstream.wait_for_requests(1)?;
                // The upstream reads nothing, so the windows close in the end.
                for _ in 0..1024 {
                    scene.client.send(&Frame::data(stream, flag::NONE, [b'x'; 16 << 10]));
                }
                // Of the stream or of the connection, whichever window was looked at first.
                let ended = scene.client.is_cut_off(stream, &[Code::FLOW_CONTROL_ERROR]);
                scene.upstream.cue();
                ended
            },
        ),
    ]
}
