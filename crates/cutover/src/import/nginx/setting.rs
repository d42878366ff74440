//! What is said of everything in a scope: headers, timeouts, limits, pages, TLS towards backends.

use cutover_control::admin::wire::service::UpstreamProtocol;

use super::super::draft::{Edit, FIXED_WAY, Service, is_fixed_way, is_told_anyway};
use super::super::files::Files;
use super::super::note::Note;
use super::super::tree::Directive;
use super::super::value::{Unit, duration, is_on, size};
use super::levels::Levels;

/// Carries over what holds at `levels`.
pub(super) fn apply(service: &mut Service, levels: &Levels<'_>, files: &Files) {
    timeouts(service, levels);
    request_headers(service, levels);
    answers(service, levels, files);
    tls(service, levels, files);
    rate(service, levels);
}

fn timeouts(service: &mut Service, levels: &Levels<'_>) {
    for name in [
        "proxy_connect_timeout",
        "proxy_read_timeout",
        "grpc_connect_timeout",
        "grpc_read_timeout",
        "client_body_timeout",
    ] {
        let Some(directive) = levels.last(name) else { continue };
        let upstream = &mut service.spec.upstream;
        let place = match name {
            "client_body_timeout" => &mut service.spec.limits.body_idle_timeout,
            name if name.ends_with("connect_timeout") => &mut upstream.connect_timeout,
            _ => &mut upstream.response_timeout,
        };
        match duration(directive.arg(0), Unit::Seconds).filter(|span| span != "0s") {
            Some(span) => *place = span,
            None => service.lost(directive, format!("{:?} is no timeout", directive.arg(0))),
        }
    }
    if let Some(send) = levels.last("proxy_send_timeout") {
        service.lost(send, "a body that a server does not take ends by limits.body_idle_timeout");
    }
    if let Some(limit) = levels.last("client_max_body_size") {
        match size(limit.arg(0)) {
            Some(size) => service.spec.limits.body = size,
            None => service.lost(limit, format!("{:?} is no size; see limits.body", limit.arg(0))),
        }
    }
    if let Some(next) = levels.last("proxy_next_upstream") {
        if next.keyword(0) == "off" {
            service.spec.upstream.retries = 0;
        } else if next.args.iter().any(|arg| arg.starts_with("http_") || arg == "non_idempotent") {
            service.lost(next, "what did not reach the app is tried again, and methods that may be repeated; see upstream.retries");
        }
    }
    if let Some(tries) = levels.last("proxy_next_upstream_tries") {
        match tries.arg(0).parse::<u32>() {
            Ok(tries @ 1..) => service.spec.upstream.retries = (tries - 1).min(10),
            _ => service.lost(tries, "tries are bounded always; see upstream.retries"),
        }
    }
}

fn request_headers(service: &mut Service, levels: &Levels<'_>) {
    let mut keeps_host = false;
    let directives = [levels.all("proxy_set_header"), levels.all("grpc_set_header")].concat();
    for directive in directives {
        let (name, value) = (directive.arg(0), directive.arg(1));
        if name.eq_ignore_ascii_case("host") && (value.contains("$host") || value.contains("$http_host")) {
            keeps_host = true;
        } else if name.eq_ignore_ascii_case("host") {
            service.lost(directive, "apps are told the host that the client asked for");
            keeps_host = true;
        } else if is_fixed_way(name, value, '$') {
            service.lost(directive, FIXED_WAY);
        } else if !is_told_anyway(name) {
            let edit = if value.is_empty() { Edit::Remove } else { Edit::Set };
            change(service, directive, edit, name, value, true);
        }
    }
    if !keeps_host && !service.spec.backends.is_empty() {
        let from = service.from.clone();
        service.changed(
            &from,
            "apps are told the host that the client asked for, as with proxy_set_header Host $http_host",
        );
    }
}

fn answers(service: &mut Service, levels: &Levels<'_>, files: &Files) {
    for directive in levels.all("add_header") {
        change(service, directive, Edit::Add, directive.arg(0), directive.arg(1), false);
    }
    for directive in levels.all("proxy_hide_header") {
        change(service, directive, Edit::Remove, directive.arg(0), "", false);
    }
    if let Some(gzip) = levels.last("gzip") {
        service.spec.compression.enabled = is_on(gzip.arg(0));
    }
    if let Some(length) = levels.last("gzip_min_length").filter(|_| service.spec.compression.enabled) {
        match size(length.arg(0)) {
            Some(size) => service.spec.compression.min_size = size,
            None => service.lost(length, "it is no size; see compression.min_size"),
        }
    }
    let root = levels.last("root").map(|root| root.arg(0).to_owned());
    for directive in levels.all("error_page") {
        let Some((page, statuses)) = directive.args.split_last() else { continue };
        let is_plain = page.starts_with('/') && !statuses.iter().any(|status| status.starts_with('='));
        let Some(root) = root.as_ref().filter(|_| is_plain) else {
            service.lost(directive, "pages are HTML files on this host; name one in error_pages");
            continue;
        };
        let file = files.absolute(&format!("{}{page}", root.trim_end_matches('/')));
        for status in statuses {
            service.spec.error_pages.insert(status.clone(), file.clone());
        }
    }
}

fn change(
    service: &mut Service,
    directive: &Directive,
    edit: Edit,
    name: &str,
    value: &str,
    is_request: bool,
) {
    if value.contains('$') {
        let why = match name.to_ascii_lowercase().as_str() {
            "x-real-ip" => {
                "the client's address is the last in X-Forwarded-For that no trusted proxy has; let the app read that"
            }
            _ => "a rule has a fixed value; what changes with each request is for the app",
        };
        return service.lost(directive, why);
    }
    let rules = if is_request { &mut service.spec.request } else { &mut service.spec.response };
    if let Err(why) = edit.apply(rules, name, value) {
        service.lost(directive, why);
    }
}

fn tls(service: &mut Service, levels: &Levels<'_>, files: &Files) {
    let protocol = service.spec.upstream.protocol;
    let is_tls = matches!(protocol, UpstreamProtocol::Https | UpstreamProtocol::HttpsH2);
    if !is_tls {
        return;
    }
    let kin = if protocol == UpstreamProtocol::HttpsH2 { "grpc_ssl_" } else { "proxy_ssl_" };
    let value =
        |name: &str| levels.last(&format!("{kin}{name}")).map(|directive| directive.arg(0).to_owned());
    let verifies = value("verify").is_some_and(|verify| is_on(&verify));
    let (ca, name) = (value("trusted_certificate"), value("name"));
    let pair = value("certificate").zip(value("certificate_key"));
    value("server_name");
    let tls = &mut service.spec.upstream.tls;
    if let Some((cert, key)) = pair {
        (tls.cert, tls.key) = (files.absolute(&cert), files.absolute(&key));
    }
    tls.server_name = name.filter(|name| !name.contains('$')).unwrap_or_default();
    if verifies {
        tls.ca = ca.map(|ca| files.absolute(&ca)).unwrap_or_default();
        return;
    }
    tls.insecure_skip_verify = true;
    let from = service.from.clone();
    let why = "backends are believed whatever certificate they show, as without proxy_ssl_verify on; set upstream.tls.ca instead";
    service.changed(&from, why);
}

fn rate(service: &mut Service, levels: &Levels<'_>) {
    let zones = levels.all("limit_req_zone");
    for limit in levels.all("limit_req") {
        let option = |directive: &Directive, key: &str| -> Option<String> {
            directive.args.iter().find_map(|arg| Some(arg.strip_prefix(key)?.split(':').next()?.to_owned()))
        };
        let zone = zones.iter().find(|zone| option(zone, "zone=") == option(limit, "zone="));
        let rate = zone.filter(|zone| matches!(zone.arg(0), "$binary_remote_addr" | "$remote_addr"));
        let rate = rate.and_then(|zone| option(zone, "rate=")?.strip_suffix("r/s")?.parse::<u32>().ok());
        match rate {
            Some(rate) if service.spec.rate_limit.per_client == 0 => {
                let burst: u32 = option(limit, "burst=").and_then(|burst| burst.parse().ok()).unwrap_or(0);
                service.spec.rate_limit.per_client = rate;
                service.spec.rate_limit.burst = burst.saturating_add(1);
                service.notes.push(Note::changed(
                    limit,
                    "who asks too often gets 429 at once, and is not kept waiting",
                ));
            }
            _ => service.lost(
                limit,
                "requests are limited per client and second, once for a service; see [service.rate_limit]",
            ),
        }
    }
}
