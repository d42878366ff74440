//! Tests of bodies in chunks.

use proptest::prelude::*;

use super::*;
use crate::fuzzing::{self, Body};

fn decode(input: impl AsRef<[u8]>) -> Result<Option<Body>, ChunkError> {
    let input = input.as_ref();
    let whole = fuzzing::decode(input, &[]);
    assert_eq!(fuzzing::decode(input, &[1]), whole, "one by one");
    whole
}

fn data_of(input: &str) -> String {
    let body = decode(input).unwrap().unwrap();
    assert_eq!(body.len, input.len());
    String::from_utf8(body.data).unwrap()
}

fn assert_refused(error: ChunkError, inputs: &[&str]) {
    for input in inputs {
        assert_eq!(decode(input), Err(error), "{input:?}");
    }
}

/// A body of one chunk whose line is `line`, with its line end.
fn with_line(line: &str) -> String {
    format!("{line}hello\r\n0\r\n\r\n")
}

#[test]
fn rfc9112_7_1_chunks_are_joined() {
    assert_eq!(data_of("0\r\n\r\n"), "");
    assert_eq!(data_of("5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n"), "hello, world");
    assert_eq!(
        data_of("A\r\n0123456789\r\n00b\r\n\r\n0\r\n\r\nabcd\r\n000\r\n\r\n"),
        "0123456789\r\n0\r\n\r\nabcd"
    );
    assert_eq!(data_of("0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n"), "hello");
}

#[test]
fn rfc9112_7_1_what_stands_behind_the_body_is_left_alone() {
    let input = "1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
    assert_eq!(decode(input), Ok(Some(Body { data: b"a".to_vec(), trailers: Vec::new(), len: 11 })));
}

#[test]
fn rfc9112_7_1_a_size_is_hex_digits_only() {
    let sizes = [
        "\r\n",
        "+5\r\n",
        "-5\r\n",
        " 5\r\n",
        "\t5\r\n",
        "g\r\n",
        ";a\r\n",
        "\n",
        "\0",
        "\u{661}\r\n",
        "\r\n5\r\n",
    ];
    assert_refused(ChunkError::BadSize, &sizes.map(with_line).each_ref().map(String::as_str));
    let behind = [
        "0x5\r\n",
        "5g\r\n",
        "5 \r\n",
        "5\t\r\n",
        "5 5\r\n",
        "5,\r\n",
        "5\n",
        "5 \n",
        "5.0\r\n",
        "5\0\r\n",
        "5 a;\r\n",
        "5=a\r\n",
        "5\u{a0};\r\n",
    ];
    assert_refused(ChunkError::AfterSize, &behind.map(with_line).each_ref().map(String::as_str));
}

#[test]
fn rfc9112_7_1_sizes_near_overflow() {
    let most = b"7fffffffffffffff\r\nx";
    let mut decoder = Decoder::default();
    assert_eq!(decoder.step(most), Ok(Step::Framing(18)));
    assert_eq!(decoder.step(&most[18..]), Ok(Step::Data(1)));
    assert_eq!(decoder.left, SIZE_MAX - 1);
    let huge = [
        "8000000000000000",
        "ffffffffffffffff",
        "FFFFFFFFFFFFFFFFF",
        "10000000000000005",
        "00000000000000005",
        "00000000000000000",
        "fffffffffffffffffffffffffffffffffffff",
    ];
    assert_refused(
        ChunkError::HugeSize,
        &huge.map(|size| with_line(&format!("{size}\r\n"))).each_ref().map(String::as_str),
    );
}

#[test]
fn rfc9112_7_1_data_is_as_long_as_its_size_says() {
    let broken = [
        "5\r\nhell\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello\r\r\n",
        "5\r\nhello\n\r",
    ];
    assert_refused(ChunkError::DataEnd, &broken);
}

#[test]
fn rfc9112_2_2_lines_end_in_crlf_only() {
    assert_refused(
        ChunkError::LineEnd,
        &[
            "5\rhello\r\n",
            "5\r\rhello",
            "5;a\rb\r\n",
            "0\r\r\n",
            "0\r\n\r\r",
            "0\r\n\rX",
            "0\r\n\n",
            "0\r\na: b\n\r\n",
        ],
    );
}

#[test]
fn rfc9112_7_1_1_extensions_end_here() {
    let lines = [
        "5;a=b\r\n",
        "5;a\r\n",
        "5 ;a\r\n",
        "5\t \t;\ta = \"b;c\" ; d\r\n",
        "5;\r\n",
        "5;;\u{e9}=\"\\\"\"\r\n",
        "5;0\r\n",
        "05;5 \r\n",
    ];
    for line in lines {
        assert_eq!(data_of(&with_line(line)), "hello", "{line:?}");
    }
    assert_eq!(data_of("0;last\r\n\r\n"), "");
}

#[test]
fn rfc9112_7_1_1_an_extension_can_not_hide_a_line_end() {
    assert_refused(
        ChunkError::BadExtension,
        &["5;a\nhello", "5;\"\n\"\r\n", "5;\0\r\n", "5;a=\"\x7f\"\r\n", "5;\x0b\r\n"],
    );
    assert_refused(ChunkError::LineEnd, &["5;a=\"\rb\"\r\n"]);
}

#[test]
fn rfc9112_7_1_1_a_chunk_line_has_a_limit() {
    let line = |len: usize| with_line(&format!("5;{}\r\n", "a".repeat(len - 4)));
    assert_eq!(data_of(&line(usize::from(LINE_MAX))), "hello");
    assert_eq!(decode(line(usize::from(LINE_MAX) + 1)), Err(ChunkError::LineTooLong));
    assert_eq!(decode(format!("5{}", " ".repeat(5000))), Err(ChunkError::LineTooLong));
}

#[test]
fn rfc9112_7_1_1_all_extensions_of_a_body_have_a_limit() {
    let chunk = format!("1;{}\r\nx\r\n", "a".repeat(1023));
    let body = format!("{}0\r\n\r\n", chunk.repeat(64));
    assert_eq!(data_of(&body), "x".repeat(64));
    assert_eq!(decode(format!("{}1;", chunk.repeat(64))), Err(ChunkError::ExtensionsTooLong));
    assert_eq!(decode(format!("{}1 ", chunk.repeat(64))), Err(ChunkError::ExtensionsTooLong));
}

#[test]
fn rfc9112_7_1_2_trailers_are_kept_apart() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.step(b"0\r\nX-Sum: 1 \r\nb:\t2\r\n\r\nrest"), Ok(Step::End(22)));
    let fields = decoder.trailers().unwrap();
    assert_eq!(
        (fields.named("x-sum"), fields.named("B"), fields.len()),
        (Some(&b"1"[..]), Some(&b"2"[..]), 2)
    );
}

#[test]
fn rfc9112_7_1_2_without_trailers_nothing_is_allocated() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.step(b"0\r\n\r\n"), Ok(Step::End(5)));
    assert!(decoder.trailers().is_none());
}

#[test]
fn rfc9112_7_1_2_trailers_are_field_lines() {
    for (line, error) in [
        ("a b: c", Malformed::Name),
        ("a : c", Malformed::Name),
        (": c", Malformed::Name),
        ("abc", Malformed::NoColon),
        (" folded: x", Malformed::Folded),
        ("a: b\rc", Malformed::Value),
        ("a: \0", Malformed::Value),
    ] {
        assert_eq!(decode(format!("0\r\n{line}\r\n\r\n")), Err(ChunkError::Trailer(error)), "{line:?}");
    }
}

#[test]
fn rfc9112_7_1_2_trailers_have_the_limits_of_a_head() {
    let lines = |count: usize| format!("0\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert_eq!(data_of(&lines(TRAILER_LINES_MAX)), "");
    assert_eq!(decode(lines(TRAILER_LINES_MAX + 1)), Err(ChunkError::TrailersTooLarge));
    let long = |len: usize| format!("0\r\na: b\r\nc: {}\r\n\r\n", "d".repeat(len - 11));
    assert_eq!(data_of(&long(TRAILER_BYTES_MAX)), "");
    assert_eq!(decode(long(TRAILER_BYTES_MAX + 1)), Err(ChunkError::TrailersTooLarge));
}

#[test]
fn a_size_is_written_as_short_as_it_can_be() {
    let mut out = [0; SIZE_LINE_MAX];
    for len in [1, 9, 10, 15, 16, 255, 4096, 0x1234_5678, usize::MAX] {
        assert_eq!(size_line(len, &mut out), format!("{len:x}\r\n").as_bytes());
    }
}

#[test]
fn the_end_is_written_with_and_without_trailers() {
    let mut out = Vec::new();
    write_end(&mut out, None);
    let trailers = [("X-Sum", "1")].into_iter().collect();
    write_end(&mut out, Some(&trailers));
    assert_eq!(out, b"0\r\n\r\n0\r\nX-Sum: 1\r\n\r\n");
}

fn encode(chunks: &[Vec<u8>], trailers: Option<&Fields>) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend_from_slice(size_line(chunk.len(), &mut [0; SIZE_LINE_MAX]));
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    write_end(&mut out, trailers);
    out
}

/// Mostly what belongs into a chunked body, in any order.
fn nearly_chunked() -> impl Strategy<Value = Vec<u8>> {
    const USUAL: [&str; 9] = [
        "\r\n",
        "0\r\n",
        "1\r\na\r\n",
        "5\r\nhello\r\n",
        "3;x=\"y\"\r\nabc\r\n",
        "a: b\r\n",
        "\r\n\r\n",
        "2 ;\r\n",
        "f",
    ];
    let usual = prop::sample::select(&USUAL[..]).prop_map(|piece| piece.as_bytes().to_vec());
    let piece = prop_oneof![8 => usual, 1 => prop::collection::vec(any::<u8>(), 0..4)];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_was_written_is_read_however_it_is_split(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..600), 0..12),
        pairs in prop::collection::vec(("[a-z-]{1,9}", "[!-~]{0,12}"), 0..4),
        cuts in prop::collection::vec(1..200_usize, 0..20),
    ) {
        let trailers: Fields = pairs.into_iter().collect();
        let body = encode(&chunks, Some(&trailers));
        let pairs = trailers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        let expected = Ok(Some(Body { data: chunks.concat(), trailers: pairs, len: body.len() }));
        prop_assert_eq!(&decode(&body), &expected);
        prop_assert_eq!(fuzzing::decode(&body, &cuts), expected);
    }

    #[test]
    fn a_body_that_is_cut_off_does_not_end(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        cut: prop::sample::Index,
    ) {
        let body = encode(&chunks, None);
        prop_assert_eq!(decode(&body[..cut.index(body.len())]), Ok(None));
    }

    #[test]
    fn splits_change_nothing(input in nearly_chunked(), cuts in prop::collection::vec(1..9_usize, 0..20)) {
        prop_assert_eq!(fuzzing::decode(&input, &cuts), decode(&input));
    }

    #[test]
    fn any_bytes_are_read_or_refused(input: Vec<u8>) {
        if let Ok(Some(body)) = decode(&input) {
            prop_assert!(body.data.len() < body.len && body.len <= input.len());
        }
    }
}
