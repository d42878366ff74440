//! Whole exchanges: what an answer of HTTP/1.1 becomes, what comes before it, and what of it is left out.

use super::{GET, POST, and};
use crate::case::{Case, case, say};
use crate::h2::answer::{Answer, field};
use crate::h2::frame::Code;
use crate::h2::stage::{Area, H2Case, plays};
use crate::upstream::Act;

pub(crate) fn area() -> Area {
    Area::usual([answers(), bodiless(), interim(), trailers(), broken(), own(), calls()])
}

/// A plain request that gets `answer` from the upstream, and what the client must see.
fn get(
    name: &str,
    answer: &str,
    judge: impl Fn(&Answer) -> Result<(), &'static str> + Send + Sync + 'static,
) -> H2Case {
    asks(case(name).forwards("GET / HTTP/1.1\nHost: a").answering(answer), "GET", judge)
}

fn asks(
    case: Case,
    method: &'static str,
    judge: impl Fn(&Answer) -> Result<(), &'static str> + Send + Sync + 'static,
) -> H2Case {
    plays(case, move |scene| {
        let [_, rest @ ..] = GET;
        let stream = scene.client.request(&and(&[(":method", method)], &rest));
        let answer = scene.client.ended(stream)?;
        judge(&answer).map_err(|wanted| format!("expected {wanted}, seen {answer:?}"))?;
        scene.client.serves()
    })
}

fn is(condition: bool, wanted: &'static str) -> Result<(), &'static str> {
    if condition { Ok(()) } else { Err(wanted) }
}

/// RFC 9113 section 8.3.2 and 8.2.2: heads of answers.
fn answers() -> Vec<H2Case> {
    vec![
        get(
            "rfc9113_8_3_2_a_status_and_nothing_else",
            "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok",
            |answer| is(answer.status() == Some("200") && answer.body == b"ok", "200 with the body"),
        ),
        get(
            "rfc9113_8_3_2_a_status_that_nobody_knows",
            "HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n",
            |answer| is(answer.status() == Some("599") && answer.body.is_empty(), "599"),
        ),
        get(
            "rfc9113_8_2_names_in_lower_case",
            "HTTP/1.1 200 OK\r\nX-UPPER: Value\r\nContent-Length: 0\r\n\r\n",
            |answer| is(answer.field("x-upper") == Some("Value"), "x-upper: Value"),
        ),
        get(
            "rfc9113_8_2_2_nothing_about_the_connection",
            "HTTP/1.1 200 OK\r\nConnection: X-A, close\r\nKeep-Alive: timeout=5\r\nX-A: 1\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n",
            |answer| is(answer.field("x-a").is_none() && answer.field("x-b") == Some("2"), "x-b alone"),
        ),
        get(
            "rfc9113_8_2_2_no_coding_of_a_chunked_body",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            |answer| is(answer.body == b"hello" && answer.field("content-length").is_none(), "hello"),
        ),
        get(
            "rfc9113_8_1_a_body_that_ends_with_its_connection",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
            |answer| is(answer.body == b"hello", "hello"),
        ),
        get(
            "rfc9110_5_3_fields_of_one_name_stay_apart",
            "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n",
            |answer| {
                let cookies = answer.head.iter().filter(|(name, _)| name == "set-cookie");
                let values: Vec<&str> = cookies.map(|(_, value)| value.as_str()).collect();
                is(values.starts_with(&["a=b", "c=d"]), "both cookies")
            },
        ),
    ]
}

/// RFC 9110 section 9.3.2, 15.3.5 and 15.4.5: answers that have no body whatever their fields say.
fn bodiless() -> Vec<H2Case> {
    vec![
        asks(
            case("rfc9110_9_3_2_an_answer_to_head")
                .forwards("HEAD / HTTP/1.1\nHost: a")
                .answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
            "HEAD",
            |answer| {
                is(
                    answer.body.is_empty() && answer.field("content-length") == Some("5"),
                    "a length and no body",
                )
            },
        ),
        get("rfc9110_15_3_5_no_content", "HTTP/1.1 204 No Content\r\n\r\n", |answer| {
            is(answer.status() == Some("204") && answer.body.is_empty(), "204 without a body")
        }),
        get(
            "rfc9110_15_4_5_not_modified",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n",
            |answer| is(answer.status() == Some("304") && answer.body.is_empty(), "304 without a body"),
        ),
    ]
}

/// RFC 9110 section 15.2 and RFC 8297: what comes before an answer.
fn interim() -> Vec<H2Case> {
    vec![
        get(
            "rfc8297_2_early_hints",
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            |answer| {
                let hints = answer.interim.first().map(Vec::as_slice).unwrap_or_default();
                let is_hinted =
                    field(hints, ":status") == Some("103") && field(hints, "link") == Some("</a.css>");
                is(is_hinted && answer.body == b"ok", "103 before 200")
            },
        ),
        get(
            "rfc9110_15_2_several_of_them",
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            |answer| is(answer.interim.len() == 2 && answer.status() == Some("200"), "both before 200"),
        ),
        get(
            "rfc9113_8_6_101_is_not_of_http2",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            |answer| is(answer.status() == Some("502"), "502"),
        ),
        plays(
            case("rfc9110_10_1_1_an_expectation_is_met")
                .forwards_body("POST / HTTP/1.1\nHost: a\nContent-Length: 2\nExpect: 100-continue", "ok")
                .upstream([
                    say("HTTP/1.1 100 Continue\r\n\r\n"),
                    Act::Body,
                    say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
                ]),
            |scene| {
                let fields = and(&POST, &[("content-length", "2"), ("expect", "100-continue")]);
                let stream = scene.client.open(&fields);
                scene.client.until("100", |client| !client.so_far(stream).interim.is_empty())?;
                scene.client.last_data(stream, "ok");
                scene.client.gets(stream, 200).map(drop)
            },
        ),
    ]
}

/// RFC 9110 section 6.5: trailers of an answer.
fn trailers() -> Vec<H2Case> {
    let chunked =
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n";
    vec![
        asks_for_trailers(
            "rfc9110_6_5_trailers_of_an_answer",
            &format!("{chunked}X-Sum: 7\r\n\r\n"),
            |answer| is(answer.body == b"hello" && answer.trailer("x-sum") == Some("7"), "the trailer"),
        ),
        asks_for_trailers(
            "rfc9110_6_5_1_no_framing_in_trailers",
            &format!("{chunked}X-Sum: 7\r\nContent-Length: 5\r\n\r\n"),
            |answer| is(answer.trailer("content-length").is_none(), "no length behind the body"),
        ),
    ]
}

fn asks_for_trailers(
    name: &str,
    answer: &str,
    judge: impl Fn(&Answer) -> Result<(), &'static str> + Send + Sync + 'static,
) -> H2Case {
    let head = "GET / HTTP/1.1\nHost: a\nTE: trailers\nConnection: te";
    plays(case(name).forwards(head).answering(answer), move |scene| {
        let stream = scene.client.request(&and(&GET, &[("te", "trailers")]));
        let answer = scene.client.ended(stream)?;
        judge(&answer).map_err(|wanted| format!("expected {wanted}, seen {answer:?}"))
    })
}

/// RFC 9113 section 8.1: an answer that breaks off is never taken for complete.
fn broken() -> Vec<H2Case> {
    let breaks = |ending: &str, said: &'static str, end: Act| {
        let is_reset = matches!(end, Act::Reset);
        let case = case(format!("rfc9113_8_1_{ending}")).forwards("GET / HTTP/1.1\nHost: a").upstream([
            Act::Body,
            say(said),
            end,
        ]);
        plays(case, move |scene| {
            let stream = scene.client.request(&GET);
            scene.client.until("an end", |client| client.so_far(stream).end.is_some())?;
            // A reset takes with it what was not read yet (RFC 9293 section 3.10.7.4): then there was no answer.
            if !is_reset || scene.client.so_far(stream).status() != Some("502") {
                let any = [Code(2), Code::PROTOCOL_ERROR, Code::CANCEL];
                scene.client.is_reset(stream, &any)?;
            }
            scene.client.serves()
        })
    };
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    vec![
        breaks("a_length_that_is_not_reached", length, Act::Close),
        breaks("a_length_and_a_reset", length, Act::Reset),
        breaks("chunks_without_an_end", chunks, Act::Close),
        breaks(
            "chunks_that_are_none",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            Act::Close,
        ),
        plays(
            case("rfc9113_8_1_an_answer_before_the_end_of_its_request")
                .forwards_begun("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked")
                .upstream([
                    say("HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"),
                    Act::Close,
                ]),
            |scene| {
                let stream = scene.client.open(&POST);
                scene.client.data(stream, "hello");
                scene.client.until("413", |client| client.so_far(stream).end.is_some())?;
                let answer = scene.client.so_far(stream);
                if answer.status() != Some("413") || answer.body != b"no" {
                    return Err(format!("expected 413, seen {answer:?}"));
                }
                scene.client.serves()
            },
        ),
    ]
}

/// Answers of our own are whole messages of HTTP/2.
fn own() -> Vec<H2Case> {
    vec![plays(
        case("rfc9110_15_6_3_a_backend_that_says_nothing")
            .forwards("POST / HTTP/1.1\nHost: a\nContent-Length: 0")
            .upstream([Act::Body, Act::Close]),
        |scene| {
            let stream = scene.client.request(&and(&POST, &[("content-length", "0")]));
            let answer = scene.client.gets(stream, 502)?;
            if answer.field("content-type") != Some("application/problem+json") || answer.body.is_empty() {
                return Err(format!("expected a problem, seen {answer:?}"));
            }
            scene.client.serves()
        },
    )]
}

/// Calls of gRPC learn of our own errors by a `grpc-status` in the only header block of the answer.
fn calls() -> Vec<H2Case> {
    let call = |ending: &str, content_type: &'static str, is_call: bool| {
        let case = case(format!("rfc9113_8_1_{ending}"))
            .forwards(&format!("POST / HTTP/1.1\nHost: a\nContent-Length: 0\nContent-Type: {content_type}\nTE: trailers\nConnection: te"))
            .upstream([Act::Body, Act::Close]);
        plays(case, move |scene| {
            let fields =
                and(&POST, &[("content-length", "0"), ("content-type", content_type), ("te", "trailers")]);
            let stream = scene.client.request(&fields);
            let answer = scene.client.ended(stream)?;
            let status = answer.field("grpc-status");
            let is_right = match is_call {
                // 14: unavailable, which callers may try again.
                true => {
                    answer.status() == Some("200")
                        && status == Some("14")
                        && answer.body.is_empty()
                        && answer.trailers.is_none()
                }
                false => answer.status() == Some("502") && status.is_none(),
            };
            if is_right {
                scene.client.serves()
            } else {
                Err(format!("expected an error as {content_type} has it, seen {answer:?}"))
            }
        })
    };
    vec![
        call("an_error_for_a_call", "application/grpc", true),
        call("an_error_for_a_call_with_a_codec", "application/grpc+proto", true),
        call("an_error_for_a_browsers_call", "application/grpc-web", false),
        call("an_error_for_others", "application/json", false),
    ]
}
