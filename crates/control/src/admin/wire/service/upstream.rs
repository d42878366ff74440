//! Connections to backends, as they are written.

use std::borrow::Cow;
use std::path::Path as FilePath;

use cutover_core::policy::{self, UpstreamPolicy, UpstreamTls};
use cutover_core::route::HostPattern;
use cutover_tls::client;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

use super::check::WAIT_MIN;
use crate::causes::with_causes;
use crate::document::Check;
use crate::document::scalar::write_size;

/// Bytes that one request may keep in memory to be sent again.
const REPLAY_BODY_MAX: u64 = 16 << 20;

/// Connections to backends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamSpec {
    /// Protocol spoken with backends.
    pub protocol: UpstreamProtocol,
    /// What is asked of backends over TLS.
    pub tls: UpstreamTlsSpec,
    /// Header by which every connection tells the backend whose it is; `""` = none.
    pub proxy_protocol: ProxyProtocol,
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
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2 over TLS.
    HttpsH2,
}

/// Header by which a connection tells whose it is (PROXY protocol).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProxyProtocol {
    /// None.
    #[serde(rename = "")]
    Off,
    /// A line of text.
    #[serde(rename = "v1")]
    V1,
    /// Binary.
    #[serde(rename = "v2")]
    V2,
}

// By hand: the derived one knows no empty word.
impl PartialSchema for ProxyProtocol {
    fn schema() -> RefOr<utoipa::openapi::Schema> {
        let words = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["", "v1", "v2"]));
        let description = "Header by which a connection tells whose it is (PROXY protocol).";
        words.description(Some(description)).build().into()
    }
}

impl ToSchema for ProxyProtocol {
    fn name() -> Cow<'static, str> {
        "ProxyProtocol".into()
    }
}

/// What is asked of backends over TLS. Files are PEM, on the proxy's host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamTlsSpec {
    /// File of the authorities that are believed; `""` = those of the system.
    #[schemars(example = &"/etc/cutover/backends-ca.pem")]
    pub ca: String,
    /// Name that is asked for and must be in the certificate; `""` = the host of the backend's address.
    #[schemars(example = &"app.internal")]
    pub server_name: String,
    /// File of the certificate by which backends know the proxy; `""` = none.
    #[schemars(example = &"/etc/cutover/client.pem")]
    pub cert: String,
    /// File of its private key.
    #[schemars(example = &"/etc/cutover/client.key")]
    pub key: String,
    /// Believe any certificate: whoever stands in between is not noticed.
    pub insecure_skip_verify: bool,
}

pub(super) fn upstream(upstream: &UpstreamSpec, check: &mut Check<'_>) -> UpstreamPolicy {
    let protocol = match upstream.protocol {
        UpstreamProtocol::Http1 => policy::UpstreamProtocol::Http1,
        UpstreamProtocol::H2c => policy::UpstreamProtocol::H2c,
        UpstreamProtocol::Https => policy::UpstreamProtocol::Https,
        UpstreamProtocol::HttpsH2 => policy::UpstreamProtocol::HttpsH2,
    };
    let is_protocol_clean = check.are_clean(&["protocol"]);
    if is_protocol_clean && !protocol.is_tls() && upstream.tls != UpstreamTlsSpec::default() {
        check.wrong(
            "tls",
            "is used only with protocol = \"https\" or \"https-h2\"; set one of these or remove this",
        );
    }
    if is_protocol_clean && protocol.is_h2() && upstream.proxy_protocol != ProxyProtocol::Off {
        check.wrong(
            "proxy_protocol",
            "can't tell whose an HTTP/2 connection is, it carries requests of many clients; remove it or speak HTTP/1.1",
        );
    }
    UpstreamPolicy {
        protocol,
        tls: tls(&upstream.tls, &mut check.table("tls")),
        proxy_protocol: match upstream.proxy_protocol {
            ProxyProtocol::Off => None,
            ProxyProtocol::V1 => Some(policy::ProxyProtocol::V1),
            ProxyProtocol::V2 => Some(policy::ProxyProtocol::V2),
        },
        connect_timeout: check.duration_from("connect_timeout", &upstream.connect_timeout, WAIT_MIN),
        response_timeout: check.duration_from("response_timeout", &upstream.response_timeout, WAIT_MIN),
        idle_timeout: check.duration_from("idle_timeout", &upstream.idle_timeout, WAIT_MIN),
        max_idle: upstream.max_idle,
        max_connections: upstream.max_connections,
        retries: upstream.retries,
        retry_budget: check.share("retry_budget", upstream.retry_budget),
        replay_body: check.size_within("replay_body", &upstream.replay_body, 0, REPLAY_BODY_MAX),
        tunnel_idle_timeout: check.duration_from(
            "tunnel_idle_timeout",
            &upstream.tunnel_idle_timeout,
            WAIT_MIN,
        ),
    }
}

impl UpstreamSpec {
    /// Reports the file that keeps backends from being asked over TLS. This is no part of what a document means: files come and go.
    pub fn check_files(&self, check: &mut Check<'_>) {
        if !matches!(self.protocol, UpstreamProtocol::Https | UpstreamProtocol::HttpsH2) {
            return;
        }
        let Err(error) = client::check(&(&self.tls).into()) else { return };
        let keys = [("ca", &self.tls.ca), ("cert", &self.tls.cert), ("key", &self.tls.key)];
        let is_named = |path: &str| error.file().is_some_and(|file| file == FilePath::new(path));
        let key = keys.iter().find(|(_, path)| is_named(path)).map_or("ca", |(key, _)| key);
        check.wrong(key, with_causes(&error));
    }
}

impl From<&UpstreamPolicy> for UpstreamSpec {
    fn from(upstream: &UpstreamPolicy) -> Self {
        Self {
            protocol: match upstream.protocol {
                policy::UpstreamProtocol::Http1 => UpstreamProtocol::Http1,
                policy::UpstreamProtocol::H2c => UpstreamProtocol::H2c,
                policy::UpstreamProtocol::Https => UpstreamProtocol::Https,
                policy::UpstreamProtocol::HttpsH2 => UpstreamProtocol::HttpsH2,
            },
            tls: (&upstream.tls).into(),
            proxy_protocol: match upstream.proxy_protocol {
                None => ProxyProtocol::Off,
                Some(policy::ProxyProtocol::V1) => ProxyProtocol::V1,
                Some(policy::ProxyProtocol::V2) => ProxyProtocol::V2,
            },
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

fn tls(tls: &UpstreamTlsSpec, check: &mut Check<'_>) -> UpstreamTls {
    if tls.insecure_skip_verify && !tls.ca.is_empty() {
        check.wrong("insecure_skip_verify", "is true, so `ca` would never be asked; remove one of them");
    }
    let name = &tls.server_name;
    if !name.is_empty() && !is_server_name(name) {
        check.wrong(
            "server_name",
            format_args!("{name:?} is no host name or IP address; write one such as \"app.internal\""),
        );
    }
    if tls.key.is_empty() && !tls.cert.is_empty() {
        check.wrong("key", "is missing; `cert` needs the file of its private key");
    }
    if tls.cert.is_empty() && !tls.key.is_empty() {
        check.wrong("cert", "is missing; `key` needs the file of its certificate");
    }
    tls.into()
}

impl From<&UpstreamTlsSpec> for UpstreamTls {
    fn from(tls: &UpstreamTlsSpec) -> Self {
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Self {
            ca: some(&tls.ca),
            server_name: some(&tls.server_name),
            client: some(&tls.cert).zip(some(&tls.key)),
            is_insecure: tls.insecure_skip_verify,
        }
    }
}

impl From<&UpstreamTls> for UpstreamTlsSpec {
    fn from(tls: &UpstreamTls) -> Self {
        let (cert, key) = tls.client.clone().unwrap_or_default();
        Self {
            ca: tls.ca.clone().unwrap_or_default(),
            server_name: tls.server_name.clone().unwrap_or_default(),
            cert,
            key,
            insecure_skip_verify: tls.is_insecure,
        }
    }
}

/// What a certificate can be for: one host (RFC 6066 section 3), or an address.
fn is_server_name(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
        || !text.contains('[') && matches!(HostPattern::parse(text), Ok(HostPattern::Exact(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Path, Problems};

    fn problems(upstream: &UpstreamSpec) -> Vec<String> {
        let mut problems = Problems::default();
        upstream.check_files(&mut Check::new(Path::root(), &mut problems));
        problems.into_iter().map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_key() {
        let tls = UpstreamTlsSpec { ca: "/no/such/ca.pem".to_owned(), ..UpstreamTlsSpec::default() };
        let mut upstream = UpstreamSpec { tls, protocol: UpstreamProtocol::Https, ..UpstreamSpec::default() };
        let found = problems(&upstream);
        assert!(found.len() == 1 && found[0].starts_with("ca: can't read /no/such/ca.pem: "), "{found:?}");
        upstream.tls.insecure_skip_verify = true;
        assert!(problems(&upstream).is_empty(), "nobody reads it");
        (upstream.tls.cert, upstream.tls.key) = ("/no/cert".to_owned(), "/no/key".to_owned());
        assert!(problems(&upstream)[0].starts_with("cert: can't read /no/cert"));
        upstream.protocol = UpstreamProtocol::Http1;
        assert!(problems(&upstream).is_empty());
    }
}
