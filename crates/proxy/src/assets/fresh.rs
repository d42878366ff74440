//! Which answers are kept: those that say themselves that they will never be another, to anybody.

use std::time::Duration;

use cutover_vault::Coding;
use http::StatusCode;

use crate::message::fields::Fields;
use crate::message::list;
use crate::message::name::Name;

/// An answer that may be used for so long unasked is taken for one that never changes: it is what file servers of hashed names say, and
/// nobody says it of what may have to be corrected.
const LONG: Duration = Duration::from_secs(30 * 24 * 3600);

/// In which coding an answer to a GET comes, if it may be kept: a whole 200 that shared caches may store, says that it is immutable or
/// fresh for at least 30 days, has no cookie, and depends on nothing but the coding.
pub(super) fn kept_coding(status: StatusCode, fields: &Fields) -> Option<Coding> {
    let is_kept = status == StatusCode::OK
        && is_immutable(fields)
        && !fields.contains(Name::SetCookie)
        && fields.named("content-range").is_none()
        && fields.elements(Name::Vary).all(|name| name.eq_ignore_ascii_case(b"accept-encoding"));
    if is_kept { coding(fields) } else { None }
}

/// RFC 9111 section 5.2.2, RFC 8246.
fn is_immutable(fields: &Fields) -> bool {
    let (mut is_immutable, mut max_age, mut shared_max_age) = (false, None, None);
    for directive in fields.elements(Name::CacheControl) {
        let (name, value) = list::pair(directive, b'=');
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if ["no-store", "no-cache", "private"].iter().any(|never| is(never)) {
            return false;
        }
        if is("immutable") {
            is_immutable = true;
        } else if is("max-age") {
            max_age = value.map(seconds);
        } else if is("s-maxage") {
            shared_max_age = value.map(seconds);
        }
    }
    match (max_age, shared_max_age) {
        (_, Some(seconds)) => seconds >= LONG.as_secs(),
        (Some(0), None) => false,
        (Some(seconds), None) => is_immutable || seconds >= LONG.as_secs(),
        (None, None) => is_immutable,
    }
}

/// What is no number is no time at all.
fn seconds(value: &[u8]) -> u64 {
    let value = list::unquoted(value).and_then(|value| std::str::from_utf8(value).ok());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// The one coding that the body has.
fn coding(fields: &Fields) -> Option<Coding> {
    let mut codings = fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"content-encoding"))
        .flat_map(|(_, value)| list::split(value, b','));
    match (codings.next(), codings.next()) {
        (None, _) => Some(Coding::Identity),
        (Some(coding), None) => Coding::parse(coding),
        (Some(_), Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(fields: &[(&str, &str)]) -> Option<Coding> {
        kept_coding(StatusCode::OK, &Fields::from_iter(fields.iter().copied()))
    }

    #[test]
    fn what_says_that_it_never_changes_is_kept() {
        let year = ("cache-control", "public, max-age=31536000");
        assert_eq!(kept(&[("cache-control", "Immutable")]), Some(Coding::Identity));
        assert_eq!(kept(&[year, ("vary", "Accept-Encoding"), ("content-encoding", "BR")]), Some(Coding::Br));
        assert_eq!(kept(&[("cache-control", "max-age=\"2592000\"")]), Some(Coding::Identity));
        assert_eq!(
            kept(&[("cache-control", "immutable"), ("cache-control", "max-age=60")]),
            Some(Coding::Identity)
        );
    }

    #[test]
    fn what_is_for_somebody_or_for_a_while_is_not() {
        for value in [
            "max-age=2591999",
            "public",
            "immutable, private",
            "immutable, no-store",
            "immutable, no-cache",
            "private=\"x\", immutable",
            "immutable, max-age=0",
            "max-age=31536000, s-maxage=60",
            "immutable, s-maxage=0",
            "max-age=x",
            "max-age",
            "x=\"immutable\"",
        ] {
            assert_eq!(kept(&[("cache-control", value)]), None, "{value}");
        }
        let immutable = ("cache-control", "immutable");
        for other in [
            ("set-cookie", "a=b"),
            ("vary", "Origin"),
            ("vary", "*"),
            ("vary", "Accept-Encoding, Cookie"),
            ("content-range", "bytes 0-1/2"),
            ("content-encoding", "gzip, br"),
            ("content-encoding", "x-own"),
        ] {
            assert_eq!(kept(&[immutable, other]), None, "{other:?}");
        }
        assert_eq!(kept(&[]), None);
        assert_eq!(kept_coding(StatusCode::PARTIAL_CONTENT, &Fields::from_iter([immutable])), None);
    }
}
