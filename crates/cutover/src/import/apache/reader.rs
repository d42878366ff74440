//! Reads Apache's files into directives: lines, tags, quotes, continuation, `Define`, `Include`.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::error::ImportError;
use super::super::files::{DEPTH_MAX, Files};
use super::super::tree::{Directive, Place};

/// Tags inside of each other.
const NESTED_MAX: usize = 32;
/// Bytes of a line after its variables were replaced, each of which may be as long as the line that defines it.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Reads the main file and what it includes.
///
/// # Errors
/// A file is no configuration of Apache, or the main one can't be read.
pub(super) fn read(files: &mut Files) -> Result<Vec<Directive>, ImportError> {
    let (name, text) = files.read_main()?;
    let mut reader = Reader { files, defined: BTreeMap::new(), depth: 0 };
    reader.file(&name, &text)
}

struct Reader<'a> {
    files: &'a mut Files,
    defined: BTreeMap<String, String>,
    depth: usize,
}

/// A tag that is open.
struct Open {
    tag: Directive,
    inner: Vec<Directive>,
    /// Whether what is in it counts.
    holds: bool,
}

impl Reader<'_> {
    fn file(&mut self, file: &Rc<str>, text: &str) -> Result<Vec<Directive>, ImportError> {
        let mut done = Vec::new();
        let mut open: Vec<Open> = Vec::new();
        for (place, line) in logical_lines(file, text) {
            self.files.count(&place)?;
            let line = self.replaced(&place, &line)?;
            if let Some(closing) = line.strip_prefix("</") {
                let (name, tag) = (closing.trim_end_matches('>').trim(), open.pop());
                let Some(tag) = tag.filter(|tag| tag.tag.name.eq_ignore_ascii_case(name)) else {
                    return Err(ImportError::at(
                        &place,
                        format!("</{name}> closes nothing that is open here"),
                    ));
                };
                close(tag, open.last_mut().map_or(&mut done, |outer| &mut outer.inner));
                continue;
            }
            if let Some(tag) = line.strip_prefix('<') {
                if open.len() >= NESTED_MAX {
                    return Err(ImportError::at(
                        &place,
                        format!("there are more than {NESTED_MAX} tags around this"),
                    ));
                }
                let inside = tag
                    .strip_suffix('>')
                    .ok_or_else(|| ImportError::at(&place, "the tag has no '>' at its end"))?;
                let tag = Directive::new(place.clone(), words(&place, inside)?, &line);
                let tag = tag.ok_or_else(|| ImportError::at(&place, "the tag has no name"))?;
                let holds = open.last().is_none_or(|outer| outer.holds) && self.holds(&tag);
                open.push(Open { tag, inner: Vec::new(), holds });
                continue;
            }
            let Some(directive) = Directive::new(place.clone(), words(&place, &line)?, &line) else {
                continue;
            };
            let holds = open.last().is_none_or(|outer| outer.holds);
            let more = if holds { self.directive(&directive)? } else { None };
            let inner = open.last_mut().map_or(&mut done, |outer| &mut outer.inner);
            match more {
                Some(more) => inner.extend(more),
                None => inner.push(directive),
            }
        }
        match open.pop() {
            Some(open) => Err(ImportError::at(&open.tag.place, format!("<{}> is not closed", open.tag.name))),
            None => Ok(done),
        }
    }

    /// What stands for a directive that is about the reading itself.
    fn directive(&mut self, directive: &Directive) -> Result<Option<Vec<Directive>>, ImportError> {
        match directive.name.as_str() {
            "define" => {
                self.defined.insert(directive.arg(0).to_owned(), directive.arg(1).to_owned());
                Ok(Some(Vec::new()))
            }
            "undefine" => {
                self.defined.remove(directive.arg(0));
                Ok(Some(Vec::new()))
            }
            "serverroot" => {
                self.files.look_in(directive.arg(0));
                Ok(Some(Vec::new()))
            }
            "include" | "includeoptional" => self.include(directive),
            _ => Ok(None),
        }
    }

    /// The directives of the files that are included; `None` where one can't be read, which is said where all else is said.
    fn include(&mut self, directive: &Directive) -> Result<Option<Vec<Directive>>, ImportError> {
        if self.depth >= DEPTH_MAX {
            let cause = format!("files include each other more than {DEPTH_MAX} deep");
            return Err(ImportError::at(&directive.place, cause));
        }
        let found = self.files.matching(directive.arg(0));
        let found = match found {
            Err(_) if directive.is("includeoptional") => Vec::new(),
            Err(_) => return Ok(None),
            Ok(found) => found,
        };
        let mut all = Vec::new();
        for path in found {
            let Ok((name, text)) = self.files.read(&path) else { return Ok(None) };
            self.depth += 1;
            all.extend(self.file(&name, &text)?);
            self.depth -= 1;
        }
        Ok(Some(all))
    }

    /// Whether what is in a tag counts. Modules are taken for loaded: what they do is what is asked for.
    fn holds(&self, tag: &Directive) -> bool {
        let (is_not, name) = match tag.arg(0).strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, tag.arg(0)),
        };
        match tag.name.as_str() {
            "ifmodule" => !is_not,
            "ifdefine" => self.defined.contains_key(name) != is_not,
            "ifversion" => true,
            "iffile" => std::path::Path::new(&self.files.absolute(name)).exists() != is_not,
            _ => true,
        }
    }

    /// The line with what was defined in the place of its names.
    fn replaced(&self, place: &Place, line: &str) -> Result<String, ImportError> {
        let (mut text, mut rest) = (String::with_capacity(line.len()), line);
        while let Some((before, after)) = rest.split_once("${") {
            text.push_str(before);
            match after.split_once('}').and_then(|(name, after)| Some((self.defined.get(name)?, after))) {
                Some((value, after)) => {
                    text.push_str(value);
                    rest = after;
                }
                None => {
                    text.push_str("${");
                    rest = after;
                }
            }
            if text.len() > LINE_BYTES_MAX {
                return Err(ImportError::at(place, "the line has more than 64 KiB with its variables"));
            }
        }
        text.push_str(rest);
        Ok(text)
    }
}

/// What is in a tag that only asks a question stands for itself, if the answer is yes.
fn close(open: Open, outer: &mut Vec<Directive>) {
    let is_question = matches!(open.tag.name.as_str(), "ifmodule" | "ifdefine" | "ifversion" | "iffile");
    if is_question && open.holds {
        outer.extend(open.inner);
    } else {
        outer.push(Directive { block: Some(open.inner), ..open.tag });
    }
}

/// Lines that say something, each with those that continue it.
fn logical_lines(file: &Rc<str>, text: &str) -> Vec<(Place, String)> {
    let mut lines = Vec::new();
    let mut numbered = text.lines().zip(1..);
    while let Some((first, line)) = numbered.next() {
        let column = first.chars().take_while(|c| c.is_whitespace()).count() + 1;
        let mut whole = first.to_owned();
        while whole.ends_with('\\') {
            whole.pop();
            let Some((next, _)) = numbered.next() else { break };
            whole.push_str(next);
        }
        let said = whole.trim();
        if !said.is_empty() && !said.starts_with('#') {
            lines.push((Place { file: file.clone(), line, column }, said.to_owned()));
        }
    }
    lines
}

/// The words of a line. One in quotes may have spaces, and quotes behind a backslash.
fn words(place: &Place, line: &str) -> Result<Vec<String>, ImportError> {
    let mut words = Vec::new();
    let mut chars = line.char_indices().peekable();
    while let Some((at, first)) = chars.next() {
        if first.is_whitespace() {
            continue;
        }
        let mut word = String::new();
        if first != '"' && first != '\'' {
            word.push(first);
            while let Some((_, c)) = chars.next_if(|(_, c)| !c.is_whitespace()) {
                word.push(c);
            }
            words.push(word);
            continue;
        }
        let unclosed = || {
            let column = place.column + line[..at].chars().count();
            ImportError::at(&Place { column, ..place.clone() }, format!("the quote {first} is not closed"))
        };
        loop {
            match chars.next().ok_or_else(unclosed)? {
                (_, c) if c == first => break,
                (_, '\\') => match chars.next_if(|&(_, c)| c == first || c == '\\') {
                    Some((_, c)) => word.push(c),
                    None => word.push('\\'),
                },
                (_, c) => word.push(c),
            }
        }
        words.push(word);
    }
    Ok(words)
}
