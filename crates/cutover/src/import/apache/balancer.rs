//! `<Proxy balancer://…>`: groups of servers, what is said of each, and how one is chosen.

use cutover_control::admin::wire::service::Balance;

use super::super::draft::Service;
use super::super::target::Target;
use super::super::tree::Directive;
use super::super::value::{Unit, duration, is_on};
use super::check::HealthChecks;
use super::setting::Settings;

/// A group of servers.
#[derive(Debug)]
pub(super) struct Balancer<'a> {
    /// In lower case.
    name: String,
    /// Its tag, or the directive that speaks of it first.
    from: &'a Directive,
    /// `BalancerMember`, with the place of the URL among its arguments.
    members: Vec<(&'a Directive, usize)>,
    /// `ProxySet`, with the place of its first parameter.
    sets: Vec<(&'a Directive, usize)>,
    /// What else is in its tag.
    inner: Vec<&'a Directive>,
}

/// All groups that `scopes` speak of.
pub(super) fn balancers<'a>(scopes: &[&'a [Directive]]) -> Vec<Balancer<'a>> {
    let mut balancers: Vec<Balancer<'a>> = Vec::new();
    let mut add = |url: &str, from: &'a Directive| {
        let name = group(url)?;
        let at = balancers.iter().position(|balancer| balancer.name == name).unwrap_or_else(|| {
            balancers.push(Balancer { name, from, members: Vec::new(), sets: Vec::new(), inner: Vec::new() });
            balancers.len() - 1
        });
        Some(at)
    };
    let mut places = Vec::new();
    for directive in scopes.iter().copied().flatten() {
        if directive.is("proxy") {
            if let Some(at) = add(directive.arg(0), directive) {
                places.push((at, directive, 0));
                places.extend(directive.inner().iter().map(|inner| (at, inner, 0)));
            }
        } else if matches!(directive.name.as_str(), "balancermember" | "proxyset")
            && let Some(at) = add(directive.arg(0), directive)
        {
            places.push((at, directive, 1));
        }
    }
    for (at, directive, skipped) in places {
        let Some(balancer) = balancers.get_mut(at) else { continue };
        match directive.name.as_str() {
            "proxy" => {}
            "balancermember" => balancer.members.push((directive, skipped)),
            "proxyset" => balancer.sets.push((directive, skipped)),
            _ => balancer.inner.push(directive),
        }
    }
    balancers
}

/// The name of a group, if the URL is one.
pub(super) fn group(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let name = rest.split('/').next().unwrap_or_default().to_ascii_lowercase();
    (scheme.eq_ignore_ascii_case("balancer") && !name.is_empty()).then_some(name)
}

impl Balancer<'_> {
    /// Whether this is the group of that name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Gives the service its servers, and says how one of them is chosen.
    pub(super) fn fill(&self, service: &mut Service, settings: &mut Settings<'_>, checks: &HealthChecks<'_>) {
        let ledger = settings.ledger;
        ledger.see(self.from);
        // What Apache does unless it is told otherwise.
        service.spec.balance = Balance::RoundRobin;
        for (set, skipped) in &self.sets {
            ledger.see(set);
            set.args.iter().skip(*skipped).for_each(|parameter| of_group(service, set, parameter));
        }
        for (member, at) in &self.members {
            ledger.see(member);
            add(service, member, *at, checks);
        }
        for inner in &self.inner {
            settings.apply(service, inner);
        }
    }
}

/// A server that is no member of a group, by the URL of a `ProxyPass`.
pub(super) fn single(service: &mut Service, directive: &Directive, target: &Target) {
    service.speak(directive, target);
    service.add_backend(directive, "", &target.with_port(), 1);
}

/// A parameter of `ProxyPass`, where it is about the group or its only server.
pub(super) fn of_route(
    service: &mut Service,
    directive: &Directive,
    parameter: &str,
    checks: &HealthChecks<'_>,
) {
    let (key, _) = pair(parameter);
    let is_of_group = matches!(
        key.as_str(),
        "lbmethod"
            | "stickysession"
            | "stickysessionsep"
            | "scolonpathdelim"
            | "nofailover"
            | "maxattempts"
            | "failonstatus"
            | "failontimeout"
            | "forcerecovery"
            | "nonce"
            | "growth"
    );
    if is_of_group {
        of_group(service, directive, parameter);
    } else {
        of_server(service, directive, parameter, checks);
    }
}

fn add(service: &mut Service, member: &Directive, at: usize, checks: &HealthChecks<'_>) {
    let target = match Target::parse(member.arg(at)) {
        Ok(target) => target,
        Err(why) => return service.lost(member, why),
    };
    let (mut id, mut weight, mut away, mut is_of_all) = (String::new(), 1, None, false);
    for parameter in member.args.iter().skip(at + 1) {
        let (key, value) = pair(parameter);
        match key.as_str() {
            "route" => value.clone_into(&mut id),
            "loadfactor" => match value.parse::<f64>() {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "it is bounded, and a float is cast to the nearest"
                )]
                Ok(factor) if factor.is_finite() => {
                    weight = factor.clamp(0.0, 1000.0).round() as u64;
                    if factor.fract() != 0.0 {
                        service.changed(member, "weights are whole numbers; this one was rounded");
                    }
                }
                _ => service.lost(member, format!("{value:?} is no weight")),
            },
            "status" => away = absence(value),
            _ => {
                is_of_all = true;
                of_server(service, member, parameter, checks);
            }
        }
    }
    if is_of_all {
        service.changed(
            member,
            "what is said of its health, timeouts and limits counts for all servers of the service",
        );
    }
    if !target.path.is_empty() {
        let why = "a path behind one server is not added to what it is asked; set `rewrite_prefix` if all have the same";
        service.lost(member, why);
    }
    if let Some(why) = away {
        return service.lost(member, why);
    }
    if service.spec.backends.is_empty() {
        service.speak(member, &target);
    } else if target.protocol() != Ok(service.spec.upstream.protocol) {
        return service
            .lost(member, "all servers of a service speak the same protocol; make it a service of its own");
    }
    service.add_backend(member, &id, &target.with_port(), weight);
}

/// Why a server with this status gets nothing.
fn absence(status: &str) -> Option<&'static str> {
    let flags = status.to_ascii_uppercase();
    let is_set = |flag: char| flags.contains(flag) && !flags.contains(&format!("-{flag}"));
    if is_set('H') || is_set('R') {
        Some(
            "there are no standby servers; add it to `backends` when it is to serve, or start it as a new version",
        )
    } else if is_set('D') || is_set('S') || is_set('E') {
        Some(
            "it was switched off and is not in `backends`; add it there when it is to serve (`cutover maint` takes it out at run time)",
        )
    } else if is_set('N') {
        Some(
            "it was draining and is not in `backends`; add it there when it is to serve (`cutover drain` does that at run time)",
        )
    } else {
        None
    }
}

fn of_group(service: &mut Service, directive: &Directive, parameter: &str) {
    let (key, value) = pair(parameter);
    match key.as_str() {
        "lbmethod" => match value.to_ascii_lowercase().as_str() {
            "byrequests" => service.spec.balance = Balance::RoundRobin,
            "bybusyness" => service.spec.balance = Balance::LeastConnections,
            "bytraffic" => {
                service.spec.balance = Balance::PowerOfTwo;
                service.changed(
                    directive,
                    "servers are chosen by the requests that they have in hand, not by bytes",
                );
            }
            other => service.lost(directive, format!("there is no balancing {other:?}; see `balance`")),
        },
        "stickysession" => service.stick(directive),
        "maxattempts" => retries(service, directive, value),
        "nofailover" if is_on(value) => {
            service
                .lost(directive, "a session whose server is down goes on at another server of its version");
        }
        "nofailover" | "scolonpathdelim" | "stickysessionsep" => {}
        "failonstatus" | "failontimeout" => {
            service.lost(
                directive,
                "servers are taken out by errors in a row (`outlier`) and by health checks (`health.expect`)",
            );
        }
        "timeout" => {
            service.lost(directive, "requests wait `queue_timeout` for a usable server");
        }
        _ => service.lost(directive, format!("there is nothing like {key:?} of a group")),
    }
}

fn retries(service: &mut Service, directive: &Directive, value: &str) {
    match value.parse::<u32>() {
        Ok(attempts) => service.spec.upstream.retries = attempts.min(10),
        Err(_) => service.lost(directive, format!("{value:?} is no number of attempts")),
    }
}

fn of_server(service: &mut Service, directive: &Directive, parameter: &str, checks: &HealthChecks<'_>) {
    let (key, value) = pair(parameter);
    let span = || duration(value, Unit::Seconds).filter(|span| span != "0s");
    let upstream = &mut service.spec.upstream;
    match (key.as_str(), span()) {
        ("timeout", Some(span)) => upstream.response_timeout = span,
        ("connectiontimeout", Some(span)) => upstream.connect_timeout = span,
        ("ttl", Some(span)) => upstream.idle_timeout = span,
        ("retry", Some(span)) => service.spec.outlier.base_ejection = span,
        ("retry", None) => service.spec.outlier.consecutive_errors = 0,
        ("max" | "smax" | "min" | "acquire", _) => service.lost(
            directive,
            format!("{key:?} counts connections of each Apache process; see upstream.max_connections and upstream.max_idle"),
        ),
        ("ping", _) => service.lost(directive, "backends are asked by health checks, not before each request; see `health`"),
        ("disablereuse", _) if is_on(value) => upstream.max_idle = 0,
        ("enablereuse" | "disablereuse" | "keepalive" | "flushpackets" | "flushwait" | "iobuffersize" | "receivebuffersize", _) => {}
        ("upgrade", _) => {}
        ("redirect" | "lbset", _) => {
            service.lost(directive, format!("there is nothing like {key:?}; all servers of a version share its traffic"));
        }
        ("secret", _) => service.lost(directive, "it belongs to AJP; let the app listen for HTTP"),
        (key, _) if key.starts_with("hc") => checks.apply(service, directive, key, value),
        _ => service.lost(directive, format!("there is nothing like {key:?} of a server")),
    }
}

fn pair(parameter: &str) -> (String, &str) {
    let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    (key.to_ascii_lowercase(), value)
}
