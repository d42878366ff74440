//! Envoy: one worker, sessions by the stateful session filter's cookie.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{CERTIFICATE, KEY, Place};
use crate::client::Addresses;
use crate::error::Error;
use crate::load::CALLS;

const TYPES: &str = "type.googleapis.com/envoy.extensions";

pub(super) fn prepare(program: &Path, place: &Place) -> Result<Command, Error> {
    let Addresses { http, tls, h2c } = place.listen;
    let text = json!({
        "static_resources": {
            "listeners": [
                listener("http", http, "HTTP1", None),
                listener("h2c", h2c, "HTTP2", None),
                listener("tls", tls, "AUTO", Some(secured(place))),
            ],
            "clusters": [cluster("app", place, &json!({})), cluster("calls", place, &over_h2())],
        },
    });
    let file = place.write("envoy.json", &text.to_string())?;
    let mut command = Command::new(program);
    command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"]).arg(file);
    Ok(command)
}

fn socket(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}

fn listener(name: &str, address: SocketAddr, codec: &str, transport: Option<Value>) -> Value {
    let session = json!({
        "name": "envoy.filters.http.stateful_session",
        "typed_config": {
            "@type": format!("{TYPES}.filters.http.stateful_session.v3.StatefulSession"),
            "session_state": {
                "name": "envoy.http.stateful_session.cookie",
                "typed_config": {
                    "@type": format!("{TYPES}.http.stateful_session.cookie.v3.CookieBasedSessionState"),
                    "cookie": { "name": "lb", "path": "/", "ttl": "3600s" },
                },
            },
        },
    });
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": format!("{TYPES}.filters.http.router.v3.Router"),
            "suppress_envoy_headers": true,
            "dynamic_stats": false,
        },
    });
    let no_session = json!({
        "envoy.filters.http.stateful_session": {
            "@type": format!("{TYPES}.filters.http.stateful_session.v3.StatefulSessionPerRoute"),
            "disabled": true,
        },
    });
    let manager = json!({
        "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": name,
        "codec_type": codec,
        "use_remote_address": true,
        "http_filters": [session, router],
        "route_config": {
            "name": "all",
            "virtual_hosts": [{
                "name": "all", "domains": ["*"],
                "routes": [
                    {
                        "match": { "prefix": format!("{CALLS}/") },
                        "route": { "cluster": "calls", "timeout": "60s" },
                        "typed_per_filter_config": no_session,
                    },
                    { "match": { "prefix": "/" }, "route": { "cluster": "app", "timeout": "60s" } },
                ],
            }],
        },
    });
    let mut chain = json!({
        "filters": [{ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager }],
    });
    if let Some(transport) = transport {
        chain["transport_socket"] = transport;
    }
    json!({ "name": name, "address": socket(address), "filter_chains": [chain] })
}

fn secured(place: &Place) -> Value {
    let file = |name: &str| json!({ "filename": place.directory.join(name) });
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": format!("{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext"),
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": { "tls_maximum_protocol_version": "TLSv1_3" },
                "tls_certificates": [{ "certificate_chain": file(CERTIFICATE), "private_key": file(KEY) }],
            },
        },
    })
}

fn cluster(name: &str, place: &Place, protocol: &Value) -> Value {
    let endpoints: Vec<Value> =
        place.backends.iter().map(|backend| json!({ "endpoint": { "address": socket(*backend) } })).collect();
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "lb_policy": "LEAST_REQUEST",
        "typed_extension_protocol_options": protocol,
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": endpoints }] },
    })
}

fn over_h2() -> Value {
    json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": format!("{TYPES}.upstreams.http.v3.HttpProtocolOptions"),
            "explicit_http_config": { "http2_protocol_options": {} },
        },
    })
}
