//! A service as people write it: the fields of `[[service]]` in the configuration and of `PUT /v1/services/{s}`.
//!
//! [`ServiceSpec`] is the text, [`Policy`](cutover_core::policy::Policy) what it means. [`from_json`] reads the one into the other
//! with every problem at once; `ServiceSpec::from(&policy)` writes it back, which also makes the defaults of the two one thing.

mod assets;
mod backends;
mod bake;
mod canary;
mod check;
mod flip;
mod headers;
mod health;
mod hook;
mod limits;
mod message;
mod pin;
mod spec;
#[cfg(test)]
mod tests;
mod upstream;
mod write;

pub use assets::AssetsSpec;
pub use bake::BakeSpec;
pub use canary::{CanarySpec, CanaryStepSpec};
pub use check::{from_json, read_policy};
pub use flip::{DrainSpec, FlipMode, FlipSpec, QuorumSpec, RollSpec, RollStrategy};
pub use headers::{HeaderRulesSpec, name_in_requests};
pub use health::{HealthSpec, OutlierSpec, ProbeProtocol};
pub use hook::HookSpec;
pub use limits::ServiceLimitsSpec;
pub use message::{CompressionSpec, RateLimitSpec, RedirectSpec};
pub use pin::{PinMode, PinSpec, SameSite};
pub use spec::*;
pub use upstream::{ProxyProtocol, UpstreamProtocol, UpstreamSpec, UpstreamTlsSpec};
