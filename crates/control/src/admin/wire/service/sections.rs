//! The tables inside a service, each from its text to its policy.

use cutover_core::id::GateName;
use cutover_core::policy::{
    self, DrainPolicy, FlipPolicy, HealthPolicy, OutlierPolicy, PinPolicy, RollPolicy, ServiceLimits,
    UpstreamPolicy,
};
use cutover_core::time::Millis;

use super::check::{header_name, is_token};
use super::spec::{
    DrainSpec, FlipMode, FlipSpec, HealthSpec, OutlierSpec, PinMode, PinSpec, ProbeProtocol, RollSpec,
    RollStrategy, SameSite, ServiceLimitsSpec, UpstreamProtocol, UpstreamSpec,
};
use crate::document::Check;

/// The shortest time between two probes of a backend: below, probing costs more than it tells.
const PROBE_INTERVAL_MIN: Millis = Millis(10);
/// A pin counts in whole seconds.
const PIN_LIFE_MIN: Millis = Millis::from_secs(1);
/// For waits that would fail everything at zero.
const WAIT_MIN: Millis = Millis(1);
/// More batches than any fleet has are a mistake.
const BATCHES_MAX: u32 = 1000;
/// Bytes that one request may keep in memory to be sent again.
const REPLAY_BODY_MAX: u64 = 16 << 20;

pub(super) fn pin(pin: &PinSpec, check: &mut Check<'_>) -> PinPolicy {
    if !is_token(&pin.cookie) || pin.cookie.len() > 64 {
        check.wrong(
            "cookie",
            format_args!("{:?} is no cookie name; write up to 64 letters, digits, '-' or '_'", pin.cookie),
        );
    } else if pin.cookie.starts_with("__") {
        check.wrong(
            "cookie",
            format_args!("{:?} has a prefix; leave it out, over TLS it is added", pin.cookie),
        );
    }
    if pin.partitioned && pin.same_site != SameSite::None && check.are_clean(&["same_site"]) {
        check.wrong("partitioned", "needs same_site = \"None\"");
    }
    let (idle, life) = (
        check.duration_from("idle", &pin.idle, PIN_LIFE_MIN),
        check.duration_from("life", &pin.life, PIN_LIFE_MIN),
    );
    if idle > life && check.are_clean(&["idle", "life"]) {
        check.wrong("idle", format_args!("is \"{idle}\"; must not be longer than `life`, \"{life}\""));
    }
    PinPolicy {
        mode: match pin.policy {
            PinMode::Session => policy::PinMode::Session,
            PinMode::None => policy::PinMode::None,
        },
        cookie: pin.cookie.clone(),
        same_site: match pin.same_site {
            SameSite::Strict => policy::SameSite::Strict,
            SameSite::Lax => policy::SameSite::Lax,
            SameSite::None => policy::SameSite::None,
        },
        partitioned: pin.partitioned,
        max_life: check.duration("max_life", &pin.max_life),
        idle,
        life,
        forward: pin.forward,
        query: check.list("query", &pin.query, |name| match is_query_name(name) {
            true => Ok(name.to_owned()),
            false => Err(format!("{name:?} is no parameter name; write one such as \"dpl\"")),
        }),
        headers: check.list("headers", &pin.headers, header_name),
    }
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
    HealthPolicy {
        protocol: match health.protocol {
            ProbeProtocol::Http => policy::ProbeProtocol::Http,
            ProbeProtocol::Tcp => policy::ProbeProtocol::Tcp,
        },
        path: health.path.clone(),
        grpc_service: String::new(),
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

pub(super) fn upstream(upstream: &UpstreamSpec, check: &mut Check<'_>) -> UpstreamPolicy {
    let UpstreamProtocol::Http1 = upstream.protocol;
    UpstreamPolicy {
        protocol: policy::UpstreamProtocol::Http1,
        tls: policy::UpstreamTls::default(),
        proxy_protocol: None,
        connect_timeout: check.duration_from("connect_timeout", &upstream.connect_timeout, WAIT_MIN),
        response_timeout: check.duration_from("response_timeout", &upstream.response_timeout, WAIT_MIN),
        idle_timeout: check.duration_from("idle_timeout", &upstream.idle_timeout, WAIT_MIN),
        max_idle: upstream.max_idle,
        max_connections: upstream.max_connections,
        retries: upstream.retries,
        retry_budget: check.share("retry_budget", upstream.retry_budget),
        replay_body: check.size_within("replay_body", &upstream.replay_body, 0, REPLAY_BODY_MAX),
        tunnel_idle_timeout: check.duration_from(
            "tunnel_idle_timeout",
            &upstream.tunnel_idle_timeout,
            WAIT_MIN,
        ),
    }
}

pub(super) fn limits(limits: &ServiceLimitsSpec, check: &mut Check<'_>) -> ServiceLimits {
    ServiceLimits {
        body: Some(check.size("body", &limits.body)).filter(|&bytes| bytes > 0),
        body_idle_timeout: Some(check.duration("body_idle_timeout", &limits.body_idle_timeout))
            .filter(|span| !span.is_zero()),
    }
}

pub(super) fn flip(flip: &FlipSpec, check: &mut Check<'_>) -> FlipPolicy {
    FlipPolicy {
        mode: match flip.mode {
            FlipMode::Manual => policy::FlipMode::Manual,
            FlipMode::Auto => policy::FlipMode::Auto,
        },
        quorum_count: flip.quorum.count,
        quorum_share: check.table("quorum").share("share", flip.quorum.share),
        stable_for: check.duration("stable_for", &flip.stable_for),
        gates: check.list("gates", &flip.gates, |name| {
            GateName::parse(name).map_err(|error| format!("{name:?} is no gate name: {error}"))
        }),
    }
}

pub(super) fn drain(drain: &DrainSpec, check: &mut Check<'_>) -> DrainPolicy {
    DrainPolicy {
        deadline: check.duration("deadline", &drain.deadline),
        spread: check.duration("spread", &drain.spread),
    }
}

pub(super) fn roll(roll: &RollSpec, check: &mut Check<'_>) -> RollPolicy {
    if !(2..=BATCHES_MAX).contains(&roll.batches) {
        check.wrong("batches", format_args!("{} is not from 2 to {BATCHES_MAX}", roll.batches));
    }
    RollPolicy {
        strategy: match roll.strategy {
            RollStrategy::Halves => policy::RollStrategy::Batches(roll.batches),
            RollStrategy::OneByOne => policy::RollStrategy::OneByOne,
        },
        permit_deadline: check.duration_from("permit_deadline", &roll.permit_deadline, WAIT_MIN),
    }
}

/// A query parameter that needs no percent-encoding, so that it is found by comparing bytes.
fn is_query_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
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
