//! The header fields of one message: the bytes in which they came, where each line is in them, and what became of it.
//!
//! A proxy passes most fields on as they came. So lines stay where they are: one that ends here is only marked, one that is
//! added goes behind, and writing the section copies unedited runs in one piece.

mod parts;

use crate::h1::line::is_value;
use crate::message::list;
use crate::message::name::{FieldName, Name, Names};

/// Names in a list of names that are looked at. Each costs a look at every line, no honest sender has nearly so many, and who
/// names more only keeps fields of its own.
pub(crate) const LISTED_MAX: usize = 64;

/// A header or trailer section. Reused from message to message, so that in steady state nothing is allocated.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    /// Bytes of the head that was parsed: what is behind them was added.
    received: usize,
    lines: Vec<Line>,
    /// The known names of which there may be a line.
    present: Names,
    /// Those of which there may be several.
    repeated: Names,
    /// The first line of each name that is present, by the name's number.
    first: [u16; Name::COUNT],
}

/// There are several lines of a name of which one was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Several;

/// One line of a section, with its line end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    /// Its first byte, from the begin of the head.
    pub(crate) start: u32,
    /// Behind its line end.
    pub(crate) end: u32,
    pub(crate) value_start: u32,
    pub(crate) value_end: u32,
    pub(crate) name_len: u32,
    pub(crate) name: Name,
    pub(crate) is_removed: bool,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            received: 0,
            lines: Vec::new(),
            present: Names::default(),
            repeated: Names::default(),
            first: [0; Name::COUNT],
        }
    }
}

impl Fields {
    /// Forgets everything, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.lines.clear();
        self.received = 0;
        (self.present, self.repeated) = (Names::default(), Names::default());
    }

    /// Whether there may be a line with one of `names`.
    pub(crate) const fn may_have(&self, names: Names) -> bool {
        !self.present.is_disjoint(names)
    }

    /// Whether there may be several lines called `name`.
    pub(crate) const fn is_repeated(&self, name: Name) -> bool {
        self.repeated.contains(name)
    }

    /// Whether there is a line called `name`.
    #[must_use]
    pub(crate) fn contains(&self, name: Name) -> bool {
        self.first(name).is_some()
    }

    /// The value of the first line called `name`.
    #[must_use]
    #[inline]
    pub(crate) fn first(&self, name: Name) -> Option<&[u8]> {
        // Most names that are asked for are not there, and most that are there are at the place that is known.
        if !self.present.contains(name) {
            return None;
        }
        match self.lines.get(usize::from(self.first[name as usize])) {
            Some(line) if line.name == name && !line.is_removed => Some(self.value(line)),
            _ => self.values(name).next(),
        }
    }

    /// The value of the line called `name`, if there is one; `Err` when there are several.
    #[inline]
    pub(crate) fn single(&self, name: Name) -> Result<Option<&[u8]>, Several> {
        if !self.present.contains(name) {
            return Ok(None);
        }
        self.single_of(name)
    }

    fn single_of(&self, name: Name) -> Result<Option<&[u8]>, Several> {
        if !self.repeated.contains(name) {
            return Ok(self.first(name));
        }
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Several),
        }
    }

    /// The values of all lines called `name`, in their order.
    pub(crate) fn values(&self, name: Name) -> impl Iterator<Item = &[u8]> + Clone {
        debug_assert_ne!(name, Name::Other, "others are found by `named`");
        let range = self.range(name);
        let lines = if range.is_empty() { &[] } else { self.lines.get(range).unwrap_or_default() };
        lines.iter().filter(move |line| line.name == name && !line.is_removed).map(|line| self.value(line))
    }

    /// Whether an element of a list field `is_it`.
    pub(crate) fn lists(&self, name: Name, is_it: impl FnMut(&[u8]) -> bool) -> bool {
        // Few messages have any given list.
        self.present.contains(name) && self.elements(name).any(is_it)
    }

    /// The elements of a list field, over all its lines (RFC 9110 section 5.6.1).
    pub(crate) fn elements(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.values(name).flat_map(|line| list::split(line, b','))
    }

    /// The value of the first line with a configured name.
    #[must_use]
    pub(crate) fn configured(&self, name: &FieldName) -> Option<&[u8]> {
        match name.name {
            Name::Other => self.other(name.text.as_bytes()),
            known => self.first(known),
        }
    }

    /// The value of the first line called `name`, which may be any name, in any case.
    #[must_use]
    pub(crate) fn named(&self, name: &str) -> Option<&[u8]> {
        match Name::of(name.as_bytes()) {
            Name::Other => self.other(name.as_bytes()),
            known => self.first(known),
        }
    }

    /// The same for a name that is not known.
    fn other(&self, name: &[u8]) -> Option<&[u8]> {
        if !self.present.contains(Name::Other) {
            return None;
        }
        let mut lines = self.lines.iter().filter(|line| line.name == Name::Other && !line.is_removed);
        lines.find(|line| self.name(line).eq_ignore_ascii_case(name)).map(|line| self.value(line))
    }

    /// Names and values of all lines, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let kept = self.lines.iter().filter(|line| !line.is_removed);
        kept.map(|line| (self.name(line), self.value(line)))
    }

    /// Removes all lines called `name`. Answers whether there were any.
    #[inline]
    pub(crate) fn remove(&mut self, name: Name) -> bool {
        self.present.contains(name) && self.remove_those(name)
    }

    fn remove_those(&mut self, name: Name) -> bool {
        let range = self.range(name);
        self.present = self.present.without(Names::of(&[name]));
        let mut is_there = false;
        for line in self.lines[range].iter_mut().filter(|line| line.name == name) {
            is_there |= !line.is_removed;
            line.is_removed = true;
        }
        is_there
    }

    /// Removes all lines whose names are in `names`.
    pub(crate) fn remove_all(&mut self, names: Names) {
        if self.present.is_disjoint(names) {
            return;
        }
        self.present = self.present.without(names);
        for line in &mut self.lines {
            line.is_removed |= names.contains(line.name);
        }
    }

    /// Removes all lines that the list field `list` names, in any case, but for those whose names are in `kept`.
    pub(crate) fn remove_listed(&mut self, list: Name, kept: Names) {
        if !self.present.contains(list) {
            return;
        }
        let mut listed = Names::default();
        let mut left = LISTED_MAX;
        for at in 0..self.lines.len() {
            let line = self.lines[at];
            if line.name != list || line.is_removed {
                continue;
            }
            let value = &self.bytes[line.value_start as usize..line.value_end as usize];
            for element in list::split(value, b',').take(left) {
                left -= 1;
                match Name::of(element) {
                    Name::Other => remove_others(&self.bytes, &mut self.lines, element),
                    name => listed = listed.and(Names::of(&[name])),
                }
            }
        }
        self.remove_all(listed.without(kept));
    }

    /// Removes all lines whose names `is_removed` says, whatever their case: it gets them as they came.
    pub(crate) fn remove_where(&mut self, is_removed: impl Fn(Name, &[u8]) -> bool) {
        for line in &mut self.lines {
            let name = &self.bytes[line.start as usize..][..line.name_len as usize];
            line.is_removed |= is_removed(line.name, name);
        }
    }

    /// Removes those lines with names that are not known for which `is_removed` says so, whatever their case: it gets them as they came.
    pub(crate) fn remove_unknown_where(&mut self, is_removed: impl Fn(&[u8]) -> bool) {
        if !self.present.contains(Name::Other) {
            return;
        }
        for line in self.lines.iter_mut().filter(|line| line.name == Name::Other) {
            let name = &self.bytes[line.start as usize..][..line.name_len as usize];
            line.is_removed |= is_removed(name);
        }
    }

    /// Removes all lines with a configured name.
    pub(crate) fn remove_configured(&mut self, name: &FieldName) {
        match name.name {
            Name::Other => {
                if self.present.contains(Name::Other) {
                    remove_others(&self.bytes, &mut self.lines, name.text.as_bytes());
                }
            }
            known => {
                self.remove_all(Names::of(&[known]));
            }
        }
    }

    /// Adds a line. The value is made of `pieces`, whose bytes must be such as a value may have (RFC 9110 section 5.5): they are our
    /// own, or were checked where they came in.
    // Where the name is known, so is what is written in front of the value and noted about it.
    #[inline(always)]
    pub(crate) fn append(&mut self, name: Name, pieces: &[&[u8]]) {
        self.append_named(name.as_str(), name, pieces);
    }

    /// Adds a line with any name. Bytes that can't be in a value are left out.
    pub(crate) fn append_other(&mut self, name: &str, value: &[u8]) {
        let known = Name::of(name.as_bytes());
        if is_value(value) {
            self.append_named(name, known, &[value]);
        } else {
            let kept: Vec<u8> = value.iter().copied().filter(|&byte| is_value_byte(byte)).collect();
            self.append_named(name, known, &[&kept]);
        }
    }

    /// Adds a line that is written out: the name, a colon, a space, the value, the line end. For the value holds what holds for
    /// [`append`](Self::append).
    #[inline(always)]
    pub(crate) fn append_line(&mut self, name: Name, line: &[u8]) {
        debug_assert!(line.starts_with(name.as_str().as_bytes()) && line.ends_with(b"\r\n"), "a whole line");
        let start = self.bytes.len();
        self.bytes.extend_from_slice(line);
        let end = self.bytes.len();
        let name_len = name.as_str().len();
        let (value_start, value_end) = (start + name_len + 2, end - 2);
        debug_assert!(is_value(&self.bytes[value_start..value_end]), "a value that could begin another line");
        self.push(Line {
            start: offset(start),
            end: offset(end),
            value_start: offset(value_start),
            value_end: offset(value_end),
            name_len: offset(name_len),
            name,
            is_removed: false,
        });
    }

    /// Replaces all lines called `name` by one.
    #[inline(always)]
    pub(crate) fn set(&mut self, name: Name, pieces: &[&[u8]]) {
        self.remove(name);
        self.append(name, pieces);
    }

    /// Makes one line of all lines of a list field, with an element made of `pieces` at its end.
    #[inline(always)]
    pub(crate) fn join(&mut self, name: Name, pieces: &[&[u8]]) {
        if self.present.contains(name) {
            self.join_those(name, pieces);
        } else {
            self.append(name, pieces);
        }
    }

    fn join_those(&mut self, name: Name, pieces: &[&[u8]]) {
        let before = self.lines.len();
        let (start, value_start) = self.begin(name.as_str());
        for at in 0..before {
            let line = &mut self.lines[at];
            if line.name != name || line.is_removed {
                continue;
            }
            line.is_removed = true;
            if line.value_start < line.value_end {
                self.bytes.extend_from_within(line.value_start as usize..line.value_end as usize);
                self.bytes.extend_from_slice(b", ");
            }
        }
        self.finish(start, value_start, name, pieces);
    }

    /// Shortens values of lines called `name` in place: `shorten` gets each, moves what shall stay to its front and answers how
    /// many bytes that is. A line of which nothing stays is removed.
    pub(crate) fn shorten(&mut self, name: Name, mut shorten: impl FnMut(&mut [u8]) -> usize) {
        let range = self.range(name);
        for line in self.lines[range].iter_mut().filter(|line| line.name == name && !line.is_removed) {
            let value = &mut self.bytes[line.value_start as usize..line.value_end as usize];
            let before = value.len();
            let after = shorten(value).min(before);
            if after == 0 && before > 0 {
                line.is_removed = true;
            } else if after < before {
                let end = line.value_start as usize + after;
                // There is room for it: at least one byte fell away before the old line end, which has two.
                self.bytes[end..end + 2].copy_from_slice(b"\r\n");
                line.value_end = offset(end);
                line.end = offset(end + 2);
            }
        }
    }

    /// Writes all lines, each with its line end, without the empty line behind them.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let (mut start, mut end) = (0, 0);
        for line in &self.lines {
            if line.is_removed {
                continue;
            }
            if line.start != end {
                out.extend_from_slice(&self.bytes[start as usize..end as usize]);
                start = line.start;
            }
            end = line.end;
        }
        out.extend_from_slice(&self.bytes[start as usize..end as usize]);
    }

    /// Takes up the bytes of a head whose lines were pushed. Their places count from its begin.
    pub(crate) fn take_bytes(&mut self, head: &[u8]) {
        self.bytes.extend_from_slice(head);
        self.received = self.bytes.len();
    }

    /// Adds a line that was parsed, whose bytes come with [`take_bytes`](Self::take_bytes).
    #[inline]
    pub(crate) fn push(&mut self, line: Line) {
        let name = Names::of(&[line.name]);
        if self.present.is_disjoint(name) {
            self.present = self.present.and(name);
            self.repeated = self.repeated.without(name);
            self.first[line.name as usize] = u16::try_from(self.lines.len()).unwrap_or(u16::MAX);
        } else {
            self.repeated = self.repeated.and(name);
        }
        self.lines.push(line);
    }

    /// The places between which all lines called `name` are.
    fn range(&self, name: Name) -> std::ops::Range<usize> {
        if !self.present.contains(name) {
            return 0..0;
        }
        let first = usize::from(self.first[name as usize]);
        // Behind so many lines, places are not known.
        if first == usize::from(u16::MAX) || self.repeated.contains(name) {
            first.min(self.lines.len())..self.lines.len()
        } else {
            first..first + 1
        }
    }

    /// The bytes of the head, for what else than lines is in it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Lines that were parsed or added, also those that were removed.
    pub(crate) fn lines_seen(&self) -> usize {
        self.lines.len()
    }

    #[inline(always)]
    fn append_named(&mut self, text: &str, name: Name, pieces: &[&[u8]]) {
        let (start, value_start) = self.begin(text);
        self.finish(start, value_start, name, pieces);
    }

    /// Writes the name of a line that is added. Answers where the line and its value begin.
    #[inline(always)]
    fn begin(&mut self, text: &str) -> (usize, usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend_from_slice(b": ");
        (start, self.bytes.len())
    }

    /// Writes `pieces` behind what the value of a line that is added has so far, and adds the line.
    #[inline(always)]
    fn finish(&mut self, start: usize, value_start: usize, name: Name, pieces: &[&[u8]]) {
        for piece in pieces {
            self.bytes.extend_from_slice(piece);
        }
        debug_assert!(is_value(&self.bytes[value_start..]), "a value that could begin another line");
        let value_end = self.bytes.len();
        self.bytes.extend_from_slice(b"\r\n");
        self.push(Line {
            start: offset(start),
            end: offset(value_end + 2),
            value_start: offset(value_start),
            value_end: offset(value_end),
            name_len: offset(value_start - start - 2),
            name,
            is_removed: false,
        });
    }

    fn name(&self, line: &Line) -> &[u8] {
        let start = line.start as usize;
        self.bytes.get(start..start + line.name_len as usize).unwrap_or_default()
    }

    /// Empty while the bytes were not taken up.
    fn value(&self, line: &Line) -> &[u8] {
        self.bytes.get(line.value_start as usize..line.value_end as usize).unwrap_or_default()
    }
}

/// Marks the lines with a name that is not known.
fn remove_others(bytes: &[u8], lines: &mut [Line], name: &[u8]) {
    for line in lines.iter_mut().filter(|line| line.name == Name::Other && !line.is_removed) {
        let found = &bytes[line.start as usize..][..line.name_len as usize];
        line.is_removed = found.eq_ignore_ascii_case(name);
    }
}

/// A place in a head. Limits keep heads far below 4 GiB.
#[expect(clippy::cast_possible_truncation, reason = "checked where it costs nothing: in every test")]
pub(crate) const fn offset(at: usize) -> u32 {
    debug_assert!(at <= u32::MAX as usize, "a head is smaller");
    at as u32
}

/// Whether `byte` may be in a field value (RFC 9110 section 5.5): visible, space, tab, or of another alphabet.
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Fields {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(pairs: T) -> Self {
        let mut fields = Self::default();
        for (name, value) in pairs {
            fields.append_other(name.as_ref(), value.as_ref());
        }
        fields
    }
}

/// Equal when they have the same lines in the same order, whatever the case of their names.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        let lower = |(name, value): (&[u8], &[u8])| (name.to_ascii_lowercase(), value.to_vec());
        self.iter().map(lower).eq(other.iter().map(lower))
    }
}

#[cfg(test)]
mod tests;
