//! Reads the raw configuration into [`Config`], and reports every value that makes no sense.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use cutover_control::document::{Check, Path, Problems};
use cutover_core::command::Configured;
use cutover_core::id::ServiceName;
use cutover_core::time::Millis;

use super::raw::{AdminSpec, LimitsSpec, ListenerSpec, NodeSpec, RawConfig, Role, TokenSpec};
use super::variable::Lookup;
use super::{
    AccessLog, Admin, AdminAddress, Config, Limits, Listener, Node, Token, address, default, routes,
};

/// Where clients connect when the file names no listener: without rights that not everybody has, for this machine only.
const BIND_DEFAULT: &str = "127.0.0.1:8080";
/// For waits that would end everything at zero.
const WAIT_MIN: Millis = Millis(1);

/// What `raw` means. The result counts only while `problems` is empty.
pub(super) fn config(raw: &RawConfig, lookup: Lookup<'_>, problems: &mut Problems) -> Config {
    let mut root = Check::new(Path::root(), problems);
    let node = node(&raw.node, lookup, &mut root.table("node"));
    let default_listener = [ListenerSpec { bind: vec![BIND_DEFAULT.to_owned()], ..ListenerSpec::default() }];
    let listeners = if raw.listener.is_empty() { &default_listener[..] } else { &raw.listener };
    let listeners =
        listeners.iter().enumerate().map(|(index, raw)| listener(raw, &mut root.element("listener", index)));
    let listeners = listeners.collect();
    let limits = limits(&raw.limits, &mut root.table("limits"));
    let admin = admin(&raw.admin, &mut root.table("admin"));
    let metrics = match raw.metrics.listen.as_str() {
        "" => None,
        listen => root.table("metrics").parse("listen", listen),
    };
    let access_log = match raw.access_log.path.as_str() {
        "" => None,
        "-" => Some(AccessLog { path: None, format: raw.access_log.format }),
        path => Some(AccessLog { path: Some(path.into()), format: raw.access_log.format }),
    };
    let services = services(raw, problems);
    Config { node, listeners, limits, admin, store: raw.store.kind, access_log, metrics, services }
}

fn node(raw: &NodeSpec, lookup: Lookup<'_>, check: &mut Check<'_>) -> Node {
    if raw.name.len() > 64 || raw.name.chars().any(|c| !c.is_ascii_graphic()) {
        check.wrong(
            "name",
            format_args!("{:?} is no node name; write up to 64 visible ASCII characters", raw.name),
        );
    }
    let state_dir = match raw.state_dir.as_str() {
        "" => default::state_dir(lookup).unwrap_or_else(|| {
            check.wrong(
                "state_dir",
                "has no default without a home directory; write one such as \"/var/lib/cutover\"",
            );
            PathBuf::new()
        }),
        directory => directory.into(),
    };
    Node {
        name: if raw.name.is_empty() { default::node_name() } else { raw.name.clone() },
        workers: NonZeroU32::new(raw.workers),
        pid_file: Some(PathBuf::from(&raw.pid_file)).filter(|path| !path.as_os_str().is_empty()),
        state_dir,
    }
}

fn listener(raw: &ListenerSpec, check: &mut Check<'_>) -> Listener {
    Listener {
        bind: check.list("bind", &raw.bind, str::parse),
        trusted_proxies: check.list("trusted_proxies", &raw.trusted_proxies, address::network),
        max_connections: raw.max_connections,
        tls: None,
        redirect_to_https: false,
    }
}

fn limits(raw: &LimitsSpec, check: &mut Check<'_>) -> Limits {
    Limits {
        request_line: check.size_within("request_line", &raw.request_line, 64, 1 << 20),
        headers: check.size_within("headers", &raw.headers, 256, 1 << 20),
        header_count: raw.header_count,
        body: Some(check.size("body", &raw.body)).filter(|&bytes| bytes > 0),
        header_timeout: check.duration_from("header_timeout", &raw.header_timeout, WAIT_MIN),
        body_idle_timeout: check.duration_from("body_idle_timeout", &raw.body_idle_timeout, WAIT_MIN),
        keepalive_timeout: check.duration_from("keepalive_timeout", &raw.keepalive_timeout, WAIT_MIN),
        requests_per_connection: NonZeroU32::new(raw.requests_per_connection),
        handshake_timeout: Millis::from_secs(10),
    }
}

fn admin(raw: &AdminSpec, check: &mut Check<'_>) -> Admin {
    let mut names = BTreeMap::new();
    let mut tokens = Vec::with_capacity(raw.tokens.len());
    for (index, spec) in raw.tokens.iter().enumerate() {
        let mut check = check.element("tokens", index);
        if let Some(first) = names.insert(&spec.name, index) {
            check.wrong(
                "name",
                format_args!("repeats token {first}, {:?}; each needs its own name", spec.name),
            );
        }
        tokens.extend(token(spec, &mut check));
    }
    let listen: Option<AdminAddress> = check.parse("listen", &raw.listen);
    let is_local = listen.as_ref().is_none_or(AdminAddress::is_local);
    if raw.open == Some(true) && !is_local {
        check.wrong(
            "open",
            format_args!("is true, but others can connect to {}; set it to false and add tokens", raw.listen),
        );
    }
    let is_open = raw.open.unwrap_or(is_local);
    if !is_open && raw.tokens.is_empty() {
        let reason = if is_local { "`open` is false" } else { "others than this machine can connect" };
        check.wrong("tokens", format_args!("is empty and {reason}; add one, `cutover token` makes it"));
    }
    // Never kept: without an address there is a problem.
    let listen = listen.unwrap_or_else(|| AdminAddress::Unix(PathBuf::new()));
    Admin { listen, is_open, tokens }
}

fn token(raw: &TokenSpec, check: &mut Check<'_>) -> Option<Token> {
    if raw.name.len() > 64 || raw.name.chars().any(char::is_control) {
        check.wrong("name", "must be at most 64 bytes without control characters");
    }
    let services = check.list("services", &raw.services, |name| {
        ServiceName::parse(name).map_err(|error| format!("{name:?} is no service name: {error}"))
    });
    if check.are_clean(&["role", "services"]) {
        match (raw.role, services.is_empty()) {
            (Role::Register, true) => {
                check.wrong("services", "is empty; name the services that the token registers for");
            }
            (Role::Read | Role::Operate | Role::Admin, false) => {
                check.wrong("services", "is only for role \"register\"; remove it or change the role");
            }
            _ => {}
        }
    }
    let sha256 = match digest(&raw.sha256) {
        Ok(sha256) => sha256,
        Err(message) => {
            check.wrong("sha256", message);
            return None;
        }
    };
    Some(Token { name: raw.name.clone(), sha256, role: raw.role, services })
}

fn digest(text: &str) -> Result<[u8; 32], String> {
    let from_file;
    let hex = match text.strip_prefix("file:") {
        None => text,
        Some(path) => {
            from_file =
                std::fs::read_to_string(path).map_err(|error| format!("can't read {path:?}: {error}"))?;
            from_file.trim()
        }
    };
    let mut bytes = [0; 32];
    // The text itself stays out of the message: somebody may have written the token where its hash belongs.
    let wrong = || "is no SHA-256 in hex (64 digits); `cutover token` makes a token and its hash".to_owned();
    if hex.len() != 64 || !hex.is_ascii() {
        return Err(wrong());
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        let digits = &hex[2 * index..2 * index + 2];
        let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        *byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex).ok_or_else(wrong)?;
    }
    Ok(bytes)
}

fn services(raw: &RawConfig, problems: &mut Problems) -> Vec<Configured> {
    let mut places: BTreeMap<ServiceName, usize> = BTreeMap::new();
    let mut services = Vec::with_capacity(raw.service.len());
    for (index, spec) in raw.service.iter().enumerate() {
        let mut check = Check::new(Path::root().key("service").index(index), problems);
        // A service without a usable name is checked under a stand-in, so that the rest of it is.
        let name = match spec.name.as_deref().map(ServiceName::parse) {
            Some(Ok(name)) => Some(name),
            Some(Err(error)) => {
                check.wrong("name", error);
                None
            }
            None => {
                check.wrong("name", "is missing; `name` is required, a string such as \"web\"");
                None
            }
        };
        let stand_in = || ServiceName::parse("unnamed").ok();
        let Some(checked) = name.clone().or_else(stand_in).map(|name| spec.check(name, &mut check)) else {
            continue;
        };
        let Some(name) = name else { continue };
        match places.get(&name) {
            Some(first) => {
                check.wrong(
                    "name",
                    format_args!("repeats service {first}, {name:?}; each needs its own name"),
                );
            }
            None => {
                let are_routes_clean = check.are_clean(&["hosts", "paths"]);
                places.insert(name, index);
                services.push((index, checked, are_routes_clean));
            }
        }
    }
    let routed: Vec<_> =
        services.iter().filter(|service| service.2).map(|service| (service.0, &service.1)).collect();
    routes::check(&routed, problems);
    services.into_iter().map(|(_, service, _)| service).collect()
}
