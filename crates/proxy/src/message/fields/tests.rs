//! Fields, their lines, and what is written of them.

use super::*;

impl Fields {
    /// Lines that are there.
    pub(crate) fn len(&self) -> usize {
        self.lines.iter().filter(|line| !line.is_removed).count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().copied().collect()
}

fn written(fields: &Fields) -> String {
    let mut out = Vec::new();
    fields.write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn lines_are_found_by_known_and_by_any_name() {
    let fields = fields(&[("host", "a"), ("X-Own", "1"), ("x-own", "2"), ("VIA", "b"), ("via", "c, d")]);
    assert_eq!(fields.first(Name::Host), Some(&b"a"[..]));
    assert_eq!(fields.named("x-OWN"), Some(&b"1"[..]));
    assert_eq!(fields.elements(Name::Via).collect::<Vec<_>>(), [&b"b"[..], b"c", b"d"]);
    assert!(!fields.contains(Name::Cookie) && fields.named("x-ow").is_none());
}

#[test]
fn what_is_removed_is_not_written_and_the_rest_is_as_it_came() {
    let mut fields = fields(&[("A", "1"), ("via", "x"), ("b", "2"), ("C", "3"), ("x-y", "4")]);
    assert!(fields.remove(Name::Via) && !fields.remove(Name::Via));
    fields.remove_configured(&FieldName::new("X-Y"));
    fields.set(Name::Via, &[b"1.1 ", b"me"]);
    assert_eq!(written(&fields), "A: 1\r\nb: 2\r\nC: 3\r\nVia: 1.1 me\r\n");
    assert_eq!(fields.len(), 4);
}

#[test]
fn a_value_is_shortened_where_it_stands() {
    let mut fields = fields(&[("a", "1"), ("cookie", "abc"), ("cookie", "x"), ("b", "2")]);
    fields.shorten(Name::Cookie, |value| {
        value.rotate_left(1);
        value.len() - 1
    });
    assert_eq!(written(&fields), "a: 1\r\ncookie: bc\r\nb: 2\r\n");
    assert_eq!(fields.first(Name::Cookie), Some(&b"bc"[..]));
}

#[test]
fn what_a_list_names_is_removed_as_far_as_it_may_be() {
    let mut fields = fields(&[
        ("x-own", "1"),
        ("Connection", "X-OWN,, cookie, host"),
        ("cookie", "a"),
        ("host", "h"),
        ("x-two", "2"),
        ("connection", "x-two"),
        ("x-own", "3"),
        ("b", "4"),
    ]);
    fields.remove_listed(Name::Connection, Names::of(&[Name::Host]));
    fields.remove_all(Names::of(&[Name::Connection, Name::Via]));
    assert_eq!(written(&fields), "host: h\r\nb: 4\r\n");
}

#[test]
fn a_list_of_names_is_read_up_to_its_limit() {
    let list = format!("{}x-late", "a, ".repeat(LISTED_MAX - 1));
    let mut fields =
        fields(&[("connection", &list), ("connection", "x-later"), ("x-late", ""), ("x-later", "")]);
    fields.remove_listed(Name::Connection, Names::default());
    assert!(fields.named("x-late").is_none() && fields.named("x-later").is_some());
}

#[test]
fn lines_of_a_list_are_joined() {
    let mut fields = fields(&[("via", "a, b"), ("x", "1"), ("VIA", ""), ("Via", "c")]);
    fields.join(Name::Via, &[b"d", b"e"]);
    fields.join(Name::Forwarded, &[b"f"]);
    assert_eq!(written(&fields), "x: 1\r\nVia: a, b, c, de\r\nForwarded: f\r\n");
    assert_eq!(fields.first(Name::Via), Some(&b"a, b, c, de"[..]));
}

#[test]
fn a_value_can_not_begin_another_line() {
    let mut fields = Fields::default();
    fields.append_other("Via", b"a\r\nb: c\0");
    assert_eq!(written(&fields), "Via: ab: c\r\n");
}
