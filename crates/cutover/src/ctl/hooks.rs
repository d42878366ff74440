//! The hooks of one service as text for people: where they are, and how the last call of each ended.

use super::table::{table, time};
use super::view::{Call, Hook, Service};

/// A table of the service's hooks, and what is not delivered yet. Nothing where there is no hook and nothing is owed.
pub(super) fn hooks(service: &Service) -> String {
    let Service { name, hooks, policy, .. } = service;
    let rows = policy.iter().flat_map(|policy| &policy.hook).map(|hook| {
        let last = hooks.recent.iter().find(|call| is_of(call, hook)).map(ended);
        vec![hook.on.clone(), hook.url.clone(), last.unwrap_or_else(|| "not called yet".to_owned())]
    });
    let rows: Vec<_> = rows.collect();
    let mut text = String::new();
    if !rows.is_empty() {
        text = format!("\n{}", table(&["HOOK", "URL", "LAST CALL"], rows));
    }
    if let Some(asked) = &hooks.pre_flip {
        let version = &asked.version;
        text.push_str(&match asked.state.as_str() {
            "asked" => format!("{name}: the pre_flip hooks are being asked about {version}\n"),
            "passed" => format!("{name}: the pre_flip hooks let {version} become active\n"),
            _ => format!("{name}: {}\n", asked.detail),
        });
    }
    match hooks.owed {
        0 => {}
        1 => text.push_str(&format!("{name}: 1 call of a hook is not delivered yet\n")),
        owed => text.push_str(&format!("{name}: {owed} calls of hooks are not delivered yet\n")),
    }
    text
}

/// Calls are known by the turn and the origin of their URL: the rest of it may be secret.
fn is_of(call: &Call, hook: &Hook) -> bool {
    let rest = hook.url.strip_prefix(&call.to);
    call.on == hook.on && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn ended(call: &Call) -> String {
    let Call { version, at, tries, said, .. } = call;
    let (outcome, at) = (if call.delivered { "taken" } else { "failed" }, time(at));
    let tries = if *tries > 1 { format!(", {tries} tries") } else { String::new() };
    format!("{outcome} for {version} at {at}{tries}: {said}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shown(told: &Value, policy: &Value) -> String {
        let service = json!({
            "name": "web", "active": "v2", "epoch": 2, "versions": [], "hooks": told, "policy": policy,
        });
        hooks(&serde_json::from_value(service).unwrap())
    }

    #[test]
    fn each_hook_is_shown_with_its_last_call() {
        let policy = json!({ "hook": [
            { "on": "post_flip", "url": "https://ci.test/T0/secret" },
            { "on": "drained", "url": "https://ci.test/" },
            { "on": "drained", "url": "https://ci.test:444/" },
        ]});
        let call = |on: &str, version: &str, delivered: bool, tries: u64, said: &str| {
            json!({
                "on": on, "version": version, "at": "2026-01-01T00:05:00Z", "to": "https://ci.test",
                "delivered": delivered, "tries": tries, "said": said,
            })
        };
        let recent = [
            call("post_flip", "v2", false, 3, "503: busy"),
            call("post_flip", "v1", true, 1, "204"),
            call("drained", "v0", true, 1, "204"),
        ];
        assert_eq!(
            shown(&json!({ "pre_flip": null, "owed": 2, "recent": recent }), &policy),
            "\nHOOK       URL                        LAST CALL\n\
             post_flip  https://ci.test/T0/secret  failed for v2 at 2026-01-01 00:05:00, 3 tries: 503: busy\n\
             drained    https://ci.test/           taken for v0 at 2026-01-01 00:05:00: 204\n\
             drained    https://ci.test:444/       not called yet\n\
             web: 2 calls of hooks are not delivered yet\n"
        );
    }

    #[test]
    fn a_refusal_is_told_and_a_service_without_hooks_has_nothing_to_tell() {
        let refused = json!({ "version": "v2", "state": "failed", "detail": "the pre_flip hook says no" });
        assert_eq!(
            shown(&json!({ "pre_flip": refused, "owed": 1, "recent": [] }), &Value::Null),
            "web: the pre_flip hook says no\nweb: 1 call of a hook is not delivered yet\n"
        );
        assert_eq!(shown(&json!({}), &json!({})), "");
    }
}
