//! Known attacks: requests that two readers would end at different places.

use crate::case::{Case, case, each};
use crate::stage::Area;

pub(crate) fn area() -> Area {
    Area::usual([classics(), obfuscated_codings(), hidden_fields(), funny_chunks(), leftovers()])
}

/// RFC 9112 section 11.2: CL.TE and TE.CL.
fn classics() -> Vec<Case> {
    let rows = [
        (
            "cl_te",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nSMUGGLED",
        ),
        (
            "te_cl",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nSMUGGLED\r\n0\r\n\r\n",
        ),
        (
            "te_te",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n\r\n5c\r\n",
        ),
        ("cl_cl", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\nContent-Length: 7\r\n\r\n12345\r\na"),
        (
            "cl_te_of_a_get",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "cl_te_of_http_1_0",
            "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "cl_te_hidden_by_connection",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length, Transfer-Encoding\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "te_of_http_1_0_kept_alive",
            "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
    ];
    each("rfc9112_11_2", &rows, |case, request| case.send(request).refused(400))
}

/// RFC 9112 sections 6.1 and 11.2: every way to write a coding that one reader takes for chunked and another does not.
fn obfuscated_codings() -> Vec<Case> {
    let rows: [(&str, &[u8]); 30] = [
        ("xchunked", b"Transfer-Encoding: xchunked"),
        ("chunk", b"Transfer-Encoding: chunk"),
        ("ch_unked", b"Transfer-Encoding: ch-unked"),
        ("space_before_the_colon", b"Transfer-Encoding : chunked"),
        ("tab_before_the_colon", b"Transfer-Encoding\t: chunked"),
        ("vertical_tab_before_the_colon", b"Transfer-Encoding\x0b: chunked"),
        ("nul_before_the_colon", b"Transfer-Encoding\0: chunked"),
        ("cr_before_the_colon", b"Transfer-Encoding\r: chunked"),
        ("line_end_before_the_colon", b"Transfer-Encoding\r\n: chunked"),
        ("cr_in_the_name", b"Transfer\r-Encoding: chunked"),
        ("nul_in_the_name", b"Transfer\0-Encoding: chunked"),
        ("space_before_the_name", b" Transfer-Encoding: chunked"),
        ("tab_before_the_name", b"\tTransfer-Encoding: chunked"),
        ("cr_before_the_name", b"\rTransfer-Encoding: chunked"),
        ("obs_text_before_the_name", b"\xa0Transfer-Encoding: chunked"),
        ("vertical_tab_before_the_value", b"Transfer-Encoding: \x0bchunked"),
        ("cr_before_the_value", b"Transfer-Encoding: \rchunked"),
        ("lf_before_the_value", b"Transfer-Encoding:\n chunked"),
        ("fold_before_the_value", b"Transfer-Encoding:\r\n chunked"),
        ("nul_behind_the_value", b"Transfer-Encoding: chunked\0"),
        ("cr_behind_the_value", b"Transfer-Encoding: chunked\r"),
        ("byte_behind_the_value", b"Transfer-Encoding: chunked\xff"),
        ("behind_a_bare_lf", b"X: x\nTransfer-Encoding: chunked"),
        ("behind_a_bare_cr", b"X: x\rTransfer-Encoding: chunked"),
        ("in_quotes", b"Transfer-Encoding: 'chunked'"),
        ("in_double_quotes", b"Transfer-Encoding: \"chunked\""),
        ("behind_a_comma", b"Transfer-Encoding: , chunked"),
        ("of_two_words", b"Transfer-Encoding: chunked identity"),
        ("and_another_field", b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked"),
        ("with_a_semicolon", b"Transfer-Encoding: chunked; x"),
    ];
    let mut cases = Vec::new();
    for (what, line) in rows {
        for (beside, length) in [("alone", &b""[..]), ("beside_a_length", b"Content-Length: 5\r\n")] {
            cases.push(
                case(format!("rfc9112_11_2_te_{what}_{beside}"))
                    .send([b"POST / HTTP/1.1\r\nHost: a\r\n", length, line, b"\r\n\r\n0\r\n\r\n"].concat())
                    .refused(400),
            );
        }
    }
    cases
}

/// RFC 9110 section 5.1: what is only like a framing field frames nothing, and goes on as what it is.
fn hidden_fields() -> Vec<Case> {
    let rows = [
        "Transfer_Encoding: chunked",
        "X-Transfer-Encoding: chunked",
        "Transfer-Encoding-X: chunked",
        "Content_Length: 99",
        "Content-Lengths: 99",
    ];
    let mut cases = Vec::new();
    for line in rows {
        let name = line.split(':').next().unwrap_or_default().to_lowercase().replace('-', "_and_");
        cases.push(
            case(format!("rfc9110_5_1_like_a_framing_field_{name}"))
                .send(format!("POST / HTTP/1.1\r\nHost: a\r\n{line}\r\nContent-Length: 5\r\n\r\nhello"))
                .forwards_body(&format!("POST / HTTP/1.1\nHost: a\n{line}\nContent-Length: 5"), "hello")
                .gets(200),
        );
    }
    cases
}

/// RFC 9112 sections 7.1 and 7.1.1: chunks that readers end differently.
fn funny_chunks() -> Vec<Case> {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let rows = [
        ("term_ext", "1;\nxx\r\n0\r\n\r\n"),
        ("ext_term", "1;a\nx\r\n0\r\n\r\n"),
        ("spill", "5\r\nhelloxx0\r\n\r\n"),
        ("spill_of_a_space", "5\r\nhello \r\n0\r\n\r\n"),
        ("spill_of_a_line_end", "5\r\nhello\r\n\r\n0\r\n\r\n"),
        ("one_byte_for_a_line_end", "5\r\nhellox0\r\n\r\n"),
        ("cr_and_another_byte", "5\r\nhello\rx0\r\n\r\n"),
        ("size_of_two_lines", "1\n5\r\nhello\r\n0\r\n\r\n"),
        ("size_that_wraps_at_64_bits", "10000000000000000\r\nhello\r\n0\r\n\r\n"),
        ("comma_in_a_size", "0,5\r\nhello\r\n0\r\n\r\n"),
        ("negative_size", "-0\r\n\r\n"),
        ("last_chunk_with_a_space", "0 \r\n\r\n"),
        ("last_chunk_with_a_sign", "+0\r\n\r\n"),
        ("last_chunk_with_0x", "0x0\r\n\r\n"),
        ("length_in_a_bare_trailer", "0\r\nContent-Length: 5\n\r\n"),
    ];
    rows.iter()
        .map(|(what, body)| {
            case(format!("rfc9112_7_1_funny_chunks_{what}"))
                .send(format!("{head}{body}"))
                .forwards_never_whole("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked")
                .refused(400)
        })
        .collect()
}

/// RFC 9112 section 6.3: what is behind a body is a request of its own, and has to be one.
fn leftovers() -> Vec<Case> {
    let after = |name: &str, rest: &str| {
        case(name)
            .send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n{rest}"))
            .forwards("POST / HTTP/1.1\nHost: a\nContent-Length: 0")
            .gets(200)
            .refused(400)
    };
    vec![
        after("rfc9112_6_3_a_length_of_zero_and_a_last_chunk", "0\r\n\r\n"),
        after("rfc9112_6_3_a_length_of_zero_and_a_body", "a=b&c=d\r\n\r\n"),
        after("rfc9112_6_3_a_length_of_zero_and_json", "{\"a\": 1}"),
        case("rfc9112_6_3_a_get_with_a_length_and_a_request_in_it")
            .send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards_body(
                "GET / HTTP/1.1\nHost: a\nContent-Length: 35",
                "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
            )
            .gets(200),
        case("rfc9112_6_3_a_body_without_a_framing_is_a_request")
            .send("POST / HTTP/1.1\r\nHost: a\r\n\r\nhello=world&\r\n")
            .forwards("POST / HTTP/1.1\nHost: a")
            .gets(200)
            .refused(400),
    ]
}
