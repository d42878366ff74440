//! What is said about directives that are not, or not quite, in what is written.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use super::tree::{Directive, Place};

/// How far a directive is from what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// It is not in it.
    Lost,
    /// It is in it, and means something else.
    Changed,
    /// There is nothing that could be in it.
    Moot,
}

/// What is said about the user that a server runs as.
pub(super) const ACCOUNT: (Kind, &str) = (
    Kind::Moot,
    "the package has a user of its own; where root starts cutover, name one in user of [node], and let it read the certificates",
);

/// One thing that people have to know about one directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// How far it is.
    pub(super) kind: Kind,
    /// The directive.
    pub(super) place: Place,
    /// Its text.
    pub(super) text: String,
    /// Why, and what to do instead.
    pub(super) why: String,
}

/// Directives that were understood: what is in no ledger in the end, and in no note, was forgotten, and gets a note of its own.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    seen: RefCell<BTreeSet<Place>>,
}

impl Note {
    /// It is not in what is written.
    pub(super) fn lost(directive: &Directive, why: impl Into<String>) -> Self {
        Self::new(Kind::Lost, directive, &why.into())
    }

    /// It means something else in what is written.
    pub(super) fn changed(directive: &Directive, why: impl Into<String>) -> Self {
        Self::new(Kind::Changed, directive, &why.into())
    }

    /// It has no meaning for cutover.
    pub(super) fn moot(directive: &Directive, why: impl Into<String>) -> Self {
        Self::new(Kind::Moot, directive, &why.into())
    }

    fn new(kind: Kind, directive: &Directive, why: &str) -> Self {
        // A reason may quote what was read, and no comment may have what could be in that.
        let why = why.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        Self { kind, place: directive.place.clone(), text: directive.text.clone(), why }
    }
}

impl Ledger {
    /// `directive` was understood.
    pub(super) fn see(&self, directive: &Directive) {
        self.seen.borrow_mut().insert(directive.place.clone());
    }

    /// Whether it was.
    pub(super) fn has_seen(&self, directive: &Directive) -> bool {
        self.seen.borrow().contains(&directive.place)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Lost => "NOT CARRIED OVER",
            Kind::Changed => "CHANGED",
            Kind::Moot => "NOT NEEDED",
        };
        write!(f, "{kind} {}: {} -- {}", self.place, self.text, self.why)
    }
}
