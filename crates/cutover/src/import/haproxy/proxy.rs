//! A `frontend`, `backend` or `listen` with the `defaults` that it has.

use super::super::note::Ledger;
use super::super::tree::{Directive, named};

/// One section that carries traffic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proxy<'a> {
    /// Itself.
    pub(super) section: &'a Directive,
    defaults: &'a [Directive],
    /// What was understood.
    pub(super) ledger: &'a Ledger,
}

impl<'a> Proxy<'a> {
    /// Its name.
    pub(super) fn name(&self) -> &'a str {
        self.section.arg(0)
    }

    /// Its own lines.
    pub(super) fn own(&self) -> &'a [Directive] {
        self.section.inner()
    }

    /// The lines of its defaults, then its own.
    pub(super) fn lines(&self) -> impl DoubleEndedIterator<Item = &'a Directive> {
        self.defaults.iter().chain(self.section.inner())
    }

    /// The last of its lines with this name.
    pub(super) fn last(&self, name: &str) -> Option<&'a Directive> {
        self.lines().filter(|line| line.is(name)).inspect(|line| self.ledger.see(line)).last()
    }

    /// The last of its lines that begin with these two words.
    pub(super) fn pair(&self, name: &str, first: &str) -> Option<&'a Directive> {
        let lines = self.lines().filter(|line| line.is(name) && line.keyword(0) == first);
        lines.inspect(|line| self.ledger.see(line)).last()
    }

    /// Whether it carries HTTP.
    pub(super) fn is_http(&self) -> bool {
        self.last("mode").is_some_and(|mode| mode.keyword(0) == "http")
    }

    /// Whether clients connect to it.
    pub(super) fn is_front(&self) -> bool {
        self.section.is("frontend") || self.section.is("listen")
    }

    /// Whether servers are behind it.
    pub(super) fn is_back(&self) -> bool {
        self.section.is("backend") || self.section.is("listen")
    }
}

/// All sections that carry traffic.
pub(super) fn proxies<'a>(tree: &'a [Directive], ledger: &'a Ledger) -> Vec<Proxy<'a>> {
    let mut latest: &[Directive] = &[];
    let mut proxies = Vec::new();
    for section in tree {
        match section.name.as_str() {
            "defaults" => {
                ledger.see(section);
                latest = section.inner();
            }
            "frontend" | "backend" | "listen" => {
                let of = section.after("from");
                let of = of.and_then(|name| named(tree, "defaults").find(|defaults| defaults.arg(0) == name));
                proxies.push(Proxy { section, defaults: of.map_or(latest, Directive::inner), ledger });
            }
            _ => {}
        }
    }
    proxies
}
