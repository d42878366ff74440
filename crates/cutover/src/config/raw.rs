//! The configuration file as it is written: every key with its default, text not yet understood.

mod admin;
mod listener;

use cutover_control::admin::wire::service::ServiceSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::admin::{AdminSpec, AdminTlsSpec, CertificateSpec, Role, TokenSpec};
pub use self::listener::{
    AcmeSpec, CertificateFilesSpec, Challenge, ClientAuth, ListenerProtocol, ListenerSpec, ListenerTlsSpec,
    TlsVersion,
};

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
    /// Traces of requests.
    pub tracing: TracingSpec,
    /// The services.
    pub service: Vec<ServiceSpec>,
}

/// This process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// How long a new process may take to be ready when it takes over from this one (`cutover upgrade`).
    pub upgrade_timeout: String,
    /// Directory of the embedded store and the pin keys; `""` = `/var/lib/cutover` for root, else `$XDG_STATE_HOME/cutover` or
    /// `~/.local/state/cutover`.
    #[schemars(example = &"/var/lib/cutover")]
    pub state_dir: String,
    /// Whom a process that root has started becomes once its ports are open, by name or number; `""` = it stays what it is. Everything else is that
    /// user's to read and write: certificates, `state_dir` (made for it if it is missing; `/var/lib/cutover` by default), `access_log`, `pid_file`.
    #[schemars(example = &"cutover")]
    pub user: String,
    /// Its group, by name or number; `""` = the user's own groups.
    #[schemars(example = &"cutover")]
    pub group: String,
    /// Name servers by which names of backends are looked up, as addresses with or without a port; none = as `/etc/resolv.conf` says.
    /// `/etc/hosts` counts in both cases.
    #[schemars(example = &["10.0.0.2", "[fd00::2]:53"])]
    pub name_servers: Vec<String>,
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
    /// Time without a byte of a request's body that ends it; a backend that is silent in its answer ends nothing.
    pub body_idle_timeout: String,
    /// Time without a request that ends a connection.
    pub keepalive_timeout: String,
    /// Requests after which a connection is closed; 0 = no limit.
    pub requests_per_connection: u32,
    /// Time for a whole TLS handshake.
    pub handshake_timeout: String,
    /// Requests that a client may have open at once on one connection of HTTP/2.
    #[schemars(range(min = 1, max = 65_536))]
    pub h2_max_concurrent_streams: u32,
}

impl Default for NodeSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            workers: 0,
            pid_file: String::new(),
            upgrade_timeout: "30s".to_owned(),
            state_dir: String::new(),
            user: String::new(),
            group: String::new(),
            name_servers: Vec::new(),
        }
    }
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
            handshake_timeout: "10s".to_owned(),
            h2_max_concurrent_streams: 128,
        }
    }
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

/// Traces of requests. W3C trace context is passed on in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TracingSpec {
    /// URL of the collector that spans are sent to by OTLP over HTTP; `""` = none. Needs a build with the feature `otlp`.
    #[schemars(example = &"http://127.0.0.1:4318")]
    pub otlp: String,
}
