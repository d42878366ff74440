//! Writes a policy as text. The defaults of the text are written policies, so that they can't drift apart.

use cutover_core::policy::{self, HashOn, IdentitySource, Policy};
use cutover_core::route::HostPattern;

use super::spec::{
    Affinity, Balance, DrainSpec, FlipMode, FlipSpec, HealthSpec, Identity, OnMissingVersion, OutlierSpec,
    PinMode, PinSpec, ProbeProtocol, QuorumSpec, RollSpec, RollStrategy, SameSite, ServiceLimitsSpec,
    ServiceSpec, UpstreamProtocol, UpstreamSpec,
};
use crate::document::scalar::write_size;

impl From<&Policy> for ServiceSpec {
    fn from(policy: &Policy) -> Self {
        let (balance, hash_on) = balance(&policy.balance);
        Self {
            name: None,
            hosts: policy.hosts.iter().map(host).collect(),
            paths: policy.paths.iter().map(|path| path.as_str().to_owned()).collect(),
            identity: match policy.identity.source {
                IdentitySource::Label => Identity::Label,
                IdentitySource::Health => Identity::Health,
                IdentitySource::Response => Identity::Response,
            },
            version_header: policy.identity.version_header.clone(),
            version_pointer: policy.identity.version_pointer.clone(),
            expose_version: policy.identity.expose_version,
            boot_id_header: policy.identity.boot_id_header.clone(),
            balance,
            hash_on,
            affinity: match policy.affinity {
                policy::Affinity::Version => Affinity::Version,
                policy::Affinity::Backend => Affinity::Backend,
            },
            expected_weight: policy.expected_weight.unwrap_or(0),
            min_capacity: policy.min_capacity.value(),
            slow_start: policy.slow_start.to_string(),
            queue_timeout: policy.queue_timeout.to_string(),
            on_missing_version: match policy.on_missing_version {
                policy::OnMissingVersion::Active => OnMissingVersion::Active,
                policy::OnMissingVersion::Conflict => OnMissingVersion::Conflict,
                policy::OnMissingVersion::Unavailable => OnMissingVersion::Unavailable,
            },
            backends: Vec::new(),
            pin: (&policy.pin).into(),
            health: (&policy.health).into(),
            outlier: (&policy.outlier).into(),
            upstream: (&policy.upstream).into(),
            limits: (&policy.limits).into(),
            flip: (&policy.flip).into(),
            drain: (&policy.drain).into(),
            roll: (&policy.roll).into(),
        }
    }
}

fn host(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Exact(domain) => domain.clone(),
        HostPattern::Under(domain) => format!("*.{domain}"),
    }
}

fn balance(balance: &policy::Balance) -> (Balance, String) {
    match balance {
        policy::Balance::PowerOfTwo => (Balance::PowerOfTwo, String::new()),
        policy::Balance::RoundRobin => (Balance::RoundRobin, String::new()),
        policy::Balance::LeastConnections => (Balance::LeastConnections, String::new()),
        policy::Balance::PeakEwma => (Balance::PeakEwma, String::new()),
        policy::Balance::Hash(on) => (
            Balance::Hash,
            match on {
                HashOn::Pin => "pin".to_owned(),
                HashOn::ClientIp => "client-ip".to_owned(),
                HashOn::Header(name) => format!("header:{name}"),
                HashOn::Cookie(name) => format!("cookie:{name}"),
            },
        ),
    }
}

impl From<&policy::PinPolicy> for PinSpec {
    fn from(pin: &policy::PinPolicy) -> Self {
        Self {
            policy: match pin.mode {
                policy::PinMode::Session => PinMode::Session,
                policy::PinMode::None => PinMode::None,
            },
            cookie: pin.cookie.clone(),
            same_site: match pin.same_site {
                policy::SameSite::Strict => SameSite::Strict,
                policy::SameSite::Lax => SameSite::Lax,
                policy::SameSite::None => SameSite::None,
            },
            partitioned: pin.partitioned,
            max_life: pin.max_life.to_string(),
            idle: pin.idle.to_string(),
            life: pin.life.to_string(),
            forward: pin.forward,
            query: pin.query.clone(),
            headers: pin.headers.clone(),
        }
    }
}

impl From<&policy::HealthPolicy> for HealthSpec {
    fn from(health: &policy::HealthPolicy) -> Self {
        let ranges = health.expect.iter().map(|&(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        Self {
            protocol: match health.protocol {
                policy::ProbeProtocol::Http => ProbeProtocol::Http,
                policy::ProbeProtocol::Tcp | policy::ProbeProtocol::Grpc => ProbeProtocol::Tcp,
            },
            path: health.path.clone(),
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

impl From<&policy::OutlierPolicy> for OutlierSpec {
    fn from(outlier: &policy::OutlierPolicy) -> Self {
        Self {
            consecutive_errors: outlier.consecutive_errors,
            base_ejection: outlier.base_ejection.to_string(),
            max_ejected: outlier.max_ejected.value(),
        }
    }
}

impl From<&policy::UpstreamPolicy> for UpstreamSpec {
    fn from(upstream: &policy::UpstreamPolicy) -> Self {
        Self {
            protocol: UpstreamProtocol::Http1,
            connect_timeout: upstream.connect_timeout.to_string(),
            response_timeout: upstream.response_timeout.to_string(),
            idle_timeout: upstream.idle_timeout.to_string(),
            max_idle: upstream.max_idle,
            max_connections: upstream.max_connections,
            retries: upstream.retries,
            retry_budget: upstream.retry_budget.value(),
            replay_body: write_size(upstream.replay_body),
            tunnel_idle_timeout: upstream.tunnel_idle_timeout.to_string(),
        }
    }
}

impl From<&policy::ServiceLimits> for ServiceLimitsSpec {
    fn from(limits: &policy::ServiceLimits) -> Self {
        Self {
            body: write_size(limits.body.unwrap_or(0)),
            body_idle_timeout: limits.body_idle_timeout.unwrap_or_default().to_string(),
        }
    }
}

impl From<&policy::FlipPolicy> for FlipSpec {
    fn from(flip: &policy::FlipPolicy) -> Self {
        Self {
            mode: match flip.mode {
                policy::FlipMode::Manual => FlipMode::Manual,
                policy::FlipMode::Auto => FlipMode::Auto,
            },
            quorum: QuorumSpec { count: flip.quorum_count, share: flip.quorum_share.value() },
            stable_for: flip.stable_for.to_string(),
            gates: flip.gates.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<&policy::RollPolicy> for RollSpec {
    fn from(roll: &policy::RollPolicy) -> Self {
        let (strategy, batches) = match roll.strategy {
            policy::RollStrategy::Batches(batches) => (RollStrategy::Halves, batches),
            policy::RollStrategy::OneByOne => (RollStrategy::OneByOne, 2),
        };
        Self { strategy, batches, permit_deadline: roll.permit_deadline.to_string() }
    }
}

impl From<&policy::DrainPolicy> for DrainSpec {
    fn from(drain: &policy::DrainPolicy) -> Self {
        Self { deadline: drain.deadline.to_string(), spread: drain.spread.to_string() }
    }
}

macro_rules! default_is_the_written_policy {
    ($($spec:ty => $policy:ty),* $(,)?) => {$(
        impl Default for $spec {
            fn default() -> Self {
                Self::from(&<$policy>::default())
            }
        }
    )*};
}
default_is_the_written_policy! {
    ServiceSpec => Policy,
    PinSpec => policy::PinPolicy,
    HealthSpec => policy::HealthPolicy,
    OutlierSpec => policy::OutlierPolicy,
    UpstreamSpec => policy::UpstreamPolicy,
    ServiceLimitsSpec => policy::ServiceLimits,
    FlipSpec => policy::FlipPolicy,
    DrainSpec => policy::DrainPolicy,
    RollSpec => policy::RollPolicy,
}

impl Default for QuorumSpec {
    fn default() -> Self {
        FlipSpec::default().quorum
    }
}
