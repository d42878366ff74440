//! The name of a record: a path of segments such as `backend/web/a`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use thiserror::Error;

/// A path of one or more segments, any UTF-8 text each.
///
/// It is kept in its written form, in which `/`, `%` and ASCII control bytes of a segment are `%XX`. There is one
/// written form of a path, so keys are equal when their paths are. Keys are ordered by the bytes of that form, as they
/// are in every store, which puts all records below a path next to each other: see [`Key::subtree`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The path of one segment.
    pub fn new(segment: &str) -> Self {
        let mut written = String::with_capacity(segment.len());
        write_segment(&mut written, segment);
        Self(written)
    }

    /// This path with one more segment.
    #[must_use]
    pub fn child(&self, segment: &str) -> Self {
        let mut written = String::with_capacity(self.0.len() + 1 + segment.len());
        written.push_str(&self.0);
        written.push('/');
        write_segment(&mut written, segment);
        Self(written)
    }

    /// The segments as they were given, from the first.
    pub fn segments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.0.split('/').map(read_segment)
    }

    /// The written form, which [`Key::from_str`] reads back.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The range of all keys below this one, without itself: `map.range(key.subtree())`.
    pub fn subtree(&self) -> Range<Self> {
        let after_slash = char::from(b'/' + 1);
        Self(format!("{}/", self.0))..Self(format!("{}{after_slash}", self.0))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0)
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(written: &str) -> Result<Self, KeyError> {
        let mut canonical = String::with_capacity(written.len());
        for (index, segment) in written.split('/').enumerate() {
            if index > 0 {
                canonical.push('/');
            }
            write_segment(&mut canonical, &read_segment(segment));
        }
        if canonical == written { Ok(Self(canonical)) } else { Err(KeyError { written: written.to_owned() }) }
    }
}

/// The text is not the written form of any path: a `%` that starts no needed escape, or a raw control byte.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{written:?} is not the written form of a key")]
pub struct KeyError {
    written: String,
}

fn write_segment(written: &mut String, segment: &str) {
    for character in segment.chars() {
        if needs_escape(character) {
            let byte = u32::from(character);
            written.push('%');
            written.extend([byte >> 4, byte & 0xf].map(hex_digit));
        } else {
            written.push(character);
        }
    }
}

/// Undoes `write_segment`. What is no escape of it stays as it is, which writes back as something else: that is how
/// `from_str` finds it.
fn read_segment(written: &str) -> Cow<'_, str> {
    if !written.contains('%') {
        return Cow::Borrowed(written);
    }
    let mut segment = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(at) = rest.find('%') {
        segment.push_str(&rest[..at]);
        let escaped = rest.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped.map(char::from).filter(|&character| needs_escape(character)) {
            Some(character) => {
                segment.push(character);
                rest = &rest[at + 3..];
            }
            None => {
                segment.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    segment.push_str(rest);
    Cow::Owned(segment)
}

fn needs_escape(character: char) -> bool {
    matches!(character, '/' | '%') || character.is_ascii_control()
}

fn hex_digit(value: u32) -> char {
    char::from_digit(value, 16).map_or('0', |digit| digit.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn path(segments: &[String]) -> Key {
        let (first, rest) = segments.split_first().expect("a path has a segment");
        rest.iter().fold(Key::new(first), |key, segment| key.child(segment))
    }

    fn segments() -> impl Strategy<Value = Vec<String>> {
        // Mostly the characters that are close to the separator and the escape, and anything at all beside them.
        vec(prop_oneof!["[-./0%a\\x00\\x7fF2]{0,6}", ".{0,6}"], 1..5)
    }

    #[test]
    fn the_written_form_escapes_what_would_be_ambiguous() {
        let key = Key::new("version").child("web").child("v1/50%\n");
        assert_eq!(key.to_string(), "version/web/v1%2F50%25%0A");
    }

    #[test]
    fn text_that_is_no_written_form_is_refused() {
        for text in ["a/%", "a/%2", "a/%zz", "a/%41", "a/%2f", "a/%FF", "a/%+F", "a\n", "%é"] {
            assert!(text.parse::<Key>().is_err(), "{text:?} was taken for a key");
        }
    }

    #[test]
    fn a_subtree_leaves_out_its_root_and_its_neighbours() {
        let web = Key::new("backend").child("web");
        let all: BTreeSet<Key> = [
            "backend/web",
            "backend/web-2/a",
            "backend/web/",
            "backend/web/a/b",
            "backend/web0",
            "backend/web/b",
        ]
        .iter()
        .map(|text| text.parse().expect("a key"))
        .collect();
        let below: Vec<&str> = all.range(web.subtree()).map(Key::as_str).collect();
        assert_eq!(below, ["backend/web/", "backend/web/a/b", "backend/web/b"]);
    }

    proptest! {
        #[test]
        fn a_path_survives_writing_and_reading(segments in segments()) {
            let key = path(&segments);
            let read: Key = key.as_str().parse().expect("its own written form");
            prop_assert_eq!(&read, &key);
            prop_assert_eq!(read.segments().collect::<Vec<_>>(), segments);
        }

        #[test]
        fn a_subtree_holds_exactly_the_longer_paths_with_the_same_start(a in segments(), b in segments()) {
            let is_below = b.len() > a.len() && b.starts_with(&a);
            prop_assert_eq!(path(&a).subtree().contains(&path(&b)), is_below);
            let child = path(&a).child(&b[0]);
            prop_assert!(path(&a).subtree().contains(&child));
        }

        #[test]
        fn reading_never_panics_and_takes_only_what_it_would_write(text in ".{0,24}") {
            if let Ok(key) = text.parse::<Key>() {
                let segments: Vec<String> = key.segments().map(Cow::into_owned).collect();
                prop_assert_eq!(path(&segments).to_string(), text);
            }
        }
    }
}
