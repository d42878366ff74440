//! Health checks: `hcmethod` and its kin, `ProxyHCTemplate`, `ProxyHCExpr`.

use std::collections::BTreeMap;

use cutover_control::admin::wire::service::ProbeProtocol;

use super::super::draft::Service;
use super::super::note::Ledger;
use super::super::tree::Directive;
use super::super::value::{Unit, duration};

/// What checks are spoken of by name.
#[derive(Debug, Default)]
pub(super) struct HealthChecks<'a> {
    templates: BTreeMap<String, &'a Directive>,
    expressions: BTreeMap<String, &'a Directive>,
}

impl<'a> HealthChecks<'a> {
    /// Those of `scopes`.
    pub(super) fn of(scopes: &[&'a [Directive]], ledger: &Ledger) -> Self {
        let mut checks = Self::default();
        for directive in scopes.iter().copied().flatten() {
            let kind = match directive.name.as_str() {
                "proxyhctemplate" => &mut checks.templates,
                "proxyhcexpr" => &mut checks.expressions,
                _ => continue,
            };
            ledger.see(directive);
            kind.insert(directive.arg(0).to_owned(), directive);
        }
        checks
    }

    /// Does what one parameter says.
    pub(super) fn apply(&self, service: &mut Service, directive: &Directive, key: &str, value: &str) {
        if key != "hctemplate" {
            return self.parameter(service, directive, key, value);
        }
        match self.templates.get(value) {
            Some(template) => {
                for parameter in template.args.iter().skip(1) {
                    let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                    self.parameter(service, template, &key.to_ascii_lowercase(), value);
                }
            }
            None => service.lost(directive, format!("there is no ProxyHCTemplate {value:?}")),
        }
    }

    fn parameter(&self, service: &mut Service, directive: &Directive, key: &str, value: &str) {
        let health = &mut service.spec.health;
        match key {
            "hcmethod" => method(service, directive, value),
            "hcuri" => {
                value.clone_into(&mut health.path);
            }
            "hcinterval" => match duration(value, Unit::Seconds) {
                Some(interval) => health.interval = interval,
                None => service.lost(directive, format!("{value:?} is no interval")),
            },
            "hcpasses" | "hcfails" => match value.parse() {
                Ok(count) if key == "hcpasses" => health.rise = count,
                Ok(count) => health.fall = count,
                Err(_) => service.lost(directive, format!("{value:?} is no number")),
            },
            "hcexpr" => {
                let status = self.expressions.get(value).and_then(|expression| statuses(expression));
                match status {
                    Some(expect) => health.expect = expect,
                    None => service.lost(directive, "only statuses are asked for; see health.expect"),
                }
            }
            _ => service.lost(directive, format!("there is nothing like {key:?} of a health check")),
        }
    }
}

fn method(service: &mut Service, directive: &Directive, value: &str) {
    match value.to_ascii_uppercase().trim_end_matches("11") {
        "TCP" => service.spec.health.protocol = ProbeProtocol::Tcp,
        "GET" => {
            let path = service.spec.health.path.clone();
            service.probe(&path);
        }
        "HEAD" | "OPTIONS" => {
            let path = service.spec.health.path.clone();
            service.probe(&path);
            service.changed(directive, "health is asked for by GET");
        }
        _ => service.lost(directive, format!("there is no health check {value:?}; see health.protocol")),
    }
}

/// The statuses of `{%{REQUEST_STATUS} =~ /^[234]/}`.
fn statuses(expression: &Directive) -> Option<String> {
    let text = expression.args.get(1..)?.concat();
    let inside = text.strip_prefix("{%{REQUEST_STATUS}=~/^[")?.strip_suffix("]/}")?;
    let is_digits = !inside.is_empty() && inside.bytes().all(|b| (b'1'..=b'5').contains(&b));
    let ranges: Vec<_> = inside.chars().map(|digit| format!("{digit}00-{digit}99")).collect();
    is_digits.then(|| ranges.join(","))
}
