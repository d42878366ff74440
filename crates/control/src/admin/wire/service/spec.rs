//! The text form of a service: durations and sizes are strings, every key has a default.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::assets::AssetsSpec;
use super::bake::BakeSpec;
use super::canary::CanarySpec;
use super::flip::{DrainSpec, FlipSpec, RollSpec};
use super::headers::HeaderRulesSpec;
use super::health::{HealthSpec, OutlierSpec};
use super::hook::HookSpec;
use super::limits::ServiceLimitsSpec;
use super::message::{CompressionSpec, RateLimitSpec, RedirectSpec};
use super::pin::PinSpec;
use super::upstream::UpstreamSpec;

/// One application behind the proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceSpec {
    /// Name of the service, 1–64 letters, digits, `.`, `_` or `-`. In the admin API it stands in the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1), example = &"web")]
    pub name: Option<String>,
    /// Hosts that the service answers for, such as `example.com` or `*.example.com`; empty means any.
    #[schemars(example = ["example.com"])]
    pub hosts: Vec<String>,
    /// Path prefixes on segment boundaries: `/a` matches `/a` and `/a/b`, not `/ab`.
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
    /// Whether the prefix by which the service was found is hidden from the app.
    pub strip_prefix: bool,
    /// What the prefix by which the service was found becomes for the app; `""` = it stays.
    #[schemars(example = &"/app")]
    pub rewrite_prefix: String,
    /// Whether the app is closed to everybody: every request gets a 503.
    pub maintenance: bool,
    /// How a backend's version is known.
    pub identity: Identity,
    /// Response header that names the version.
    #[schemars(length(min = 1))]
    pub version_header: String,
    /// JSON pointer (RFC 6901) into the health answer, used instead of the header; `""` = not used.
    #[schemars(example = &"/build/version")]
    pub version_pointer: String,
    /// Whether clients see the version header.
    pub expose_version: bool,
    /// Response header that names the process: a change means another process; `""` = not used.
    pub boot_id_header: String,
    /// How a backend is chosen inside a version.
    pub balance: Balance,
    /// What `balance = "hash"` hashes: `pin`, `client-ip`, `header:NAME` or `cookie:NAME`.
    #[schemars(example = &"client-ip")]
    pub hash_on: String,
    /// What a session is tied to inside its version.
    pub affinity: Affinity,
    /// Weight that the service is expected to have; 0 = what the active version had when it was activated.
    #[schemars(range(min = 0, max = 1_000_000_000_u64))]
    pub expected_weight: u64,
    /// Share of the expected weight that must stay usable when a backend is taken out.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_capacity: f64,
    /// Time over which a fresh backend's weight ramps up; `"0s"` = at once.
    pub slow_start: String,
    /// How long a request may wait for a usable backend.
    pub queue_timeout: String,
    /// What happens to a request that names a version which can't be reached.
    pub on_missing_version: OnMissingVersion,
    /// Static backends; they have no lease.
    pub backends: Vec<BackendSpec>,
    /// Pins: what ties a session to its version.
    pub pin: PinSpec,
    /// Active health checks.
    pub health: HealthSpec,
    /// Ejection by live traffic.
    pub outlier: OutlierSpec,
    /// Connections to backends.
    pub upstream: UpstreamSpec,
    /// Limits that are lower than the proxy's own.
    pub limits: ServiceLimitsSpec,
    /// Where files are looked for that a version does not have.
    pub assets: AssetsSpec,
    /// Requests that are sent elsewhere; the first that fits wins.
    pub redirect: Vec<RedirectSpec>,
    /// What is changed in the head of a request on its way to the app.
    pub request: HeaderRulesSpec,
    /// What is changed in the head of an answer on its way to the client.
    pub response: HeaderRulesSpec,
    /// How many requests one client may send.
    pub rate_limit: RateLimitSpec,
    /// HTML files on the proxy's host, by the status that they are sent with instead of the proxy's own words, `400` to `599`.
    pub error_pages: BTreeMap<String, String>,
    /// Compression of answers that the app did not compress.
    pub compression: CompressionSpec,
    /// When a flip is allowed.
    pub flip: FlipSpec,
    /// How a version is watched after it became active.
    pub bake: BakeSpec,
    /// How a new version gets its share of the sessions before it is flipped to.
    pub canary: CanarySpec,
    /// How the old version leaves.
    pub drain: DrainSpec,
    /// In what order backends are taken out for a restart.
    pub roll: RollSpec,
    /// Whom it tells of the turns of its deployments, and whom it asks before a flip.
    pub hook: Vec<HookSpec>,
}

/// How a backend's version is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// The label given at registration.
    Label,
    /// The health answer; the label where it names no version.
    Health,
    /// Every answer, before that the health answer; the label where they name no version.
    Response,
}

/// How a backend is chosen inside a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// The less loaded of two drawn by weight.
    PowerOfTwo,
    /// In turn, by weight.
    RoundRobin,
    /// The least loaded for its weight.
    LeastConnections,
    /// The better of two by moving latency average times load.
    PeakEwma,
    /// By a hash of what `hash_on` names.
    Hash,
}

/// What a session is tied to inside its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Affinity {
    /// Any backend of the version will do.
    Version,
    /// One backend, for apps that keep sessions in memory.
    Backend,
}

/// What happens to a request that names a version which can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub enum OnMissingVersion {
    /// It is decided as if it named none.
    #[serde(rename = "active")]
    Active,
    /// It is refused with 409.
    #[serde(rename = "409")]
    Conflict,
    /// It is refused with 503.
    #[serde(rename = "503")]
    Unavailable,
}

/// A static backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["address"]))]
pub struct BackendSpec {
    /// Name inside the service; the address when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1), example = &"a")]
    pub id: Option<String>,
    /// Where it listens: `host:port`, `[v6]:port` or `unix:/path`.
    #[serde(default)]
    #[schemars(length(min = 1), example = &"10.0.0.1:3000")]
    pub address: String,
    /// The version it runs, where its health answer does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1), example = &"v1")]
    pub version: Option<String>,
    /// Its share of the version's traffic, relative to the others.
    #[serde(default = "weight_default")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u64,
    /// The first schema of the database with which it can work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64", range(min = 0, max = 9_007_199_254_740_991_u64), example = &4)]
    pub schema_min: Option<u64>,
    /// The last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64", range(min = 0, max = 9_007_199_254_740_991_u64), example = &5)]
    pub schema_max: Option<u64>,
}

const fn weight_default() -> u64 {
    1
}
