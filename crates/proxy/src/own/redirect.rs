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
    to: Box<str>,
    status: StatusCode,
    /// The host on which it would send clients to itself, on and on.
    home: Option<Home>,
}

/// A scheme and an authority.
#[derive(Debug)]
struct Home {
    is_secure: bool,
    /// Without the port that the scheme has anyway.
    authority: Box<str>,
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
    /// The redirects of a policy. What can't be written down, or always leads back, is left out: a policy that was read by another release
    /// may have it.
    pub(crate) fn new(redirects: &[policy::Redirect]) -> Self {
        Self(redirects.iter().filter_map(Redirect::new).collect())
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first that fits: its status, and the `Location` (RFC 9110 section 10.2.2).
    pub(crate) fn find(&self, asked: &Asked<'_>) -> Option<(StatusCode, Vec<u8>)> {
        let fitting = self.0.iter().find(|redirect| redirect.is_for(asked))?;
        Some((fitting.status, fitting.location(asked)))
    }
}

impl Redirect {
    fn new(redirect: &policy::Redirect) -> Option<Self> {
        let policy::Redirect { from, to, status } = redirect;
        let status = StatusCode::from_u16(*status).ok().filter(StatusCode::is_redirection)?;
        if !is_value(to.as_bytes()) || !to.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (home, path) = Home::of(to);
        let leads_back = from.matches(path);
        if leads_back && home.is_none() {
            return None;
        }
        let home = home.filter(|_| leads_back);
        Some(Self { from: from.clone(), to: to.as_str().into(), status, home })
    }

    /// Whether a request is sent elsewhere by it. The server as a whole (`*`) is nowhere else.
    fn is_for(&self, asked: &Asked<'_>) -> bool {
        asked.path.starts_with(b"/")
            && self.from.matches(asked.path)
            && !self.home.as_ref().is_some_and(|home| home.is_of(asked))
    }

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

impl Home {
    /// The host of a target, if it names one, and its path.
    fn of(target: &str) -> (Option<Self>, &str) {
        let (is_secure, hierarchy) = match (target.strip_prefix("https://"), target.strip_prefix("http://")) {
            (Some(hierarchy), _) => (true, hierarchy),
            (None, Some(hierarchy)) => (false, hierarchy),
            (None, None) => return (None, target),
        };
        let (authority, path) = hierarchy.split_at(hierarchy.find('/').unwrap_or(hierarchy.len()));
        let authority = without_port(authority, is_secure).into();
        (Some(Self { is_secure, authority }), if path.is_empty() { "/" } else { path })
    }

    fn is_of(&self, asked: &Asked<'_>) -> bool {
        self.is_secure == asked.is_secure
            && self.authority.eq_ignore_ascii_case(without_port(asked.authority, self.is_secure))
    }
}

/// An authority without the port that its scheme has anyway.
fn without_port(authority: &str, is_secure: bool) -> &str {
    authority.strip_suffix(if is_secure { ":443" } else { ":80" }).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        assert_eq!(location(&[("/", "https://other.example")], "*"), None);
    }

    #[test]
    fn no_path_leads_to_another_host() {
        for target in
            ["/old//evil.example", "/old/\\evil.example", "/old///\\/evil.example", "/old\\/evil.example"]
        {
            let led = location(&[("/old", "/")], target);
            assert!(led.is_none_or(|led| led == "/evil.example"), "{target}");
        }
        assert_eq!(location(&[("/old", "/")], "/old/old/x").as_deref(), Some("/old/x"), "it comes to an end");
    }

    #[test]
    fn nobody_is_sent_on_and_on() {
        let canonical = [("/", "http://example.com")];
        assert_eq!(location(&canonical, "/a?q"), None);
        assert_eq!(location(&[("/", "http://EXAMPLE.com:80")], "/"), None);
        assert_eq!(location(&[("/", "https://example.com")], "/").as_deref(), Some("https://example.com/"));
        assert_eq!(location(&[("/", "http://example.com/app")], "/a"), None, "it would grow and grow");
        assert_eq!(location(&[("/a", "/a/b")], "/a/c"), None);
        assert_eq!(location(&[("/a", "/a"), ("/a/b", "/c")], "/a/b").as_deref(), Some("/c"));
    }

    proptest! {
        #[test]
        fn whatever_is_asked_a_path_stays_on_its_host(
            to in prop::sample::select(vec!["/", "/new", "/new/"]),
            rest in "[!-\"$->@-~]{0,12}",
        ) {
            let Some(led) = location(&[("/old", to)], &format!("/old{rest}")) else { return Ok(()) };
            prop_assert!(led.starts_with('/') && !led.starts_with("//") && !led.starts_with("/\\"), "{}", led);
            prop_assert!(is_value(led.as_bytes()), "{}", led);
        }
    }

    #[test]
    fn what_is_no_redirect_is_left_out() {
        let from = PathPrefix::parse("/x").unwrap();
        let wrong = [("/a\r\nSet-Cookie: x", 308), ("/a b", 308), ("/a", 200), ("/a", 99)];
        let wrong =
            wrong.map(|(to, status)| policy::Redirect { from: from.clone(), to: to.to_owned(), status });
        assert!(Redirects::new(&wrong).is_empty());
    }
}
