//! Which service a request is for: most specific host first, then the longest path prefix.

use std::collections::BTreeMap;
use std::fmt;

/// A host that a service answers for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostPattern {
    /// Exactly this host, in lower case.
    Exact(String),
    /// Every host under this domain, at any depth but not the domain itself (`*.example.com`), in lower case.
    Under(String),
}

/// A path prefix that matches on segment boundaries: `/a` matches `/a` and `/a/b`, not `/ab`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathPrefix(String);

/// Why a string is no host pattern or path prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Not a host.
    #[error("{0:?} is not a host name; write example.com, *.example.com or an IP address, without a port")]
    Host(String),
    /// Not a path.
    #[error("{0:?} is not a path prefix; it must begin with '/' and have no '?', '#', space or '//'")]
    Path(String),
}

/// As it is written in the configuration.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(domain) => f.write_str(domain),
            Self::Under(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl HostPattern {
    /// Parses `example.com` or `*.example.com`.
    ///
    /// # Errors
    /// [`RouteError::Host`].
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        let lower = text.to_ascii_lowercase();
        let (domain, is_wildcard) = match lower.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (lower.as_str(), false),
        };
        let is_v6 = domain.starts_with('[') && domain.ends_with(']') && !is_wildcard;
        let is_host = !domain.is_empty()
            && domain.len() <= 255
            && !domain.starts_with('.')
            && !domain.contains("..")
            && domain.bytes().all(|b| {
                b.is_ascii_alphanumeric()
                    || matches!(b, b'.' | b'-' | b'_')
                    || (is_v6 && matches!(b, b'[' | b']' | b':'))
            });
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        match is_host && !domain.is_empty() {
            true if is_wildcard => Ok(Self::Under(domain.to_owned())),
            true => Ok(Self::Exact(domain.to_owned())),
            false => Err(RouteError::Host(text.to_owned())),
        }
    }
}

impl PathPrefix {
    /// `/`, which matches every path.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Parses a path prefix. A slash at its end makes no difference.
    ///
    /// # Errors
    /// [`RouteError::Path`].
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        let is_path = text.starts_with('/')
            && text.len() <= 1024
            && !text.contains("//")
            && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#'));
        if !is_path {
            return Err(RouteError::Path(text.to_owned()));
        }
        let trimmed = text.trim_end_matches('/');
        Ok(Self(if trimmed.is_empty() { "/" } else { trimmed }.to_owned()))
    }

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Bytes at the start of a path that lies under it which are the prefix: none for `/`, because what is behind a prefix begins with
    /// a slash too.
    #[must_use]
    pub const fn matched_len(&self) -> usize {
        if self.0.len() == 1 { 0 } else { self.0.len() }
    }

    /// Whether `path` lies under the prefix.
    #[must_use]
    pub fn matches(&self, path: impl AsRef<[u8]>) -> bool {
        if self.0 == "/" {
            return true;
        }
        let rest = path.as_ref().strip_prefix(self.0.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }
}

/// Which route a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The place of its service in the snapshot.
    pub service: usize,
    /// Bytes of the prefix at the start of the path by which it was found; 0 for `/`, which is part of every path.
    pub prefix_len: usize,
}

/// All routes of all services. Services are numbers: their places in the snapshot.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RouteTable {
    exact: BTreeMap<String, Vec<Route>>,
    under: BTreeMap<String, Vec<Route>>,
    any: Vec<Route>,
}

#[derive(Debug, PartialEq, Eq)]
struct Route {
    prefix: PathPrefix,
    service: usize,
}

impl RouteTable {
    /// Adds the routes of a service.
    pub fn insert(&mut self, service: usize, hosts: &[HostPattern], paths: &[PathPrefix]) {
        for prefix in paths {
            let route = || Route { prefix: prefix.clone(), service };
            if hosts.is_empty() {
                insert_by_length(&mut self.any, route());
            }
            for host in hosts {
                let (table, domain) = match host {
                    HostPattern::Exact(domain) => (&mut self.exact, domain),
                    HostPattern::Under(domain) => (&mut self.under, domain),
                };
                insert_by_length(table.entry(domain.clone()).or_default(), route());
            }
        }
    }

    /// The route for `host` (without port, any case) and `path`, or `None`.
    ///
    /// A more specific host whose paths don't match gives way to the next one, as people expect of virtual hosts with a
    /// catch-all.
    #[must_use]
    pub fn find(&self, host: &str, path: impl AsRef<[u8]>) -> Option<Found> {
        let path = path.as_ref();
        let find_in =
            |routes: &[Route]| routes.iter().find(|route| route.prefix.matches(path)).map(Route::found);
        if self.exact.is_empty() && self.under.is_empty() {
            return find_in(&self.any);
        }
        let lower;
        let host = host.strip_suffix('.').unwrap_or(host);
        let host = if host.bytes().any(|b| b.is_ascii_uppercase()) {
            lower = host.to_ascii_lowercase();
            lower.as_str()
        } else {
            host
        };
        if let Some(found) = self.exact.get(host).and_then(|routes| find_in(routes)) {
            return Some(found);
        }
        let mut rest = host;
        while let Some((_, domain)) = rest.split_once('.') {
            if let Some(found) = self.under.get(domain).and_then(|routes| find_in(routes)) {
                return Some(found);
            }
            rest = domain;
        }
        find_in(&self.any)
    }
}

impl Route {
    const fn found(&self) -> Found {
        Found { service: self.service, prefix_len: self.prefix.matched_len() }
    }
}

/// Longer prefixes first; of equal ones the service that came first.
fn insert_by_length(routes: &mut Vec<Route>, route: Route) {
    let at = routes.partition_point(|other| other.prefix.0.len() >= route.prefix.0.len());
    routes.insert(at, route);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(services: &[(&[&str], &[&str])]) -> RouteTable {
        let mut table = RouteTable::default();
        for (index, (hosts, paths)) in services.iter().enumerate() {
            let hosts: Vec<_> = hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect();
            let paths: Vec<_> = paths.iter().map(|path| PathPrefix::parse(path).unwrap()).collect();
            table.insert(index, &hosts, &paths);
        }
        table
    }

    #[test]
    fn the_most_specific_host_wins_then_the_longest_prefix() {
        let table = table(&[
            (&[], &["/"]),
            (&["example.com"], &["/"]),
            (&["*.example.com"], &["/"]),
            (&["*.eu.example.com"], &["/"]),
            (&["example.com"], &["/api", "/api/v2/"]),
        ]);
        let find = |host, path| table.find(host, path).unwrap().service;
        assert_eq!(find("other.org", "/"), 0);
        assert_eq!(find("EXAMPLE.com", "/x"), 1);
        assert_eq!(find("example.com.", "/x"), 1);
        assert_eq!(find("www.example.com", "/"), 2);
        assert_eq!(find("a.b.example.com", "/"), 2);
        assert_eq!(find("www.eu.example.com", "/"), 3);
        assert_eq!(find("example.com", "/api"), 4);
        assert_eq!(find("example.com", "/api/v2"), 4);
        assert_eq!(find("example.com", "/apis"), 1);
    }

    #[test]
    fn a_host_whose_paths_do_not_match_gives_way() {
        let table = table(&[(&["example.com"], &["/api"]), (&["*.com"], &["/"])]);
        assert_eq!(table.find("example.com", "/").map(|found| found.service), Some(1));
        assert_eq!(table.find("example.org", "/api"), None);
    }

    #[test]
    fn it_is_told_how_much_of_the_path_is_the_prefix() {
        let table = table(&[(&[], &["/", "/api", "/api/v2/"])]);
        let lengths = ["/", "/apis", "/api", "/api/", "/api/v2", "/api/v2/x"]
            .map(|path| table.find("any", path).unwrap().prefix_len);
        assert_eq!(lengths, [0, 0, 4, 4, 7, 7]);
    }

    #[test]
    fn a_wildcard_does_not_match_its_own_domain() {
        assert_eq!(table(&[(&["*.example.com"], &["/"])]).find("example.com", "/"), None);
    }

    #[test]
    fn wrong_patterns_are_refused() {
        assert!(
            ["", "*", "a b", "*.*.com", "http://x", "x:80", ".com", "a..b"]
                .iter()
                .all(|host| HostPattern::parse(host).is_err())
        );
        assert!(
            ["", "api", "/a b", "/a?b", "//", "/a//b", "/é"]
                .iter()
                .all(|path| PathPrefix::parse(path).is_err())
        );
    }
}
