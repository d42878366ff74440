//! Configurations of HAProxy: frontends, backends, servers.

mod acl;
mod backend;
mod bind;
mod proxy;
mod reader;
mod reason;
mod route;
mod rule;
mod server;

use super::draft::Draft;
use super::files::Files;
use super::note::{Ledger, Note};
use super::tree::{Directive, named};
use super::value::{Unit, duration};
use super::{ImportError, Read};
use bind::Bases;
use proxy::{Proxy, proxies};

/// Reads the configuration.
///
/// # Errors
/// It can't be read, or is none of HAProxy.
pub(super) fn import(files: &mut Files) -> Result<(Draft, Read), ImportError> {
    let tree = reader::read(files)?;
    let mut draft = Draft::default();
    let ledger = std::mem::take(&mut draft.ledger);
    translate(&tree, files, &ledger, &mut draft);
    draft.ledger = ledger;
    Ok((draft, Read { tree, why: reason::why }))
}

fn translate(tree: &[Directive], files: &Files, ledger: &Ledger, draft: &mut Draft) {
    let mut bases = Bases::default();
    for section in named(tree, "global") {
        ledger.see(section);
        global(section, &mut bases, ledger, draft);
    }
    let proxies = proxies(tree, ledger);
    for proxy in &proxies {
        if !proxy.is_http() {
            let why = "cutover balances HTTP, and this is mode tcp; keep another balancer for it";
            draft.notes.push(Note::lost(proxy.section, why));
            continue;
        }
        if proxy.is_front() {
            let is_redirect = route::is_redirect(proxy);
            // Clients have no business where nothing goes, such as a page of statistics.
            if route::carry_out(proxy, &proxies, files, draft) || is_redirect {
                limits(proxy, draft);
                bind::listeners(proxy, is_redirect, &bases, files, draft);
            }
        }
    }
}

/// What holds for the process.
fn global<'a>(section: &'a Directive, bases: &mut Bases<'a>, ledger: &Ledger, draft: &mut Draft) {
    for line in section.inner() {
        match line.name.as_str() {
            "crt-base" => bases.crt = Some(line.arg(0)),
            "ca-base" => bases.ca = Some(line.arg(0)),
            "nbthread" => match line.arg(0).parse() {
                Ok(workers) => draft.base.node.workers = workers,
                Err(_) => draft.notes.push(Note::lost(line, "it is no number; see node.workers")),
            },
            _ => continue,
        }
        ledger.see(line);
    }
}

/// What cutover says of all clients at once.
fn limits(proxy: &Proxy<'_>, draft: &mut Draft) {
    for (name, of) in [("http-request", 0), ("http-keep-alive", 1), ("client", 2)] {
        let Some(line) = proxy.pair("timeout", name) else { continue };
        let Some(span) = duration(line.arg(1), Unit::Milliseconds).filter(|span| span != "0s") else {
            draft.notes.push(Note::lost(line, "it is no timeout; see [limits]"));
            continue;
        };
        let default = crate::config::raw::LimitsSpec::default();
        let limits = &mut draft.base.limits;
        let (place, default) = match of {
            0 => (&mut limits.header_timeout, default.header_timeout),
            1 => (&mut limits.keepalive_timeout, default.keepalive_timeout),
            _ => (&mut limits.body_idle_timeout, default.body_idle_timeout),
        };
        if *place == default {
            *place = span;
        } else if *place != span {
            draft
                .notes
                .push(Note::lost(line, "[limits] are those of all listeners, and another one came first"));
        }
    }
}
