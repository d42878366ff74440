//! Chunked bodies: how the bytes are split changes nothing, and a reader that knows the whole body reads the same.
#![no_main]

use cutover_fuzz::split;
use cutover_proxy::fuzzing::{self, Body, Pairs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (cuts, input) = split::cuts(data);
    let whole = fuzzing::chunked_body(input, &[]);
    assert_eq!(fuzzing::chunked_body(input, &cuts), whole);
    assert_eq!(fuzzing::chunked_body(input, &[1]), whole);
    match (read(input), whole) {
        (Ok(expected), Ok(found)) => assert_eq!(found, expected),
        (Err(()), Err(_)) => {}
        // What can't become right any more is refused before its line is whole.
        (Ok(None), Err(_)) => {}
        (expected, found) => panic!("expected {expected:?}, found {found:?}"),
    }
});

/// Reads a body line by line, as RFC 9112 section 7.1 spells it; `None` where something is missing.
fn read(input: &[u8]) -> Result<Option<Body>, ()> {
    let mut rest = input;
    let mut data = Vec::new();
    let mut extensions_len = 0;
    loop {
        let Some((line, behind)) = split::line(rest) else { return Ok(None) };
        let digits_len = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, extensions) = line.split_at(digits_len);
        extensions_len += extensions.len();
        if digits_len > 16 || line.len() > 4094 || extensions_len > 65536 || !is_extensions(extensions) {
            return Err(());
        }
        let digits = std::str::from_utf8(digits).map_err(|_| ())?;
        let size = i64::from_str_radix(digits, 16).map_err(|_| ())?;
        rest = behind;
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).map_err(|_| ())?;
        data.extend_from_slice(&rest[..size.min(rest.len())]);
        let Some(behind) = rest.get(size..) else { return Ok(None) };
        match behind {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', behind @ ..] => rest = behind,
            _ => return Err(()),
        }
    }
    let section = rest;
    let mut trailers = Pairs::new();
    loop {
        let Some((line, behind)) = split::line(rest) else { return Ok(None) };
        rest = behind;
        if line.is_empty() {
            return Ok(Some(Body { data, trailers, len: input.len() - rest.len() }));
        }
        trailers.push(field(line).ok_or(())?);
        if trailers.len() > 100 || section.len() - rest.len() > 32768 {
            return Err(());
        }
    }
}

/// `*( BWS ";" … )`, without control bytes.
fn is_extensions(text: &[u8]) -> bool {
    let begin = text.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    let is_begun = text.is_empty() || begin == Some(&b';');
    is_begun && !text.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}

/// `field-name ":" OWS field-value OWS` (RFC 9112 section 5).
fn field(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_value = value.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t');
    // Nothing else that `trim_ascii` takes away is in a value.
    (is_token(name) && is_value).then(|| (name.to_vec(), value.trim_ascii().to_vec()))
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &[u8]) -> bool {
    const OTHERS: &[u8] = b"!#$%&'*+-.^_`|~";
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || OTHERS.contains(byte))
}
