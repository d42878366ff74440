//! What is made of the bytes that a section has already, so that nothing is allocated for it: lines, and texts beside them.

use std::ops::Range;

use super::Fields;
use crate::name::{FieldName, Name};

impl Fields {
    /// Adds a line with a configured name. The value's bytes must be such as a value may have, as for [`append`](Self::append).
    pub(crate) fn append_configured(&mut self, name: &FieldName, value: &[u8]) {
        let text = match name.name {
            Name::Other => &*name.text,
            known => known.as_str(),
        };
        self.append_named(text, name.name, &[value]);
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
