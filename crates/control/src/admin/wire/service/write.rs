//! Writes a policy as text. The defaults of the text are written policies, so that they can't drift apart.

use cutover_core::policy::{self, HashOn, IdentitySource, Policy};

use super::assets::AssetsSpec;
use super::bake::BakeSpec;
use super::canary::CanarySpec;
use super::flip::{DrainSpec, FlipSpec, QuorumSpec, RollSpec};
use super::health::{HealthSpec, OutlierSpec};
use super::limits::ServiceLimitsSpec;
use super::message;
use super::pin::PinSpec;
use super::spec::{Affinity, Balance, Identity, OnMissingVersion, ServiceSpec};
use super::upstream::{UpstreamSpec, UpstreamTlsSpec};

impl From<&Policy> for ServiceSpec {
    fn from(policy: &Policy) -> Self {
        let (balance, hash_on) = balance(&policy.balance);
        let (strip_prefix, rewrite_prefix) = message::write_prefix(policy.rewrite_prefix.as_deref());
        Self {
            name: None,
            hosts: policy.hosts.iter().map(ToString::to_string).collect(),
            paths: policy.paths.iter().map(|path| path.as_str().to_owned()).collect(),
            strip_prefix,
            rewrite_prefix,
            maintenance: policy.is_in_maintenance,
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
            assets: (&policy.assets).into(),
            redirect: policy.redirects.iter().map(Into::into).collect(),
            request: (&policy.request).into(),
            response: (&policy.response).into(),
            rate_limit: policy.rate_limit.into(),
            error_pages: policy
                .error_pages
                .iter()
                .map(|page| (page.status.to_string(), page.path.clone()))
                .collect(),
            compression: policy.compression.into(),
            flip: (&policy.flip).into(),
            bake: (&policy.bake).into(),
            canary: (&policy.canary).into(),
            drain: (&policy.drain).into(),
            roll: (&policy.roll).into(),
            hook: policy.hooks.iter().map(Into::into).collect(),
        }
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
    UpstreamTlsSpec => policy::UpstreamTls,
    ServiceLimitsSpec => policy::ServiceLimits,
    AssetsSpec => policy::AssetPolicy,
    FlipSpec => policy::FlipPolicy,
    BakeSpec => policy::BakePolicy,
    CanarySpec => policy::CanaryPolicy,
    DrainSpec => policy::DrainPolicy,
    RollSpec => policy::RollPolicy,
}

impl Default for QuorumSpec {
    fn default() -> Self {
        FlipSpec::default().quorum
    }
}
