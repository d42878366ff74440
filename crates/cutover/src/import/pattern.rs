//! Regular expressions that say no more than a path prefix.

/// The prefix that a pattern stands for, where it takes everything behind it as its first group: `^/app/(.*)$`.
pub(super) fn prefix_of(pattern: &str) -> Option<String> {
    let inside = pattern.strip_prefix('^').unwrap_or(pattern);
    let inside = inside.strip_suffix('$').unwrap_or(inside);
    let inside = inside.strip_suffix("(.*)")?;
    let inside = inside.strip_prefix("/?").map_or_else(|| inside.to_owned(), |rest| format!("/{rest}"));
    let is_plain =
        inside.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'~'));
    let prefix = if inside.is_empty() { "/".to_owned() } else { inside };
    (is_plain && prefix.starts_with('/')).then_some(prefix)
}

/// `path` without a slash at its end, unless that is all of it.
pub(super) fn trimmed(path: &str) -> String {
    if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_take_everything_are_prefixes() {
        for (pattern, prefix) in [
            ("^/(.*)$", "/"),
            ("^(.*)$", "/"),
            ("^/?(.*)", "/"),
            ("^/app/(.*)$", "/app/"),
            ("/old(.*)", "/old"),
        ] {
            assert_eq!(prefix_of(pattern).as_deref(), Some(prefix), "{pattern}");
        }
        let others = ["^/$", "^/a.b(.*)", "(.*).gif$", "^/(a|b)/(.*)$", ""];
        assert!(others.iter().all(|pattern| prefix_of(pattern).is_none()));
    }
}
