//! Answer heads: how the bytes are split changes nothing, and what is understood is what httparse understands.
//!
//! We refuse more than httparse does:
//! - a bare LF as a line end (RFC 9112 section 2.2),
//! - empty lines before the status line, which that section allows before request lines only,
//! - statuses below 100 (RFC 9110 section 15), and heads over the limits.
//!
//! A reason with bytes of other alphabets goes on as it came; httparse leaves it out.
#![no_main]

use cutover_fuzz::{head, line_end, split};
use cutover_proxy::fuzzing::{self, Pairs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (cuts, input) = split::cuts(data);
    let whole = fuzzing::answer_head(input, &[]);
    for cuts in [&cuts[..], &[1]] {
        let pieces = fuzzing::answer_head(input, cuts);
        // Of several things that are wrong another one may be seen first.
        assert!(
            pieces == whole || (pieces.is_err() && whole.is_err()),
            "in pieces {pieces:?}, whole {whole:?}"
        );
    }

    let mut lines = [httparse::EMPTY_HEADER; 200];
    let mut expected = httparse::Response::new(&mut lines);
    match (expected.parse(input), whole) {
        (Ok(httparse::Status::Complete(len)), Ok(Some(found))) => {
            assert!(!line_end::has_bare_lf(&input[..len]) && !head::is_too_large(&input[..len]));
            assert_eq!(found.len, len);
            assert_eq!(Some(found.status.as_u16()), expected.code);
            assert_eq!(found.version == http::Version::HTTP_11, expected.version == Some(1));
            let fields =
                expected.headers.iter().map(|line| (line.name.as_bytes().to_vec(), line.value.to_vec()));
            assert_eq!(found.fields, fields.collect::<Pairs>());
            if found.reason.is_ascii() {
                assert_eq!(found.reason, expected.reason.unwrap_or_default().as_bytes());
            }
        }
        (Ok(httparse::Status::Complete(len)), Err(error)) => {
            assert!(is_refused_by_us_only(input, &expected, len), "refused: {error}");
        }
        (Ok(httparse::Status::Partial), Ok(None)) | (Err(_), Err(_)) => {}
        // Each of the two sees early that some begins can't become right any more.
        (Ok(httparse::Status::Partial), Err(_)) | (Err(_), Ok(None)) => {}
        (expected, found) => panic!("expected {expected:?}, found {found:?}"),
    }
});

/// Whether one of the differences at the top explains it.
fn is_refused_by_us_only(input: &[u8], expected: &httparse::Response<'_, '_>, len: usize) -> bool {
    let bytes = &input[..len];
    let is_unreadable = line_end::has_bare_lf(bytes) || bytes.starts_with(b"\r\n");
    is_unreadable || expected.code.is_none_or(|code| code < 100) || head::is_too_large(bytes)
}
