//! Health checks and ejection, as they are written.

use cutover_core::policy::{self, HealthPolicy, OutlierPolicy};
use cutover_core::time::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::WAIT_MIN;
use crate::document::Check;

/// The shortest time between two probes of a backend: below, probing costs more than it tells.
const PROBE_INTERVAL_MIN: Millis = Millis(10);
/// Bytes of the name in a gRPC probe; names of Protobuf services are far shorter.
const GRPC_SERVICE_LEN_MAX: usize = 256;

/// Active health checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthSpec {
    /// How a probe asks.
    pub protocol: ProbeProtocol,
    /// Request target of the probe.
    #[schemars(length(min = 1))]
    pub path: String,
    /// Name of the service that a gRPC probe asks about; `""` = the whole server.
    #[schemars(example = &"shop.Cart")]
    pub grpc_service: String,
    /// Port that is probed; 0 = the backend's own.
    pub port: u16,
    /// `Host` of the probe; `""` = the backend's address.
    #[schemars(example = &"example.com")]
    pub host: String,
    /// Time between the starts of two probes of one backend.
    pub interval: String,
    /// Time that a probe may take.
    pub timeout: String,
    /// Successes in a row that make a backend up.
    #[schemars(range(min = 1, max = 1000))]
    pub rise: u32,
    /// Failures in a row that make it down.
    #[schemars(range(min = 1, max = 1000))]
    pub fall: u32,
    /// Status codes that count as success: codes and ranges, such as `200-299,401`.
    #[schemars(length(min = 1))]
    pub expect: String,
}

/// How a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeProtocol {
    /// A GET, judged by its status.
    Http,
    /// A connection that opens.
    Tcp,
    /// A call of `grpc.health.v1.Health/Check`; needs a backend that is spoken with over HTTP/2.
    Grpc,
}

/// Ejection by live traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutlierSpec {
    /// Gateway errors, resets and failed connects in a row that eject a backend; 0 = off.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub consecutive_errors: u32,
    /// Length of the first ejection; it grows with each one in a row.
    pub base_ejection: String,
    /// Share of a version's backends that may be ejected at once.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_ejected: f64,
}

pub(super) fn health(health: &HealthSpec, check: &mut Check<'_>) -> HealthPolicy {
    let is_target = health.path.starts_with('/')
        && health.path.len() <= 1024
        && health.path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if !is_target {
        check
            .wrong("path", format_args!("{:?} is no request target; write one such as \"/up\"", health.path));
    }
    let is_host = health.host.is_empty()
        || (health.host.parse::<http::uri::Authority>().is_ok() && !health.host.contains('@'));
    if !is_host {
        check.wrong("host", format_args!("{:?} is no host; write one such as \"example.com\"", health.host));
    }
    check_grpc_service(health, check);
    HealthPolicy {
        protocol: match health.protocol {
            ProbeProtocol::Http => policy::ProbeProtocol::Http,
            ProbeProtocol::Tcp => policy::ProbeProtocol::Tcp,
            ProbeProtocol::Grpc => policy::ProbeProtocol::Grpc,
        },
        path: health.path.clone(),
        grpc_service: health.grpc_service.clone(),
        port: Some(health.port).filter(|&port| port > 0),
        host: health.host.clone(),
        interval: check.duration_from("interval", &health.interval, PROBE_INTERVAL_MIN),
        timeout: check.duration_from("timeout", &health.timeout, WAIT_MIN),
        rise: health.rise,
        fall: health.fall,
        expect: statuses(&health.expect).unwrap_or_else(|| {
            check.wrong(
                "expect",
                format_args!(
                    "{:?} is no list of status codes; write codes from 100 to 599 and ranges such as \"200-299,401\"",
                    health.expect
                ),
            );
            Vec::new()
        }),
    }
}

pub(super) fn outlier(outlier: &OutlierSpec, check: &mut Check<'_>) -> OutlierPolicy {
    OutlierPolicy {
        consecutive_errors: outlier.consecutive_errors,
        base_ejection: check.duration_from("base_ejection", &outlier.base_ejection, WAIT_MIN),
        max_ejected: check.share("max_ejected", outlier.max_ejected),
    }
}

impl From<&HealthPolicy> for HealthSpec {
    fn from(health: &HealthPolicy) -> Self {
        let ranges = health.expect.iter().map(|&(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        Self {
            protocol: match health.protocol {
                policy::ProbeProtocol::Http => ProbeProtocol::Http,
                policy::ProbeProtocol::Tcp => ProbeProtocol::Tcp,
                policy::ProbeProtocol::Grpc => ProbeProtocol::Grpc,
            },
            path: health.path.clone(),
            grpc_service: health.grpc_service.clone(),
            port: health.port.unwrap_or(0),
            host: health.host.clone(),
            interval: health.interval.to_string(),
            timeout: health.timeout.to_string(),
            rise: health.rise,
            fall: health.fall,
            expect: ranges.collect::<Vec<_>>().join(","),
        }
    }
}

impl From<&OutlierPolicy> for OutlierSpec {
    fn from(outlier: &OutlierPolicy) -> Self {
        Self {
            consecutive_errors: outlier.consecutive_errors,
            base_ejection: outlier.base_ejection.to_string(),
            max_ejected: outlier.max_ejected.value(),
        }
    }
}

fn check_grpc_service(health: &HealthSpec, check: &mut Check<'_>) {
    let name = &health.grpc_service;
    if name.is_empty() {
        return;
    }
    if health.protocol != ProbeProtocol::Grpc && check.are_clean(&["protocol"]) {
        check.wrong("grpc_service", "is used only with protocol = \"grpc\"; set that or remove this");
    } else if name.len() > GRPC_SERVICE_LEN_MAX || !name.bytes().all(|b| b.is_ascii_graphic()) {
        check.wrong(
            "grpc_service",
            format_args!("{name:?} is no name of a gRPC service; write one such as \"shop.Cart\""),
        );
    }
}

/// Codes and inclusive ranges, separated by commas.
fn statuses(text: &str) -> Option<Vec<(u16, u16)>> {
    let status =
        |text: &str| text.parse::<u16>().ok().filter(|code| text.len() == 3 && (100..=599).contains(code));
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (status(first.trim())?, status(last.trim())?);
        (first <= last).then_some((first, last))
    };
    text.split(',').map(|part| range(part.trim())).collect()
}
