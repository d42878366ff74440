//! `server` lines.

use cutover_control::admin::wire::service::{ProxyProtocol, UpstreamProtocol};

use super::super::draft::Service;
use super::super::files::Files;
use super::super::note::Note;
use super::super::tree::Directive;
use super::super::value::{Unit, duration};

/// What a line comes to, besides what it says of all servers.
struct Server {
    weight: u64,
    away: Option<&'static str>,
    is_tls: bool,
    is_h2: bool,
    verifies: bool,
}

/// Adds a server. `defaults` are the lines that hold for all.
pub(super) fn add(service: &mut Service, line: &Directive, defaults: &[&Directive], files: &Files) {
    let mut server = Server { weight: 1, away: None, is_tls: false, is_h2: false, verifies: true };
    for line in defaults {
        parameters(service, &mut server, line, 0, files);
    }
    parameters(service, &mut server, line, 2, files);
    if let Some(why) = server.away {
        return service.lost(line, why);
    }
    let protocol = match (server.is_tls, server.is_h2) {
        (false, false) => UpstreamProtocol::Http1,
        (false, true) => UpstreamProtocol::H2c,
        (true, false) => UpstreamProtocol::Https,
        (true, true) => UpstreamProtocol::HttpsH2,
    };
    if service.spec.backends.is_empty() {
        service.spec.upstream.protocol = protocol;
    } else if service.spec.upstream.protocol != protocol {
        return service
            .lost(line, "all servers of a service speak the same protocol; make it a service of its own");
    }
    let tls = &mut service.spec.upstream.tls;
    if !server.is_tls {
        *tls = Default::default();
    } else if !server.verifies {
        tls.ca.clear();
        tls.insecure_skip_verify = true;
        service.changed(line, "backends are believed whatever certificate they show, as with verify none; set upstream.tls.ca instead");
    }
    let address = line.arg(1);
    let address =
        ["ipv4@", "ipv6@"].iter().find_map(|family| address.strip_prefix(family)).unwrap_or(address);
    let address = match address.strip_prefix("unix@") {
        Some(path) => format!("unix:{path}"),
        None if address.starts_with('/') => format!("unix:{address}"),
        None => address.to_owned(),
    };
    service.add_backend(line, line.arg(0), &address, server.weight);
}

/// Reads the words behind the first `at`.
fn parameters(service: &mut Service, server: &mut Server, line: &Directive, at: usize, files: &Files) {
    let mut words = line.args.iter().skip(at).map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "check" | "no-check" | "check-ssl" | "check-send-proxy" | "no-send-proxy" | "enabled" | "tfo" => {
            }
            "backup" => {
                server.away = Some(
                    "there are no standby servers; add it to `backends` when it is to serve, or start it as a new version",
                );
            }
            "disabled" => {
                server.away = Some(
                    "it was switched off and is not in `backends`; add it there when it is to serve (`cutover maint` takes it out at run time)",
                );
            }
            "ssl" => server.is_tls = true,
            "no-ssl" => server.is_tls = false,
            "send-proxy" => service.spec.upstream.proxy_protocol = ProxyProtocol::V1,
            "send-proxy-v2" | "send-proxy-v2-ssl" | "send-proxy-v2-ssl-cn" => {
                service.spec.upstream.proxy_protocol = ProxyProtocol::V2;
            }
            "proto" | "alpn" | "check-proto" | "check-alpn" => {
                server.is_h2 |= words.next().is_some_and(|value| value.split(',').any(|name| name == "h2"));
            }
            "verify" => server.verifies = words.next() != Some("none"),
            word if takes_value(word) => {
                with_value(service, server, line, word, words.next().unwrap_or_default(), files);
            }
            word => service.lost(line, format!("there is nothing like {word:?} of a server")),
        }
    }
}

/// Words behind which a value stands.
fn takes_value(word: &str) -> bool {
    const WORDS: [&str; 35] = [
        "weight",
        "inter",
        "fastinter",
        "downinter",
        "rise",
        "fall",
        "port",
        "addr",
        "cookie",
        "maxconn",
        "minconn",
        "maxqueue",
        "slowstart",
        "ca-file",
        "crt",
        "sni",
        "check-sni",
        "verifyhost",
        "resolvers",
        "init-addr",
        "resolve-prefer",
        "observe",
        "error-limit",
        "on-error",
        "on-marked-down",
        "on-marked-up",
        "track",
        "pool-max-conn",
        "pool-purge-delay",
        "pool-low-conn",
        "ssl-min-ver",
        "ssl-max-ver",
        "ciphers",
        "ciphersuites",
        "id",
    ];
    WORDS.contains(&word)
}

fn with_value(
    service: &mut Service,
    server: &mut Server,
    line: &Directive,
    word: &str,
    value: &str,
    files: &Files,
) {
    let span = || duration(value, Unit::Milliseconds).filter(|span| span != "0s");
    let spec = &mut service.spec;
    let is_right = match word {
        "weight" => value.parse().is_ok_and(|weight: u64| {
            server.weight = weight;
            if weight == 0 {
                server.away = Some("with weight 0 it gets nothing and is not in `backends`; add it there when it is to serve");
            }
            true
        }),
        "inter" => span().map(|span| spec.health.interval = span).is_some(),
        "slowstart" => span().map(|span| spec.slow_start = span).is_some(),
        "pool-purge-delay" => span().map(|span| spec.upstream.idle_timeout = span).is_some(),
        "rise" => value.parse().map(|count| spec.health.rise = count).is_ok(),
        "fall" => value.parse().map(|count| spec.health.fall = count).is_ok(),
        "port" => value.parse().map(|port| spec.health.port = port).is_ok(),
        "maxconn" => {
            let count = value.parse();
            if count.is_ok() {
                service.notes.push(Note::changed(line, "max_connections is the same for each server of the service"));
            }
            count.map(|count| spec.upstream.max_connections = count).is_ok()
        }
        "pool-max-conn" => value.parse().map(|count| spec.upstream.max_idle = count).is_ok(),
        "error-limit" => value.parse().map(|count| spec.outlier.consecutive_errors = count).is_ok(),
        "ca-file" => {
            spec.upstream.tls.ca = if value == "@system-ca" { String::new() } else { files.absolute(value) };
            true
        }
        "crt" => {
            let file = files.absolute(value);
            (spec.upstream.tls.cert, spec.upstream.tls.key) = (file.clone(), file);
            true
        }
        "sni" | "verifyhost" | "check-sni" => {
            let name = value.strip_prefix("str(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(value);
            let is_fixed = !name.contains('(');
            if is_fixed {
                name.clone_into(&mut spec.upstream.tls.server_name);
            }
            is_fixed
        }
        // Its value is nothing that cutover's own cookie would have; the others it does in its own way.
        "cookie" | "resolvers" | "init-addr" | "resolve-prefer" | "ciphers" | "ciphersuites" | "ssl-min-ver" | "ssl-max-ver" | "id"
        | "observe" | "pool-low-conn" => true,
        _ => false,
    };
    if !is_right {
        service.lost(line, format!("`{word} {value}` is not carried over; see [service.health], [service.outlier] and [service.upstream]"));
    }
}
