//! The bytes that a section has, however its lines were edited: what came with the head, and what is made of it without an allocation.

use std::ops::Range;

use super::Fields;
use crate::message::name::{FieldName, Name};

impl Fields {
    /// Adds a line with a configured name. The value's bytes must be such as a value may have, as for [`append`](Self::append).
    pub(crate) fn append_configured(&mut self, name: &FieldName, value: &[u8]) {
        let text = match name.name {
            Name::Other => &*name.text,
            known => known.as_str(),
        };
        self.append_named(text, name.name, &[value]);
    }

    /// The value of the first line called `name` that came with the head, whatever became of it since.
    pub(crate) fn received(&self, name: Name) -> Option<&[u8]> {
        let line = self.lines.iter().find(|line| line.name == name)?;
        // Lines that were added come behind all that were parsed.
        ((line.start as usize) < self.received).then(|| self.value(line))
    }

    /// Where the value of the first line called `name` is.
    pub(crate) fn place(&self, name: Name) -> Option<Range<usize>> {
        let line = self.lines.iter().find(|line| line.name == name && !line.is_removed)?;
        Some(line.value_start as usize..line.value_end as usize)
    }

    /// Adds a line whose value is made of bytes of the head, or of other values.
    pub(crate) fn append_parts(&mut self, name: Name, parts: &[Range<usize>]) {
        let (start, value_start) = self.begin(name.as_str());
        for part in parts {
            self.bytes.extend_from_within(part.clone());
        }
        self.finish(start, value_start, name, &[]);
    }

    /// Puts a text beside the lines: `front`, and behind it what is in the head there. Answers where it is.
    pub(crate) fn put_beside(&mut self, front: &[u8], part: Range<usize>) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(front);
        self.bytes.extend_from_within(part);
        start..self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h1::head::{HeadLimits, RequestHead};

    #[test]
    fn what_came_is_known_whatever_became_of_it() {
        let limits = HeadLimits { line: 100, fields: 100, count: 10 };
        let mut asked = RequestHead::default();
        let head = b"GET / HTTP/1.1\r\nReferer: a\r\nVia: b\r\n\r\n";
        assert_eq!(asked.parse(head, &limits), Ok(Some(head.len())));
        let fields = &mut asked.fields;
        fields.set(Name::Referer, &[b"c"]);
        fields.append(Name::UserAgent, &[b"d"]);
        fields.remove(Name::Via);
        let received = [Name::Referer, Name::Via, Name::UserAgent].map(|name| fields.received(name));
        assert_eq!(received, [Some(&b"a"[..]), Some(b"b"), None]);
        fields.clear();
        assert_eq!(fields.received(Name::Referer), None);
    }
}
