//! Reads a service: from its text to a policy and its static backends, with every problem at once.

use std::sync::Arc;

use cutover_core::command::Configured;
use cutover_core::id::ServiceName;
use cutover_core::policy::{self, HashOn, IdentityPolicy, IdentitySource, Policy};
use cutover_core::route::{HostPattern, PathPrefix};
use cutover_core::time::Millis;
use http::HeaderName;
use serde_json::Value;

use super::health::ProbeProtocol;
use super::spec::{Affinity, Balance, Identity, OnMissingVersion, ServiceSpec};
use super::upstream::UpstreamProtocol;
use super::{assets, backends, bake, canary, flip, headers, health, hook, limits, message, pin, upstream};
use crate::document::{Check, Path, Problems, read};

/// For waits that would fail everything at zero.
pub(super) const WAIT_MIN: Millis = Millis(1);

/// Reads the body of `PUT /v1/services/{name}`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn from_json(document: Value, name: &ServiceName) -> Result<(ServiceSpec, Configured), Problems> {
    let mut problems = Problems::default();
    let Some(spec) = read::<ServiceSpec>(document, &Path::root(), &mut problems) else {
        return Err(problems);
    };
    let mut check = Check::new(Path::root(), &mut problems);
    if let Some(other) = spec.name.as_ref().filter(|other| *other != name.as_str()) {
        check.wrong("name", format_args!("is {other:?}, but the address names {name:?}; leave it out"));
    }
    let service = spec.check(name.clone(), &mut check);
    if problems.is_empty() { Ok((spec, service)) } else { Err(problems) }
}

/// Reads the policy of a service back from the document that it was put with; see [`ReadPolicy`](crate::store::record::ReadPolicy).
///
/// # Errors
/// Everything that is wrong with it, in one line.
pub fn read_policy(name: &ServiceName, document: &str) -> Result<Arc<Policy>, String> {
    let document = serde_json::from_str(document).map_err(|error| error.to_string())?;
    match from_json(document, name) {
        Ok((_, service)) => Ok(service.policy),
        Err(problems) => {
            let lines: Vec<_> = problems.into_iter().map(|problem| problem.to_string()).collect();
            Err(lines.join("; "))
        }
    }
}

impl ServiceSpec {
    /// What the text means. The result counts only if `check` found nothing wrong.
    pub fn check(&self, name: ServiceName, check: &mut Check<'_>) -> Configured {
        let paths = check.list("paths", &self.paths, PathPrefix::parse);
        let redirects = message::redirects(self, &paths, check);
        let pin = pin::pin(&self.pin, &mut check.table("pin"));
        let response = headers::of_answers(&self.response, &pin, &mut check.table("response"));
        let policy = Policy {
            hosts: check.list("hosts", &self.hosts, HostPattern::parse),
            paths,
            identity: identity(self, check),
            balance: balance(self, check),
            affinity: match self.affinity {
                Affinity::Version => policy::Affinity::Version,
                Affinity::Backend => policy::Affinity::Backend,
            },
            expected_weight: Some(self.expected_weight).filter(|&weight| weight > 0),
            min_capacity: check.share("min_capacity", self.min_capacity),
            slow_start: check.duration("slow_start", &self.slow_start),
            queue_timeout: check.duration("queue_timeout", &self.queue_timeout),
            on_missing_version: match self.on_missing_version {
                OnMissingVersion::Active => policy::OnMissingVersion::Active,
                OnMissingVersion::Conflict => policy::OnMissingVersion::Conflict,
                OnMissingVersion::Unavailable => policy::OnMissingVersion::Unavailable,
            },
            pin,
            health: health::health(&self.health, &mut check.table("health")),
            outlier: health::outlier(&self.outlier, &mut check.table("outlier")),
            upstream: upstream::upstream(&self.upstream, &mut check.table("upstream")),
            limits: limits::limits(&self.limits, &mut check.table("limits")),
            flip: flip::flip(&self.flip, &mut check.table("flip")),
            bake: bake::bake(&self.bake, &mut check.table("bake")),
            canary: canary::canary(&self.canary, &mut check.table("canary")),
            drain: flip::drain(&self.drain, &mut check.table("drain")),
            roll: flip::roll(&self.roll, &mut check.table("roll")),
            assets: assets::assets(&self.assets, &mut check.table("assets")),
            rewrite_prefix: message::rewrite_prefix(self, check),
            redirects,
            request: headers::of_requests(&self.request, &mut check.table("request")),
            response,
            rate_limit: message::rate_limit(&self.rate_limit, &mut check.table("rate_limit")),
            error_pages: message::error_pages(&self.error_pages, &mut check.table("error_pages")),
            compression: message::compression(&self.compression, &mut check.table("compression")),
            hooks: hook::hooks(self, check),
            is_in_maintenance: self.maintenance,
        };
        check_protocols(self, check);
        let backends = backends::registrations(self, check);
        Configured { name, policy: Arc::new(policy), backends }
    }
}

/// What the health check needs of the other tables.
fn check_protocols(spec: &ServiceSpec, check: &mut Check<'_>) {
    if spec.health.protocol != ProbeProtocol::Grpc || !check.are_clean(&["health", "upstream"]) {
        return;
    }
    if !matches!(spec.upstream.protocol, UpstreamProtocol::H2c | UpstreamProtocol::HttpsH2) {
        check.table("health").wrong(
            "protocol",
            "is \"grpc\", which goes over HTTP/2; set upstream.protocol to \"h2c\" or \"https-h2\"",
        );
    }
    if !spec.version_pointer.is_empty() {
        check.wrong(
            "version_pointer",
            "points into a JSON document, and health checks over gRPC have none; remove it",
        );
    }
}

fn identity(spec: &ServiceSpec, check: &mut Check<'_>) -> IdentityPolicy {
    let pointer = &spec.version_pointer;
    if !pointer.is_empty() && !is_json_pointer(pointer) {
        check.wrong(
            "version_pointer",
            format_args!("{pointer:?} is no JSON pointer; write one such as \"/build/version\""),
        );
    }
    let boot_id = &spec.boot_id_header;
    IdentityPolicy {
        source: match spec.identity {
            Identity::Label => IdentitySource::Label,
            Identity::Health => IdentitySource::Health,
            Identity::Response => IdentitySource::Response,
        },
        version_header: header(check, "version_header", &spec.version_header),
        version_pointer: pointer.clone(),
        expose_version: spec.expose_version,
        boot_id_header: if boot_id.is_empty() {
            String::new()
        } else {
            header(check, "boot_id_header", boot_id)
        },
    }
}

fn balance(spec: &ServiceSpec, check: &mut Check<'_>) -> policy::Balance {
    if spec.balance != Balance::Hash && !spec.hash_on.is_empty() && check.are_clean(&["balance"]) {
        check.wrong("hash_on", "is used only with balance = \"hash\"; set that or remove this");
    }
    match spec.balance {
        Balance::PowerOfTwo => policy::Balance::PowerOfTwo,
        Balance::RoundRobin => policy::Balance::RoundRobin,
        Balance::LeastConnections => policy::Balance::LeastConnections,
        Balance::PeakEwma => policy::Balance::PeakEwma,
        Balance::Hash => policy::Balance::Hash(hash_on(spec, check)),
    }
}

fn hash_on(spec: &ServiceSpec, check: &mut Check<'_>) -> HashOn {
    let text = spec.hash_on.as_str();
    match text.split_once(':') {
        Some(("header", name)) => HashOn::Header(header(check, "hash_on", name)),
        Some(("cookie", name)) if is_token(name) => HashOn::Cookie(name.to_owned()),
        None if text == "pin" => HashOn::Pin,
        None if text == "client-ip" => HashOn::ClientIp,
        _ => {
            check.wrong(
                "hash_on",
                format_args!(
                    "is {text:?}; must be \"pin\", \"client-ip\", \"header:NAME\" or \"cookie:NAME\", because balance is \"hash\""
                ),
            );
            HashOn::Pin
        }
    }
}

/// The name of a header field, in lower case.
pub(super) fn header(check: &mut Check<'_>, key: &str, text: &str) -> String {
    header_name(text).unwrap_or_else(|error| {
        check.wrong(key, error);
        String::new()
    })
}

/// The name of a header field, in lower case, unless the proxy itself must own that field (RFC 9110 section 7.6.1).
///
/// # Errors
/// What is wrong with it, and what would be right.
pub(super) fn header_name(text: &str) -> Result<String, String> {
    const OWN: [&str; 8] = [
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| format!("{text:?} is no header name; write one such as \"X-App-Version\""))?;
    if OWN.contains(&name.as_str()) {
        return Err(format!(
            "{text:?} belongs to the connection and can't be used here; choose another header"
        ));
    }
    Ok(name.as_str().to_owned())
}

/// Whether `text` is a token (RFC 9110 section 5.6.2), as cookie names are.
pub(super) fn is_token(text: &str) -> bool {
    text.len() <= 256 && HeaderName::from_bytes(text.as_bytes()).is_ok()
}

/// RFC 6901 section 3.
fn is_json_pointer(text: &str) -> bool {
    let is_escaped = |part: &str| part.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    text.starts_with('/') && text.len() <= 1024 && text.split('/').all(is_escaped)
}
