//! Tests of heads.

use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { line: 60, fields: 120, count: 4 };

fn request(text: &str) -> Result<Option<RequestHead>, HeadError> {
    let mut head = RequestHead::default();
    let len = head.parse(text.as_bytes(), &LIMITS)?;
    Ok(len.map(|len| {
        assert!(text.is_char_boundary(len));
        head
    }))
}

fn refused(text: &str) -> HeadError {
    request(text).expect_err(text)
}

fn answer(text: &str) -> Result<(u16, String), HeadError> {
    let mut head = AnswerHead::default();
    head.parse(text.as_bytes(), &LIMITS)?.expect("a whole head");
    Ok((head.status.as_u16(), String::from_utf8_lossy(head.reason()).into_owned()))
}

#[test]
fn rfc9112_3_a_request_line_is_three_words() {
    let head = request("GET /a?b=c HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n").unwrap().unwrap();
    assert_eq!((head.method.as_str(), head.path(), head.query()), ("GET", &b"/a"[..], Some("b=c")));
    assert_eq!(head.version, Version::HTTP_11);
    assert_eq!(head.fields.iter().count(), 2);
    for line in [
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /",
        "GET",
        "GET / http/1.1",
        "GET / HTTP/1.10",
        "GET / HTTP/1",
        "GET / HTTPS/1.1",
        "G(T / HTTP/1.1",
        "GET / HTTP/1.1\rX: y",
    ] {
        assert_eq!(refused(&format!("{line}\r\nHost: x\r\n\r\n")), HeadError::Start, "{line:?}");
    }
}

#[test]
fn rfc9110_2_5_other_major_versions_are_told_from_garbage() {
    for line in ["PRI * HTTP/2.0", "GET / HTTP/0.9", "GET / HTTP/3.0"] {
        assert_eq!(refused(&format!("{line}\r\n\r\n")), HeadError::Version);
    }
    assert_eq!(request("GET / HTTP/1.7\r\n\r\n").unwrap().unwrap().version, Version::HTTP_11);
}

#[test]
fn rfc9112_2_2_one_empty_line_is_ignored() {
    assert!(request("\r\nGET / HTTP/1.1\r\n\r\n").unwrap().is_some());
    assert_eq!(refused("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), HeadError::Start);
    assert_eq!(refused("\nGET / HTTP/1.1\r\n\r\n"), HeadError::Line(Malformed::LineEnd));
    assert!(request("\r").unwrap().is_none());
}

#[test]
fn what_can_be_no_request_is_refused_by_its_first_byte() {
    for first in ["\x16\x03\x01", " ", "\0", "\r\r", "\u{e9}"] {
        assert_eq!(refused(first), HeadError::Start, "{first:?}");
    }
}

#[test]
fn rfc9112_5_1_limits_are_told_apart_before_and_at_the_end() {
    let long = "a".repeat(70);
    for rest in ["", " HTTP/1.1\r\n\r\n"] {
        assert_eq!(refused(&format!("GET /{long}{rest}")), HeadError::LineTooLong);
    }
    for rest in ["", "\r\n\r\n"] {
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\na: {long}{long}{rest}")), HeadError::TooLarge);
    }
    let fields = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert!(request(&fields(4)).unwrap().is_some());
    assert_eq!(refused(&fields(5)), HeadError::TooLarge);
    assert_eq!(refused(&format!("{} / HTTP/1.1\r\n\r\n", "M".repeat(33))), HeadError::Method);
}

#[test]
fn a_start_line_has_the_same_limit_however_it_comes() {
    for (len, expected) in [(60, Ok(None)), (61, Err(HeadError::LineTooLong))] {
        let request = format!("GET /{} HTTP/1.1\r\n", "a".repeat(len - 14));
        let answer = format!("HTTP/1.1 200 {}\r\n", "a".repeat(len - 13));
        for first in [request.len(), request.len() - 1, request.len() - 2, 9] {
            let mut head = RequestHead::default();
            let begun = head.parse(&request.as_bytes()[..first], &LIMITS);
            assert_eq!(begun.and_then(|_| head.parse(request.as_bytes(), &LIMITS)), expected);
            let mut head = AnswerHead::default();
            let begun = head.parse(&answer.as_bytes()[..first], &LIMITS);
            assert_eq!(begun.and_then(|_| head.parse(answer.as_bytes(), &LIMITS)), expected);
        }
    }
}

#[test]
fn rfc9112_4_a_status_line_has_three_digits() {
    assert_eq!(answer("HTTP/1.1 200 OK\r\nA: b\r\n\r\n"), Ok((200, "OK".into())));
    assert_eq!(answer("HTTP/1.0 404 Not  There \r\n\r\n"), Ok((404, "Not  There ".into())));
    assert_eq!(answer("HTTP/1.1 204 \r\n\r\n"), Ok((204, String::new())));
    assert_eq!(answer("HTTP/1.1 204\r\n\r\n"), Ok((204, String::new())));
    for line in
        ["HTTP/1.1 20", "HTTP/1.1 2000", "HTTP/1.1 +20 x", "HTTP/1.1  200", "HTTP/1.1 099 x", "200 OK"]
    {
        assert_eq!(answer(&format!("{line}\r\n\r\n")), Err(HeadError::Start), "{line:?}");
    }
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9"] {
        assert_eq!(answer(&format!("{version} 200 OK\r\n\r\n")), Err(HeadError::Version));
    }
    assert_eq!(answer("HTTP/1.1 200 O\0K\r\n\r\n"), Err(HeadError::Start));
}

proptest! {
    #[test]
    fn a_head_that_comes_in_pieces_is_the_same_head(
        text in "(GET|\r\n|POST|X) /[a-z]{0,4} HTTP/1\\.[01]\r\n([A-Za-z :]{1,9}\r\n){0,3}\r\nrest",
        cuts in prop::collection::vec(0_usize..60, 0..6),
    ) {
        let mut whole = RequestHead::default();
        let expected = whole.parse(text.as_bytes(), &LIMITS);
        let mut pieces = RequestHead::default();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([text.len()]).collect();
        cuts.sort_unstable();
        let mut found = Ok(None);
        for cut in cuts {
            found = pieces.parse(&text.as_bytes()[..cut], &LIMITS);
            if !matches!(found, Ok(None)) { break }
        }
        prop_assert_eq!(found, expected);
        if !matches!(found, Ok(None)) {
            prop_assert_eq!(pieces.fields, whole.fields);
        }
    }

    #[test]
    fn no_bytes_can_panic(bytes: Vec<u8>) {
        let _ = RequestHead::default().parse(&bytes, &LIMITS);
        let _ = AnswerHead::default().parse(&bytes, &LIMITS);
    }
}
