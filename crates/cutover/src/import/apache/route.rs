//! `ProxyPass`: which requests go where, and the services that this makes.

use super::super::draft::{Draft, Service, covers};
use super::super::files::Files;
use super::super::note::{Ledger, Note};
use super::super::target::Target;
use super::super::tree::{Directive, named};
use super::balancer::{self, Balancer};
use super::check::HealthChecks;
use super::host::Host;
use super::redirect::{Rule, rules};
use super::setting::Settings;

/// What all services are made from.
pub(super) struct Site<'a> {
    pub(super) main: &'a [Directive],
    pub(super) files: &'a Files,
    pub(super) balancers: &'a [Balancer<'a>],
    pub(super) checks: &'a HealthChecks<'a>,
}

/// One way from a path to servers.
struct Route<'a> {
    path: String,
    url: String,
    parameters: &'a [String],
    directive: &'a Directive,
    /// The `<Location>` that it stands in.
    location: Option<&'a Directive>,
}

/// What a host does with requests.
pub(super) struct Plan<'a> {
    routes: Vec<Route<'a>>,
    rules: Vec<(Rule, &'a Directive)>,
}

impl<'a> Plan<'a> {
    /// What a scope says, and what is said for all.
    pub(super) fn of(host: &Host<'a>, main: &'a [Directive], draft: &mut Draft) -> Self {
        let mut plan = Self { routes: Vec::new(), rules: Vec::new() };
        for scope in [host.scope].into_iter().chain(host.tag.map(|_| main)) {
            plan.routes.extend(routes(scope, &draft.ledger));
            let (rules, notes) = rules(scope, &host.names, &draft.ledger);
            plan.rules.extend(rules);
            draft.notes.extend(notes);
        }
        for (rule, directive) in &plan.rules {
            if let Rule::Proxy { from, to } = rule {
                let path = if from.len() > 1 { from.trim_end_matches('/').to_owned() } else { from.clone() };
                plan.routes.push(Route { path, url: to.clone(), parameters: &[], directive, location: None });
            }
        }
        plan
    }

    /// Whether clients are only told to come back over TLS.
    pub(super) fn is_redirect(&self) -> bool {
        self.routes.is_empty() && self.rules.iter().any(|(rule, _)| *rule == Rule::ToHttps)
    }

    /// Makes the services of `host`.
    pub(super) fn carry_out(self, host: &Host<'_>, site: &Site<'_>, draft: &mut Draft) {
        let mut services: Vec<Service> = Vec::new();
        for route in &self.routes {
            let winner = self
                .routes
                .iter()
                .take_while(|other| !std::ptr::eq(*other, route))
                .find(|other| covers(&other.path, &route.path));
            if let Some(winner) = winner.filter(|winner| winner.url != "!") {
                let why = format!(
                    "{} comes first and takes these paths; put the longer path before it",
                    winner.directive.place
                );
                draft.notes.push(Note::lost(route.directive, why));
            } else if route.url == "!" {
                let why = "cutover serves no files, so such requests go where the rest goes; make what serves them a service with this path";
                draft.notes.push(Note::lost(route.directive, why));
            } else if let Some(service) = route.service(host, site, draft) {
                services.push(service);
            }
        }
        for (rule, directive) in &self.rules {
            follow(rule, directive, host, &self, &mut services, draft);
        }
        draft.services.append(&mut services);
    }
}

impl Route<'_> {
    fn service(&self, host: &Host<'_>, site: &Site<'_>, draft: &mut Draft) -> Option<Service> {
        let target = match Target::parse(&self.url) {
            Ok(target) => target,
            Err(why) => {
                draft.notes.push(Note::lost(self.directive, why));
                return None;
            }
        };
        let group = balancer::group(&self.url);
        let wish = match (&group, host.names.first()) {
            (Some(group), _) => group.clone(),
            (None, Some(name)) => format!("{name}{}", self.path.trim_end_matches('/')),
            (None, None) => self.path.trim_matches('/').to_owned(),
        };
        let mut service = Service::new(self.directive, wish, &self.path);
        service.answer_for(&host.names, host.is_default);
        let mut settings = Settings::new(site.files, &draft.ledger);
        settings.apply_all(&mut service, site.main);
        if host.tag.is_some() {
            settings.apply_all(&mut service, host.scope);
        }
        match group {
            Some(name) => match site.balancers.iter().find(|balancer| balancer.is(&name)) {
                Some(balancer) => balancer.fill(&mut service, &mut settings, site.checks),
                None => service.lost(
                    self.directive,
                    format!("no file that was read has the members of balancer://{name}"),
                ),
            },
            None if target.protocol().is_err() => {
                let why = target.protocol().err().unwrap_or_default();
                draft.notes.push(Note::lost(self.directive, why));
                return None;
            }
            None => balancer::single(&mut service, self.directive, &target),
        }
        if let Some(location) = self.location {
            settings.apply_all(&mut service, location.inner());
        }
        for parameter in self.parameters {
            if parameter.contains('=') {
                balancer::of_route(&mut service, self.directive, parameter, site.checks);
            }
        }
        service.rewrite(&self.path, &target);
        settings.finish(&mut service);
        Some(service)
    }
}

fn routes<'a>(scope: &'a [Directive], ledger: &Ledger) -> Vec<Route<'a>> {
    let mut routes = Vec::new();
    for directive in scope {
        if directive.is("proxypass") {
            ledger.see(directive);
            routes.push(route(directive, directive.arg(0), 1, None));
        } else if directive.is("location") && !directive.arg(0).starts_with('~') {
            for pass in named(directive.inner(), "proxypass") {
                ledger.see(directive);
                ledger.see(pass);
                routes.push(route(pass, directive.arg(0), 0, Some(directive)));
            }
        }
    }
    routes
}

fn route<'a>(
    directive: &'a Directive,
    path: &str,
    url_at: usize,
    location: Option<&'a Directive>,
) -> Route<'a> {
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    let parameters = directive.args.get(url_at + 1..).unwrap_or_default();
    let url = directive.arg(url_at).to_owned();
    Route { path: path.to_owned(), url, parameters, directive, location }
}

/// Does what a rule says that is not about servers.
fn follow(
    rule: &Rule,
    directive: &Directive,
    host: &Host<'_>,
    plan: &Plan<'_>,
    services: &mut Vec<Service>,
    draft: &mut Draft,
) {
    match rule {
        Rule::Proxy { .. } => {}
        Rule::ToHttps if plan.is_redirect() => {}
        Rule::ToHttps => {
            let why =
                "a listener sends everything to TLS or nothing; set redirect_to_https if everything is meant";
            draft.notes.push(Note::lost(directive, why));
        }
        Rule::WebSocket { to } => {
            let target = Target::parse(to).ok();
            let group = balancer::group(&to.replacen("ws://", "balancer://", 1));
            let is_served = target.as_ref().is_some_and(|target| {
                let address = target.with_port();
                let has = |service: &Service| {
                    service.spec.backends.iter().any(|backend| backend.address == address)
                };
                services.iter().any(has)
                    || group.is_some_and(|name| services.iter().any(|service| service.wish == name))
            });
            draft.notes.push(if is_served {
                Note::moot(directive, "WebSockets go to the service that their path belongs to, like any request")
            } else {
                Note::lost(directive, "WebSockets go to the service that their path belongs to; make their servers a service with this path")
            });
        }
        Rule::Elsewhere { from, to, status } => {
            let is_near = |service: &&mut Service| {
                service.covers(from) || service.spec.paths.iter().any(|path| covers(from, path))
            };
            if let Some(service) = services.iter_mut().find(is_near) {
                if service.covers(from) {
                    service.changed(
                        directive,
                        "it counts before the service is asked; in Apache the ProxyPass around it does",
                    );
                }
                service.redirect(from, to, *status);
                return;
            }
            let wish = host.names.first().map_or("redirect", String::as_str);
            let mut service = Service::new(directive, wish, from);
            service.answer_for(&host.names, host.is_default);
            service.redirect(from, to, *status);
            services.push(service);
        }
    }
}
