//! `upstream` blocks: servers and how one is chosen.

use cutover_control::admin::wire::service::Balance;

use super::super::draft::Service;
use super::super::note::{Ledger, Note};
use super::super::target::{Target, with_port};
use super::super::tree::Directive;
use super::super::value::{Unit, duration};

/// Gives the service the servers of a group, or the one that `target` names itself.
pub(super) fn fill(
    service: &mut Service,
    directive: &Directive,
    target: &Target,
    groups: &[&Directive],
    ledger: &Ledger,
) {
    service.speak(directive, target);
    let Some(group) = groups.iter().find(|group| group.arg(0) == target.address) else {
        return service.add_backend(directive, "", &target.with_port(), 1);
    };
    ledger.see(group);
    service.spec.balance = Balance::RoundRobin;
    let mut passive = None;
    for inner in group.inner() {
        match inner.name.as_str() {
            "server" => server(service, inner, &mut passive),
            "least_conn" => service.spec.balance = Balance::LeastConnections,
            "ip_hash" => service.hash("client-ip"),
            "hash" => match hash_key(inner.arg(0)) {
                Some(key) => service.hash(key),
                None => service
                    .lost(inner, "hashes are of the client's address, a header or a cookie; see `hash_on`"),
            },
            "random" => service.spec.balance = Balance::PowerOfTwo,
            "least_time" => service.spec.balance = Balance::PeakEwma,
            "sticky" => service.stick(inner),
            "keepalive" => match inner.arg(0).parse() {
                Ok(count) => service.spec.upstream.max_idle = count,
                Err(_) => service.lost(inner, format!("{:?} is no number", inner.arg(0))),
            },
            "keepalive_timeout" => match duration(inner.arg(0), Unit::Seconds).filter(|span| span != "0s") {
                Some(span) => service.spec.upstream.idle_timeout = span,
                None => service.lost(inner, "it is no timeout; see upstream.idle_timeout"),
            },
            "queue" => {
                match inner.args.iter().find_map(|arg| duration(arg.strip_prefix("timeout=")?, Unit::Seconds))
                {
                    Some(span) => service.spec.queue_timeout = span,
                    None => service.lost(inner, "requests wait `queue_timeout` for a usable server"),
                }
            }
            "zone" | "keepalive_requests" | "keepalive_time" | "resolver" | "resolver_timeout" | "state" => {
                service.notes.push(Note::moot(inner, "cutover has its own way of this"));
            }
            _ => service
                .lost(inner, "there is nothing like it of a group; see [[service]] in config/reference.toml"),
        }
        ledger.see(inner);
    }
}

fn server(service: &mut Service, directive: &Directive, passive: &mut Option<(Option<u32>, Option<String>)>) {
    let (mut weight, mut away) = (1, None);
    let (mut max_fails, mut fail_timeout) = (None, None);
    for parameter in directive.args.iter().skip(1) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match key {
            "weight" => match value.parse() {
                Ok(number) => weight = number,
                Err(_) => service.lost(directive, format!("{value:?} is no weight")),
            },
            "max_fails" => max_fails = value.parse().ok(),
            "fail_timeout" => fail_timeout = duration(value, Unit::Seconds).filter(|span| span != "0s"),
            "max_conns" => match value.parse() {
                Ok(count) => {
                    service.spec.upstream.max_connections = count;
                    service.changed(directive, "max_connections is the same for each server of the service");
                }
                Err(_) => service.lost(directive, format!("{value:?} is no number")),
            },
            "slow_start" => match duration(value, Unit::Seconds) {
                Some(span) => service.spec.slow_start = span,
                None => service.lost(directive, format!("{value:?} is no time")),
            },
            "backup" => {
                away = Some(
                    "there are no standby servers; add it to `backends` when it is to serve, or start it as a new version",
                );
            }
            "down" | "drain" => {
                away = Some(
                    "it was switched off and is not in `backends`; add it there when it is to serve (`cutover maint` takes it out at run time)",
                );
            }
            "resolve" => {}
            _ => service.lost(directive, format!("there is nothing like {key:?} of a server")),
        }
    }
    if let Some(why) = away {
        return service.lost(directive, why);
    }
    let own = (max_fails, fail_timeout);
    if own != (None, None) {
        if passive.as_ref().is_some_and(|first| *first != own) {
            service.lost(
                directive,
                "max_fails and fail_timeout are those of the first server for all; see [service.outlier]",
            );
        } else if passive.is_none() {
            if let Some(max_fails) = own.0 {
                service.spec.outlier.consecutive_errors = max_fails;
            }
            if let Some(span) = &own.1 {
                service.spec.outlier.base_ejection.clone_from(span);
            }
            *passive = Some(own);
        }
    }
    service.add_backend(directive, "", &with_port(directive.arg(0), 80), weight);
}

/// What a variable is that `hash` is of.
fn hash_key(text: &str) -> Option<String> {
    let name = text.strip_prefix('$')?.trim_matches(['{', '}']);
    if matches!(name, "remote_addr" | "binary_remote_addr") {
        return Some("client-ip".to_owned());
    }
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if let Some(cookie) = name.strip_prefix("cookie_").filter(|name| is_name(name)) {
        return Some(format!("cookie:{cookie}"));
    }
    let header = name.strip_prefix("http_").filter(|name| is_name(name))?;
    Some(format!("header:{}", header.replace('_', "-")))
}
