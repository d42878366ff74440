//! Reads a file of HAProxy into sections with their lines: words, quotes, comments.

use super::super::error::ImportError;
use super::super::files::Files;
use super::super::tree::{Directive, Place};

/// Words that begin a section.
const SECTIONS: [&str; 18] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "userlist",
    "peers",
    "resolvers",
    "mailers",
    "cache",
    "program",
    "ring",
    "http-errors",
    "log-forward",
    "fcgi-app",
    "crt-store",
    "traces",
    "acme",
];

/// Reads the file.
///
/// # Errors
/// It can't be read, or is no configuration of HAProxy.
pub(super) fn read(files: &mut Files) -> Result<Vec<Directive>, ImportError> {
    let (file, text) = files.read_main()?;
    let mut sections: Vec<Directive> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let column = text.chars().take_while(|c| c.is_whitespace()).count() + 1;
        let place = Place { file: file.clone(), line, column };
        let Some(directive) = Directive::new(place.clone(), words(&place, text)?, without_comment(text))
        else {
            continue;
        };
        files.count(&place)?;
        if SECTIONS.contains(&directive.name.as_str()) {
            sections.push(Directive { block: Some(Vec::new()), ..directive });
            continue;
        }
        match sections.last_mut().and_then(|section| section.block.as_mut()) {
            Some(block) => block.push(directive),
            None if directive.name.starts_with('.') => sections.push(directive),
            None => {
                let cause =
                    format!("{:?} stands in no section, such as `global` or `frontend`", directive.name);
                return Err(ImportError::at(&place, cause));
            }
        }
    }
    Ok(sections)
}

/// The words of a line, up to its comment. Quotes and backslashes may stand anywhere in them.
fn words(place: &Place, line: &str) -> Result<Vec<String>, ImportError> {
    let (mut words, mut word): (Vec<String>, Option<String>) = (Vec::new(), None);
    let mut chars = line.chars().enumerate();
    while let Some((at, c)) = chars.next() {
        match c {
            '#' => break,
            c if c.is_whitespace() => words.extend(word.take()),
            '\\' => match chars.next() {
                Some((_, escaped)) => word.get_or_insert_default().push(escaped),
                None => break,
            },
            '"' | '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some((_, end)) if end == c => break,
                        Some((_, '\\')) if c == '"' => word.extend(chars.next().map(|(_, escaped)| escaped)),
                        Some((_, other)) => word.push(other),
                        None => {
                            let place = Place { column: at + 1, ..place.clone() };
                            return Err(ImportError::at(&place, format!("the quote {c} is not closed")));
                        }
                    }
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// What is shown of a line: a '#' in quotes is rare enough to be cut.
fn without_comment(line: &str) -> &str {
    line.split(" #").next().unwrap_or(line)
}
