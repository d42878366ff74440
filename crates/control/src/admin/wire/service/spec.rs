//! The text form of a service: durations and sizes are strings, every key has a default.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// When a flip is allowed.
    pub flip: FlipSpec,
    /// How the old version leaves.
    pub drain: DrainSpec,
    /// In what order backends are taken out for a restart.
    pub roll: RollSpec,
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
}

const fn weight_default() -> u64 {
    1
}

/// Pins: what ties a session to its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PinSpec {
    /// Whether sessions are pinned.
    pub policy: PinMode,
    /// Name of the cookie; over TLS it is prefixed with `__Host-`.
    #[schemars(length(min = 1))]
    pub cookie: String,
    /// `SameSite` of the cookie.
    pub same_site: SameSite,
    /// Whether the cookie is `Partitioned`, for embedded frames; needs `same_site = "None"`.
    pub partitioned: bool,
    /// `Max-Age` of the cookie; `"0s"` = a session cookie.
    pub max_life: String,
    /// A pin that is not used for so long ends.
    pub idle: String,
    /// A pin ends after so long, used or not.
    pub life: String,
    /// Whether the app sees the cookie.
    pub forward: bool,
    /// Query parameters that name a version.
    #[schemars(example = ["dpl"])]
    pub query: Vec<String>,
    /// Request headers that name a version, besides `X-Cutover-Version`.
    #[schemars(example = ["x-deployment-id"])]
    pub headers: Vec<String>,
}

/// Whether sessions are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PinMode {
    /// A session stays on its version.
    Session,
    /// Every request goes to the active version.
    None,
}

/// `SameSite` of the pin cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub enum SameSite {
    /// Not sent with any request from another site.
    Strict,
    /// Sent with top-level navigations from another site.
    Lax,
    /// Sent always; browsers ask for TLS.
    None,
}

/// Active health checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthSpec {
    /// How a probe asks.
    pub protocol: ProbeProtocol,
    /// Request target of the probe.
    #[schemars(length(min = 1))]
    pub path: String,
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

/// Connections to backends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamSpec {
    /// Protocol spoken with backends.
    pub protocol: UpstreamProtocol,
    /// Time in which a connection must open.
    pub connect_timeout: String,
    /// Time to the first byte of the answer's head.
    pub response_timeout: String,
    /// Time that an unused connection is kept.
    pub idle_timeout: String,
    /// Idle connections kept per backend and worker.
    #[schemars(range(min = 0, max = 65_536))]
    pub max_idle: u32,
    /// Connections per backend, over all workers; 0 = no limit.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_connections: u32,
    /// Further tries of one request, always inside its version.
    #[schemars(range(min = 0, max = 10))]
    pub retries: u32,
    /// Retries allowed, as a share of recent requests.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub retry_budget: f64,
    /// Bodies up to this size can be sent again.
    pub replay_body: String,
    /// Time without a byte in either direction that ends a tunnel.
    pub tunnel_idle_timeout: String,
}

/// Protocol spoken with backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UpstreamProtocol {
    /// HTTP/1.1 without TLS.
    Http1,
}

/// Limits of one service that are lower than the proxy's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceLimitsSpec {
    /// Size that a request body may have; `"0"` = the proxy's limit.
    #[schemars(example = &"10MiB")]
    pub body: String,
    /// Time without a body byte that ends a request; `"0s"` = the proxy's limit.
    pub body_idle_timeout: String,
}

/// When a flip is allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlipSpec {
    /// Whether a version that may flip does so by itself.
    pub mode: FlipMode,
    /// Backends that the new version needs.
    pub quorum: QuorumSpec,
    /// Time for which the quorum must have been there without a break.
    pub stable_for: String,
    /// Gates that must be open.
    #[schemars(example = ["expand"])]
    pub gates: Vec<String>,
}

/// Whether a version that may flip does so by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlipMode {
    /// It waits for the call.
    Manual,
    /// The newest staged version flips when the conditions hold.
    Auto,
}

/// Backends that a new version needs before it may become active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QuorumSpec {
    /// Usable backends.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: u32,
    /// Share of the expected weight that must be usable.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f64,
}

/// How the old version leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DrainSpec {
    /// Time after which a drain ends whatever is left.
    pub deadline: String,
    /// Time over which the rest is evicted after the deadline.
    pub spread: String,
}

/// In what order the backends of a fixed fleet are taken out for a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RollSpec {
    /// In what order.
    pub strategy: RollStrategy,
    /// Batches of the strategy `halves`, at least 2.
    #[schemars(range(min = 2, max = 1_000))]
    pub batches: u32,
    /// Time that a granted restart may take; after it the roll is frozen.
    pub permit_deadline: String,
}

/// In what order backends are restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RollStrategy {
    /// In batches, two unless `batches` says otherwise.
    Halves,
    /// One at a time.
    OneByOne,
}
