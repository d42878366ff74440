//! `Redirect`, `RedirectMatch` and what is simple of `RewriteRule`.

use super::super::note::{Ledger, Note};
use super::super::pattern::prefix_of;
use super::super::tree::Directive;

/// What a rule comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    /// Clients are told to come back over TLS, to the same host.
    ToHttps,
    /// Requests under a prefix are sent elsewhere, with what is behind the prefix.
    Elsewhere {
        /// The prefix.
        from: String,
        /// What stands for it.
        to: String,
        /// 301 or another of its kind.
        status: u16,
    },
    /// Requests under a prefix go to a URL, as `ProxyPass` has it.
    Proxy {
        /// The prefix.
        from: String,
        /// What stands for it.
        to: String,
    },
    /// WebSockets go where they go anyway.
    WebSocket {
        /// Their URL.
        to: String,
    },
}

/// The rules of a scope, each with the directive that says it, and notes of those that are more than that.
pub(super) fn rules<'a>(
    scope: &'a [Directive],
    hosts: &[String],
    ledger: &Ledger,
) -> (Vec<(Rule, &'a Directive)>, Vec<Note>) {
    let (mut rules, mut notes) = (Vec::new(), Vec::new());
    let mut conditions: Vec<&Directive> = Vec::new();
    for directive in scope {
        let rule = match directive.name.as_str() {
            "rewriteengine" => {
                ledger.see(directive);
                continue;
            }
            "rewritecond" => {
                conditions.push(directive);
                continue;
            }
            "redirect" | "redirectpermanent" | "redirecttemp" => redirect(directive, hosts),
            "redirectmatch" => redirect_match(directive, hosts),
            "rewriterule" => rewrite(directive, &std::mem::take(&mut conditions), ledger, &mut notes),
            _ => continue,
        };
        match rule {
            Ok(rule) => {
                ledger.see(directive);
                rules.push((rule, directive));
            }
            Err(why) => notes.push(Note::lost(directive, why)),
        }
    }
    (rules, notes)
}

fn redirect(directive: &Directive, hosts: &[String]) -> Result<Rule, String> {
    let (status, rest) = status(directive);
    let status = status?;
    let (from, to) = (rest.first().map_or("/", String::as_str), rest.get(1).map_or("", String::as_str));
    // One argument is the URL, for the scope.
    let (from, to) = if to.is_empty() { ("/", from) } else { (from, to) };
    Ok(elsewhere(from, to, status, hosts))
}

fn redirect_match(directive: &Directive, hosts: &[String]) -> Result<Rule, String> {
    let (status, rest) = status(directive);
    let status = status?;
    let (pattern, to) = (rest.first().map_or("", String::as_str), rest.get(1).map_or("", String::as_str));
    let prefix = prefix_of(pattern)
        .ok_or("a redirect is for a path prefix; write [[service.redirect]] for those that are meant")?;
    let to = to.strip_suffix("$1").ok_or("what it matched is not kept; write [[service.redirect]]")?;
    Ok(elsewhere(&prefix, to, status, hosts))
}

/// The status of a redirect, and the arguments behind it.
fn status(directive: &Directive) -> (Result<u16, String>, &[String]) {
    let of_name = match directive.name.as_str() {
        "redirectpermanent" => Some(301),
        "redirecttemp" => Some(302),
        _ => None,
    };
    if let Some(status) = of_name {
        return (Ok(status), &directive.args);
    }
    let first = directive.keyword(0);
    let status = match first.as_str() {
        "permanent" => 301,
        "temp" => 302,
        "seeother" => 303,
        "gone" => return (Err("there is no answer 410; let the app say it".to_owned()), &[]),
        text if text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit()) => match text.parse() {
            Ok(status @ (301 | 302 | 303 | 307 | 308)) => status,
            _ => return (Err(format!("{text} is no redirect; let the app answer so")), &[]),
        },
        _ => return (Ok(302), &directive.args),
    };
    (Ok(status), directive.args.get(1..).unwrap_or_default())
}

fn elsewhere(from: &str, to: &str, status: u16, hosts: &[String]) -> Rule {
    let is_root = from == "/" || from.is_empty();
    let own_host =
        to.strip_prefix("https://").map(|rest| rest.trim_end_matches('/').trim_end_matches(":443"));
    if is_root && own_host.is_some_and(|host| hosts.iter().any(|own| own.eq_ignore_ascii_case(host))) {
        return Rule::ToHttps;
    }
    let trim =
        |text: &str| if text.len() > 1 { text.trim_end_matches('/').to_owned() } else { text.to_owned() };
    Rule::Elsewhere { from: trim(if from.is_empty() { "/" } else { from }), to: trim(to), status }
}

fn rewrite(
    rule: &Directive,
    conditions: &[&Directive],
    ledger: &Ledger,
    notes: &mut Vec<Note>,
) -> Result<Rule, String> {
    let recognised = recognised(rule, conditions);
    for condition in conditions {
        match recognised {
            Some(_) => ledger.see(condition),
            None => notes.push(Note::lost(condition, "it belongs to the rule below it")),
        }
    }
    recognised.ok_or_else(|| {
        "rules rewrite path prefixes only; write a service with `paths` and `rewrite_prefix`, or [[service.redirect]]".to_owned()
    })
}

fn recognised(rule: &Directive, conditions: &[&Directive]) -> Option<Rule> {
    let (pattern, to) = (rule.arg(0), rule.arg(1));
    let flags = rule.arg(2).trim_matches(['[', ']']).to_ascii_uppercase();
    let mut flags = flags.split(',').map(str::trim);
    let is_proxy = flags.clone().any(|flag| matches!(flag, "P" | "PROXY"));
    let has_redirect =
        flags.any(|flag| flag == "R" || flag.starts_with("R=") || flag.starts_with("REDIRECT"));
    let tests = || conditions.iter().map(|condition| condition.keyword(0));
    let is_upgrade = !conditions.is_empty()
        && tests().all(|test| matches!(test.as_str(), "%{http:upgrade}" | "%{http:connection}"));
    if is_proxy && is_upgrade && (to.starts_with("ws") || to.starts_with("http")) {
        let end = to.find(['$', '%']).unwrap_or(to.len());
        return Some(Rule::WebSocket { to: to[..end].to_owned() });
    }
    let is_plain = conditions.is_empty()
        || tests().all(|test| {
            matches!(
                test.as_str(),
                "%{https}" | "%{server_port}" | "%{request_scheme}" | "%{http:x-forwarded-proto}"
            )
        });
    let same_host = ["%{HTTP_HOST}", "%{SERVER_NAME}"]
        .into_iter()
        .find_map(|host| to.strip_prefix("https://")?.strip_prefix(host));
    if let Some(path) = same_host {
        let is_same_path = matches!(path, "%{REQUEST_URI}" | "$1" | "/$1");
        return (is_plain && is_same_path && (has_redirect || to.starts_with("https://")))
            .then_some(Rule::ToHttps);
    }
    let from = prefix_of(pattern)?;
    let to = to.strip_suffix("$1")?;
    (is_proxy && conditions.is_empty()).then(|| Rule::Proxy { from, to: to.to_owned() })
}
