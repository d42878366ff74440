//! Where the body of a request ends.

use crate::case::{Case, case, each};
use crate::stage::Area;

pub(crate) fn area() -> Area {
    Area::usual([
        lengths(),
        large_bodies(),
        wrong_lengths(),
        repeated_lengths(),
        codings(),
        wrong_codings(),
        both(),
        methods(),
    ])
}

/// RFC 9110 section 8.6 and RFC 9112 section 6.2: a length frames the body and goes on as it came.
fn lengths() -> Vec<Case> {
    vec![
        case("rfc9112_6_2_content_length_frames_the_body")
            .send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
            .forwards_body("POST /a HTTP/1.1\nHost: a\nContent-Length: 5", "hello")
            .gets(200)
            .body("ok"),
        case("rfc9110_8_6_content_length_of_zero")
            .send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            .forwards("POST /a HTTP/1.1\nHost: a\nContent-Length: 0")
            .gets(200),
        case("rfc9110_8_6_content_length_with_leading_zeros_goes_on_as_the_number_that_was_read")
            .send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0011\r\n\r\nhello world")
            .forwards_body("POST /a HTTP/1.1\nHost: a\nContent-Length: 11", "hello world")
            .gets(200),
        case("rfc9110_8_6_content_length_with_blanks_around")
            .send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: \t 5 \t\r\n\r\nhello")
            .forwards_body("POST /a HTTP/1.1\nHost: a\nContent-Length: 5", "hello")
            .gets(200),
        case("rfc9110_5_1_content_length_in_any_case")
            .send("POST /a HTTP/1.1\r\nHost: a\r\ncONTENT-lENGTH:5\r\n\r\nhello")
            .forwards_body("POST /a HTTP/1.1\nHost: a\nContent-Length: 5", "hello")
            .gets(200),
        case("rfc9112_6_3_no_framing_is_no_body")
            .send("POST /a HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards("POST /a HTTP/1.1\nHost: a")
            .gets(200),
        case("rfc9112_6_3_what_follows_a_body_is_the_next_request")
            .send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: b\r\n\r\n")
            .forwards_body("POST /a HTTP/1.1\nHost: a\nContent-Length: 5", "hello")
            .forwards("GET /b HTTP/1.1\nHost: b")
            .gets(200)
            .gets(200),
        case("rfc9112_6_3_what_looks_like_a_request_in_a_body_is_none")
            .send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards_body(
                "POST /a HTTP/1.1\nHost: a\nContent-Length: 35",
                "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
            )
            .gets(200),
        case("rfc9112_6_3_a_body_that_ends_early_is_never_complete")
            .send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
            .half_closes()
            .forwards_never_whole("POST /a HTTP/1.1\nHost: a\nContent-Length: 10")
            .gets(400)
            .or_nothing()
            .closed(),
        case("rfc9110_8_6_a_body_of_any_bytes")
            .send([&b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n"[..], b"\0\r\n\r\n\xff\x80\x7f"].concat())
            .forwards_body("POST /a HTTP/1.1\nHost: a\nContent-Length: 8", b"\0\r\n\r\n\xff\x80\x7f")
            .gets(200),
    ]
}

/// RFC 9112 section 6.3: what does not fit into one read or one write is the same as what does.
fn large_bodies() -> Vec<Case> {
    let body = "0123456789abcdef".repeat(20_000);
    vec![
        case("rfc9112_6_3_a_large_body_of_known_length")
            .send(format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
            .forwards_body(&format!("POST /a HTTP/1.1\nHost: a\nContent-Length: {}", body.len()), &body)
            .gets(200),
        case("rfc9112_6_3_a_large_body_in_one_chunk")
            .send(format!(
                "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            ))
            .forwards_body("POST /a HTTP/1.1\nHost: a\nTransfer-Encoding: chunked", &body)
            .gets(200),
        case("rfc9112_6_3_a_large_body_in_many_chunks")
            .send(format!(
                "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
                "10\r\n0123456789abcdef\r\n".repeat(20_000)
            ))
            .forwards_body("POST /a HTTP/1.1\nHost: a\nTransfer-Encoding: chunked", &body)
            .gets(200),
    ]
}

/// RFC 9110 section 8.6: `Content-Length = 1*DIGIT`, and nothing that has to be guessed at.
fn wrong_lengths() -> Vec<Case> {
    let rows = [
        ("with_a_plus", "+5"),
        ("with_a_minus", "-5"),
        ("that_is_empty", ""),
        ("in_hex", "0x5"),
        ("with_a_letter", "5a"),
        ("with_a_decimal_point", "5.0"),
        ("with_a_space_inside", "1 0"),
        ("that_is_a_word", "five"),
        ("beyond_signed_64_bits", "9223372036854775808"),
        ("beyond_unsigned_64_bits", "18446744073709551621"),
        ("of_twenty_digits", "00000000000000000005"),
        ("that_overflows_far", "99999999999999999999999999999999999999999"),
        ("that_is_quoted", "\"5\""),
        ("with_a_comma_before", ",5"),
        ("with_a_comma_behind", "5,"),
        ("as_a_list_of_equal_ones", "5, 5"),
        ("as_a_list_of_different_ones", "5, 6"),
        ("with_a_parameter", "5;a=b"),
        ("with_an_underscore", "0_5"),
        ("with_an_exponent", "5e0"),
    ];
    let wrong = each("rfc9110_8_6_content_length", &rows, |case, length| {
        case.send(format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nhello"))
            .refused(400)
    });
    let bytes: [(&str, &[u8]); 3] =
        [("with_a_nul", b"5\0"), ("with_a_vertical_tab", b"\x0b5"), ("in_other_digits", b"\xd9\xa5")];
    let odd = each("rfc9110_8_6_content_length", &bytes, |case, length| {
        let head = [b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: ", length, b"\r\n\r\nhello"].concat();
        case.send(head).refused(400)
    });
    [wrong, odd].concat()
}

/// RFC 9112 section 6.3: several lengths are an unrecoverable error; we don't take equal ones for one either.
fn repeated_lengths() -> Vec<Case> {
    let rows = [
        ("different", "Content-Length: 5\r\nContent-Length: 6"),
        ("equal", "Content-Length: 5\r\nContent-Length: 5"),
        ("in_different_case", "Content-Length: 5\r\ncontent-length: 6"),
        ("far_from_each_other", "Content-Length: 5\r\nA: b\r\nContent-Length: 0"),
        ("one_of_them_invalid", "Content-Length: 5\r\nContent-Length: x"),
        ("equal_but_for_a_zero", "Content-Length: 5\r\nContent-Length: 05"),
    ];
    each("rfc9112_6_3_two_content_lengths", &rows, |case, lines| {
        case.send(format!("POST /a HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\nhello")).refused(400)
    })
}

/// RFC 9112 section 6.1: `chunked` is the one coding that we undo.
fn codings() -> Vec<Case> {
    let rows = [
        ("as_it_is", "chunked"),
        ("in_capitals", "CHUNKED"),
        ("in_mixed_case", "cHuNkEd"),
        ("with_blanks_around", " \tchunked\t "),
    ];
    each("rfc9112_6_1_chunked", &rows, |case, coding| {
        case.send(format!(
            "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:{coding}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ))
        .forwards_body("POST /a HTTP/1.1\nHost: a\nTransfer-Encoding: chunked", "hello")
        .gets(200)
    })
}

/// RFC 9112 sections 6.1 and 6.3: a request whose last coding is not `chunked` has no end; one with a coding that we don't know is not for us.
fn wrong_codings() -> Vec<Case> {
    let chunked = |coding: &[u8]| {
        [b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:", coding, b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
            .concat()
    };
    let endless: [(&str, &[u8]); 22] = [
        ("that_is_not_chunked", b" gzip"),
        ("that_is_identity", b" identity"),
        ("that_is_empty", b""),
        ("that_is_a_comma", b" ,"),
        ("before_another_one", b" chunked, gzip"),
        ("before_identity", b" chunked, identity"),
        ("twice", b" chunked, chunked"),
        ("with_a_parameter", b" chunked;a=b"),
        ("with_an_empty_parameter", b" chunked;"),
        ("quoted", b" \"chunked\""),
        ("with_a_letter_before", b" xchunked"),
        ("with_a_letter_behind", b" chunkedx"),
        ("with_junk_behind_a_space", b" chunked x"),
        ("with_a_vertical_tab", b" \x0bchunked"),
        ("with_a_form_feed", b" \x0cchunked"),
        ("with_a_nul", b" chunked\0"),
        ("with_a_no_break_space", b" \xa0chunked"),
        ("with_a_soft_hyphen", b" chun\xadked"),
        ("with_a_comma_behind", b" chunked,"),
        ("with_a_comma_before", b" ,chunked"),
        ("in_two_fields", b" chunked\r\nTransfer-Encoding: chunked"),
        ("in_two_fields_with_another", b" chunked\r\nTransfer-Encoding: x"),
    ];
    let unknown: [(&str, &[u8]); 3] =
        [("gzip", b" gzip, chunked"), ("identity", b" identity, chunked"), ("made_up", b" sesame, chunked")];
    let mut cases = each("rfc9112_6_3_transfer_encoding", &endless, |case, coding| {
        case.send(chunked(coding)).refused(400)
    });
    cases.extend(each("rfc9112_6_1_unknown_coding", &unknown, |case, coding| {
        case.send(chunked(coding)).refused(501)
    }));
    cases.push(
        case("rfc9112_6_1_chunked_in_http_1_0")
            .send("POST /a HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .refused(400),
    );
    cases
}

/// RFC 9112 section 6.3: two framings are two meanings.
fn both() -> Vec<Case> {
    let rows = [
        ("length_first", "Content-Length: 5\r\nTransfer-Encoding: chunked"),
        ("coding_first", "Transfer-Encoding: chunked\r\nContent-Length: 5"),
        ("length_of_zero", "Content-Length: 0\r\nTransfer-Encoding: chunked"),
        ("in_lower_case", "content-length: 5\r\ntransfer-encoding: chunked"),
        ("unknown_coding", "Content-Length: 5\r\nTransfer-Encoding: x"),
        ("identity", "Content-Length: 5\r\nTransfer-Encoding: identity"),
        (
            "named_by_connection",
            "Connection: Transfer-Encoding\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        ),
    ];
    let mut cases = each("rfc9112_6_3_content_length_with_transfer_encoding", &rows, |case, lines| {
        case.send(format!("POST /a HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
            .refused(400)
    });
    cases.push(
        case("rfc9112_6_3_content_length_with_transfer_encoding_in_http_1_0")
            .send(
                "POST /a HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
            )
            .refused(400),
    );
    cases
}

/// RFC 9110 section 9.3: whatever the method, a body is a body where the framing says so.
fn methods() -> Vec<Case> {
    let rows = ["GET", "DELETE", "OPTIONS", "PUT", "PATCH", "PROPFIND"].map(|method| (method, method));
    let mut cases = each("rfc9110_9_3_length_of", &rows, |case, method| {
        case.send(format!("{method} /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"))
            .forwards_body(&format!("{method} /a HTTP/1.1\nHost: a\nContent-Length: 5"), "hello")
            .gets(200)
    });
    cases.extend(each("rfc9110_9_3_chunks_of", &rows[..2], |case, method| {
        case.send(format!(
            "{method} /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ))
        .forwards_body(&format!("{method} /a HTTP/1.1\nHost: a\nTransfer-Encoding: chunked"), "hello")
        .gets(200)
    }));
    cases.push(
        case("rfc9110_9_3_2_head_with_a_body")
            .send("HEAD /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
            .answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
            .forwards_body("HEAD /a HTTP/1.1\nHost: a\nContent-Length: 5", "hello")
            .gets(200)
            .bodiless(),
    );
    cases.push(
        case("rfc9110_9_3_8_trace_with_a_body")
            .send("TRACE /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
            .refused(400),
    );
    cases.push(
        case("rfc9110_9_3_8_trace_with_chunks")
            .send("TRACE /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .refused(400),
    );
    cases
}
