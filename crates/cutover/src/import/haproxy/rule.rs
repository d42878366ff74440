//! `http-request`, `http-response` and `option` lines that are about messages.

use super::super::draft::{Edit, FIXED_WAY, Service, is_fixed_way, is_told_anyway};
use super::super::note::Note;
use super::super::tree::Directive;
use super::proxy::Proxy;

/// Carries over what `proxy` does to messages.
pub(super) fn apply(service: &mut Service, proxy: &Proxy<'_>) {
    for line in proxy.lines() {
        let is_request = match line.name.as_str() {
            "http-request" => true,
            "http-response" | "http-after-response" => false,
            "option" if line.keyword(0) == "forwardfor" => {
                proxy.ledger.see(line);
                if line.after("header").is_some_and(|name| !name.eq_ignore_ascii_case("x-forwarded-for")) {
                    service.lost(line, "the client's address is told in X-Forwarded-For and Forwarded");
                }
                continue;
            }
            "errorfile" => {
                proxy.ledger.see(line);
                service.lost(
                    line,
                    "pages are HTML without a head; write its body into a file and name that in error_pages",
                );
                continue;
            }
            _ => continue,
        };
        let edit = match line.keyword(0).as_str() {
            "set-header" => Edit::Set,
            "add-header" => Edit::Add,
            "del-header" => Edit::Remove,
            _ => continue,
        };
        proxy.ledger.see(line);
        header(service, line, edit, is_request);
    }
}

fn header(service: &mut Service, line: &Directive, edit: Edit, is_request: bool) {
    let (name, value) = (line.arg(1), if edit == Edit::Remove { "" } else { line.arg(2) });
    // With a condition, it is as cutover says it: `https if { ssl_fc }`.
    if is_request && line.args.len() == 3 && is_fixed_way(name, value, '%') {
        return service.lost(line, FIXED_WAY);
    }
    if is_request && is_told_anyway(name) {
        let why = "apps are told the way of a request, and the host that was asked for, by cutover itself";
        return service.notes.push(Note::moot(line, why));
    }
    let behind = if edit == Edit::Remove { 2 } else { 3 };
    if line.args.len() > behind {
        return service.lost(line, "rules have no conditions; let the app do it");
    }
    if value.contains('%') {
        return service.lost(line, "a rule has a fixed value; what changes with each request is for the app");
    }
    let rules = if is_request { &mut service.spec.request } else { &mut service.spec.response };
    if let Err(why) = edit.apply(rules, name, value) {
        service.lost(line, why);
    }
}
