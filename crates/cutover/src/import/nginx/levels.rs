//! What holds in a scope: its own directives, else those of the scopes around it.

use super::super::note::Ledger;
use super::super::tree::{Directive, named};

/// Scopes from the outermost to the innermost.
#[derive(Debug, Clone)]
pub(super) struct Levels<'a> {
    scopes: Vec<&'a [Directive]>,
    ledger: &'a Ledger,
}

impl<'a> Levels<'a> {
    /// One scope.
    pub(super) fn of(scope: &'a [Directive], ledger: &'a Ledger) -> Self {
        Self { scopes: vec![scope], ledger }
    }

    /// These, and one inside of them.
    pub(super) fn with(&self, scope: &'a [Directive]) -> Self {
        let scopes = self.scopes.iter().copied().chain([scope]).collect();
        Self { scopes, ledger: self.ledger }
    }

    /// The ledger of all that is asked for.
    pub(super) const fn ledger(&self) -> &'a Ledger {
        self.ledger
    }

    /// The one that holds of a directive that stands once.
    pub(super) fn last(&self, name: &str) -> Option<&'a Directive> {
        let mut found = None;
        for scope in &self.scopes {
            for directive in scope.iter().filter(|directive| directive.is(name)) {
                self.ledger.see(directive);
                found = Some(directive);
            }
        }
        found
    }

    /// Those that hold of a directive that may stand more than once: a scope that has any forgets those around it.
    pub(super) fn all(&self, name: &'static str) -> Vec<&'a Directive> {
        let all = |scope: &'a [Directive]| {
            named(scope, name).inspect(|found| self.ledger.see(found)).collect::<Vec<_>>()
        };
        self.scopes.iter().map(|scope| all(scope)).rfind(|found| !found.is_empty()).unwrap_or_default()
    }
}
