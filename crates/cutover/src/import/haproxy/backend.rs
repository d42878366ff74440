//! `backend` and the back of `listen`: servers, how one is chosen, how they are asked for their health.

use cutover_control::admin::wire::service::Balance;

use super::super::draft::Service;
use super::super::files::Files;
use super::super::note::Note;
use super::super::tree::Directive;
use super::super::value::{Unit, duration};
use super::proxy::Proxy;
use super::{rule, server};

/// Gives a service what `proxy` says.
pub(super) fn fill(service: &mut Service, proxy: &Proxy<'_>, files: &Files) {
    proxy.ledger.see(proxy.section);
    // What HAProxy does unless it is told otherwise.
    service.spec.balance = Balance::RoundRobin;
    service.spec.health.interval = "2s".to_owned();
    balance(service, proxy);
    timeouts(service, proxy);
    health(service, proxy);
    if let Some(cookie) = proxy.last("cookie") {
        service.stick(cookie);
    }
    for line in proxy.lines().filter(|line| line.is("compression")) {
        proxy.ledger.see(line);
        service.spec.compression.enabled |= line.keyword(0) == "algo";
    }
    let defaults: Vec<_> = proxy.lines().filter(|line| line.is("default-server")).collect();
    defaults.iter().for_each(|line| proxy.ledger.see(line));
    for line in proxy.own().iter().filter(|line| line.is("server")) {
        proxy.ledger.see(line);
        server::add(service, line, &defaults, files);
    }
    rule::apply(service, proxy);
}

fn balance(service: &mut Service, proxy: &Proxy<'_>) {
    let Some(line) = proxy.last("balance") else { return };
    let algorithm = line.keyword(0);
    match algorithm.as_str() {
        "roundrobin" | "static-rr" => {}
        "leastconn" => service.spec.balance = Balance::LeastConnections,
        "source" => service.hash("client-ip"),
        text if text.starts_with("random") => service.spec.balance = Balance::PowerOfTwo,
        text => match text.strip_prefix("hdr(").and_then(|rest| rest.strip_suffix(')')) {
            Some(header) => service.hash(format!("header:{header}")),
            None => {
                service.lost(line, format!("there is no balancing {text:?}; see `balance` and `hash_on`"));
            }
        },
    }
}

fn timeouts(service: &mut Service, proxy: &Proxy<'_>) {
    for name in ["connect", "server", "tunnel", "queue", "check"] {
        let Some(line) = proxy.pair("timeout", name) else { continue };
        let Some(span) = duration(line.arg(1), Unit::Milliseconds).filter(|span| span != "0s") else {
            service.lost(line, format!("{:?} is no timeout", line.arg(1)));
            continue;
        };
        let upstream = &mut service.spec.upstream;
        match name {
            "connect" => upstream.connect_timeout = span,
            "server" => upstream.response_timeout = span,
            "tunnel" => upstream.tunnel_idle_timeout = span,
            "queue" => service.spec.queue_timeout = span,
            _ => service.spec.health.timeout = span,
        }
    }
    if let Some(line) = proxy.last("retries") {
        match line.arg(0).parse::<u32>() {
            Ok(retries) => service.spec.upstream.retries = retries.min(10),
            Err(_) => service.lost(line, format!("{:?} is no number", line.arg(0))),
        }
    }
}

fn health(service: &mut Service, proxy: &Proxy<'_>) {
    if let Some(line) = proxy.pair("option", "httpchk") {
        let (method, path) = match line.args.as_slice() {
            [_, path] => ("OPTIONS", path.as_str()),
            [_, method, path, ..] => (method.as_str(), path.as_str()),
            _ => ("OPTIONS", "/"),
        };
        service.probe(path);
        let has_send = proxy.lines().any(|line| line.is("http-check") && line.keyword(0) == "send");
        if !method.eq_ignore_ascii_case("get") && !has_send {
            service.changed(line, "health is asked for by GET");
        }
        if line.args.len() > 4 {
            service.lost(line, "headers of health checks: only Host can be set, by health.host");
        }
    }
    for line in proxy.lines().filter(|line| line.is("http-check")) {
        proxy.ledger.see(line);
        check(service, line);
    }
}

fn check(service: &mut Service, line: &Directive) {
    match line.keyword(0).as_str() {
        "send" => {
            if let Some(path) = line.after("uri") {
                service.probe(path);
            }
            if line.after("meth").is_some_and(|method| !method.eq_ignore_ascii_case("get")) {
                service.changed(line, "health is asked for by GET");
            }
            let header = line.args.iter().position(|word| word == "hdr");
            match header.map(|at| (line.keyword(at + 1), line.arg(at + 2))) {
                Some((name, host)) if name == "host" => host.clone_into(&mut service.spec.health.host),
                Some(_) => {
                    service.lost(line, "headers of health checks: only Host can be set, by health.host");
                }
                None => {}
            }
            if line.has("body") {
                service.lost(line, "a health check has no body");
            }
        }
        "expect" if line.keyword(1) == "status" => line.arg(2).clone_into(&mut service.spec.health.expect),
        "expect" if line.keyword(1) == "rstatus" => {
            let digits = line
                .arg(2)
                .trim_start_matches('^')
                .trim_start_matches('[')
                .split(']')
                .next()
                .unwrap_or_default();
            let is_plain = !digits.is_empty() && digits.bytes().all(|b| (b'1'..=b'5').contains(&b));
            match is_plain {
                true => {
                    let ranges: Vec<_> = digits.chars().map(|digit| format!("{digit}00-{digit}99")).collect();
                    service.spec.health.expect = ranges.join(",");
                }
                false => service.lost(line, "statuses are numbers and ranges; see health.expect"),
            }
        }
        "disable-on-404" => {
            service.notes.push(Note::lost(line, "a server leaves by `cutover drain`, or by its agent"));
        }
        _ => service.lost(line, "a health check is one request and its status; see [service.health]"),
    }
}
