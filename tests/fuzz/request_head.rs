//! Request heads: how the bytes are split changes nothing, and what is understood is what httparse understands.
//!
//! We refuse more than httparse does, each time because readers differ in what they make of it (RFC 9112 section 11.2):
//! - a bare LF as a line end (section 2.2),
//! - more than one empty line before the request line (section 2.2 has us ignore at least one),
//! - bytes of other alphabets and fragments in the target, and targets of no form (section 3.2),
//! - methods over 32 bytes, and heads over the limits.
//!
//! We take one thing that httparse refuses: HTTP/1.2 to 1.9, which are handled as 1.1 (RFC 9110 section 2.5).
#![no_main]

use cutover_fuzz::{head, line_end, split};
use cutover_proxy::fuzzing::{self, Pairs, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (cuts, input) = split::cuts(data);
    let whole = fuzzing::request_head(input, &[]);
    for cuts in [&cuts[..], &[1]] {
        let pieces = fuzzing::request_head(input, cuts);
        // Of several things that are wrong another one may be seen first.
        assert!(
            pieces == whole || (pieces.is_err() && whole.is_err()),
            "in pieces {pieces:?}, whole {whole:?}"
        );
    }

    let input = with_version_1_1(input);
    let mut lines = [httparse::EMPTY_HEADER; 200];
    let mut expected = httparse::Request::new(&mut lines);
    match (expected.parse(&input), whole) {
        (Ok(httparse::Status::Complete(len)), Ok(Some(found))) => {
            assert!(!line_end::has_bare_lf(&input[..len]) && !head::is_too_large(&input[..len]));
            assert_same(&found, &expected, len);
        }
        (Ok(httparse::Status::Complete(len)), Err(error)) => {
            assert!(is_refused_by_us_only(&input, &expected, len), "refused: {error}");
        }
        (Ok(httparse::Status::Partial), Ok(None)) | (Err(_), Err(_)) => {}
        // Each of the two sees early that some begins can't become right any more.
        (Ok(httparse::Status::Partial), Err(_)) | (Err(_), Ok(None)) => {}
        (expected, found) => panic!("expected {expected:?}, found {found:?}"),
    }
});

fn assert_same(found: &Request, expected: &httparse::Request<'_, '_>, len: usize) {
    assert_eq!(found.len, len);
    assert_eq!(Some(found.method.as_str()), expected.method);
    assert_eq!(found.version == http::Version::HTTP_11, expected.version == Some(1));
    let fields = expected.headers.iter().map(|line| (line.name.as_bytes().to_vec(), line.value.to_vec()));
    assert_eq!(found.fields, fields.collect::<Pairs>());
    let target = expected.path.unwrap_or_default();
    match &found.authority {
        None => assert_eq!(found.target, target),
        Some(authority) => {
            let (scheme, rest) = target.split_once("://").unwrap_or_default();
            assert!(["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()));
            let path = rest.strip_prefix(authority.as_str()).unwrap_or("another authority");
            let forwarded = match (path, found.method.as_str()) {
                ("", "OPTIONS") => "*".to_owned(),
                ("" | "?", _) => format!("/{path}"),
                (query, _) if query.starts_with('?') => format!("/{query}"),
                (path, _) => path.to_owned(),
            };
            assert_eq!(found.target, forwarded);
        }
    }
}

/// Whether one of the differences at the top explains it.
fn is_refused_by_us_only(input: &[u8], expected: &httparse::Request<'_, '_>, len: usize) -> bool {
    let bytes = &input[..len];
    let method = expected.method.unwrap_or_default();
    let target = expected.path.unwrap_or_default();
    // Other forms have rules of their own, for which there are tests; that of servers has none that could be missed.
    let is_plain =
        target.starts_with('/') && target.is_ascii() && !target.contains('#') && method != "CONNECT";
    let is_unreadable = line_end::has_bare_lf(bytes) || bytes.starts_with(b"\r\n\r\n");
    is_unreadable || !is_plain || method.len() > 32 || head::is_too_large(bytes)
}

/// `input` with a version in its first line that httparse knows, where it has one that we handle alike.
fn with_version_1_1(input: &[u8]) -> Vec<u8> {
    let mut input = input.to_vec();
    let start = if input.starts_with(b"\r\n") { 2 } else { 0 };
    let line_len = split::line(&input[start..]).map_or(0, |(line, _)| line.len());
    let line = &mut input[start..][..line_len];
    if let [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'2'..=b'9'] = line {
        *minor = b'1';
    }
    input
}
