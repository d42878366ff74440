//! `[admin]` as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The admin API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSpec {
    /// Address to listen on: `host:port`, `[v6]:port` or `unix:/path`.
    #[schemars(length(min = 1))]
    pub listen: String,
    /// Whether no token is needed. Only on loopback or a unix socket, and the default there while neither `tokens` nor `certificates` has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub open: Option<bool>,
    /// Who may do what.
    pub tokens: Vec<TokenSpec>,
    /// TLS; without it the API is spoken in clear text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AdminTlsSpec")]
    pub tls: Option<AdminTlsSpec>,
    /// Who may do what by a client certificate.
    pub certificates: Vec<CertificateSpec>,
}

impl Default for AdminSpec {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9900".to_owned(),
            open: None,
            tokens: Vec::new(),
            tls: None,
            certificates: Vec::new(),
        }
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

/// TLS of the admin API. Files are PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["cert", "key"]))]
pub struct AdminTlsSpec {
    /// File of the certificate, and behind it those between it and a root.
    #[schemars(length(min = 1), example = &"/etc/cutover/admin.pem")]
    pub cert: String,
    /// File of its private key.
    #[schemars(length(min = 1), example = &"/etc/cutover/admin.key")]
    pub key: String,
    /// File of the authorities whose certificates clients may show; `""` = they are not asked.
    #[schemars(example = &"/etc/cutover/operators-ca.pem")]
    pub client_ca: String,
}

/// A client certificate of the admin API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["subject", "role"]))]
pub struct CertificateSpec {
    /// Its subject, as a distinguished name (RFC 4514); changes are recorded under it.
    #[serde(default)]
    #[schemars(length(min = 1), example = &"CN=deploy,O=Example")]
    pub subject: String,
    /// What its holder may do.
    #[serde(default)]
    pub role: Role,
    /// Services that a `register` certificate is for.
    #[serde(default)]
    #[schemars(example = ["web"])]
    pub services: Vec<String>,
}
