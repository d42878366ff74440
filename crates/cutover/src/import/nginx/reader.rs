//! Reads nginx's files into directives: words, quotes, braces, `include`.

use std::rc::Rc;

use super::super::error::ImportError;
use super::super::files::{DEPTH_MAX, Files};
use super::super::tree::{Directive, Place};

/// Blocks inside of each other.
const NESTED_MAX: usize = 32;

/// Reads the main file and what it includes.
///
/// # Errors
/// A file is no configuration of nginx, or the main one can't be read.
pub(super) fn read(files: &mut Files) -> Result<Vec<Directive>, ImportError> {
    let (name, text) = files.read_main()?;
    read_text(files, &name, &text, 0)
}

fn read_text(
    files: &mut Files,
    file: &Rc<str>,
    text: &str,
    depth: usize,
) -> Result<Vec<Directive>, ImportError> {
    let mut cursor = Cursor { file, text, at: 0, line: 1, column: 1 };
    let mut open: Vec<(Directive, Vec<Directive>)> = Vec::new();
    let mut done = Vec::new();
    while let Some((statement, end)) = cursor.statement()? {
        let scope = open.last_mut().map_or(&mut done, |(_, inner)| inner);
        match (statement, end) {
            (Some(directive), End::Semicolon) => {
                files.count(&directive.place)?;
                match included(files, &directive, depth)? {
                    Some(more) => scope.extend(more),
                    None => scope.push(directive),
                }
            }
            (Some(mut directive), End::Open) => {
                files.count(&directive.place)?;
                if directive.name.ends_with("_by_lua_block") {
                    cursor.skip_block(&directive.place)?;
                    directive.block = Some(Vec::new());
                    scope.push(directive);
                } else if open.len() >= NESTED_MAX {
                    let cause = format!("there are more than {NESTED_MAX} blocks around this");
                    return Err(ImportError::at(&directive.place, cause));
                } else {
                    open.push((directive, Vec::new()));
                }
            }
            (Some(directive), End::Close) => {
                return Err(ImportError::at(
                    &cursor.place(),
                    format!("there is no ';' behind {:?}", directive.text),
                ));
            }
            (None, End::Semicolon) => {
                return Err(ImportError::at(&cursor.place(), "there is nothing before this ';'"));
            }
            (None, End::Open) => {
                return Err(ImportError::at(&cursor.place(), "there is nothing before this '{'"));
            }
            (None, End::Close) => {
                let Some((directive, inner)) = open.pop() else {
                    return Err(ImportError::at(&cursor.place(), "this '}' closes nothing that is open"));
                };
                let scope = open.last_mut().map_or(&mut done, |(_, inner)| inner);
                scope.push(Directive { block: Some(inner), ..directive });
            }
        }
    }
    match open.pop() {
        Some((directive, _)) => {
            Err(ImportError::at(&directive.place, format!("the '{{' of {:?} is not closed", directive.text)))
        }
        None => Ok(done),
    }
}

/// The directives of the files that are included; `None` where it is no `include`, or one that can't be read.
fn included(
    files: &mut Files,
    directive: &Directive,
    depth: usize,
) -> Result<Option<Vec<Directive>>, ImportError> {
    if !directive.is("include") {
        return Ok(None);
    }
    if depth >= DEPTH_MAX {
        let cause = format!("files include each other more than {DEPTH_MAX} deep");
        return Err(ImportError::at(&directive.place, cause));
    }
    let Ok(found) = files.matching(directive.arg(0)) else { return Ok(None) };
    let mut all = Vec::new();
    for path in found {
        let Ok((name, text)) = files.read(&path) else { return Ok(None) };
        all.extend(read_text(files, &name, &text, depth + 1)?);
    }
    Ok(Some(all))
}

/// What a statement ends with.
enum End {
    Semicolon,
    Open,
    Close,
}

struct Cursor<'a> {
    file: &'a Rc<str>,
    text: &'a str,
    at: usize,
    line: usize,
    column: usize,
}

impl Cursor<'_> {
    fn place(&self) -> Place {
        // What was just read is meant.
        Place { file: self.file.clone(), line: self.line, column: self.column.saturating_sub(1).max(1) }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        (self.line, self.column) = if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        Some(c)
    }

    /// The next statement, without its end; `None` at the end of the file.
    fn statement(&mut self) -> Result<Option<(Option<Directive>, End)>, ImportError> {
        let (mut words, mut began) = (Vec::new(), None);
        loop {
            let before = self.at;
            let place = Place { file: self.file.clone(), line: self.line, column: self.column };
            let Some(c) = self.peek() else {
                return match began {
                    None => Ok(None),
                    Some((place, start)) => {
                        let cause = format!(
                            "there is no ';' behind {:?}",
                            super::super::tree::shown(&self.text[start..])
                        );
                        Err(ImportError::at(&place, cause))
                    }
                };
            };
            let end = match c {
                ';' => End::Semicolon,
                '{' => End::Open,
                '}' => End::Close,
                '#' => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.next();
                    }
                    continue;
                }
                c if c.is_whitespace() => {
                    self.next();
                    continue;
                }
                _ => {
                    words.push(self.word(&place)?);
                    began.get_or_insert((place, before));
                    continue;
                }
            };
            self.next();
            let directive =
                began.and_then(|(place, start)| Directive::new(place, words, &self.text[start..before]));
            return Ok(Some((directive, end)));
        }
    }

    /// A word, without its quotes.
    fn word(&mut self, place: &Place) -> Result<String, ImportError> {
        let mut word = String::new();
        let quote = self.peek().filter(|c| matches!(c, '"' | '\''));
        if let Some(quote) = quote {
            self.next();
            loop {
                match self.next() {
                    None => return Err(ImportError::at(place, format!("the quote {quote} is not closed"))),
                    Some(c) if c == quote => return Ok(word),
                    Some('\\') if self.peek().is_some_and(|c| matches!(c, '"' | '\'' | '\\')) => {
                        word.extend(self.next());
                    }
                    Some(c) => word.push(c),
                }
            }
        }
        while let Some(c) = self.peek() {
            let is_variable = c == '{' && word.ends_with('$');
            let is_in_variable =
                c == '}' && word.rsplit_once("${").is_some_and(|(_, inside)| !inside.contains('}'));
            if c.is_whitespace() || (matches!(c, ';' | '{' | '}') && !is_variable && !is_in_variable) {
                break;
            }
            word.push(c);
            self.next();
            // What is escaped stands for itself, and patterns keep their backslashes.
            if c == '\\' {
                word.extend(self.next());
            }
        }
        Ok(word)
    }

    /// Goes behind a block in another language.
    fn skip_block(&mut self, place: &Place) -> Result<(), ImportError> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.next() {
                Some('{') => depth += 1,
                Some('}') => depth -= 1,
                Some(_) => {}
                None => return Err(ImportError::at(place, "its '{' is not closed")),
            }
        }
        Ok(())
    }
}
