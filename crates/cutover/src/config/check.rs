//! Reads the raw configuration into [`Config`], and reports every value that makes no sense.

mod admin;
mod listener;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use cutover_control::document::{Check, Path, Problems};
use cutover_core::command::Configured;
use cutover_core::id::ServiceName;
use cutover_core::time::Millis;
use http::Uri;

use self::admin::admin;
use self::listener::{check_addresses, check_challenges, listener};
use super::raw::{LimitsSpec, ListenerSpec, NodeSpec, RawConfig, TracingSpec};
use super::variable::Lookup;
use super::{AccessLog, Config, Limits, Node, Tracing, address, default, routes};

/// Where clients connect when the file names no listener: without rights that not everybody has, for this machine only.
const BIND_DEFAULT: &str = "127.0.0.1:8080";
/// For waits that would end everything at zero.
const WAIT_MIN: Millis = Millis(1);
/// No process starts in less.
const UPGRADE_MIN: Millis = Millis::from_secs(1);

/// What `raw` means. The result counts only while `problems` is empty.
pub(super) fn config(raw: &RawConfig, lookup: Lookup<'_>, problems: &mut Problems) -> Config {
    let mut root = Check::new(Path::root(), problems);
    let node = node(&raw.node, lookup, &mut root.table("node"));
    let default_listener = [ListenerSpec { bind: vec![BIND_DEFAULT.to_owned()], ..ListenerSpec::default() }];
    let listeners = if raw.listener.is_empty() { &default_listener[..] } else { &raw.listener };
    let listeners =
        listeners.iter().enumerate().map(|(index, raw)| listener(raw, &mut root.element("listener", index)));
    let listeners = listeners.collect();
    check_addresses(&raw.listener, &mut root);
    check_challenges(&raw.listener, &mut root);
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
    let tracing = tracing(&raw.tracing, &mut root.table("tracing"));
    let services = services(raw, problems);
    Config { node, listeners, limits, admin, store: raw.store.kind, access_log, metrics, tracing, services }
}

fn node(raw: &NodeSpec, lookup: Lookup<'_>, check: &mut Check<'_>) -> Node {
    if raw.name.len() > 64 || raw.name.chars().any(|c| !c.is_ascii_graphic()) {
        check.wrong(
            "name",
            format_args!("{:?} is no node name; write up to 64 visible ASCII characters", raw.name),
        );
    }
    let state_dir = match raw.state_dir.as_str() {
        // Wherever the one who starts it is at home, the user is not.
        "" if !raw.user.is_empty() => default::STATE_DIR.into(),
        "" => default::state_dir(lookup).unwrap_or_else(|| {
            check.wrong(
                "state_dir",
                "has no default without a home directory; write one such as \"/var/lib/cutover\"",
            );
            PathBuf::new()
        }),
        directory => directory.into(),
    };
    let named = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    if raw.user.is_empty() && !raw.group.is_empty() {
        check.wrong("group", "stands without `user`, whose group it would be; add that or remove it");
    }
    Node {
        name: if raw.name.is_empty() { default::node_name() } else { raw.name.clone() },
        workers: NonZeroU32::new(raw.workers),
        pid_file: Some(PathBuf::from(&raw.pid_file)).filter(|path| !path.as_os_str().is_empty()),
        upgrade_timeout: check.duration_from("upgrade_timeout", &raw.upgrade_timeout, UPGRADE_MIN),
        state_dir,
        user: named(&raw.user),
        group: named(&raw.group),
        name_servers: check.list("name_servers", &raw.name_servers, address::name_server),
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
        handshake_timeout: check.duration_from("handshake_timeout", &raw.handshake_timeout, WAIT_MIN),
        h2_max_concurrent_streams: raw.h2_max_concurrent_streams,
    }
}

fn tracing(raw: &TracingSpec, check: &mut Check<'_>) -> Tracing {
    if raw.otlp.is_empty() {
        return Tracing::default();
    }
    let url = raw.otlp.parse::<Uri>().ok();
    let otlp = url.filter(|url| url.scheme_str() == Some("http") && url.query().is_none());
    if otlp.is_none() {
        check.wrong(
            "otlp",
            format_args!(
                "{:?} is no http URL of a collector; write one such as \"http://127.0.0.1:4318\"",
                raw.otlp
            ),
        );
    } else if !cfg!(feature = "otlp") {
        check.wrong(
            "otlp",
            "needs a build of cutover with the cargo feature `otlp`, which this one is not; remove it",
        );
    }
    Tracing { otlp }
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
