//! `use_backend`, `default_backend` and redirects: which requests go where.

use super::super::draft::{Draft, Service, covers};
use super::super::files::Files;
use super::super::note::Note;
use super::super::tree::Directive;
use super::acl::{Match, condition};
use super::backend;
use super::proxy::Proxy;
use super::rule;

/// Requests, and the section that they go to.
struct Route<'a> {
    line: &'a Directive,
    matched: Match,
    to: Proxy<'a>,
}

/// Whether all that comes to `proxy` without TLS is sent there.
pub(super) fn is_redirect(proxy: &Proxy<'_>) -> bool {
    redirects(proxy).any(|(line, at)| {
        let is_scheme = line.keyword(at) == "scheme" && line.keyword(at + 1) == "https";
        is_scheme
            && condition(proxy, line, at).is_ok_and(|matches| {
                matches.iter().all(|found| found.hosts.is_empty() && found.paths.is_empty())
            })
    })
}

/// Makes the services of the front `proxy`; `false` when there are none.
pub(super) fn carry_out<'a>(
    proxy: &Proxy<'a>,
    proxies: &[Proxy<'a>],
    files: &Files,
    draft: &mut Draft,
) -> bool {
    proxy.ledger.see(proxy.section);
    let routes = with_hosts(routes(proxy, proxies, &mut draft.notes));
    let mut services: Vec<Service> = Vec::new();
    for (at, route) in routes.iter().enumerate() {
        let earlier = routes[..at].iter().find(|earlier| earlier.takes_all_of(route));
        if let Some(earlier) = earlier {
            let why = format!("{} comes first and takes these requests", earlier.line.place);
            draft.notes.push(Note::lost(route.line, why));
            continue;
        }
        services.push(route.service(proxy, files));
    }
    for (line, at) in redirects(proxy) {
        match redirect(proxy, line, at, &mut services) {
            Ok(()) => proxy.ledger.see(line),
            Err(why) => draft.notes.push(Note::lost(line, why)),
        }
    }
    let is_any = !services.is_empty();
    draft.services.append(&mut services);
    is_any
}

impl Route<'_> {
    fn takes_all_of(&self, other: &Self) -> bool {
        let (own, other) = (&self.matched, &other.matched);
        let hosts = own.hosts.is_empty()
            || (!other.hosts.is_empty() && other.hosts.iter().all(|host| own.hosts.contains(host)));
        let root = ["/".to_owned()];
        let of = |found: &Match| if found.paths.is_empty() { root.to_vec() } else { found.paths.clone() };
        let own = of(own);
        hosts && of(other).iter().all(|path| own.iter().any(|prefix| covers(prefix, path)))
    }

    fn service(&self, front: &Proxy<'_>, files: &Files) -> Service {
        let mut service = Service::new(self.line, self.to.name(), "/");
        service.spec.hosts.clone_from(&self.matched.hosts);
        if !self.matched.paths.is_empty() {
            service.spec.paths.clone_from(&self.matched.paths);
        }
        if front.name() != self.to.name() {
            rule::apply(&mut service, front);
        }
        backend::fill(&mut service, &self.to, files);
        if let Some(change) = self.matched.change {
            service.changed(self.line, change);
        }
        service
    }
}

fn routes<'a>(proxy: &Proxy<'a>, proxies: &[Proxy<'a>], notes: &mut Vec<Note>) -> Vec<Route<'a>> {
    let mut routes = Vec::new();
    let mut add = |line: &'a Directive, name: &str, matches: Vec<Match>| {
        let Some(to) = proxies.iter().find(|other| other.is_back() && other.name() == name) else {
            return notes.push(Note::lost(line, format!("there is no backend {name:?}")));
        };
        if !to.is_http() {
            return notes
                .push(Note::lost(line, "cutover balances HTTP; keep another balancer for other protocols"));
        }
        routes.extend(matches.into_iter().map(|matched| Route { line, matched, to: *to }));
    };
    let mut lost = Vec::new();
    for line in proxy.lines().filter(|line| line.is("use_backend")) {
        match condition(proxy, line, 1) {
            Ok(matches) => {
                proxy.ledger.see(line);
                add(line, line.arg(0), matches);
            }
            Err(why) => lost.push(Note::lost(line, why)),
        }
    }
    match proxy.last("default_backend") {
        Some(line) => add(line, line.arg(0), vec![Match::any()]),
        None if proxy.is_back() && proxy.own().iter().any(|line| line.is("server")) => {
            add(proxy.section, proxy.name(), vec![Match::any()]);
        }
        None => {}
    }
    notes.extend(lost);
    routes
}

/// Here a host is looked at before a path. What is for any host, and comes first, is said again for the hosts that follow.
fn with_hosts(routes: Vec<Route<'_>>) -> Vec<Route<'_>> {
    let mut more = Vec::new();
    for (at, route) in routes.iter().enumerate().filter(|(_, route)| route.matched.hosts.is_empty()) {
        let mut hosts: Vec<String> = Vec::new();
        for later in &routes[at + 1..] {
            let is_above = |path: &String| {
                later.matched.paths.is_empty()
                    || later.matched.paths.iter().any(|prefix| covers(prefix, path))
            };
            if !route.matched.paths.is_empty() && route.matched.paths.iter().any(is_above) {
                hosts.extend(
                    later
                        .matched
                        .hosts
                        .iter()
                        .filter(|host| !hosts.contains(host))
                        .cloned()
                        .collect::<Vec<_>>(),
                );
            }
        }
        if !hosts.is_empty() {
            let matched = Match { hosts, ..route.matched.clone() };
            more.push((at, Route { line: route.line, matched, to: route.to }));
        }
    }
    let mut all = Vec::with_capacity(routes.len() + more.len());
    let mut more = more.into_iter().peekable();
    for (at, route) in routes.into_iter().enumerate() {
        // Before what it stands for: that one takes all of it.
        while let Some((_, extra)) = more.next_if(|(place, _)| *place == at) {
            all.push(extra);
        }
        all.push(route);
    }
    all
}

/// The lines that send requests elsewhere, with the place of what behind `redirect` stands.
fn redirects<'a>(proxy: &Proxy<'a>) -> impl Iterator<Item = (&'a Directive, usize)> {
    proxy.lines().filter_map(|line| match line.name.as_str() {
        "redirect" => Some((line, 0)),
        "http-request" if line.keyword(0) == "redirect" => Some((line, 1)),
        _ => None,
    })
}

fn redirect(
    proxy: &Proxy<'_>,
    line: &Directive,
    at: usize,
    services: &mut Vec<Service>,
) -> Result<(), String> {
    let (kind, to) = (line.keyword(at), line.arg(at + 1));
    let matches = condition(proxy, line, at)?;
    if kind == "scheme" {
        let is_all = matches.iter().all(|found| found.hosts.is_empty() && found.paths.is_empty());
        return if is_all && to == "https" {
            Ok(())
        } else {
            Err("a listener sends everything to TLS or nothing; see redirect_to_https".to_owned())
        };
    }
    if to.contains('%') {
        return Err(
            "where to is fixed, with what is behind the prefix; write [[service.redirect]]".to_owned()
        );
    }
    let status = line
        .after("code")
        .map_or(Ok(302), |code| code.parse::<u16>().map_err(|_| format!("{code:?} is no status")))?;
    for found in matches {
        let paths = if found.paths.is_empty() { vec!["/".to_owned()] } else { found.paths };
        for from in paths {
            let to = match kind.as_str() {
                "prefix" => format!("{}{}", to.trim_end_matches('/'), from.trim_end_matches('/')),
                _ => to.to_owned(),
            };
            let is_near = |service: &&mut Service| {
                service.spec.hosts == found.hosts
                    && (service.covers(&from) || service.spec.paths.iter().any(|own| covers(&from, own)))
            };
            if let Some(service) = services.iter_mut().find(is_near) {
                service.redirect(&from, &to, status);
                continue;
            }
            let mut service = Service::new(line, proxy.name(), &from);
            service.spec.hosts.clone_from(&found.hosts);
            service.redirect(&from, &to, status);
            services.push(service);
        }
    }
    Ok(())
}
