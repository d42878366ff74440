//! Everything that is wrong with a configuration file, as `FILE:LINE:COL: what is wrong, what would be right`.

use std::fmt;
use std::ops::Range;

/// Why a configuration can't be used. Displays as one line for each error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The errors, in the order of the file.
    pub errors: Vec<Located>,
}

/// One error at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The file.
    pub file: String,
    /// The line and the column, from 1, in characters; `None` for an error of the file as a whole.
    pub at: Option<(usize, usize)>,
    /// What is wrong, what would be right.
    pub message: String,
    /// The line of the file and how many characters of it are meant.
    excerpt: Option<(String, usize)>,
}

impl Report {
    /// A file that can't be read at all.
    pub(super) fn unreadable(file: &str, error: &std::io::Error) -> Self {
        Self {
            errors: vec![Located {
                file: file.to_owned(),
                at: None,
                message: format!("can't be read: {error}"),
                excerpt: None,
            }],
        }
    }

    /// Errors at byte ranges of `text`.
    pub(super) fn new(file: &str, text: &str, mut errors: Vec<(Range<usize>, String)>) -> Self {
        errors.sort_by(|a, b| a.0.start.cmp(&b.0.start).then_with(|| a.1.cmp(&b.1)));
        let errors = errors.into_iter().map(|(span, message)| {
            let (line, column, excerpt) = locate(text, &span);
            Located { file: file.to_owned(), at: Some((line, column)), message, excerpt: Some(excerpt) }
        });
        Self { errors: errors.collect() }
    }

    /// The errors with the lines they are about, for a person at a terminal.
    #[must_use]
    pub fn with_excerpts(&self) -> String {
        use fmt::Write;
        let mut text = String::new();
        for error in &self.errors {
            let _ = writeln!(text, "{error}");
            if let (Some((line, column)), Some((source, width))) = (error.at, &error.excerpt) {
                let number = line.to_string();
                let margin = " ".repeat(number.len());
                let (before, marks) = (" ".repeat(column - 1), "^".repeat(*width));
                let _ = writeln!(text, " {number} | {source}\n {margin} | {before}{marks}");
            }
        }
        text
    }
}

impl Report {
    /// The errors as a document, for `--json`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let errors = self.errors.iter().map(|error| {
            let (line, column) = error.at.unzip();
            serde_json::json!({ "file": error.file, "line": line, "column": column, "message": error.message })
        });
        serde_json::json!({ "ok": false, "errors": errors.collect::<Vec<_>>() })
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// Line and column of the start of `span`, the text of the line, and how many characters of it are in the span (at least one).
fn locate(text: &str, span: &Range<usize>) -> (usize, usize, (String, usize)) {
    let start = text.floor_char_boundary(span.start);
    let line = text[..start].matches('\n').count() + 1;
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    let end = text.floor_char_boundary(span.end).clamp(start, line_end);
    let column = text[line_start..start].chars().count() + 1;
    let width = text[start..end].chars().count().max(1);
    let source = text[line_start..line_end].trim_end().replace('\t', " ");
    (line, column, (source, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_placed_by_line_and_character() {
        let report =
            Report::new("a.toml", "x = 1\ny = \"é\" # é\n", vec![(10..14, "b".into()), (0..1, "a".into())]);
        assert_eq!(report.to_string(), "a.toml:1:1: a\na.toml:2:5: b");
        assert!(
            report.with_excerpts().contains(" 2 | y = \"é\" # é\n   |     ^^^\n"),
            "{}",
            report.with_excerpts()
        );
    }

    #[test]
    fn a_place_beyond_the_text_is_its_end() {
        assert_eq!(Report::new("f", "é", vec![(1..99, "m".into())]).to_string(), "f:1:1: m");
        assert_eq!(Report::new("f", "", vec![(7..9, "m".into())]).to_string(), "f:1:1: m");
        assert_eq!(Report::new("f", "a\n", vec![(2..2, "m".into())]).to_string(), "f:2:1: m");
    }
}
