//! What is said about lines of HAProxy that nothing else here asks for.

use super::super::note::{ACCOUNT, Kind};
use super::super::tree::Directive;

/// What there is to say about a line that nothing above asked for.
pub(super) fn why(line: &Directive) -> (Kind, &'static str) {
    if line.is_one_of("user group uid gid") {
        return ACCOUNT;
    }
    if line.is_one_of(OWN_WAY) || line.name.starts_with("tune.") {
        return (Kind::Moot, "cutover has its own way of this");
    }
    let first = line.keyword(0);
    match line.name.as_str() {
        "option" if OWN_OPTIONS.split_whitespace().any(|own| own == first) => {
            (Kind::Moot, "cutover has its own way of this")
        }
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
        "http-request" | "tcp-request" | "http-response" | "http-after-response" => of_rule(&first),
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

fn of_rule(verb: &str) -> (Kind, &'static str) {
    match verb {
        "deny" | "tarpit" | "reject" | "content" | "connection" | "silent-drop" => DENIED,
        verb if verb.starts_with("track-sc") => DENIED,
        "set-path" | "replace-path" | "set-uri" | "replace-uri" => {
            (Kind::Lost, "rules rewrite path prefixes only; see strip_prefix and rewrite_prefix")
        }
        _ => (Kind::Lost, "rules set, add and remove headers with fixed values; let the app do it"),
    }
}

const DENIED: (Kind, &str) = (
    Kind::Lost,
    "rates are limited by [service.rate_limit], and connections by max_connections_per_client; who may see what is for the app",
);
/// What cutover has its own way of.
const OWN_WAY: &str = "
    log chroot daemon maxconn pidfile nbproc cpu-map ulimit-n node description
    master-worker hard-stop-after spread-checks ssl-default-bind-ciphers ssl-default-bind-ciphersuites
    ssl-default-bind-options ssl-default-server-ciphers ssl-default-server-ciphersuites
    ssl-default-server-options ssl-dh-param-file http-reuse hash-type backlog id server-state-file
    load-server-state-from-file";
/// The same of options.
const OWN_OPTIONS: &str = "
    httplog dontlognull dontlog-normal http-server-close http-keep-alive httpclose forceclose redispatch
    tcplog log-health-checks tcp-smart-accept tcp-smart-connect splice-auto http-use-htx
    prefer-last-server tcp-check contstats";
