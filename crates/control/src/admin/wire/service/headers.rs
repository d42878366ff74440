//! Header rules, as they are written.

use std::collections::BTreeMap;

use cutover_core::policy::{HeaderRules, PinPolicy};
use http::HeaderValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::header_name;
use crate::document::Check;

/// Bytes of a value: as much as fits into a head beside the rest.
const VALUE_LEN_MAX: usize = 4096;
/// Fields that a request carries for the proxy itself, or by which it tells apps about the way of a request, besides those that
/// [`header_name`] refuses.
const OWN_IN_REQUESTS: [&str; 16] = [
    "cookie",
    "cutover-pin",
    "cutover-state",
    "expect",
    "forwarded",
    "http2-settings",
    "max-forwards",
    "proxy",
    "proxy-authorization",
    "proxy-connection",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-request-id",
];
/// Fields that answers carry for the proxy itself.
const OWN_IN_ANSWERS: [&str; 5] =
    ["cutover-pin", "cutover-update", "proxy-authenticate", "proxy-connection", "x-request-id"];

/// What is changed in the fields of a message, in this order: removed, set, added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderRulesSpec {
    /// Fields that have this one value, whatever was there.
    pub set_headers: BTreeMap<String, String>,
    /// Fields that are put beside those that are there.
    pub add_headers: BTreeMap<String, String>,
    /// Fields that are taken out.
    #[schemars(example = ["server"])]
    pub remove_headers: Vec<String>,
}

/// Reads the rules for requests.
pub(super) fn of_requests(rules: &HeaderRulesSpec, check: &mut Check<'_>) -> HeaderRules {
    read(rules, check, name_in_requests)
}

/// The name of a header field, in lower case, that a request may get beside those by which the proxy tells apps about its way.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn name_in_requests(text: &str) -> Result<String, String> {
    name_unless(&OWN_IN_REQUESTS, text)
}

/// Reads the rules for answers. They may add cookies, but not the pin's.
pub(super) fn of_answers(rules: &HeaderRulesSpec, pin: &PinPolicy, check: &mut Check<'_>) -> HeaderRules {
    let name = |text: &str| name_unless(&OWN_IN_ANSWERS, text);
    let rules = read(rules, check, name);
    let reason = "would take the pin and the cookies of the app away; only `add_headers` may have it";
    if let Some(index) = rules.remove.iter().position(|name| name == "set-cookie") {
        check.wrong_element("remove_headers", index, format_args!("\"set-cookie\" {reason}"));
    }
    if rules.set.iter().any(|(name, _)| name == "set-cookie") {
        check.wrong("set_headers", format_args!("\"set-cookie\" {reason}"));
    }
    for (_, value) in rules.add.iter().filter(|(name, _)| name == "set-cookie") {
        let cookie = value.split('=').next().unwrap_or_default().trim();
        if cookie.strip_prefix("__Host-").unwrap_or(cookie) == pin.cookie {
            check.wrong(
                "add_headers",
                format_args!("the cookie {cookie:?} is the pin's; choose another name"),
            );
        }
    }
    rules
}

fn read(
    rules: &HeaderRulesSpec,
    check: &mut Check<'_>,
    name: impl Fn(&str) -> Result<String, String>,
) -> HeaderRules {
    let remove = check.list("remove_headers", &rules.remove_headers, &name);
    let set = fields("set_headers", &rules.set_headers, check, &name);
    let add = fields("add_headers", &rules.add_headers, check, &name);
    for (index, removed) in remove.iter().enumerate() {
        if set.iter().any(|(name, _)| name == removed) {
            check.wrong_element(
                "remove_headers",
                index,
                format_args!(
                    "{removed:?} is in `set_headers` too, which replaces what is there; remove it here"
                ),
            );
        }
    }
    HeaderRules { remove, set, add }
}

fn fields(
    key: &str,
    fields: &BTreeMap<String, String>,
    check: &mut Check<'_>,
    name: impl Fn(&str) -> Result<String, String>,
) -> Vec<(String, String)> {
    let mut table = check.table(key);
    let mut read: Vec<(String, String)> = Vec::with_capacity(fields.len());
    for (text, value) in fields {
        match name(text) {
            Ok(name) if read.iter().any(|(other, _)| *other == name) => {
                table
                    .wrong(text, "differs from another one only by upper and lower case; remove one of them");
            }
            Ok(name) => read.push((name, value.clone())),
            Err(error) => table.wrong(text, error),
        }
        if !is_value(value) {
            table.wrong(
                text,
                format_args!(
                    "{value:?} is no header value; write at most 4096 visible ASCII characters, with spaces only between them"
                ),
            );
        }
    }
    // In the order of the policy, so that a rule is written where it was read, whatever its case was.
    read.sort();
    read
}

fn name_unless(own: &[&str], text: &str) -> Result<String, String> {
    let name = header_name(text)?;
    // Apps that see fields as environment variables can't tell `X_Forwarded_For` from `X-Forwarded-For`.
    if own.contains(&name.replace('_', "-").as_str()) {
        return Err(format!(
            "{text:?} is between the proxy and its peers and can't be changed by a rule; choose another header"
        ));
    }
    Ok(name)
}

/// RFC 9110 section 5.5, without bytes beyond ASCII.
fn is_value(text: &str) -> bool {
    text.len() <= VALUE_LEN_MAX && text.trim() == text && HeaderValue::from_str(text).is_ok()
}

impl From<&HeaderRules> for HeaderRulesSpec {
    fn from(rules: &HeaderRules) -> Self {
        Self {
            set_headers: rules.set.iter().cloned().collect(),
            add_headers: rules.add.iter().cloned().collect(),
            remove_headers: rules.remove.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{policy, problems};

    #[test]
    fn names_are_read_in_lower_case() {
        let rules = policy(json!({"response": {
            "set_headers": {"Strict-Transport-Security": "max-age=63072000"},
            "add_headers": {"Set-Cookie": "a=b"}, "remove_headers": ["Server"],
        }}))
        .response
        .clone();
        assert_eq!(rules.set, [("strict-transport-security".to_owned(), "max-age=63072000".to_owned())]);
        assert_eq!((rules.add[0].0.as_str(), rules.remove[0].as_str()), ("set-cookie", "server"));
    }

    #[test]
    fn what_the_proxy_says_about_the_way_of_a_request_is_no_matter_of_rules() {
        for name in ["X-Forwarded-For", "x_forwarded_proto", "Forwarded", "Via", "X-Request-Id"] {
            let found = problems(json!({ "request": { "remove_headers": [name] } }));
            assert_eq!(found.len(), 1, "{name}: {found:?}");
        }
        let right = json!({ "request": { "set_headers": { "X-Forwarded-Port": "443" } } });
        assert_eq!(policy(right).request.set.len(), 1);
    }

    #[test]
    fn what_frames_or_routes_a_message_is_no_matter_of_rules() {
        let found = problems(json!({
            "request": {"set_headers": {"Host": "x", "X-A": "a\r\nb", "x-b": " c", "x-c": "1", "X-C": "2"},
                "add_headers": {"Content-Length": "1", "a b": "c", "Cookie": "cutover=x"},
                "remove_headers": ["te", "Expect", "X-C", "Cutover-State", "upgrade"]},
            "response": {"set_headers": {"Set-Cookie": "a=b"}, "add_headers": {"set-cookie": "__Host-cutover=x"},
                "remove_headers": ["Transfer-Encoding", "Cutover-Update", "set-cookie"]},
        }));
        insta::assert_snapshot!(found.join("\n"));
    }
}
