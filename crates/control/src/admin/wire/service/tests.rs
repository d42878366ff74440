//! Whole documents: what they mean, and what is said of wrong ones.

use std::sync::Arc;

use cutover_core::id::ServiceName;
use cutover_core::policy::{PinMode, Policy};
use serde_json::{Value, json};

use super::{ServiceSpec, from_json};

pub(super) fn policy(document: Value) -> Arc<Policy> {
    from_json(document, &name()).unwrap().1.policy
}

fn name() -> ServiceName {
    ServiceName::parse("web").unwrap()
}

pub(super) fn problems(document: Value) -> Vec<String> {
    let problems = from_json(document, &name()).unwrap_err();
    problems.into_iter().map(|problem| format!("{} {}", problem.path.pointer(), problem.message)).collect()
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
        "rewrite_prefix": "/v2", "maintenance": true, "rate_limit": {"per_client": 9}, "error_pages": {"503": "a.html", "404": "b.html"},
        "compression": {"enabled": true, "min_size": "100B"},
        "redirect": [{"from": "/api/old", "to": "/new"}, {"from": "/api/x", "to": "https://example.com/y", "status": 302}],
        "request": {"set_headers": {"X-A": "1"}, "add_headers": {"X-B": "2"}, "remove_headers": ["X-C"]},
        "response": {"set_headers": {"Strict-Transport-Security": "max-age=63072000"}, "remove_headers": ["Server"]},
        "flip": {"mode": "auto", "quorum": {"count": 2, "share": 1}, "gates": ["expand"]},
    });
    let (_, service) = from_json(document, &name()).unwrap();
    let written = serde_json::to_value(ServiceSpec::from(&*service.policy)).unwrap();
    assert_eq!(from_json(written, &name()).unwrap().1.policy, service.policy);
}

#[test]
fn what_is_asked_of_backends_means_the_same_again() {
    let all = [
        json!({"protocol": "h2c"}),
        json!({"proxy_protocol": "v1"}),
        json!({"protocol": "https", "proxy_protocol": "v2", "tls": {"insecure_skip_verify": true}}),
        json!({"protocol": "https-h2", "tls": {"ca": "ca.pem", "server_name": "app.internal", "cert": "a.pem", "key": "a.key"}}),
    ];
    for upstream in all {
        let health = match upstream["protocol"].as_str() {
            Some("h2c" | "https-h2") => json!({"protocol": "grpc", "grpc_service": "shop.Cart"}),
            _ => json!({}),
        };
        let read = policy(json!({ "upstream": upstream, "health": health }));
        assert_ne!(read.upstream, Policy::default().upstream);
        assert_eq!(policy(serde_json::to_value(ServiceSpec::from(&*read)).unwrap()), read);
    }
}

#[test]
fn steps_of_a_canary_are_read_and_written_alike() {
    let steps = json!([{"share": 0.05, "for": "10m"}, {"share": 1.0, "for": "1h"}]);
    let read = policy(json!({"canary": {"steps": steps}, "pin": {"policy": "page"}}));
    assert_eq!((read.canary.steps.len(), read.pin.mode), (2, PinMode::Page));
    assert_eq!(policy(serde_json::to_value(ServiceSpec::from(&*read)).unwrap()), read);
}

#[test]
fn what_is_contradictory_about_backends_is_refused() {
    let found = [
        json!({"upstream": {"tls": {"ca": "ca.pem"}}}),
        json!({"upstream": {"protocol": "h2c", "proxy_protocol": "v1"}}),
        json!({"upstream": {"protocol": "https", "tls": {"ca": "ca.pem", "insecure_skip_verify": true, "server_name": "a b"}}}),
        json!({"upstream": {"protocol": "https", "tls": {"cert": "a.pem"}}}),
        json!({"upstream": {"protocol": "https-h2", "tls": {"key": "a.key", "server_name": "*.example.com"}}}),
        json!({"health": {"protocol": "grpc"}}),
        json!({"health": {"grpc_service": "shop.Cart"}}),
        json!({"upstream": {"protocol": "h2c"}, "health": {"protocol": "grpc", "grpc_service": "a b"}}),
        json!({"upstream": {"protocol": "h2c"}, "health": {"protocol": "grpc"}, "version_pointer": "/a"}),
        json!({"upstream": {"protocol": "quic", "proxy_protocol": "v3"}}),
    ];
    let found: Vec<_> = found.into_iter().flat_map(problems).collect();
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn every_problem_of_shape_and_sense_is_reported_at_once() {
    let found = problems(json!({
        "name": "api", "hosts": ["a b", "x.com", "x.com"], "paths": [], "identity": "guess", "version_header": "x y",
        "version_pointer": "a/b", "boot_id_header": "Content-Length", "balance": "hash", "hash_on": "tenant",
        "affinty": "version", "expected_weight": -1, "min_capacity": 1.5, "slow_start": "soon", "queue_timeout": 1,
        "bake": {"duration": "long", "max_error_rate": 2.0}, "strip_prefix": "yes",
        "canary": {"steps": [{"share": 0.5, "for": "1m"}, {"share": 0.5, "for": "0s"}, {"share": 1.5, "for": "soon"}]},
        "roll": {"strategy": "all", "batches": 1, "permit_deadline": "0s"},
        "pin": {"idle": "2h", "life": "1h", "cookie": "__Host-a", "partitioned": true, "policy": "pages"},
        "health": {"path": "up", "interval": "1ms", "rise": 0, "expect": "20-x", "port": 70000, "host": "http://x"},
        "outlier": {"consecutive_errors": 5, "base_ejection": "0s"},
        "upstream": {"protocol": "h3", "replay_body": "1GiB", "connect_timeout": "0s"},
        "flip": {"quorum": {"count": 0}, "gates": ["", "a/b"]},
        "drain": {"deadline": "1 hour"},
        "backends": [{"id": "a", "address": "10.0.0.1"}, {"version": "v1"}, {"id": "a", "address": "h:1", "weight": 0}, {"address": "unix:/x"}],
    }));
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn the_pin_leaves_previews_their_cookie() {
    let found = problems(json!({ "pin": { "cookie": "cutover-preview" } }));
    assert!(found[0].ends_with("is the cookie of previews; choose another name"), "{found:?}");
    let named = from_json(json!({ "pin": { "cookie": "cutover-previews" } }), &name());
    assert_eq!(named.unwrap().1.policy.pin.cookie, "cutover-previews");
}

#[test]
fn each_mistake_in_a_step_of_a_canary_is_told_once() {
    let steps = |step: Value| problems(json!({ "canary": { "steps": [step] } }));
    for (step, expected) in [
        (json!({"share": 1.5, "for": "1m"}), "/canary/steps/0/share is 1.5; must be a number from 0 to 1"),
        (json!({"share": 0.5}), "/canary/steps/0/for is missing; "),
        (json!({"for": "1m"}), "/canary/steps/0/share is missing; "),
        (json!({"share": 0.5, "for": 60}), "/canary/steps/0/for is the number 60; "),
    ] {
        let found = steps(step);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn garbage_in_any_field_is_a_problem_and_no_panic() {
    let full = serde_json::to_value(ServiceSpec::default()).unwrap();
    for key in full.as_object().unwrap().keys() {
        for garbage in [json!(null), json!("\u{0}é"), json!(-1), json!(1e300), json!([[1]]), json!({"": []})]
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
