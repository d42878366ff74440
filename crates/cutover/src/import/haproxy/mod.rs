//! Configurations of HAProxy: frontends, backends, servers.

mod acl;
mod backend;
mod bind;
mod proxy;
mod reader;
mod route;
mod rule;
mod server;

use super::draft::Draft;
use super::files::Files;
use super::note::{Kind, Ledger, Note};
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
    Ok((draft, Read { tree, why }))
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

/// What there is to say about a line that nothing above asked for.
fn why(line: &Directive) -> (Kind, &'static str) {
    const OWN_WAY: [&str; 30] = [
        "log",
        "chroot",
        "user",
        "group",
        "daemon",
        "maxconn",
        "pidfile",
        "nbproc",
        "cpu-map",
        "uid",
        "gid",
        "ulimit-n",
        "node",
        "description",
        "master-worker",
        "hard-stop-after",
        "spread-checks",
        "ssl-default-bind-ciphers",
        "ssl-default-bind-ciphersuites",
        "ssl-default-bind-options",
        "ssl-default-server-ciphers",
        "ssl-default-server-ciphersuites",
        "ssl-default-server-options",
        "ssl-dh-param-file",
        "http-reuse",
        "hash-type",
        "backlog",
        "id",
        "server-state-file",
        "load-server-state-from-file",
    ];
    const OWN_OPTIONS: [&str; 17] = [
        "httplog",
        "dontlognull",
        "dontlog-normal",
        "http-server-close",
        "http-keep-alive",
        "httpclose",
        "forceclose",
        "redispatch",
        "tcplog",
        "log-health-checks",
        "tcp-smart-accept",
        "tcp-smart-connect",
        "splice-auto",
        "http-use-htx",
        "prefer-last-server",
        "tcp-check",
        "contstats",
    ];
    if OWN_WAY.contains(&line.name.as_str()) || line.name.starts_with("tune.") {
        return (Kind::Moot, "cutover has its own way of this");
    }
    let first = line.keyword(0);
    match line.name.as_str() {
        "option" if OWN_OPTIONS.contains(&first.as_str()) => (Kind::Moot, "cutover has its own way of this"),
        "stats" => (
            Kind::Lost,
            "`cutover status` shows what it showed, /metrics of the admin API is for Prometheus, `cutover maint` and `cutover drain` take servers out",
        ),
        "bind" => (Kind::Lost, "nothing that comes there goes to a service"),
        "acl" => (
            Kind::Lost,
            "nothing that is carried over asks for it; services are chosen by host and path prefix",
        ),
        "stick-table" | "stick" => (
            Kind::Lost,
            "sessions are tied to servers by affinity = \"backend\", and rates are limited by [service.rate_limit]",
        ),
        "http-request" | "tcp-request"
            if first.starts_with("track-sc")
                || matches!(first.as_str(), "deny" | "tarpit" | "reject" | "content") =>
        {
            (
                Kind::Lost,
                "rates are limited by [service.rate_limit], and connections by max_connections_per_client; who may see what is for the app",
            )
        }
        "http-request"
            if matches!(first.as_str(), "set-path" | "replace-path" | "replace-uri" | "set-uri") =>
        {
            (Kind::Lost, "rules rewrite path prefixes only; see strip_prefix and rewrite_prefix")
        }
        "http-request" | "http-response" | "http-after-response" => {
            (Kind::Lost, "rules set, add and remove headers with fixed values; let the app do it")
        }
        "server-template" => (
            Kind::Lost,
            "a backend whose name has several addresses uses all of them; add it with that name, or let servers register themselves",
        ),
        "userlist" | "peers" | "resolvers" | "mailers" | "cache" | "program" | "ring" | "http-errors"
        | "log-forward" | "fcgi-app" => (Kind::Lost, "there is no such section; all in it is left out"),
        "backend" => (Kind::Lost, "no frontend sends anything there"),
        "monitor-uri" | "monitor" => {
            (Kind::Lost, "/livez and /readyz of the admin API are for whoever watches cutover")
        }
        "timeout" => (Kind::Lost, "see [limits] and [service.upstream]"),
        "capture" | "log-format" | "unique-id-format" | "unique-id-header" => {
            (Kind::Lost, "see [access_log]; every request has an X-Request-Id")
        }
        _ => (
            Kind::Lost,
            "cutover has nothing like it, or nothing that is carried over asks for it; leave it to the app, or see config/reference.toml",
        ),
    }
}
