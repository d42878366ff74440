//! Cookies in requests (RFC 6265 section 4.2): finding one by name, and taking some out without touching the others.

use std::ops::Range;

use crate::message::fields::Fields;
use crate::message::name::Name;
use crate::message::scan;

/// Prefix of the names of cookies on secure connections (RFC 6265bis section 4.1.3.2): no other host can have set them.
pub(crate) const HOST_PREFIX: &[u8; 7] = b"__Host-";

/// One `name=value` of a line, or what stands in the place of one, without the whitespace in front of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<'a>(&'a [u8]);

impl<'a> Pair<'a> {
    /// What stands between two delimiters.
    // Here and below: each is a few instructions, and is asked for every cookie.
    #[inline(always)]
    fn of(text: &'a [u8]) -> Self {
        Self(text.trim_ascii_start())
    }

    /// Its value, if this is its name.
    #[inline(always)]
    #[must_use]
    pub(crate) fn value_of(self, name: &str) -> Option<&'a [u8]> {
        // Most others differ in their first byte, and to compare the rest is a call.
        if self.0.first() != name.as_bytes().first() {
            return None;
        }
        let rest = self.0.strip_prefix(name.as_bytes())?.trim_ascii_start();
        rest.strip_prefix(b"=").map(<[u8]>::trim_ascii)
    }

    /// Its value, if this is its name, as it is on secure connections or on others.
    #[inline(always)]
    #[must_use]
    pub(crate) fn value_of_ours(self, name: &str, is_secure: bool) -> Option<&'a [u8]> {
        let pair = if is_secure { self.0.strip_prefix(HOST_PREFIX)? } else { self.0 };
        Pair(pair).value_of(name)
    }
}

/// Cookies of one request that are to go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Going {
    /// None.
    #[default]
    Nothing,
    /// The one that is there in the only line, or the first.
    One(Range<usize>),
    /// Several.
    Several,
}

impl Going {
    /// One more.
    #[inline]
    pub(crate) fn add(&mut self, at: Range<usize>) {
        *self = if *self == Self::Nothing { Self::One(at) } else { Self::Several };
    }
}

/// Shows all pairs of all `Cookie` lines, in their order, and where in its line each is.
#[inline]
pub(crate) fn for_each<'a>(fields: &'a Fields, mut see: impl FnMut(Range<usize>, Pair<'a>)) {
    for line in fields.values(Name::Cookie) {
        let mut at = 0;
        while let Some(len) = scan::byte(&line[at..], b';') {
            see(at..at + len, Pair::of(&line[at..at + len]));
            at += len + 1;
        }
        see(at..line.len(), Pair::of(&line[at..]));
    }
}

/// The value of the first cookie called `name`.
#[must_use]
pub(crate) fn first<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    let mut found = None;
    for_each(fields, |_, pair| found = found.or_else(|| pair.value_of(name)));
    found
}

/// Removes the cookies that are `going`, which are those that `is_removed` says. All others stay as they are, byte for byte and in their
/// order; a `Cookie` line that has none left is removed.
pub(crate) fn remove(fields: &mut Fields, going: &Going, is_removed: impl Fn(Pair<'_>) -> bool) {
    match going {
        Going::Nothing => {}
        Going::One(at) if !fields.is_repeated(Name::Cookie) => {
            fields.shorten(Name::Cookie, |line| cut(line, at.clone()));
        }
        Going::One(_) | Going::Several => {
            fields.shorten(Name::Cookie, |line| shorten(line, &is_removed));
        }
    }
}

/// Takes one cookie out of a line.
fn cut(line: &mut [u8], at: Range<usize>) -> usize {
    let is_last = at.end == line.len();
    // A delimiter belongs to what is before it.
    let end = line.len().min(at.end + 1);
    line.copy_within(end.., at.start);
    let kept = line.len() - (end - at.start);
    tidy(line, kept, is_last)
}

/// Moves the cookies that stay to the front of `line`, and answers how many bytes they are: all of it when none is removed.
fn shorten(line: &mut [u8], is_removed: impl Fn(Pair<'_>) -> bool) -> usize {
    let (mut kept, mut at) = (0, 0);
    let mut is_last_removed = false;
    while at < line.len() {
        let pair_end = scan::byte(&line[at..], b';').map_or(line.len(), |len| at + len);
        // A delimiter belongs to what is before it.
        let end = line.len().min(pair_end + 1);
        if is_removed(Pair::of(&line[at..pair_end])) {
            is_last_removed = pair_end == end;
        } else {
            if kept < at {
                line.copy_within(at..end, kept);
            }
            kept += end - at;
        }
        at = end;
    }
    if kept == line.len() { kept } else { tidy(line, kept, is_last_removed) }
}

/// Takes away what belonged to cookies that were removed from a line whose first `kept` bytes are what is left.
fn tidy(line: &mut [u8], mut kept: usize, is_last_removed: bool) -> usize {
    kept -= usize::from(is_last_removed && kept > 0);
    let is_filler = |byte: &u8| *byte == b';' || byte.is_ascii_whitespace();
    let filler = line[..kept].iter().take_while(|byte| is_filler(byte)).count();
    if filler > 0 {
        line.copy_within(filler..kept, 0);
    }
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
        let mut found = Vec::new();
        for_each(&fields, |_, pair| found.extend(pair.value_of("cutover")));
        assert_eq!(first(&fields, "cutover"), found.first().copied());
        found.into_iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }

    fn remove_all(fields: &mut Fields, name: &str) {
        let is_removed = |pair: Pair<'_>| pair.value_of(name).is_some();
        let mut going = Going::default();
        for_each(fields, |at, pair| {
            if is_removed(pair) {
                going.add(at);
            }
        });
        let mut by_looking = fields.clone();
        remove(fields, &going, is_removed);
        remove(&mut by_looking, &Going::Several, is_removed);
        assert_eq!(*fields, by_looking, "{going:?}");
    }

    fn removed(lines: &[&str]) -> Vec<String> {
        let mut fields = fields(lines);
        remove_all(&mut fields, "cutover");
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
    fn on_secure_connections_names_have_a_prefix() {
        let ours = |pair: &str, is_secure| {
            Pair::of(pair.as_bytes()).value_of_ours("a", is_secure).map(<[u8]>::to_vec)
        };
        assert_eq!(ours(" __Host-a = 1 ", true), Some(b"1".to_vec()));
        assert_eq!(ours("a=1", false), Some(b"1".to_vec()));
        for (pair, is_secure) in
            [("a=1", true), ("__Host-a=1", false), ("__Host- a=1", false), ("__host-a=1", true)]
        {
            assert_eq!(ours(pair, is_secure), None, "{pair}");
        }
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
            let is_pin = |pair: &&[u8]| Pair::of(pair).value_of("cutover").is_some();
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
            let before = Fields::from_iter([("cookie", &line)]);
            let mut fields = before.clone();
            let had = first(&before, "a");
            remove_all(&mut fields, "a");
            prop_assert_eq!(first(&fields, "a"), None);
            prop_assert!(had.is_some() || fields == before);
        }
    }
}
