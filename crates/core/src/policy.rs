//! What an operator decides about a service: every key of `[[service]]`, parsed, with its default.
//!
//! A policy is a plain value. Configuration files and the admin API both end here; nothing behind this point sees text.

mod assets;
mod bake;
mod canary;
mod hook;
mod message;
mod upstream;

use std::fmt;

pub use self::assets::AssetPolicy;
pub use self::bake::BakePolicy;
pub use self::canary::{CanaryPolicy, CanaryStep};
pub use self::hook::{Hook, HookPoint, HookUrl, HookUrlError, Secret};
pub use self::message::{Compression, ErrorPage, HeaderRules, Rate, Redirect};
pub use self::upstream::{ProxyProtocol, UpstreamPolicy, UpstreamProtocol, UpstreamTls};
use crate::route::{HostPattern, PathPrefix};
use crate::time::Millis;

/// A number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

/// It is never NaN.
impl Eq for Share {}

impl Share {
    /// Everything.
    pub const ALL: Self = Self(1.0);
    /// Nothing.
    pub const NONE: Self = Self(0.0);

    /// A share, if `value` is a number from 0 to 1.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }

    /// The least whole weight that is at least this share of `total`.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "weights are far below 2^52 and the product is not negative"
    )]
    pub fn of(self, total: u64) -> u64 {
        // The tolerance keeps 0.1 * 30 at 3: a share is written in decimal and must not round up by a binary epsilon.
        (self.0 * total as f64 - 1e-9).ceil().max(0.0) as u64
    }

    /// The same rounded down, but never to nothing: for fleets that can't be divided.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "weights are far below 2^52 and the product is not negative"
    )]
    pub fn of_odd(self, total: u64) -> u64 {
        let rounded_down = (self.0 * total as f64 + 1e-9).floor() as u64;
        rounded_down.max(self.of(total).min(1))
    }
}

impl fmt::Display for Share {
    /// As a percentage.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hundredths of a percent are enough to read, and hide what is only binary.
        write!(f, "{} %", (self.0 * 10_000.0).round() / 100.0)
    }
}

/// Everything that is decided about one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Hosts that the service answers for; empty means any.
    pub hosts: Vec<HostPattern>,
    /// Path prefixes that the service answers for; never empty.
    pub paths: Vec<PathPrefix>,
    /// How a backend's version is known.
    pub identity: IdentityPolicy,
    /// How a backend is chosen inside a version.
    pub balance: Balance,
    /// What a session is tied to inside its version.
    pub affinity: Affinity,
    /// Weight that the service is expected to have; `None` = what the active version had when it was activated.
    pub expected_weight: Option<u64>,
    /// Share of the expected weight that must stay usable when a backend is taken out.
    pub min_capacity: Share,
    /// Time over which a fresh backend's weight ramps up; zero = at once.
    pub slow_start: Millis,
    /// How long a request may wait for a usable backend.
    pub queue_timeout: Millis,
    /// What happens to a request that names a version which can't be reached.
    pub on_missing_version: OnMissingVersion,
    /// Pins.
    pub pin: PinPolicy,
    /// Active health checks.
    pub health: HealthPolicy,
    /// Ejection by live traffic.
    pub outlier: OutlierPolicy,
    /// Connections to backends.
    pub upstream: UpstreamPolicy,
    /// Limits that are lower than the proxy's own.
    pub limits: ServiceLimits,
    /// When a flip is allowed.
    pub flip: FlipPolicy,
    /// How a version is watched after it became active.
    pub bake: BakePolicy,
    /// How a new version gets its share before it is flipped to.
    pub canary: CanaryPolicy,
    /// How the old version leaves.
    pub drain: DrainPolicy,
    /// In what order backends are taken out for a restart.
    pub roll: RollPolicy,
    /// Where files are looked for that a version does not have.
    pub assets: AssetPolicy,
    /// What the path prefix by which the service was found becomes for the app, with its leading `/`; `None` = it stays, `/` = it goes.
    pub rewrite_prefix: Option<String>,
    /// Requests that are sent elsewhere; the first that fits wins.
    pub redirects: Vec<Redirect>,
    /// What is changed in the head of a request on its way to the app.
    pub request: HeaderRules,
    /// What is changed in the head of an answer on its way to the client.
    pub response: HeaderRules,
    /// How many requests one client may send; `None` = any number.
    pub rate_limit: Option<Rate>,
    /// What is sent instead of the proxy's own words.
    pub error_pages: Vec<ErrorPage>,
    /// Whether answers are compressed that the app did not compress; `None` = never.
    pub compression: Option<Compression>,
    /// Whom it tells of the turns of its deployments, and whom it asks before a flip.
    pub hooks: Vec<Hook>,
    /// Whether the app is closed to everybody: every request gets a 503, in the words of the error page for it.
    pub is_in_maintenance: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            paths: vec![PathPrefix::root()],
            identity: IdentityPolicy::default(),
            balance: Balance::PowerOfTwo,
            affinity: Affinity::Version,
            expected_weight: None,
            min_capacity: Share(0.5),
            slow_start: Millis::ZERO,
            queue_timeout: Millis::from_secs(1),
            on_missing_version: OnMissingVersion::Active,
            pin: PinPolicy::default(),
            health: HealthPolicy::default(),
            outlier: OutlierPolicy::default(),
            upstream: UpstreamPolicy::default(),
            limits: ServiceLimits::default(),
            flip: FlipPolicy::default(),
            bake: BakePolicy::default(),
            canary: CanaryPolicy::default(),
            drain: DrainPolicy::default(),
            roll: RollPolicy::default(),
            assets: AssetPolicy::default(),
            rewrite_prefix: None,
            redirects: Vec::new(),
            request: HeaderRules::default(),
            response: HeaderRules::default(),
            rate_limit: None,
            error_pages: Vec::new(),
            compression: None,
            hooks: Vec::new(),
            is_in_maintenance: false,
        }
    }
}

/// Which source tells a backend's version. Stronger ones win over weaker ones: answer, health answer, label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentitySource {
    /// The label given at registration.
    Label,
    /// The health answer; the label where it names no version.
    Health,
    /// Every answer, and the health answer where nothing was answered yet; the label where they name no version.
    Response,
}

impl IdentitySource {
    /// Whether any sign that a process may have been replaced makes its identity unknown: what answers can be asked.
    #[must_use]
    pub const fn is_strict(self) -> bool {
        matches!(self, Self::Health | Self::Response)
    }
}

/// How a backend's version is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityPolicy {
    /// The source that counts.
    pub source: IdentitySource,
    /// Response header that names the version, in lower case.
    pub version_header: String,
    /// JSON pointer (RFC 6901) into the health answer, instead of the header; empty = not used.
    pub version_pointer: String,
    /// Whether clients see the version header.
    pub expose_version: bool,
    /// Response header that names the process, in lower case; a change means another process.
    pub boot_id_header: String,
}

impl Default for IdentityPolicy {
    fn default() -> Self {
        Self {
            source: IdentitySource::Health,
            version_header: "x-app-version".to_owned(),
            version_pointer: String::new(),
            expose_version: false,
            boot_id_header: "x-app-boot-id".to_owned(),
        }
    }
}

/// How a backend is chosen inside a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    /// The less loaded of two drawn by weight.
    PowerOfTwo,
    /// In turn, by weight.
    RoundRobin,
    /// The least loaded for its weight.
    LeastConnections,
    /// The better of two by moving latency average times load.
    PeakEwma,
    /// By rendezvous hashing of a key.
    Hash(HashOn),
}

/// The key that [`Balance::Hash`] hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// The session's pin id.
    Pin,
    /// The client's address.
    ClientIp,
    /// A request header, named in lower case.
    Header(String),
    /// A cookie.
    Cookie(String),
}

/// What a session is tied to inside its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affinity {
    /// Any backend of the version will do.
    Version,
    /// One backend, for apps that keep sessions in memory.
    Backend,
}

/// What happens to a request that names a version which can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissingVersion {
    /// It is decided as if it named none.
    Active,
    /// It is refused with 409.
    Conflict,
    /// It is refused with 503.
    Unavailable,
}

/// Whether sessions are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinMode {
    /// A session stays on its version.
    Session,
    /// A page stays on its version, and so does everything that it loads: the session moves with the next navigation.
    Page,
    /// There are no sessions: every request is decided on its own.
    None,
}

/// `SameSite` of the pin cookie (RFC 6265bis section 4.1.2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// `Strict`
    Strict,
    /// `Lax`
    Lax,
    /// `None`
    None,
}

/// Pins: what ties a session to its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinPolicy {
    /// Whether sessions are pinned.
    pub mode: PinMode,
    /// Name of the cookie; over TLS it is prefixed with `__Host-`.
    pub cookie: String,
    /// `SameSite` of the cookie.
    pub same_site: SameSite,
    /// Whether the cookie is `Partitioned` (for embedded frames).
    pub partitioned: bool,
    /// `Max-Age` of the cookie; zero = a session cookie.
    pub max_life: Millis,
    /// A pin that is not used for so long ends.
    pub idle: Millis,
    /// A pin ends after so long, used or not.
    pub life: Millis,
    /// Whether the app sees the cookie.
    pub forward: bool,
    /// Query parameters that name a version.
    pub query: Vec<String>,
    /// Request headers that name a version, in lower case, besides `x-cutover-version`.
    pub headers: Vec<String>,
}

impl Default for PinPolicy {
    fn default() -> Self {
        Self {
            mode: PinMode::Session,
            cookie: "cutover".to_owned(),
            same_site: SameSite::Lax,
            partitioned: false,
            max_life: Millis::ZERO,
            idle: Millis::from_secs(30 * 60),
            life: Millis::from_secs(8 * 3600),
            forward: false,
            query: Vec::new(),
            headers: Vec::new(),
        }
    }
}

/// How a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeProtocol {
    /// A GET, judged by its status.
    Http,
    /// A connection that opens.
    Tcp,
    /// A call of `grpc.health.v1.Health/Check` over HTTP/2.
    Grpc,
}

/// Active health checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthPolicy {
    /// How a probe asks.
    pub protocol: ProbeProtocol,
    /// Request target of the probe, with its leading `/`.
    pub path: String,
    /// Name of the service that a gRPC probe asks about; empty = the whole server.
    pub grpc_service: String,
    /// Port that is probed; `None` = the backend's own.
    pub port: Option<u16>,
    /// `Host` of the probe; empty = the backend's address.
    pub host: String,
    /// Time between the starts of two probes of one backend.
    pub interval: Millis,
    /// Time that a probe may take.
    pub timeout: Millis,
    /// Successes in a row that make a backend up.
    pub rise: u32,
    /// Failures in a row that make it down.
    pub fall: u32,
    /// Status codes that count as success, as inclusive ranges.
    pub expect: Vec<(u16, u16)>,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            protocol: ProbeProtocol::Http,
            path: "/up".to_owned(),
            grpc_service: String::new(),
            port: None,
            host: String::new(),
            interval: Millis::from_secs(1),
            timeout: Millis::from_secs(2),
            rise: 2,
            fall: 3,
            expect: vec![(200, 399)],
        }
    }
}

/// Ejection by live traffic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutlierPolicy {
    /// Gateway errors in a row that eject a backend; 0 = never.
    pub consecutive_errors: u32,
    /// Length of the first ejection; it grows with each one in a row.
    pub base_ejection: Millis,
    /// Share of a version's backends that may be ejected at once.
    pub max_ejected: Share,
}

impl Default for OutlierPolicy {
    fn default() -> Self {
        Self { consecutive_errors: 5, base_ejection: Millis::from_secs(30), max_ejected: Share(0.5) }
    }
}

/// Limits of one service that are lower than the proxy's own; `None` = the proxy's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServiceLimits {
    /// Bytes that a request body may have.
    pub body: Option<u64>,
    /// Time without a body byte that ends a request.
    pub body_idle_timeout: Option<Millis>,
}

/// Whether a version that may flip does so by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlipMode {
    /// It waits for the call.
    Manual,
    /// The newest staged version flips when the conditions hold.
    Auto,
}

/// When a flip is allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct FlipPolicy {
    /// Whether a version that may flip does so by itself.
    pub mode: FlipMode,
    /// Usable backends that the new version needs.
    pub quorum_count: u32,
    /// Share of the expected weight that must be usable.
    pub quorum_share: Share,
    /// Time for which the quorum must have been there without a break.
    pub stable_for: Millis,
    /// Gates that must be open.
    pub gates: Vec<crate::id::GateName>,
}

impl Default for FlipPolicy {
    fn default() -> Self {
        Self {
            mode: FlipMode::Manual,
            quorum_count: 1,
            quorum_share: Share(0.5),
            stable_for: Millis::from_secs(5),
            gates: Vec::new(),
        }
    }
}

/// How the old version leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainPolicy {
    /// Time after which a drain ends whatever is left.
    pub deadline: Millis,
    /// Time over which the rest is evicted after the deadline.
    pub spread: Millis,
}

impl Default for DrainPolicy {
    fn default() -> Self {
        Self { deadline: Millis::from_secs(3600), spread: Millis::from_secs(30) }
    }
}

/// In what order the backends of a fixed fleet are taken out for a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollStrategy {
    /// In so many batches, at least 2: `halves` are two.
    Batches(u32),
    /// One at a time.
    OneByOne,
}

/// How a fixed fleet is rolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollPolicy {
    /// In what order.
    pub strategy: RollStrategy,
    /// Time that a granted restart may take. After it the roll is frozen.
    pub permit_deadline: Millis,
}

impl Default for RollPolicy {
    fn default() -> Self {
        Self { strategy: RollStrategy::Batches(2), permit_deadline: Millis::from_secs(600) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_rounds_up_but_not_by_an_epsilon() {
        let of = |share: f64, total| Share::new(share).unwrap().of(total);
        assert_eq!(
            [of(0.5, 6), of(0.5, 7), of(0.1, 30), of(0.3, 10), of(0.0, 9), of(1.0, 9)],
            [3, 4, 3, 3, 0, 9]
        );
    }

    #[test]
    fn a_share_of_an_odd_fleet_is_rounded_down_but_never_to_nothing() {
        let of = |share: f64, total| Share::new(share).unwrap().of_odd(total);
        assert_eq!(
            [of(0.5, 6), of(0.5, 7), of(0.1, 30), of(0.5, 1), of(0.0, 9), of(1.0, 9)],
            [3, 3, 3, 1, 0, 9]
        );
    }

    #[test]
    fn a_share_is_a_number_from_0_to_1() {
        assert!([f64::NAN, -0.1, 1.1, f64::INFINITY].iter().all(|&value| Share::new(value).is_none()));
    }
}
