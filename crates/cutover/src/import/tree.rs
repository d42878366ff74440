//! A foreign configuration as it was read: directives with their arguments, blocks and places.

use std::fmt;
use std::rc::Rc;

/// Characters of a directive's own text that are shown.
const TEXT_LEN_MAX: usize = 200;

/// Where a directive begins. Displays as `FILE:LINE`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The file, as people would name it.
    pub(super) file: Rc<str>,
    /// From 1.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
}

/// One directive, with what is in its block.
#[derive(Debug, Clone)]
pub(super) struct Directive {
    /// Where it begins.
    pub(super) place: Place,
    /// Its first word, in lower case.
    pub(super) name: String,
    /// The other words, without their quotes.
    pub(super) args: Vec<String>,
    /// What stands between its braces or tags; `None` = it has no block.
    pub(super) block: Option<Vec<Self>>,
    /// Itself as it was written, on one line, without its block.
    pub(super) text: String,
}

impl Directive {
    /// A directive of the words that `text` was read into; `None` where there are none.
    pub(super) fn new(place: Place, words: Vec<String>, text: &str) -> Option<Self> {
        let mut words = words.into_iter();
        let name = words.next()?.to_ascii_lowercase();
        Some(Self { place, name, args: words.collect(), block: None, text: shown(text) })
    }

    /// The argument at `index`; empty where there is none.
    pub(super) fn arg(&self, index: usize) -> &str {
        self.args.get(index).map_or("", String::as_str)
    }

    /// The argument at `index` in lower case.
    pub(super) fn keyword(&self, index: usize) -> String {
        self.arg(index).to_ascii_lowercase()
    }

    /// Whether it has this name, which is in lower case.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Whether its name is one of these words.
    pub(super) fn is_one_of(&self, words: &str) -> bool {
        words.split_whitespace().any(|word| word == self.name)
    }

    /// The directives in its block.
    pub(super) fn inner(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }

    /// Whether `word` is one of its arguments, in any case.
    pub(super) fn has(&self, word: &str) -> bool {
        self.args.iter().any(|arg| arg.eq_ignore_ascii_case(word))
    }

    /// What stands behind `word` among its arguments.
    pub(super) fn after(&self, word: &str) -> Option<&str> {
        let at = self.args.iter().position(|arg| arg.eq_ignore_ascii_case(word))?;
        self.args.get(at + 1).map(String::as_str)
    }
}

/// The directives of `scope` with this name.
pub(super) fn named<'a>(
    scope: &'a [Directive],
    name: &'a str,
) -> impl DoubleEndedIterator<Item = &'a Directive> {
    scope.iter().filter(move |directive| directive.is(name))
}

/// On one line, and no longer than one likes to read.
pub(super) fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    match line.char_indices().nth(TEXT_LEN_MAX) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
