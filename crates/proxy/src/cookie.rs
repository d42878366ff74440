//! Cookies in requests (RFC 6265 section 4.2): finding one by name, and taking some out without touching the others.

use crate::fields::Fields;
use crate::name::Name;
use crate::scan;

/// The values of all cookies whose names `is_wanted` says, in their order; several `Cookie` lines count as one.
pub fn values(fields: &Fields, is_wanted: impl Fn(&[u8]) -> bool) -> impl Iterator<Item = &[u8]> {
    chosen(fields, move |name| is_wanted(name).then_some(())).map(|((), value)| value)
}

/// The same of cookies of several kinds, each with what `kind` makes of its name.
pub fn chosen<K>(fields: &Fields, kind: impl Fn(&[u8]) -> Option<K>) -> impl Iterator<Item = (K, &[u8])> {
    let mut lines = fields.values(Name::Cookie);
    let mut rest = None;
    std::iter::from_fn(move || {
        loop {
            let line: &[u8] = match rest {
                Some(rest) => rest,
                None => lines.next()?,
            };
            let end = scan::byte(line, b';');
            rest = end.map(|end| &line[end + 1..]);
            let pair = split(&line[..end.unwrap_or(line.len())]);
            if let Some(found) = pair.and_then(|(name, value)| Some((kind(name)?, value))) {
                return Some(found);
            }
        }
    })
}

/// Removes the cookies whose names `is_removed` says. All others stay as they are, byte for byte and in their order; a `Cookie`
/// line that has none left is removed.
pub fn remove(fields: &mut Fields, is_removed: impl Fn(&[u8]) -> bool) {
    fields.shorten(Name::Cookie, |line| shorten(line, &is_removed));
}

/// Name and value of `pair`; `None` when it is no pair.
#[inline]
fn split(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let pair = pair.trim_ascii();
    let equals = scan::byte(pair, b'=')?;
    Some((pair[..equals].trim_ascii_end(), pair[equals + 1..].trim_ascii_start()))
}

fn is_named(pair: &[u8], is_removed: impl Fn(&[u8]) -> bool) -> bool {
    split(pair).is_some_and(|(name, _)| is_removed(name))
}

/// Moves the cookies that stay to the front of `line`, and answers how many bytes they are: all of it when none is removed.
fn shorten(line: &mut [u8], is_removed: impl Fn(&[u8]) -> bool) -> usize {
    let (mut kept, mut at) = (0, 0);
    let mut is_last_removed = false;
    while at < line.len() {
        let pair_end = scan::byte(&line[at..], b';').map_or(line.len(), |len| at + len);
        // A delimiter belongs to what is before it.
        let end = line.len().min(pair_end + 1);
        if is_named(&line[at..pair_end], &is_removed) {
            is_last_removed = pair_end == end;
        } else {
            if kept < at {
                line.copy_within(at..end, kept);
            }
            kept += end - at;
        }
        at = end;
    }
    if kept == line.len() {
        return kept;
    }
    kept -= usize::from(is_last_removed && kept > 0);
    let is_filler = |byte: &u8| *byte == b';' || byte.is_ascii_whitespace();
    let filler = line[..kept].iter().take_while(|byte| is_filler(byte)).count();
    line.copy_within(filler..kept, 0);
    kept - filler
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
        line.split(|&byte| byte == b';')
    }

    fn fields(lines: &[&str]) -> Fields {
        lines.iter().map(|line| ("cookie", line)).collect()
    }

    fn found(lines: &[&str]) -> Vec<String> {
        let fields = fields(lines);
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        values(&fields, |name| name == b"cutover").map(text).collect()
    }

    fn removed(lines: &[&str]) -> Vec<String> {
        let mut fields = fields(lines);
        remove(&mut fields, |name| name == b"cutover");
        fields.values(Name::Cookie).map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn cookies_are_found_by_their_exact_name() {
        assert_eq!(found(&["cutover=1"]), ["1"]);
        assert_eq!(found(&["a=b; cutover=1==; c=d"]), ["1=="]);
        assert_eq!(found(&["a=b;cutover=1;cutover=2", "cutover=3"]), ["1", "2", "3"]);
        assert_eq!(found(&["cutover=", "; cutover = 4 ;"]), ["", "4"]);
        assert!(found(&["cutover", "Cutover=1; xcutover=1; cutoverx=1; a=cutover=1"]).is_empty());
        assert!(found(&[]).is_empty());
    }

    #[test]
    fn a_cookie_is_removed_and_the_others_stay() {
        assert_eq!(removed(&["a=1; cutover=x; b=2"]), ["a=1; b=2"]);
        assert_eq!(removed(&["cutover=x; b=2"]), ["b=2"]);
        assert_eq!(removed(&["a=1;cutover=x"]), ["a=1"]);
        assert_eq!(removed(&["a=\"1 2\";  b;;=;cutover=x;c=\u{e9} "]), ["a=\"1 2\";  b;;=;c=\u{e9} "]);
        assert_eq!(removed(&["cutover=x", "b=2", "c=3; cutover=y"]), ["b=2", "c=3"]);
    }

    #[test]
    fn a_line_without_cookies_is_removed() {
        for line in ["cutover=x", "cutover=x;", " ; cutover=x ; ", "cutover=x; cutover=y"] {
            assert!(removed(&[line]).iter().all(|rest| rest.trim_matches([' ', ';']).is_empty()), "{line:?}");
        }
        assert!(removed(&["cutover=x"]).is_empty() && removed(&["cutover=x;"]).is_empty());
    }

    proptest! {
        #[test]
        fn removal_leaves_every_other_cookie_byte_for_byte(
            pairs in prop::collection::vec("(cutover=[a-z]{0,3}| ?[a-z=\" ]{0,8})", 0..6),
        ) {
            let line = pairs.join(";");
            let is_pin = |pair: &&[u8]| is_named(pair, |name| name == b"cutover");
            let kept: Vec<&[u8]> = pairs_of(line.as_bytes()).filter(|pair| !is_pin(pair)).collect();
            let rest = removed(&[&line]).join("\n");
            prop_assert!(found(&[&rest]).is_empty());
            let kept = String::from_utf8(kept.join(&b';')).unwrap();
            if kept.len() == line.len() {
                prop_assert_eq!(rest, line);
            } else {
                prop_assert_eq!(rest, kept.trim_start_matches([' ', ';']));
            }
        }

        #[test]
        fn any_bytes_are_read_and_rewritten(line in prop::collection::vec(0x20_u8..=0xff, 0..40)) {
            let mut fields = Fields::from_iter([("cookie", &line)]);
            let before = fields.clone();
            let had = values(&fields, |name| name == b"a").count();
            remove(&mut fields, |name| name == b"a");
            prop_assert_eq!(values(&fields, |name| name == b"a").count(), 0);
            prop_assert!(had > 0 || fields == before);
        }
    }
}
