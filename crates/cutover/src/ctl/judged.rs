//! Bakes and verdicts as text for people.

use super::table::time;
use super::view::{Bake, Service, Verdict};

/// A line for each service that watches a version, or whose last one was judged bad: what is thought of it, and the numbers.
pub(super) fn lines(services: &[Service]) -> String {
    let lines = services.iter().filter_map(|service| Some((&service.name, line(service)?)));
    lines.map(|(name, line)| format!("{name}: {line}\n")).collect()
}

fn line(service: &Service) -> Option<String> {
    let verdict = service.verdict.as_ref()?;
    let Verdict { kind, version, state, reason, .. } = verdict;
    let bake = service.bake.as_ref().filter(|bake| kind == "bake" && bake.version == *version);
    match (state.as_str(), bake) {
        ("watching", Some(Bake { from, ends_at, .. })) => {
            let end = time(ends_at);
            Some(format!("{version} is compared with {from} until {end}: {}", numbers(verdict)))
        }
        ("watching", None) => Some(format!(
            "{version} is compared with {} as its {kind}: {}",
            verdict.against,
            numbers(verdict)
        )),
        ("bad", Some(bake)) if bake.state == "rolled_back" => {
            Some(format!("{version} was judged bad and rolled back: {reason}"))
        }
        ("bad", _) => Some(format!("{version} was judged bad: {reason}")),
        _ => None,
    }
}

/// The numbers of both versions.
fn numbers(verdict: &Verdict) -> String {
    let Verdict { requests, evidence, against, .. } = verdict;
    let errors = format!(
        "{} errors ({against}: {})",
        percent(verdict.error_rate),
        percent(verdict.baseline_error_rate)
    );
    let p99 = format!("p99 {} ({against}: {})", millis(verdict.p99_ms), millis(verdict.baseline_p99_ms));
    format!("{requests} requests, {errors}, {p99}, evidence {evidence:.1} of 100")
}

/// A share as people read it.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.2} %", share * 100.0))
}

/// A latency as people read it.
pub(super) fn millis(latency_ms: Option<f64>) -> String {
    latency_ms.map_or_else(|| "-".to_owned(), |latency_ms| format!("{latency_ms:.1} ms"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(bake: &Value, verdict: &Value) -> Service {
        let service = json!({
            "name": "web", "active": "v2", "epoch": 2, "versions": [], "bake": bake, "verdict": verdict,
        });
        serde_json::from_value(service).unwrap()
    }

    fn verdict(kind: &str, state: &str) -> Value {
        json!({
            "kind": kind, "version": "v2", "against": "v1", "requests": 900, "errors": 27, "error_rate": 0.03,
            "baseline_error_rate": 0.001, "evidence": 12.34, "p99_ms": 20.5, "baseline_p99_ms": null,
            "state": state, "reason": "too many errors",
        })
    }

    #[test]
    fn what_is_watched_is_shown_with_both_versions_numbers() {
        let bake =
            json!({ "version": "v2", "from": "v1", "ends_at": "2026-01-01T00:05:00Z", "state": "running" });
        let shown = lines(&[service(&bake, &verdict("bake", "watching"))]);
        let numbers = "900 requests, 3.00 % errors (v1: 0.10 %), p99 20.5 ms (v1: -), evidence 12.3 of 100\n";
        assert!(
            shown.starts_with("web: v2 is compared with v1 until ") && shown.ends_with(numbers),
            "{shown}"
        );
        let shown = lines(&[service(&Value::Null, &verdict("canary", "watching"))]);
        assert_eq!(shown, format!("web: v2 is compared with v1 as its canary: {numbers}"));
    }

    #[test]
    fn a_bad_version_is_shown_with_the_reason_and_a_good_one_is_no_news() {
        let bake = |state| json!({ "version": "v2", "from": "v1", "ends_at": "2026-01-01T00:05:00Z", "state": state });
        let shown = |state, verdict| lines(&[service(&bake(state), &verdict)]);
        assert_eq!(shown("failed", verdict("bake", "bad")), "web: v2 was judged bad: too many errors\n");
        let rolled_back = shown("rolled_back", verdict("bake", "bad"));
        assert_eq!(rolled_back, "web: v2 was judged bad and rolled back: too many errors\n");
        assert_eq!(shown("passed", verdict("bake", "good")) + &shown("passed", Value::Null), "");
    }
}
