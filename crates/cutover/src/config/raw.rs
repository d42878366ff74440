//! The configuration file as it is written: every key with its default, text not yet understood.

use cutover_control::admin::wire::service::ServiceSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of cutover.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawConfig {
    /// This process.
    pub node: NodeSpec,
    /// Where clients connect. Without any: one on `127.0.0.1:8080`.
    pub listener: Vec<ListenerSpec>,
    /// Limits of the data plane; a service may lower some.
    pub limits: LimitsSpec,
    /// The admin API.
    pub admin: AdminSpec,
    /// Where the control state is kept.
    pub store: StoreSpec,
    /// The log of requests.
    pub access_log: AccessLogSpec,
    /// Prometheus metrics.
    pub metrics: MetricsSpec,
    /// The services.
    pub service: Vec<ServiceSpec>,
}

/// This process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NodeSpec {
    /// Name of this node; `""` = the host name.
    #[schemars(example = &"lb-1")]
    pub name: String,
    /// Threads of the data plane; 0 = one per core.
    #[schemars(range(min = 0, max = 1024))]
    pub workers: u32,
    /// File that the process id is written to; `""` = none.
    #[schemars(example = &"/run/cutover.pid")]
    pub pid_file: String,
    /// Directory of the embedded store and the pin keys; `""` = `/var/lib/cutover` for root, else `$XDG_STATE_HOME/cutover` or
    /// `~/.local/state/cutover`.
    #[schemars(example = &"/var/lib/cutover")]
    pub state_dir: String,
}

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["bind"]))]
pub struct ListenerSpec {
    /// Addresses to listen on: `host:port` or `[v6]:port`; port 0 = any free one.
    #[schemars(length(min = 1), example = ["0.0.0.0:80"])]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bind: Vec<String>,
    /// Protocol spoken with clients.
    pub protocol: ListenerProtocol,
    /// Networks whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted_proxies: Vec<String>,
    /// Connections open at once, over all workers; further ones wait in the kernel.
    #[schemars(range(min = 1, max = 16_777_216))]
    pub max_connections: u32,
}

impl Default for ListenerSpec {
    fn default() -> Self {
        Self {
            bind: Vec::new(),
            protocol: ListenerProtocol::Http,
            trusted_proxies: vec!["127.0.0.0/8".to_owned()],
            max_connections: 65_536,
        }
    }
}

/// Protocol spoken with clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ListenerProtocol {
    /// HTTP without TLS.
    Http,
}

/// Limits of the data plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSpec {
    /// Size of a request line.
    pub request_line: String,
    /// Size of a whole request head.
    pub headers: String,
    /// Header fields of a request.
    #[schemars(range(min = 1, max = 1000))]
    pub header_count: u32,
    /// Size of a request body; `"0"` = no limit.
    pub body: String,
    /// Time for a whole request head, from its first byte.
    pub header_timeout: String,
    /// Time without a body byte that ends a request.
    pub body_idle_timeout: String,
    /// Time without a request that ends a connection.
    pub keepalive_timeout: String,
    /// Requests after which a connection is closed; 0 = no limit.
    pub requests_per_connection: u32,
}

impl Default for LimitsSpec {
    fn default() -> Self {
        Self {
            request_line: "8KiB".to_owned(),
            headers: "32KiB".to_owned(),
            header_count: 100,
            body: "0".to_owned(),
            header_timeout: "10s".to_owned(),
            body_idle_timeout: "60s".to_owned(),
            keepalive_timeout: "75s".to_owned(),
            requests_per_connection: 0,
        }
    }
}

/// The admin API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSpec {
    /// Address to listen on: `host:port`, `[v6]:port` or `unix:/path`.
    #[schemars(length(min = 1))]
    pub listen: String,
    /// Whether no token is needed. Only on loopback or a unix socket, and the default there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub open: Option<bool>,
    /// Who may do what.
    pub tokens: Vec<TokenSpec>,
}

impl Default for AdminSpec {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9900".to_owned(), open: None, tokens: Vec::new() }
    }
}

/// A bearer token of the admin API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["name", "sha256", "role"]))]
pub struct TokenSpec {
    /// Who holds it; changes are recorded under this name.
    #[serde(default)]
    #[schemars(length(min = 1), example = &"deploy")]
    pub name: String,
    /// SHA-256 of the token in hex, or `file:/path` of a file that holds it. `cutover token` makes both.
    #[serde(default)]
    #[schemars(
        length(min = 1),
        example = &"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )]
    pub sha256: String,
    /// What it may do.
    #[serde(default)]
    pub role: Role,
    /// Services that a `register` token is for.
    #[serde(default)]
    #[schemars(example = ["web"])]
    pub services: Vec<String>,
}

/// What a token may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Look.
    #[default]
    Read,
    /// Register the backends of the named services.
    Register,
    /// Flip, roll back, drain, gates, freeze.
    Operate,
    /// Everything.
    Admin,
}

/// Where the control state is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSpec {
    /// The kind of store.
    pub kind: StoreKind,
}

impl Default for StoreSpec {
    fn default() -> Self {
        Self { kind: StoreKind::Embedded }
    }
}

/// The kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// A file in `node.state_dir`.
    Embedded,
    /// Nothing outlives the process.
    Memory,
}

/// The log of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccessLogSpec {
    /// A file, `"-"` = standard output, `""` = off.
    pub path: String,
    /// Form of a line.
    pub format: AccessLogFormat,
}

impl Default for AccessLogSpec {
    fn default() -> Self {
        Self { path: "-".to_owned(), format: AccessLogFormat::Combined }
    }
}

/// Form of a line of the request log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccessLogFormat {
    /// The combined log format, with cutover's fields at its end.
    Combined,
    /// One JSON object a line.
    Json,
}

/// Prometheus metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSpec {
    /// Address of a listener of its own, `host:port`; `""` = `/metrics` of the admin listener.
    #[schemars(example = &"127.0.0.1:9901")]
    pub listen: String,
}
