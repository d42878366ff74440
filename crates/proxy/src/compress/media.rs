//! Which media types get smaller by compression.

use crate::message::list;

/// Whether bodies of this `Content-Type` are worth compressing: text, and a few binary types that are not compressed already.
///
/// Not event streams, whose few bytes are wanted at once and for hours.
pub(super) fn is_compressible(content_type: &[u8]) -> bool {
    let (kind, _) = list::pair(content_type.trim_ascii(), b';');
    let is = |other: &[u8]| kind.eq_ignore_ascii_case(other);
    let is_text = kind.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"text/"));
    let has_suffix = |suffix: &[u8]| {
        kind.len().checked_sub(suffix.len()).is_some_and(|at| kind[at..].eq_ignore_ascii_case(suffix))
    };
    (is_text && !is(b"text/event-stream"))
        || has_suffix(b"+json")
        || has_suffix(b"+xml")
        || OTHERS.iter().any(|other| is(other))
}

const OTHERS: [&[u8]; 21] = [
    b"application/javascript",
    b"application/json",
    b"application/json-seq",
    b"application/ecmascript",
    b"application/graphql",
    b"application/rtf",
    b"application/toml",
    b"application/vnd.ms-fontobject",
    b"application/wasm",
    b"application/x-javascript",
    b"application/x-ndjson",
    b"application/x-www-form-urlencoded",
    b"application/x-yaml",
    b"application/xml",
    b"application/yaml",
    b"font/collection",
    b"font/otf",
    b"font/ttf",
    b"image/bmp",
    b"image/vnd.microsoft.icon",
    b"image/x-icon",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_gets_smaller() {
        for kind in [
            "text/html",
            "TEXT/CSS; charset=utf-8",
            "text/javascript",
            "application/json",
            "application/problem+json;charset=utf-8",
            "image/svg+xml",
            "application/xhtml+xml ; x=y",
            "application/wasm",
            "font/ttf",
        ] {
            assert!(is_compressible(kind.as_bytes()), "{kind}");
        }
    }

    #[test]
    fn what_is_compressed_already_or_flows_does_not() {
        for kind in [
            "",
            "text",
            "text/event-stream",
            "Text/Event-Stream; charset=utf-8",
            "image/png",
            "image/jpeg",
            "video/mp4",
            "audio/ogg",
            "font/woff2",
            "application/zip",
            "application/gzip",
            "application/pdf",
            "application/octet-stream",
            "application/grpc",
            "application/grpc+proto",
            "multipart/x-mixed-replace; boundary=text/html",
        ] {
            assert!(!is_compressible(kind.as_bytes()), "{kind}");
        }
    }
}
