//! Requests that are sent elsewhere, before a version or a backend is looked at.

use cutover_core::policy;
use cutover_core::route::PathPrefix;
use http::StatusCode;

use crate::h1::line::is_value;

/// The redirects of a service, in the order of its policy.
#[derive(Debug, Default)]
pub(crate) struct Redirects(Box<[Redirect]>);

#[derive(Debug)]
struct Redirect {
    from: PathPrefix,
    /// Without a slash at its end, where what is behind the prefix begins with one.
    to: Box<str>,
    status: StatusCode,
}

/// What is asked for, as far as redirects depend on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Whether the client came over TLS.
    pub(crate) is_secure: bool,
    /// The authority that was asked, with its port.
    pub(crate) authority: &'a str,
    pub(crate) path: &'a [u8],
    pub(crate) query: Option<&'a str>,
}

impl Redirects {
    /// The redirects of a policy. One that can't be written down is left out: a policy that was read by another release may have it.
    pub(crate) fn new(redirects: &[policy::Redirect]) -> Self {
        let read = |redirect: &policy::Redirect| {
            let status = StatusCode::from_u16(redirect.status).ok().filter(StatusCode::is_redirection)?;
            let is_target =
                is_value(redirect.to.as_bytes()) && redirect.to.bytes().all(|byte| byte.is_ascii_graphic());
            is_target.then(|| Redirect {
                from: redirect.from.clone(),
                to: redirect.to.as_str().into(),
                status,
            })
        };
        Self(redirects.iter().filter_map(read).collect())
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first that fits: its status, and the `Location` (RFC 9110 section 10.2.2). One that leads to what was asked for does not fit: the
    /// client is there already.
    pub(crate) fn find(&self, asked: &Asked<'_>) -> Option<(StatusCode, Vec<u8>)> {
        // The server as a whole (`*`) is nowhere else.
        let fitting = self
            .0
            .iter()
            .filter(|redirect| asked.path.starts_with(b"/") && redirect.from.matches(asked.path));
        fitting
            .map(|redirect| (redirect.status, redirect.location(asked)))
            .find(|(_, location)| !asked.is_at(location))
    }
}

impl Redirect {
    /// The target, and behind it what is behind the prefix, and the query. The parser has made sure that none of that ends a line.
    fn location(&self, asked: &Asked<'_>) -> Vec<u8> {
        let rest = asked.path.get(self.from.matched_len()..).unwrap_or_default();
        let to = self.to.as_bytes();
        let to = if rest.is_empty() { to } else { to.strip_suffix(b"/").unwrap_or(to) };
        let query = asked.query.map_or([&b""[..], b""], |query| [b"?", query.as_bytes()]);
        if !to.is_empty() {
            return [to, rest, query[0], query[1]].concat();
        }
        // Browsers read a path that begins with two slashes, of whichever kind, as another host.
        let slashes = rest.iter().take_while(|byte| matches!(byte, b'/' | b'\\')).count();
        [b"/", &rest[slashes..], query[0], query[1]].concat()
    }
}

impl Asked<'_> {
    /// Whether the target of a redirect is what was asked for.
    fn is_at(&self, location: &[u8]) -> bool {
        let (is_secure, default_port, hierarchy) = match location {
            [b'h', b't', b't', b'p', b's', b':', b'/', b'/', rest @ ..] => (true, ":443", rest),
            [b'h', b't', b't', b'p', b':', b'/', b'/', rest @ ..] => (false, ":80", rest),
            path => return self.has_target(path),
        };
        let end = hierarchy.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(hierarchy.len());
        let (authority, target) = hierarchy.split_at(end);
        let host = |authority: &[u8]| {
            authority.strip_suffix(default_port.as_bytes()).unwrap_or(authority).to_ascii_lowercase()
        };
        is_secure == self.is_secure
            && host(authority) == host(self.authority.as_bytes())
            && self.has_target(target)
    }

    /// Whether path and query are these.
    fn has_target(&self, target: &[u8]) -> bool {
        let (path, query) = match target.iter().position(|&byte| byte == b'?') {
            Some(at) => (&target[..at], Some(&target[at + 1..])),
            None => (target, None),
        };
        let path = if path.is_empty() { b"/" } else { path };
        path == self.path && query == self.query.map(str::as_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirects(redirects: &[(&str, &str)]) -> Redirects {
        let redirect = |&(from, to): &(&str, &str)| policy::Redirect {
            from: PathPrefix::parse(from).unwrap(),
            to: to.to_owned(),
            status: 308,
        };
        Redirects::new(&redirects.iter().map(redirect).collect::<Vec<_>>())
    }

    /// Where `http://example.com` sends a client that asks for `target`.
    fn location(of: &[(&str, &str)], target: &str) -> Option<String> {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let asked = Asked { is_secure: false, authority: "example.com", path: path.as_bytes(), query };
        redirects(of).find(&asked).map(|(_, location)| String::from_utf8(location).unwrap())
    }

    #[test]
    fn the_rest_of_the_path_and_the_query_go_behind_the_target() {
        let cases = [
            ("/old", "/new", "/old", "/new"),
            ("/old", "/new/", "/old", "/new/"),
            ("/old", "/new/", "/old/", "/new/"),
            ("/old", "/new", "/old/a/%2e%0d%0a?x=1&y", "/new/a/%2e%0d%0a?x=1&y"),
            ("/old", "/", "/old", "/"),
            ("/old", "/", "/old/a?q", "/a?q"),
            ("/old", "https://other.example", "/old?q", "https://other.example?q"),
            ("/", "https://other.example/", "/a", "https://other.example/a"),
            ("/", "https://other.example/x", "/a", "https://other.example/x/a"),
        ];
        for (from, to, target, expected) in cases {
            assert_eq!(location(&[(from, to)], target).as_deref(), Some(expected), "{from} {to} {target}");
        }
    }

    #[test]
    fn the_first_that_fits_wins_on_segment_boundaries() {
        let both = [("/a/b", "/1"), ("/a", "/2")];
        assert_eq!(location(&both, "/a/b/c").as_deref(), Some("/1/c"));
        assert_eq!(location(&both, "/a/bc").as_deref(), Some("/2/bc"));
        assert_eq!(location(&both, "/ab"), None);
        assert_eq!(location(&[("/", "/x")], "*"), None);
    }

    #[test]
    fn no_path_leads_to_another_host() {
        for target in
            ["/old//evil.example", "/old/\\evil.example", "/old///\\/evil.example", "/old\\/evil.example"]
        {
            let led = location(&[("/old", "/")], target);
            assert!(led.is_none_or(|led| led == "/evil.example"), "{target}");
        }
        assert_eq!(location(&[("/", "/")], "//evil.example").as_deref(), Some("/evil.example"));
    }

    #[test]
    fn who_is_there_already_is_not_sent_there() {
        let canonical = [("/", "http://example.com")];
        assert_eq!(location(&canonical, "/a?q"), None);
        assert_eq!(location(&[("/", "http://EXAMPLE.com:80")], "/"), None);
        assert_eq!(location(&[("/", "https://example.com")], "/").as_deref(), Some("https://example.com/"));
        assert_eq!(location(&[("/a", "/a")], "/a/b"), None);
        assert_eq!(location(&[("/a", "/a"), ("/", "/c")], "/a/b").as_deref(), Some("/c/a/b"));
    }

    #[test]
    fn what_is_no_redirect_is_left_out() {
        let from = PathPrefix::root();
        let wrong = [("/a\r\nSet-Cookie: x", 308), ("/a b", 308), ("/a", 200), ("/a", 99)];
        let wrong =
            wrong.map(|(to, status)| policy::Redirect { from: from.clone(), to: to.to_owned(), status });
        assert!(Redirects::new(&wrong).is_empty());
    }
}
