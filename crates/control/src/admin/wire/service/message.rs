//! What is done to requests and answers besides header rules, as it is written: paths, redirects, rates, own pages, compression.

use std::collections::BTreeMap;

use cutover_core::policy::{Compression, ErrorPage, Rate, Redirect};
use cutover_core::route::PathPrefix;
use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::spec::ServiceSpec;
use crate::document::Check;
use crate::document::scalar::write_size;

/// Codes that send a client elsewhere (RFC 9110 section 15.4).
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];
/// Bytes of a redirect's target.
const TARGET_LEN_MAX: usize = 2048;
/// Larger answers than this are compressed whatever the limit says.
const MIN_SIZE_MAX: u64 = 1 << 30;

/// A request that is sent elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["from", "to"]))]
pub struct RedirectSpec {
    /// Path prefix that it is for.
    #[serde(default)]
    #[schemars(length(min = 1), example = &"/old")]
    pub from: String,
    /// Where to, a path or an `http` or `https` URL. What is behind the prefix, and the query, is put behind it.
    #[serde(default)]
    #[schemars(length(min = 1), example = &"/new")]
    pub to: String,
    /// Status of the answer: 301, 302, 303, 307 or 308.
    #[serde(default = "status_default")]
    #[schemars(range(min = 301, max = 308))]
    pub status: u16,
}

const fn status_default() -> u16 {
    308
}

/// How many requests one client may send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitSpec {
    /// Requests per second; 0 = any number.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub per_client: u32,
    /// Requests that may come at once; 0 = as many as per second.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub burst: u32,
}

/// Compression of answers that the app did not compress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompressionSpec {
    /// Whether answers are compressed.
    pub enabled: bool,
    /// Size that an answer must have, where its length is known.
    pub min_size: String,
}

/// What the prefix by which the service was found becomes.
pub(super) fn rewrite_prefix(spec: &ServiceSpec, check: &mut Check<'_>) -> Option<String> {
    if spec.strip_prefix {
        if !spec.rewrite_prefix.is_empty() && check.are_clean(&["strip_prefix"]) {
            check.wrong(
                "rewrite_prefix",
                "says what the prefix becomes, and `strip_prefix` that it goes; remove one of them",
            );
        }
        return Some(PathPrefix::root().as_str().to_owned());
    }
    if spec.rewrite_prefix.is_empty() {
        return None;
    }
    match PathPrefix::parse(&spec.rewrite_prefix) {
        Ok(prefix) => Some(prefix.as_str().to_owned()),
        Err(error) => {
            check.wrong("rewrite_prefix", error);
            None
        }
    }
}

/// `strip_prefix` and `rewrite_prefix` of a policy.
pub(super) fn write_prefix(prefix: Option<&str>) -> (bool, String) {
    match prefix {
        None => (false, String::new()),
        Some("/") => (true, String::new()),
        Some(prefix) => (false, prefix.to_owned()),
    }
}

pub(super) fn redirects(spec: &ServiceSpec, paths: &[PathPrefix], check: &mut Check<'_>) -> Vec<Redirect> {
    let are_paths_clean = check.are_clean(&["paths"]);
    let mut redirects: Vec<(usize, Redirect)> = Vec::with_capacity(spec.redirect.len());
    for (index, spec) in spec.redirect.iter().enumerate() {
        let mut check = check.element("redirect", index);
        let Some(redirect) = redirect(spec, &mut check) else { continue };
        let from = redirect.from.as_str();
        let is_reached = paths.iter().any(|path| path.matches(from) || redirect.from.matches(path.as_str()));
        if are_paths_clean && !is_reached {
            check.wrong(
                "from",
                format_args!("no path under {from:?} is one of this service; see its `paths`"),
            );
        }
        if let Some((first, _)) = redirects.iter().find(|(_, other)| other.from.matches(from)) {
            check.wrong(
                "from",
                format_args!(
                    "{from:?} is under redirect {first}, which wins; put this one before it or remove it"
                ),
            );
        }
        redirects.push((index, redirect));
    }
    redirects.into_iter().map(|(_, redirect)| redirect).collect()
}

fn redirect(spec: &RedirectSpec, check: &mut Check<'_>) -> Option<Redirect> {
    if !REDIRECTS.contains(&spec.status) {
        check.wrong("status", format_args!("is {}; must be 301, 302, 303, 307 or 308", spec.status));
    }
    let from = PathPrefix::parse(&spec.from).map_err(|error| check.wrong("from", error)).ok()?;
    let to = spec.to.as_str();
    if !is_target(to) {
        check.wrong(
            "to",
            format_args!(
                "{to:?} is no path and no http or https URL without '?' and '#'; write one such as \"/new\" or \"https://example.com/new\""
            ),
        );
        return None;
    }
    if to.starts_with('/') && from.matches(to) {
        check.wrong(
            "to",
            format_args!("{to:?} is under `from` itself, so the answer to it is a redirect again"),
        );
    }
    Some(Redirect { from, to: to.to_owned(), status: spec.status })
}

/// A path or a URL that a path and a query can be put behind.
fn is_target(text: &str) -> bool {
    let is_plain = text.len() <= TARGET_LEN_MAX
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'"' | b'<' | b'>' | b'\\'));
    if !is_plain || text.starts_with("//") {
        return false;
    }
    let Ok(uri) = text.parse::<Uri>() else { return false };
    match uri.scheme_str() {
        None => text.starts_with('/'),
        Some("http" | "https") => uri.authority().is_some_and(|authority| !authority.as_str().contains('@')),
        Some(_) => false,
    }
}

pub(super) fn rate_limit(spec: &RateLimitSpec, check: &mut Check<'_>) -> Option<Rate> {
    if spec.per_client == 0 {
        if spec.burst > 0 && check.are_clean(&["per_client"]) {
            check.wrong("burst", "is used only with `per_client`; set that or remove this");
        }
        return None;
    }
    let burst = if spec.burst == 0 { spec.per_client } else { spec.burst };
    Some(Rate { per_second: spec.per_client, burst })
}

pub(super) fn error_pages(pages: &BTreeMap<String, String>, check: &mut Check<'_>) -> Vec<ErrorPage> {
    let mut read = Vec::with_capacity(pages.len());
    for (key, path) in pages {
        let status = key.parse().ok().filter(|status| key.len() == 3 && (400..=599).contains(status));
        if path.is_empty() {
            check.wrong(key, "is empty; write the path of an HTML file such as \"pages/503.html\"");
        }
        match status {
            Some(status) => read.push(ErrorPage { status, path: path.clone() }),
            None => check.wrong(
                key,
                format_args!("{key:?} is no status of an error; write one from 400 to 599 such as \"503\""),
            ),
        }
    }
    read
}

pub(super) fn compression(spec: &CompressionSpec, check: &mut Check<'_>) -> Option<Compression> {
    let min_size = check.size_within("min_size", &spec.min_size, 0, MIN_SIZE_MAX);
    spec.enabled.then_some(Compression { min_size })
}

impl From<&Redirect> for RedirectSpec {
    fn from(redirect: &Redirect) -> Self {
        Self { from: redirect.from.as_str().to_owned(), to: redirect.to.clone(), status: redirect.status }
    }
}

impl From<Option<Rate>> for RateLimitSpec {
    fn from(rate: Option<Rate>) -> Self {
        rate.map_or_else(Self::default, |rate| Self { per_client: rate.per_second, burst: rate.burst })
    }
}

impl From<Option<Compression>> for CompressionSpec {
    fn from(compression: Option<Compression>) -> Self {
        let min_size = compression.unwrap_or_default().min_size;
        Self { enabled: compression.is_some(), min_size: write_size(min_size) }
    }
}

impl Default for CompressionSpec {
    fn default() -> Self {
        Self::from(None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{policy, problems};
    use super::*;

    #[test]
    fn what_is_off_is_nothing() {
        let off = policy(json!({
            "strip_prefix": false, "rewrite_prefix": "", "rate_limit": {"per_client": 0, "burst": 0},
            "compression": {"enabled": false, "min_size": "4KiB"}, "error_pages": {}, "redirect": [], "maintenance": false,
        }));
        assert_eq!(*off, cutover_core::policy::Policy::default());
    }

    #[test]
    fn a_stripped_prefix_becomes_the_root() {
        assert_eq!(
            policy(json!({"paths": ["/a"], "strip_prefix": true})).rewrite_prefix.as_deref(),
            Some("/")
        );
        assert_eq!(
            policy(json!({"paths": ["/a"], "rewrite_prefix": "/b/"})).rewrite_prefix.as_deref(),
            Some("/b")
        );
    }

    #[test]
    fn a_burst_is_as_large_as_the_rate_unless_it_is_given() {
        let rate = |limit| policy(json!({ "rate_limit": limit })).rate_limit;
        assert_eq!(rate(json!({"per_client": 7})), Some(Rate { per_second: 7, burst: 7 }));
        assert_eq!(rate(json!({"per_client": 7, "burst": 50})), Some(Rate { per_second: 7, burst: 50 }));
    }

    #[test]
    fn a_target_is_a_path_or_a_url() {
        for right in ["/", "/a/b", "https://example.com", "http://example.com:8080/a", "https://[::1]/x"] {
            assert!(is_target(right), "{right}");
        }
        for wrong in [
            "",
            "a",
            "//evil.example",
            "/a?b",
            "/a#b",
            "/a b",
            "/a\r\nX: y",
            "ftp://x/",
            "https://",
            "https://u@h/",
            "javascript:x",
            "/\\evil",
        ] {
            assert!(!is_target(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let found = problems(json!({
            "paths": ["/a"], "strip_prefix": true, "rewrite_prefix": "/b",
            "redirect": [{"from": "/a/x", "to": "/a/y", "status": 300}, {"from": "/a/x/z", "to": "//b"}, {"from": "/a/x/1", "to": "/c"},
                {"from": "/b", "to": "/c"}, {"from": "/a/l", "to": "/a/l/m"}, {"to": "/x"}, {"from": "/a/s", "to": "/c", "status": 305}],
            "rate_limit": {"burst": 3}, "error_pages": {"503": "", "200": "x", "5xx": "x"},
            "compression": {"enabled": true, "min_size": "large"},
        }));
        insta::assert_snapshot!(found.join("\n"));
    }
}
