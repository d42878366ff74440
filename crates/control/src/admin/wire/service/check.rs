//! Reads a service: from its text to a policy and its static backends, with every problem at once.

use std::sync::Arc;

use cutover_core::command::Configured;
use cutover_core::id::ServiceName;
use cutover_core::policy::{self, HashOn, IdentityPolicy, IdentitySource, Policy};
use cutover_core::route::{HostPattern, PathPrefix};
use http::HeaderName;
use serde_json::Value;

use super::later::LATER;
use super::spec::{Affinity, Balance, Identity, OnMissingVersion, ServiceSpec};
use super::{backends, sections};
use crate::document::{Check, Later, Path, Problems, read};

/// Reads the body of `PUT /v1/services/{name}`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn from_json(mut document: Value, name: &ServiceName) -> Result<(ServiceSpec, Configured), Problems> {
    let mut problems = Problems::default();
    Later::strip(LATER, &mut document, &Path::root(), &mut problems);
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
        let policy = Policy {
            hosts: check.list("hosts", &self.hosts, HostPattern::parse),
            paths: check.list("paths", &self.paths, PathPrefix::parse),
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
            pin: sections::pin(&self.pin, &mut check.table("pin")),
            health: sections::health(&self.health, &mut check.table("health")),
            outlier: sections::outlier(&self.outlier, &mut check.table("outlier")),
            upstream: sections::upstream(&self.upstream, &mut check.table("upstream")),
            limits: sections::limits(&self.limits, &mut check.table("limits")),
            flip: sections::flip(&self.flip, &mut check.table("flip")),
            drain: sections::drain(&self.drain, &mut check.table("drain")),
            roll: sections::roll(&self.roll, &mut check.table("roll")),
            ..Policy::default()
        };
        let backends = backends::registrations(self, check);
        Configured { name, policy: Arc::new(policy), backends }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn name() -> ServiceName {
        ServiceName::parse("web").unwrap()
    }

    fn problems(document: Value) -> Vec<String> {
        let problems = from_json(document, &name()).unwrap_err();
        problems
            .into_iter()
            .map(|problem| format!("{} {}", problem.path.pointer(), problem.message))
            .collect()
    }

    #[test]
    fn an_empty_document_is_the_default_policy() {
        let (spec, service) = from_json(json!({}), &name()).unwrap();
        assert_eq!(spec, ServiceSpec::default());
        assert_eq!(*service.policy, Policy::default());
        assert!(service.backends.is_empty());
    }

    #[test]
    fn what_is_written_means_the_same_again() {
        let document = json!({
            "name": "web", "hosts": ["example.com", "*.example.com"], "paths": ["/api"], "identity": "label",
            "version_pointer": "/a~0b/c", "boot_id_header": "", "balance": "hash", "hash_on": "header:X-Tenant",
            "affinity": "backend", "expected_weight": 9, "min_capacity": 0.25, "slow_start": "1m", "on_missing_version": "409",
            "pin": {"policy": "none", "same_site": "None", "partitioned": true, "query": ["dpl"], "headers": ["x-deployment-id"]},
            "health": {"protocol": "tcp", "port": 81, "host": "h:1", "expect": "200,300-399"},
            "limits": {"body": "1MiB", "body_idle_timeout": "5s"}, "upstream": {"replay_body": "17B"},
            "flip": {"mode": "auto", "quorum": {"count": 2, "share": 1}, "gates": ["expand"]},
        });
        let (_, service) = from_json(document, &name()).unwrap();
        let written = serde_json::to_value(ServiceSpec::from(&*service.policy)).unwrap();
        assert_eq!(from_json(written, &name()).unwrap().1.policy, service.policy);
    }

    #[test]
    fn every_problem_of_shape_and_sense_is_reported_at_once() {
        let found = problems(json!({
            "name": "api", "hosts": ["a b", "x.com", "x.com"], "paths": [], "identity": "guess", "version_header": "x y",
            "version_pointer": "a/b", "boot_id_header": "Content-Length", "balance": "hash", "hash_on": "tenant",
            "affinty": "version", "expected_weight": -1, "min_capacity": 1.5, "slow_start": "soon", "queue_timeout": 1,
            "bake": {"duration": "5m"}, "strip_prefix": false, "canary": {"steps": []},
            "roll": {"strategy": "all", "batches": 1, "permit_deadline": "0s"},
            "pin": {"idle": "2h", "life": "1h", "cookie": "__Host-a", "partitioned": true, "policy": "page"},
            "health": {"path": "up", "interval": "1ms", "rise": 0, "expect": "20-x", "port": 70000, "host": "http://x"},
            "outlier": {"consecutive_errors": 5, "base_ejection": "0s"},
            "upstream": {"protocol": "h2c", "replay_body": "1GiB", "connect_timeout": "0s"},
            "flip": {"quorum": {"count": 0}, "gates": ["", "a/b"]},
            "drain": {"deadline": "1 hour"},
            "backends": [{"id": "a", "address": "10.0.0.1"}, {"version": "v1"}, {"id": "a", "address": "h:1", "weight": 0}, {"address": "unix:/x"}],
        }));
        insta::assert_snapshot!(found.join("\n"));
    }

    #[test]
    fn garbage_in_any_field_is_a_problem_and_no_panic() {
        let full = serde_json::to_value(ServiceSpec::default()).unwrap();
        for key in full.as_object().unwrap().keys() {
            for garbage in
                [json!(null), json!("\u{0}é"), json!(-1), json!(1e300), json!([[1]]), json!({"": []})]
            {
                let mut document = full.clone();
                document[key] = garbage.clone();
                let result = from_json(document, &name());
                let named = result
                    .unwrap_err()
                    .into_iter()
                    .any(|problem| problem.path.pointer().starts_with(&format!("/{key}")));
                assert!(named, "{key} = {garbage}");
            }
        }
    }
}
