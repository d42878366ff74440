//! `[[listener]]` as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// TLS; needed with protocol `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ListenerTlsSpec")]
    pub tls: Option<ListenerTlsSpec>,
    /// Whether clients are only told to come back over TLS, on the port of the first listener that speaks it, else 443.
    pub redirect_to_https: bool,
    /// Whether connections of trusted proxies begin with a header of the PROXY protocol, version 1 or 2.
    pub proxy_protocol: bool,
    /// Networks whose `X-Forwarded-*`, `Forwarded` and PROXY headers are believed.
    pub trusted_proxies: Vec<String>,
    /// Connections open at once, over all workers; further ones wait in the kernel.
    #[schemars(range(min = 1, max = 16_777_216))]
    pub max_connections: u32,
    /// Connections that one client may have open at once; 0 = as many as there may be.
    #[schemars(range(min = 0, max = 16_777_216))]
    pub max_connections_per_client: u32,
}

impl Default for ListenerSpec {
    fn default() -> Self {
        Self {
            bind: Vec::new(),
            protocol: ListenerProtocol::Http,
            tls: None,
            redirect_to_https: false,
            proxy_protocol: false,
            trusted_proxies: vec!["127.0.0.0/8".to_owned()],
            max_connections: 65_536,
            max_connections_per_client: 0,
        }
    }
}

/// Protocol spoken with clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ListenerProtocol {
    /// HTTP without TLS.
    Http,
    /// HTTP over TLS.
    Https,
}

/// TLS of a listener. Files are PEM, and read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerTlsSpec {
    /// Certificates with their keys, chosen by the name that a client asks for; the first where it asks for none of them.
    pub certs: Vec<CertificateFilesSpec>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// File of the authorities whose certificates clients are asked for; `""` = they are not.
    #[schemars(example = &"/etc/cutover/clients-ca.pem")]
    pub client_ca: String,
    /// Whether clients without a certificate are turned away.
    pub client_auth: ClientAuth,
    /// Request header that tells backends the subject of the client's certificate. Clients can't send it.
    #[schemars(length(min = 1))]
    pub client_subject_header: String,
    /// Certificates that cutover gets by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AcmeSpec")]
    pub acme: Option<AcmeSpec>,
}

impl Default for ListenerTlsSpec {
    fn default() -> Self {
        Self {
            certs: Vec::new(),
            min_version: TlsVersion::Tls12,
            client_ca: String::new(),
            client_auth: ClientAuth::Required,
            client_subject_header: "X-Client-Cert-Subject".to_owned(),
            acme: None,
        }
    }
}

/// A certificate and its private key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["cert", "key"]))]
pub struct CertificateFilesSpec {
    /// File of the certificate, and behind it those between it and a root.
    #[schemars(length(min = 1), example = &"/etc/cutover/example.com.pem")]
    pub cert: String,
    /// File of its private key.
    #[schemars(length(min = 1), example = &"/etc/cutover/example.com.key")]
    pub key: String,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// Whether clients need a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// Those without one are turned away.
    Required,
    /// Those without one are nobody in particular.
    Optional,
}

/// Certificates that come from an authority by ACME (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["domains"]))]
pub struct AcmeSpec {
    /// Host names that certificates are for.
    #[schemars(length(min = 1), example = ["example.com"])]
    pub domains: Vec<String>,
    /// Whom the authority writes to; `""` = nobody.
    #[schemars(example = &"ops@example.com")]
    pub email: String,
    /// URL of the authority's directory.
    #[schemars(length(min = 1))]
    pub directory: String,
    /// File of the authorities by which the directory itself is believed; `""` = those of the system.
    #[schemars(example = &"/etc/cutover/acme-ca.pem")]
    pub ca: String,
    /// How it is shown that the names are ours.
    pub challenge: Challenge,
}

impl Default for AcmeSpec {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            email: String::new(),
            directory: "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
            ca: String::new(),
            challenge: Challenge::TlsAlpn01,
        }
    }
}

/// How it is shown to an authority that a name is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Challenge {
    /// By a certificate, on this listener (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// By an answer of the listeners without TLS (RFC 8555 section 8.3).
    #[serde(rename = "http-01")]
    Http01,
}
