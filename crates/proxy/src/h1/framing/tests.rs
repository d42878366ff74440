//! Tests of where bodies end.

use proptest::prelude::*;

use super::*;

const V10: Version = Version::HTTP_10;
const V11: Version = Version::HTTP_11;

fn framed(version: Version, pairs: &[(&str, &str)]) -> Result<Framing, FramingError> {
    request(version, &pairs.iter().copied().collect())
}

fn length(value: &str) -> Result<Framing, FramingError> {
    framed(V11, &[("content-length", value)])
}

fn coding(value: &str) -> Result<Framing, FramingError> {
    framed(V11, &[("Transfer-Encoding", value)])
}

fn answered(method: &Method, status: u16, pairs: &[(&str, &str)]) -> Result<Framing, FramingError> {
    let status = StatusCode::from_u16(status).unwrap();
    response(method, status, V11, &pairs.iter().copied().collect())
}

#[test]
fn rfc9112_6_1_a_single_chunked_is_the_only_coding() {
    for value in ["chunked", "Chunked", "CHUNKED"] {
        assert_eq!(coding(value), Ok(Framing::Chunked));
    }
    let broken = [
        "",
        "gzip",
        "identity",
        "chunked, gzip",
        "chunked, chunked",
        "gzip, chunked, chunked",
        "chunked, gzip, chunked",
        "chunked,",
        ",chunked",
        "gzip,,chunked",
        "chunked;a=b",
        "gzip;q=1, chunked",
        "gzip chunked",
        "xchunked",
        "chunkedx",
        "chunked chunked",
        "\"chunked\"",
        "chunk\u{e9}d",
        "g\u{e9}zip, chunked",
        "a b, chunked",
        ", chunked",
        "chunke",
        "chun\tked",
    ];
    for value in broken {
        assert_eq!(coding(value), Err(FramingError::NotChunked), "{value:?}");
    }
}

#[test]
fn rfc9112_6_1_an_unknown_coding_before_a_final_chunked_is_told_apart() {
    for value in ["gzip, chunked", "gzip,Chunked", "a,b\t, chunked", "identity, chunked", "x-~!, chunked"] {
        assert_eq!(coding(value), Err(FramingError::UnknownCoding), "{value:?}");
    }
}

#[test]
fn rfc9112_6_1_two_lines_of_codings_are_refused() {
    for (first, second) in [("chunked", "chunked"), ("gzip", "chunked"), ("chunked", ""), ("", "chunked")] {
        let lines = [("transfer-encoding", first), ("Transfer-Encoding", second)];
        assert_eq!(framed(V11, &lines), Err(FramingError::RepeatedCoding));
    }
}

#[test]
fn rfc9112_6_1_http_1_0_has_no_transfer_codings() {
    assert_eq!(framed(V10, &[("transfer-encoding", "chunked")]), Err(FramingError::CodingInHttp10));
    assert_eq!(framed(V10, &[("content-length", "3")]), Ok(Framing::Length(3)));
}

#[test]
fn rfc9112_6_1_a_length_and_a_coding_are_refused() {
    for version in [V10, V11] {
        for (length, coding) in
            [("5", "chunked"), ("0", "chunked"), ("5", "gzip, chunked"), ("x", ""), ("", "identity")]
        {
            let lines = [("Transfer-Encoding", coding), ("Content-Length", length)];
            assert_eq!(framed(version, &lines), Err(FramingError::LengthAndCoding));
        }
    }
}

#[test]
fn rfc9112_6_2_a_length_is_digits_only() {
    for (value, bytes) in [("0", 0), ("5", 5), ("0005", 5), ("9223372036854775807", LENGTH_MAX)] {
        assert_eq!(length(value), Ok(Framing::Length(bytes)));
    }
    for value in ["", "+5", "-5", "5 5", "0x5", "5a", "5.0", "1e3", "5;", "\u{0661}", "5\t", "_1", "1_000"] {
        assert_eq!(length(value), Err(FramingError::BadLength), "{value:?}");
    }
}

#[test]
fn rfc9112_6_3_5_a_repeated_length_is_refused_though_equal() {
    for value in ["5, 5", "5,5", "5,", ",5", "5, 6", ","] {
        assert_eq!(length(value), Err(FramingError::RepeatedLength), "{value:?}");
    }
    for (first, second) in [("5", "5"), ("5", "6"), ("", "5"), ("5", "x")] {
        let lines = [("content-length", first), ("Content-Length", second)];
        assert_eq!(framed(V11, &lines), Err(FramingError::RepeatedLength));
    }
}

#[test]
fn rfc9112_6_3_a_length_can_not_overflow() {
    let too_large = [
        "9223372036854775808",
        "9999999999999999999",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551621",
        "00000000000000000005",
        "340282366920938463463374607431768211461",
    ];
    for value in too_large {
        assert_eq!(length(value), Err(FramingError::HugeLength), "{value:?}");
    }
}

#[test]
fn rfc9112_6_3_7_a_request_that_says_nothing_has_no_body() {
    assert_eq!(framed(V11, &[("content-lengths", "5"), ("te", "chunked")]), Ok(Framing::None));
    assert_eq!(framed(V10, &[]), Ok(Framing::None));
}

#[test]
fn rfc9112_6_3_1_answers_without_a_body_whatever_they_say() {
    let lines = [("content-length", "5"), ("transfer-encoding", "gzip")];
    for (method, status) in
        [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304), ("GET", 100), ("GET", 103)]
    {
        let method = method.parse().unwrap();
        assert_eq!(answered(&method, status, &lines), Ok(Framing::None));
        assert_eq!(answered(&method, status, &[]), Ok(Framing::None));
    }
    // Methods are compared with their case (RFC 9110 section 9.1).
    assert_eq!(answered(&"head".parse().unwrap(), 200, &lines), Err(FramingError::LengthAndCoding));
}

#[test]
fn rfc9112_6_3_8_an_answer_that_says_nothing_ends_with_the_connection() {
    assert_eq!(answered(&Method::GET, 200, &[]), Ok(Framing::UntilClose));
    assert_eq!(answered(&Method::GET, 205, &[]), Ok(Framing::UntilClose));
    assert_eq!(answered(&Method::GET, 200, &[("content-length", "7")]), Ok(Framing::Length(7)));
    assert_eq!(answered(&Method::POST, 500, &[("transfer-encoding", "chunked")]), Ok(Framing::Chunked));
}

#[test]
fn rfc9112_6_3_an_answer_with_faulty_framing_is_refused() {
    let cases = [
        (("content-length", "5"), ("transfer-encoding", "chunked"), FramingError::LengthAndCoding),
        (("content-length", "5"), ("content-length", "5"), FramingError::RepeatedLength),
        (("content-length", "5x"), ("a", "b"), FramingError::BadLength),
        (("transfer-encoding", "gzip"), ("a", "b"), FramingError::NotChunked),
        (("transfer-encoding", "gzip, chunked"), ("a", "b"), FramingError::UnknownCoding),
    ];
    for (first, second, error) in cases {
        assert_eq!(answered(&Method::GET, 200, &[first, second]), Err(error));
    }
    let lines = [("transfer-encoding", "chunked")].into_iter().collect();
    assert_eq!(response(&Method::GET, StatusCode::OK, V10, &lines), Err(FramingError::CodingInHttp10));
}

proptest! {
    #[test]
    fn a_length_is_what_it_says(bytes in 0..=LENGTH_MAX) {
        prop_assert_eq!(length(&bytes.to_string()), Ok(Framing::Length(bytes)));
    }

    #[test]
    fn a_length_over_the_limit_is_none(bytes in LENGTH_MAX + 1..) {
        prop_assert_eq!(length(&bytes.to_string()), Err(FramingError::HugeLength));
    }

    #[test]
    fn no_value_is_taken_for_another(value in "[0-9a-z+ ,\t-]{0,24}") {
        if let Ok(framing) = length(&value) {
            prop_assert_eq!(framing, Framing::Length(value.parse().unwrap()));
        }
        prop_assert_eq!(coding(&value).is_ok(), value == "chunked");
    }
}
