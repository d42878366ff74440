//! Envoy: one worker, sessions by the stateful session filter's cookie.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::Place;
use crate::error::Error;

const TYPES: &str = "type.googleapis.com/envoy.extensions";

pub(super) fn prepare(program: &Path, place: &Place) -> Result<Command, Error> {
    let socket = |address: std::net::SocketAddr| json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } });
    let endpoints: Vec<Value> =
        place.backends.iter().map(|backend| json!({ "endpoint": { "address": socket(*backend) } })).collect();
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
    let manager = json!({
        "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "clients",
        "codec_type": "HTTP1",
        "use_remote_address": true,
        "http_filters": [session, router],
        "route_config": {
            "name": "all",
            "virtual_hosts": [{
                "name": "all", "domains": ["*"],
                "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "app", "timeout": "60s" } }],
            }],
        },
    });
    let text = json!({
        "static_resources": {
            "listeners": [{
                "name": "clients",
                "address": socket(place.listen),
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
                }] }],
            }],
            "clusters": [{
                "name": "app",
                "type": "STATIC",
                "connect_timeout": "2s",
                "lb_policy": "LEAST_REQUEST",
                "load_assignment": { "cluster_name": "app", "endpoints": [{ "lb_endpoints": endpoints }] },
            }],
        },
    });
    let file = place.write("envoy.json", &text.to_string())?;
    let mut command = Command::new(program);
    command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"]).arg(file);
    Ok(command)
}
