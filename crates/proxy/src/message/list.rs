//! Fields whose value is a list (RFC 9110 section 5.6.1): the elements of a line, with quoted strings in one piece.

/// The parts of `text` between `delimiter`s that are not inside a quoted string (section 5.6.4), without the whitespace around them;
/// empty ones are left out.
pub(crate) fn split(text: &[u8], delimiter: u8) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let parts = text.split(move |&byte| {
        let is_literal = std::mem::take(&mut is_escaped);
        match byte {
            b'\\' if is_quoted && !is_literal => is_escaped = true,
            b'"' if !is_literal => is_quoted = !is_quoted,
            _ => {}
        }
        byte == delimiter && !is_quoted
    });
    parts.map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

/// The two sides of the first `delimiter` of `part`, without the whitespace around them; the second is `None` when there is no delimiter.
#[must_use]
pub(crate) fn pair(part: &[u8], delimiter: u8) -> (&[u8], Option<&[u8]>) {
    match part.iter().position(|&byte| byte == delimiter) {
        Some(at) => (part[..at].trim_ascii_end(), Some(part[at + 1..].trim_ascii_start())),
        None => (part, None),
    }
}

/// What is inside the quotes of a quoted string that has no escapes, or the text itself if it is not quoted; `None` for a broken or escaped one.
#[must_use]
pub(crate) fn unquoted(text: &[u8]) -> Option<&[u8]> {
    let Some(rest) = text.strip_prefix(b"\"") else { return Some(text) };
    rest.strip_suffix(b"\"").filter(|inner| !inner.iter().any(|byte| matches!(byte, b'"' | b'\\')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> Vec<String> {
        split(text.as_bytes(), b',').map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    }

    #[test]
    fn a_list_is_split_outside_of_quotes() {
        assert_eq!(parts("a, b ,,\tc=\"1, \\\", 2\" ,"), ["a", "b", "c=\"1, \\\", 2\""]);
        assert_eq!(parts("a\\, b"), ["a\\", "b"], "a backslash means nothing outside of quotes");
        assert_eq!(parts("\"never closed, b"), ["\"never closed, b"]);
        assert!(parts(" , ,").is_empty());
    }

    #[test]
    fn quotes_come_off_where_nothing_is_escaped() {
        assert_eq!(unquoted(b"\"[::1]:80\""), Some(&b"[::1]:80"[..]));
        assert_eq!(unquoted(b"plain"), Some(&b"plain"[..]));
        for broken in [&b"\""[..], b"\"a", b"\"a\\b\"", b"\"a\"b\""] {
            assert_eq!(unquoted(broken), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_split_into_pieces_of_themselves(text: Vec<u8>) {
            let len: usize = split(&text, b',').map(|part| part.len()).sum();
            prop_assert!(len <= text.len());
            prop_assert!(split(&text, b',').all(|part| !part.is_empty() && part == part.trim_ascii()));
        }
    }
}
