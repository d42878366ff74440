//! Backends of HTTP/2: what they are asked, what of their answers is passed on, and what is no answer.

use super::{GET, POST, and};
use crate::h2::answer::{End, field};
use crate::h2::backend::{Script, answer, head, last_head, reset};
use crate::h2::frame::{Code, Frame, flag, kind, setting};
use crate::h2::hpack;
use crate::h2::stage::{BackendCase, answered};

pub(crate) fn cases() -> Vec<BackendCase> {
    [requests(), answers(), malformed(), broken_off(), flow(), ended(), noise()]
        .into_iter()
        .flatten()
        .collect()
}

fn ok() -> Script {
    Script::new(|link, request| answer(link, request.stream, &[(":status", "200")], "ok"))
}

/// RFC 9113 section 8.3.1: what a backend is asked. That it is sound is judged for every case.
fn requests() -> Vec<BackendCase> {
    vec![
        answered("rfc9113_8_3_1_a_request_without_a_body", ok(), |client, backend| {
            let stream = client.request(&and(&GET, &[("x-a", "1"), ("cookie", "a=b"), ("cookie", "c=d")]));
            client.gets(stream, 200)?;
            let (heard, _) = backend.end();
            let [request] = &heard[..] else { return Err(format!("heard {heard:?}")) };
            let seen: Vec<Option<&str>> =
                [":method", ":scheme", ":authority", ":path", "x-a"].map(|name| request.field(name)).into();
            let wanted = ["GET", "http", "a", "/", "1"].map(Some);
            let cookies: Vec<&str> = request
                .head
                .iter()
                .filter(|(name, _)| name == "cookie")
                .map(|(_, value)| value.as_str())
                .collect();
            let is_right = seen == wanted
                && cookies.join("; ") == "a=b; c=d"
                && request.is_whole
                && request.body.is_empty();
            if is_right { Ok(()) } else { Err(format!("heard {request:?}")) }
        }),
        answered("rfc9113_8_1_a_request_with_a_body_and_trailers", ok(), |client, backend| {
            let stream = client.open(&and(&POST, &[("te", "trailers")]));
            client.data(stream, "hel");
            client.data(stream, "lo");
            client.trailers(stream, &[("x-t", "1")]);
            client.gets(stream, 200)?;
            let (heard, _) = backend.end();
            let [request] = &heard[..] else { return Err(format!("heard {heard:?}")) };
            let is_right = request.body == b"hello"
                && field(&request.trailers, "x-t") == Some("1")
                && request.field("te") == Some("trailers");
            if is_right { Ok(()) } else { Err(format!("heard {request:?}")) }
        }),
        answered("rfc9113_5_requests_share_a_connection", ok(), |client, backend| {
            for _ in 0..4 {
                let stream = client.request(&GET);
                client.gets(stream, 200)?;
            }
            let (heard, _) = backend.end();
            let is_one =
                heard.len() == 4 && heard.iter().all(|request| request.connection == heard[0].connection);
            if is_one { Ok(()) } else { Err(format!("heard {heard:?}")) }
        }),
    ]
}

/// RFC 9113 section 8.3.2 and RFC 9110: what is passed on.
fn answers() -> Vec<BackendCase> {
    let interim = Script::new(|link, request| {
        head(link, request.stream, &[(":status", "103"), ("link", "</a.css>")]);
        answer(link, request.stream, &[(":status", "200")], "ok");
    });
    let trailing = Script::new(|link, request| {
        head(link, request.stream, &[(":status", "200"), ("trailer", "x-t")]);
        link.send(&Frame::data(request.stream, flag::NONE, "hello"));
        last_head(link, request.stream, &[("x-t", "1")]);
    });
    let trailers_only = Script::new(|link, request| {
        let fields = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5")];
        last_head(link, request.stream, &fields);
    });
    vec![
        answered("rfc8297_2_early_hints_of_a_backend", interim, |client, _| {
            let stream = client.request(&GET);
            let answer = client.gets(stream, 200)?;
            let hints = answer.interim.first().map(Vec::as_slice).unwrap_or_default();
            if field(hints, "link") == Some("</a.css>") { Ok(()) } else { Err(format!("seen {answer:?}")) }
        }),
        answered("rfc9110_6_5_trailers_of_a_backend", trailing, |client, _| {
            let stream = client.request(&and(&GET, &[("te", "trailers")]));
            let answer = client.gets(stream, 200)?;
            let is_right = answer.body == b"hello" && answer.trailer("x-t") == Some("1");
            if is_right { Ok(()) } else { Err(format!("seen {answer:?}")) }
        }),
        answered("rfc9113_8_1_an_answer_that_is_its_head", trailers_only, |client, _| {
            let call = and(&POST, &[("content-type", "application/grpc"), ("te", "trailers")]);
            let stream = client.request(&call);
            let answer = client.gets(stream, 200)?;
            let is_right = answer.field("grpc-status") == Some("5") && answer.body.is_empty();
            if is_right { Ok(()) } else { Err(format!("seen {answer:?}")) }
        }),
        answered(
            "rfc9110_9_3_2_an_answer_of_a_backend_to_head",
            Script::new(|link, request| {
                last_head(link, request.stream, &[(":status", "200"), ("content-length", "5")]);
            }),
            |client, _| {
                let [_, rest @ ..] = GET;
                let stream = client.request(&and(&[(":method", "HEAD")], &rest));
                let answer = client.gets(stream, 200)?;
                if answer.field("content-length") == Some("5") {
                    Ok(())
                } else {
                    Err(format!("seen {answer:?}"))
                }
            },
        ),
    ]
}

/// RFC 9113 section 8.1.1: what is malformed is no answer, and never looks like a complete one.
fn malformed() -> Vec<BackendCase> {
    let rows: [(&str, &[(&str, &str)]); 16] = [
        ("8_3_2_no_status", &[("x-a", "1")]),
        ("8_3_2_two_statuses", &[(":status", "200"), (":status", "200")]),
        ("8_3_2_a_status_that_is_a_word", &[(":status", "ok")]),
        ("8_3_2_a_status_of_two_digits", &[(":status", "20")]),
        ("8_3_a_status_behind_a_field", &[("x-a", "1"), (":status", "200")]),
        ("8_3_an_unknown_pseudo_header", &[(":status", "200"), (":foo", "1")]),
        ("8_2_1_an_upper_case_name_of_a_backend", &[(":status", "200"), ("X-A", "1")]),
        ("8_2_1_a_line_in_a_value_of_a_backend", &[(":status", "200"), ("x-a", "1\r\nset-cookie: a=b")]),
        ("8_2_1_a_nul_in_a_value_of_a_backend", &[(":status", "200"), ("x-a", "1\0")]),
        ("8_2_1_a_value_that_begins_with_a_blank_of_a_backend", &[(":status", "200"), ("x-a", " 1")]),
        ("8_2_2_connection_of_a_backend", &[(":status", "200"), ("connection", "x-a")]),
        ("8_2_2_a_coding_of_a_backend", &[(":status", "200"), ("transfer-encoding", "chunked")]),
        ("8_2_2_upgrade_of_a_backend", &[(":status", "200"), ("upgrade", "h2c")]),
        (
            "8_1_1_two_lengths_of_a_backend",
            &[(":status", "200"), ("content-length", "2"), ("content-length", "3")],
        ),
        ("8_1_1_a_length_that_is_none_of_a_backend", &[(":status", "200"), ("content-length", "two")]),
        ("8_6_a_switch_of_a_backend", &[(":status", "101")]),
    ];
    rows.into_iter()
        .map(|(ending, fields)| {
            let script = Script::new(move |link, request| answer(link, request.stream, fields, "ok"));
            answered(format!("rfc9113_{ending}"), script, |client, _| {
                let stream = client.request(&GET);
                client.gets(stream, 502).map(drop)
            })
        })
        .collect()
}

/// RFC 9113 sections 8.1 and 8.1.1: answers that break off.
fn broken_off() -> Vec<BackendCase> {
    let breaks = |name: &str, script: Script| {
        answered(format!("rfc9113_{name}"), script, |client, _| {
            let stream = client.request(&GET);
            let answer = client.ended(stream)?;
            match (answer.end, answer.status()) {
                (Some(End::Whole), Some("502")) | (Some(End::Reset(_)), _) => Ok(()),
                _ => Err(format!("expected no complete answer, seen {answer:?}")),
            }
        })
    };
    let length: &[(&str, &str)] = &[(":status", "200"), ("content-length", "9")];
    vec![
        breaks(
            "8_1_1_fewer_bytes_than_a_backend_said",
            Script::new(|link, request| answer(link, request.stream, length, "hello")),
        ),
        breaks(
            "8_1_1_more_bytes_than_a_backend_said",
            Script::new(|link, request| answer(link, request.stream, length, "hello, world")),
        ),
        breaks(
            "8_1_a_backend_that_resets_before_its_head",
            Script::new(|link, request| reset(link, request.stream, Code(2))),
        ),
        breaks(
            "8_1_a_backend_that_resets_behind_its_head",
            Script::new(|link, request| {
                head(link, request.stream, &[(":status", "200")]);
                reset(link, request.stream, Code(2));
            }),
        ),
        breaks(
            "8_1_a_backend_that_resets_in_its_body",
            Script::new(|link, request| {
                head(link, request.stream, &[(":status", "200")]);
                link.send(&Frame::data(request.stream, flag::NONE, "hello"));
                reset(link, request.stream, Code::CANCEL);
            }),
        ),
    ]
}

/// RFC 9113 section 6.9: the windows of a backend.
fn flow() -> Vec<BackendCase> {
    let mut small = ok();
    small.settings = vec![(setting::INITIAL_WINDOW_SIZE, 10)];
    vec![answered("rfc9113_6_9_1_no_more_than_a_backend_allows", small, |client, backend| {
        // The connection that is there may have been greeted in another case: only a new one has the small window.
        let stream = client.open(&and(&POST, &[("content-length", "1000")]));
        client.last_data(stream, [b'x'; 1000]);
        client.gets(stream, 200)?;
        let (heard, _) = backend.end();
        if heard.len() == 1 && heard[0].body.len() == 1000 { Ok(()) } else { Err(format!("heard {heard:?}")) }
    })]
}

/// RFC 9113 sections 6.8 and 8.7: what a backend did not look at is asked elsewhere.
fn ended() -> Vec<BackendCase> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    // The first request of a case is turned away, and the ones behind it are answered.
    let once = |turn_away: fn(&mut crate::h2::link::Link, u32)| {
        let asked = AtomicUsize::new(0);
        Script::new(move |link, request| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => turn_away(link, request.stream),
            _ => answer(link, request.stream, &[(":status", "200")], "ok"),
        })
    };
    let tried_again = |name: &str, script: Script| {
        answered(name, script, |client, backend| {
            let stream = client.open(&and(&POST, &[("content-length", "5")]));
            client.last_data(stream, "hello");
            client.gets(stream, 200)?;
            let (heard, _) = backend.end();
            let is_right = heard.len() == 2 && heard.iter().all(|request| request.body == b"hello");
            if is_right { Ok(()) } else { Err(format!("heard {heard:?}")) }
        })
    };
    vec![
        tried_again(
            "rfc9113_8_7_a_refused_stream_is_tried_again",
            once(|link, stream| reset(link, stream, Code::REFUSED_STREAM)),
        ),
        tried_again(
            "rfc9113_6_8_a_request_above_the_last_stream_is_tried_again",
            once(|link, stream| link.send(&Frame::goaway(stream - 2, Code::NO_ERROR))),
        ),
        answered(
            "rfc9113_6_8_a_backend_that_goes_away_is_asked_over_another_connection",
            Script::new(|link, request| {
                link.send(&Frame::goaway(request.stream, Code::NO_ERROR));
                answer(link, request.stream, &[(":status", "200")], "ok");
            }),
            |client, backend| {
                for _ in 0..2 {
                    let stream = client.request(&GET);
                    client.gets(stream, 200)?;
                }
                let (heard, _) = backend.end();
                let is_right = heard.len() == 2 && heard[0].connection != heard[1].connection;
                if is_right { Ok(()) } else { Err(format!("heard {heard:?}")) }
            },
        ),
        answered(
            "rfc9113_8_1_a_backend_that_needs_no_more_of_a_request",
            Script {
                is_early: true,
                ..Script::new(|link, request| {
                    answer(link, request.stream, &[(":status", "413")], "no");
                    reset(link, request.stream, Code::NO_ERROR);
                })
            },
            |client, _| {
                let stream = client.open(&POST);
                client.data(stream, "hello");
                let answer = client.ended(stream)?;
                if answer.status() == Some("413") && answer.body == b"no" {
                    Ok(())
                } else {
                    Err(format!("seen {answer:?}"))
                }
            },
        ),
    ]
}

/// RFC 9113 sections 4.1, 5.5 and 6.7: frames around an answer that are none of it.
fn noise() -> Vec<BackendCase> {
    let noisy = Script::new(|link, request| {
        link.send(&Frame::new(0xfa, 0xff, request.stream, "hello"));
        link.send(&Frame::ping(*b"12345678"));
        link.send(&Frame::new(kind::PRIORITY, 0, request.stream, [0, 0, 0, 3, 15]));
        link.send(&Frame::settings(&[(0xfafa, 7)]));
        link.send(&Frame::window_update(0, 1));
        let flags = flag::END_HEADERS | flag::PADDED;
        let block = hpack::encode(&[(":status", "200")]);
        link.send(&Frame::new(kind::HEADERS, flags, request.stream, [&[1], &block[..], &[0]].concat()));
        link.send(&Frame::data(request.stream, flag::PADDED, b"\x02ok\0\0"));
        link.send(&Frame::data(request.stream, flag::NONE, ""));
        link.send(&Frame::data(request.stream, flag::END_STREAM, ""));
    });
    vec![answered("rfc9113_5_5_frames_that_are_no_part_of_an_answer", noisy, |client, _| {
        let stream = client.request(&GET);
        let answer = client.gets(stream, 200)?;
        if answer.body == b"ok" { Ok(()) } else { Err(format!("seen {answer:?}")) }
    })]
}
