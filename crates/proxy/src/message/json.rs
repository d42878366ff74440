//! JSON strings, written by hand: the data plane has no serde.

use std::io::Write;

/// Appends `bytes` to `out` as a JSON string (RFC 8259 section 7), quotes included. What is not UTF-8 becomes U+FFFD.
pub(crate) fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        write_text(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

/// Appends `number` in decimal.
pub(crate) fn write_number(out: &mut Vec<u8>, number: u64) {
    // Writing to memory can't fail.
    let _ = write!(out, "{number}");
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !needs_escape(byte) {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
    out.extend_from_slice(&bytes[copied..]);
}

/// RFC 8259 asks for the controls below space; DEL is escaped too, because terminals act on it.
const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || matches!(byte, b'"' | b'\\' | 0x7f)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_string(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    /// Reads a string that `write_string` wrote, by the grammar of RFC 8259; `None` where it breaks it.
    fn parse(json: &str) -> Option<String> {
        let mut chars = json.strip_prefix('"')?.strip_suffix('"')?.chars();
        let mut text = String::new();
        while let Some(c) = chars.next() {
            text.push(match c {
                '"' | '\0'..='\x1f' => return None,
                '\\' => match chars.next()? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    c @ ('"' | '\\') => c,
                    'u' => {
                        let hex: String = chars.by_ref().take(4).collect();
                        char::from_u32(u32::from_str_radix(&hex, 16).ok()?)?
                    }
                    _ => return None,
                },
                c => c,
            });
        }
        Some(text)
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(string(b"plain /\xc3\xa9"), "\"plain /\u{e9}\"");
        assert_eq!(string(b"a\"b\\c\n\x00\x7f"), r#""a\"b\\c\n\u0000\u007f""#);
        assert_eq!(string(b"\xff\xc3"), "\"\u{fffd}\u{fffd}\"");
    }

    proptest! {
        #[test]
        fn any_bytes_make_one_string_on_one_line_that_reads_back(bytes: Vec<u8>) {
            let json = string(&bytes);
            prop_assert!(!json.contains(['\n', '\r', '\0']));
            prop_assert_eq!(parse(&json), Some(String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}
