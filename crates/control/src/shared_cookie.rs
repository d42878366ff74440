//! Services that overwrite each other's pins, because clients ask them under one host and they keep sessions in a cookie of one name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cutover_core::id::ServiceName;
use cutover_core::policy::{PinMode, Policy};
use cutover_core::route::{HostPattern, PathPrefix};

/// Services of which each answer takes the place of the others' pins: a browser keeps one cookie of a name for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedCookie {
    /// Where clients ask for all of them; `None` = under any host.
    pub host: Option<HostPattern>,
    /// The name of the cookie.
    pub cookie: String,
    /// The services, at least two.
    pub services: BTreeSet<ServiceName>,
}

/// All cookies that several of `services` share. Each set of services is told of once, whatever number of hosts they share.
#[must_use]
pub fn find<'a>(services: impl IntoIterator<Item = (&'a ServiceName, &'a Policy)>) -> Vec<SharedCookie> {
    let mut hosts: BTreeMap<Option<HostPattern>, Served<'a>> = BTreeMap::new();
    for (name, policy) in services {
        let patterns = policy.hosts.iter().cloned().map(Some);
        let any = policy.hosts.is_empty().then_some(None);
        for host in patterns.chain(any) {
            let served = hosts.entry(host).or_default();
            served.is_whole |= policy.paths.contains(&PathPrefix::root());
            if policy.pin.mode != PinMode::None {
                served.sessions.push((&policy.pin.cookie, name));
            }
        }
    }
    let mut found: Vec<SharedCookie> = Vec::new();
    for host in hosts.keys() {
        let mut cookies: BTreeMap<&str, BTreeSet<&ServiceName>> = BTreeMap::new();
        for (cookie, name) in asked_under(host.as_ref(), &hosts) {
            cookies.entry(cookie).or_default().insert(name);
        }
        for (cookie, names) in cookies.into_iter().filter(|(_, names)| names.len() > 1) {
            let services: BTreeSet<_> = names.into_iter().cloned().collect();
            let is_told = |told: &SharedCookie| told.cookie == cookie && told.services.is_superset(&services);
            if !found.iter().any(is_told) {
                found.push(SharedCookie { host: host.clone(), cookie: cookie.to_owned(), services });
            }
        }
    }
    found
}

/// What services keep under one pattern of hosts.
#[derive(Debug, Default)]
struct Served<'a> {
    /// The cookies of those that keep sessions.
    sessions: Vec<(&'a str, &'a ServiceName)>,
    /// Whether each path is one of these services', so that no request falls through to a wider pattern.
    is_whole: bool,
}

/// The cookies and services that a client meets under `host`: those of the pattern, and of the wider ones that it falls through to.
fn asked_under<'a>(
    host: Option<&HostPattern>,
    hosts: &BTreeMap<Option<HostPattern>, Served<'a>>,
) -> Vec<(&'a str, &'a ServiceName)> {
    let mut met = Vec::new();
    let mut pattern = host.cloned();
    loop {
        if let Some(served) = hosts.get(&pattern) {
            met.extend(&served.sessions);
            if served.is_whole {
                return met;
            }
        }
        let Some(narrower) = pattern else { return met };
        pattern = wider(&narrower);
    }
}

/// The next pattern that has all hosts of this one; `None` = any host.
fn wider(pattern: &HostPattern) -> Option<HostPattern> {
    let (HostPattern::Exact(domain) | HostPattern::Under(domain)) = pattern;
    domain.split_once('.').map(|(_, parent)| HostPattern::Under(parent.to_owned()))
}

impl fmt::Display for SharedCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.services.iter().map(|name| format!("{:?}", name.as_str())).collect();
        let host =
            self.host.as_ref().map_or_else(|| "any host".to_owned(), |host| format!("host \"{host}\""));
        write!(
            f,
            "services {} keep sessions in one cookie, {:?}, under {host}: each ends the sessions of the others; name it differently in \
             each by `pin.cookie`, or set `pin.policy = \"none\"`",
            names.join(" and "),
            self.cookie
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found for services given as name, hosts, paths, cookie; no cookie is no session.
    fn found(services: &[(&str, &[&str], &[&str], &str)]) -> Vec<String> {
        let services: Vec<(ServiceName, Policy)> = services
            .iter()
            .map(|(name, hosts, paths, cookie)| {
                let mut policy = Policy {
                    hosts: hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
                    paths: paths.iter().map(|path| PathPrefix::parse(path).unwrap()).collect(),
                    ..Policy::default()
                };
                policy.pin.cookie = (*cookie).to_owned();
                policy.pin.mode = if cookie.is_empty() { PinMode::None } else { PinMode::Session };
                (ServiceName::parse(name).unwrap(), policy)
            })
            .collect();
        let found = find(services.iter().map(|(name, policy)| (name, policy)));
        found.iter().map(|shared| shared.to_string().split_once(':').unwrap().0.to_owned()).collect()
    }

    #[test]
    fn services_of_one_host_with_one_cookie_are_named() {
        let hosts = &["shop.example", "shop.example.org"][..];
        let told =
            found(&[("web", hosts, &["/"], "c"), ("api", hosts, &["/api"], "c"), ("x", &["x"], &["/"], "c")]);
        assert_eq!(
            told,
            [r#"services "api" and "web" keep sessions in one cookie, "c", under host "shop.example""#]
        );
        let told =
            found(&[("web", &[], &["/"], "c"), ("api", &[], &["/api"], "c"), ("b", &[], &["/b"], "c")]);
        assert_eq!(
            told,
            [r#"services "api" and "b" and "web" keep sessions in one cookie, "c", under any host"#]
        );
    }

    #[test]
    fn a_host_that_leaves_paths_to_a_wider_one_shares_it() {
        let api = ("api", &["api.example.com"][..], &["/v1"][..], "c");
        for wide in [&["*.example.com"][..], &["*.com"], &[]] {
            let told = found(&[api, ("web", wide, &["/"], "c")]);
            assert_eq!(
                told,
                [
                    r#"services "api" and "web" keep sessions in one cookie, "c", under host "api.example.com""#
                ]
            );
        }
        let under = ("all", &["*.example.com"][..], &["/x"][..], "c");
        assert_eq!(found(&[under, ("web", &[], &["/"], "c")]).len(), 1);
    }

    #[test]
    fn who_shares_no_host_no_cookie_or_no_session_is_left_alone() {
        let web = ("web", &["shop.example"][..], &["/"][..], "c");
        for other in [
            ("api", &["shop.example"][..], &["/api"][..], "d"),
            ("api", &["shop.example"], &["/api"], ""),
            ("api", &["api.shop.example"], &["/"], "c"),
            ("rest", &[], &["/"], "c"),
        ] {
            assert!(found(&[web, other]).is_empty(), "{other:?}");
        }
    }
}
