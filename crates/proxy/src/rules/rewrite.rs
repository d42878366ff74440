//! What the path prefix by which a service was found becomes for the app.

use crate::error::Error;
use crate::h1::head::RequestHead;
use crate::message::name::Name;

/// What a prefix is replaced by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rewrite {
    /// Without a slash at its end: empty when the prefix goes.
    to: Box<[u8]>,
}

impl Rewrite {
    /// Replaces prefixes by `to`, which begins with a slash; `/` takes them out.
    pub(crate) fn new(to: &str) -> Self {
        Self { to: to.trim_end_matches('/').as_bytes().into() }
    }

    /// Looks at what is behind a prefix that becomes another one: an app that resolves `..` (RFC 3986 section 5.2.4) must not be led from there
    /// to what no client was to reach. Where the prefix goes, the app's root is the end of it anyway.
    ///
    /// # Errors
    /// [`Error::LeadsOut`].
    pub(crate) fn check(&self, rest: &[u8]) -> Result<(), Error> {
        if self.to.is_empty() {
            return Ok(());
        }
        let mut depth = 0_usize;
        for segment in rest.split(|byte| matches!(byte, b'/' | b'\\')).skip(1) {
            match dots(segment) {
                Some(2) => depth = depth.checked_sub(1).ok_or(Error::LeadsOut)?,
                // What stays where it is, as empty segments do for apps that take several slashes for one.
                Some(_) => {}
                None => depth += 1,
            }
        }
        Ok(())
    }

    /// Replaces the first `prefix_len` bytes of the path, and tells the app what they were. The rest of the target stays as it is, byte for byte.
    ///
    /// What comes out begins with one slash and never with two, which a backend might take for an authority (RFC 3986 section 4.2).
    pub(crate) fn apply(&self, asked: &mut RequestHead, prefix_len: usize) {
        let Some(path) = asked.path_place() else { return };
        let (prefix, mut rest) = (path.start..path.start + prefix_len, path.start + prefix_len..path.end);
        let bytes = asked.fields.bytes();
        let front: &[u8] = if self.to.is_empty() {
            let slashes = bytes[rest.clone()].iter().take_while(|&&byte| byte == b'/').count();
            rest.start += slashes;
            b"/"
        } else {
            &self.to
        };
        asked.replace_path(front, rest.start);
        if prefix_len > 0 {
            // A trusted proxy in front of this one may have taken off something too, which stands before it in the client's path.
            let outer = asked.fields.place(Name::XForwardedPrefix).map(|mut outer| {
                let value = &asked.fields.bytes()[outer.clone()];
                outer.end -= value.iter().rev().take_while(|&&byte| byte == b'/').count();
                outer
            });
            asked.fields.remove(Name::XForwardedPrefix);
            asked.fields.append_parts(Name::XForwardedPrefix, &[outer.unwrap_or_default(), prefix]);
        }
    }
}

/// How many dots a segment is, if it is nothing else; `%2e` is one too. None, one and two mean something.
fn dots(mut segment: &[u8]) -> Option<usize> {
    let mut dots = 0;
    while let Some(rest) = [&b"."[..], b"%2e", b"%2E"].iter().find_map(|dot| segment.strip_prefix(*dot)) {
        (segment, dots) = (rest, dots + 1);
    }
    (segment.is_empty() && dots <= 2).then_some(dots)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::h1::head::HeadLimits;

    const LIMITS: HeadLimits = HeadLimits { line: 1024, fields: 1024, count: 10 };

    /// What the backend gets of `GET target`, found by a prefix of so many bytes.
    fn rewritten(to: &str, prefix_len: usize, target: &str) -> (String, Option<String>) {
        with_fields(to, prefix_len, target, "")
    }

    fn with_fields(to: &str, prefix_len: usize, target: &str, fields: &str) -> (String, Option<String>) {
        let mut asked = RequestHead::default();
        let head = format!("GET {target} HTTP/1.1\r\n{fields}Host: x\r\n\r\n");
        assert_eq!(asked.parse(head.as_bytes(), &LIMITS), Ok(Some(head.len())));
        Rewrite::new(to).apply(&mut asked, prefix_len);
        let mut written = Vec::new();
        asked.write_target(&mut written);
        assert_eq!(asked.target_text().as_bytes(), written);
        let prefix = asked.fields.first(Name::XForwardedPrefix);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&written), prefix.map(text))
    }

    #[test]
    fn a_prefix_is_taken_out() {
        let cases = [
            ("/a", "/"),
            ("/a/", "/"),
            ("/a/b", "/b"),
            ("/a/b/?q=/a", "/b/?q=/a"),
            ("/a?q", "/?q"),
            ("/a/%2F%2f%41?%20", "/%2F%2f%41?%20"),
            ("http://x/a/b", "/b"),
        ];
        for (target, expected) in cases {
            assert_eq!(rewritten("/", 2, target), (expected.to_owned(), Some("/a".to_owned())), "{target}");
        }
    }

    #[test]
    fn what_is_left_is_never_an_authority() {
        for target in ["/a//evil.example/x", "/a///evil.example/x"] {
            assert_eq!(rewritten("/", 2, target).0, "/evil.example/x");
        }
        assert_eq!(rewritten("/", 0, "//evil.example"), ("/evil.example".to_owned(), None));
        assert_eq!(rewritten("/", 0, "http://x"), ("/".to_owned(), None));
        assert_eq!(rewritten("/", 0, "http://x?q"), ("/?q".to_owned(), None));
    }

    #[test]
    fn no_path_leads_out_of_the_prefix_that_another_one_becomes() {
        let check = |to: &str, rest: &str| Rewrite::new(to).check(rest.as_bytes()).is_ok();
        for rest in [
            "/..",
            "/../x",
            "/a/../../x",
            "/%2e%2E/x",
            "/.%2e/x",
            "/./../x",
            "//../x",
            "/a/..//..",
            "/\\..\\x",
            "/a\\..\\..\\x",
        ] {
            assert!(!check("/v2", rest), "{rest}");
            assert!(check("/", rest), "the app's root is the end of it: {rest}");
        }
        for rest in
            ["", "/", "/a/..", "/a/b/../../c", "/...", "/..a", "/.well-known/x", "/a%2f..", "/%2e%2e%2e/.."]
        {
            assert!(check("/v2", rest), "{rest}");
        }
    }

    #[test]
    fn a_prefix_becomes_another_one() {
        for (target, expected) in
            [("/a", "/v2/x"), ("/a/", "/v2/x/"), ("/a/b?q", "/v2/x/b?q"), ("/a//b", "/v2/x//b")]
        {
            assert_eq!(rewritten("/v2/x/", 2, target).0, expected, "{target}");
        }
        assert_eq!(rewritten("/v2", 0, "/b"), ("/v2/b".to_owned(), None), "every path has the prefix `/`");
    }

    proptest! {
        #[test]
        fn what_comes_out_is_one_path_with_the_same_query(
            to in prop::sample::select(vec!["/", "/v2", "/v2/x/"]),
            rest in "(/[/a-z%.\\\\]{0,8})?",
            query in "(\\?[/a-z?&=%]{0,8})?",
        ) {
            let (target, _) = rewritten(to, 2, &format!("/a{rest}{query}"));
            prop_assert!(target.starts_with('/') && !target.starts_with("//"), "{}", target);
            prop_assert!(target.ends_with(&query), "{}", target);
            let path = &target[..target.len() - query.len()];
            prop_assert!(path.ends_with(rest.trim_start_matches('/')), "{}", target);
            prop_assert!(path.starts_with(to.trim_end_matches('/')), "{}", target);
        }
    }

    #[test]
    fn the_server_as_a_whole_has_no_path() {
        let mut asked = RequestHead::default();
        let head = b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(asked.parse(head, &LIMITS), Ok(Some(head.len())));
        Rewrite::new("/v2").apply(&mut asked, 0);
        assert_eq!(asked.target_text(), "*");
    }

    #[test]
    fn what_a_proxy_before_this_one_took_off_stands_in_front() {
        let (_, prefix) = with_fields("/", 2, "/a/b", "X-Forwarded-Prefix: /outer/\r\n");
        assert_eq!(prefix.as_deref(), Some("/outer/a"));
    }
}
