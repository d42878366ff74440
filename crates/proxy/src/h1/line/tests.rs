//! Lines that are whole, come in pieces, or are refused.

use proptest::prelude::*;

use super::*;

fn parsed(line: &str) -> Result<(String, String), Malformed> {
    let text = format!("a: b\r\n{line}\r\n\r\n");
    let mut lines = Lines::default();
    assert!(matches!(lines.next_field(text.as_bytes()), Ok(Some(Found::Field(_)))));
    let Found::Field(field) = lines.next_field(text.as_bytes())?.expect("a whole line") else {
        panic!("no field: {line:?}");
    };
    assert_eq!((field.start as usize, field.end as usize), (6, text.len() - 2));
    assert!(matches!(lines.next_field(text.as_bytes()), Ok(Some(Found::End))));
    assert_eq!(lines.next_at(), text.len());
    let name = &text[6..6 + field.name_len as usize];
    let value = &text[field.value_start as usize..field.value_end as usize];
    Ok((name.to_owned(), value.to_owned()))
}

#[test]
fn rfc9112_5_a_field_is_a_token_a_colon_and_a_value_in_optional_whitespace() {
    for (line, name, value) in [
        ("Host: a", "Host", "a"),
        ("x:y", "x", "y"),
        ("X-Y:\t a \tb: c \t", "X-Y", "a \tb: c"),
        ("empty:", "empty", ""),
        ("empty:   ", "empty", ""),
        ("u:\u{e9}\u{2028}", "u", "\u{e9}\u{2028}"),
    ] {
        assert_eq!(parsed(line), Ok((name.into(), value.into())), "{line:?}");
    }
}

#[test]
fn rfc9112_5_1_nothing_stands_between_name_and_colon() {
    for line in ["Host : a", "Host\t: a", "a b: c", ": a", "a\u{e9}: b", "a\0: b", "(a): b"] {
        assert_eq!(parsed(line), Err(Malformed::Name), "{line:?}");
    }
    assert_eq!(parsed("Host"), Err(Malformed::NoColon));
}

#[test]
fn rfc9112_5_2_folded_lines_are_refused() {
    assert_eq!(parsed(" folded: x"), Err(Malformed::Folded));
    assert_eq!(parsed("\tfolded"), Err(Malformed::Folded));
    assert_eq!(parsed(" : x"), Err(Malformed::Folded));
}

#[test]
fn rfc9110_5_5_control_bytes_are_refused_wherever_they_are() {
    for bad in (0..0x20).chain([0x7f]).filter(|byte| *byte != b'\t') {
        for at in 0..20 {
            let mut value = *b"abcdefghijklmnopqrst";
            value[at] = bad;
            assert!(!is_value(&value), "{bad:#x} at {at}");
            let line = [b"a: ", &value[..], b"\r\n"].concat();
            let expected = if bad == b'\n' { Malformed::LineEnd } else { Malformed::Value };
            assert_eq!(Lines::default().next_field(&line).unwrap_err(), expected, "{bad:#x} at {at}");
        }
    }
}

#[test]
fn rfc9112_2_2_lines_end_in_crlf() {
    let lines = |text: &str| {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        while let Some((_, line)) = lines.next(text.as_bytes())? {
            found.push(String::from_utf8_lossy(line).into_owned());
        }
        Ok::<_, Malformed>(found)
    };
    assert_eq!(lines("a\r\n\r\nb\r"), Ok(vec!["a".into(), String::new()]));
    assert_eq!(lines("a\n"), Err(Malformed::LineEnd));
    assert_eq!(lines("\n"), Err(Malformed::LineEnd));
}

proptest! {
    #[test]
    fn eight_at_a_time_says_what_each_byte_says(bytes: Vec<u8>) {
        prop_assert_eq!(is_value(&bytes), bytes.iter().all(|&byte| is_value_byte(byte)));
    }

    #[test]
    fn a_field_line_is_what_each_of_its_bytes_allows(line in "[a:\t \u{7f}\r\u{0}\u{e9}]{0,40}[a-z ]{0,20}") {
        let whole = format!("{line}\r\n");
        let is_field = line.split_once(':').is_some_and(|(name, value)| {
            !name.is_empty() && name.bytes().all(is_token_byte) && is_value(value.as_bytes())
        });
        match Lines::default().next_field(whole.as_bytes()) {
            Ok(Some(Found::Field(field))) => {
                prop_assert!(is_field);
                let value = &whole[field.value_start as usize..field.value_end as usize];
                prop_assert_eq!(value, line.split_once(':').unwrap().1.trim_matches([' ', '\t']));
            }
            Ok(Some(Found::End)) => prop_assert!(line.is_empty()),
            Ok(None) => prop_assert!(false, "it is whole"),
            Err(_) => prop_assert!(!is_field),
        }
    }

    #[test]
    fn fields_that_come_in_pieces_are_the_same_fields(text in "([a-c]{1,9}: ?[\ta-z]{0,20}|[a:\r ]{0,4})(\r\n|\n)", cut in 0_usize..40) {
        let text = text.as_bytes();
        let mut pieces = Lines::default();
        let first = pieces.next_field(&text[..cut.min(text.len())]).map(|found| found.is_some());
        let in_pieces = match first {
            Ok(false) => pieces.next_field(text),
            Ok(true) => Lines::default().next_field(text),
            Err(error) => Err(error),
        };
        let whole = Lines::default().next_field(text);
        prop_assert_eq!(format!("{in_pieces:?}"), format!("{whole:?}"));
    }

    #[test]
    fn lines_that_come_in_pieces_are_the_same_lines(text in "[ab\r\n]{0,40}", cut in 0_usize..40) {
        let text = text.replace("\r\n", "\n").replace('\r', "").replace('\n', "\r\n").into_bytes();
        let cut = cut.min(text.len());
        let mut whole = Lines::default();
        let mut pieces = Lines::default();
        let mut found = Vec::new();
        while let Ok(Some(line)) = pieces.next(&text[..cut]) { found.push(line); }
        while let Ok(Some(line)) = pieces.next(&text) { found.push(line); }
        let mut expected = Vec::new();
        while let Ok(Some(line)) = whole.next(&text) { expected.push(line); }
        prop_assert_eq!(found, expected);
    }
}
