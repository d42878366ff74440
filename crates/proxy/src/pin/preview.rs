//! Previews on the wire: a credential comes by a header field, by a link, or by the cookie that the link left. It is the proxy's: no app gets
//! it, no log has it, and what is served by it is nobody else's to store.
//!
//! Who names a preview by a header or follows a link wants that version and no other, so that one which is not valid is refused. A cookie that
//! has ended only stops to matter, as it does when the browser drops it at its end.

use std::borrow::Cow;

use cutover_core::pin::NoPin;
use cutover_core::preview::Preview;
use cutover_core::time::Timestamp;
use http::{Method, StatusCode};

use crate::error::Error;
use crate::message::decimal::Decimal;
use crate::message::fields::Fields;
use crate::message::name::{Name, Names};
use crate::own::respond::{self, Own};
use crate::pin::cookie::HOST_PREFIX;
use crate::pin::keyring::Opener;
use crate::serve::decide::{Routed, keyring};
use crate::serve::exchange::Exchange;

/// The query parameter of links, and what separates it from its value.
const PARAMETER: &str = "cutover-preview=";
/// The value of the parameter that ends a preview.
const END: &str = "end";
/// The cookie.
pub(crate) const COOKIE: &str = "cutover-preview";
/// What says who may store an answer.
const CACHING: Names = Names::of(&[Name::CacheControl, Name::CdnCacheControl, Name::SurrogateControl]);

/// What became of a preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PreviewOutcome {
    /// A link was followed, which left its cookie.
    Opened,
    /// Its cookie was taken back, because a link said so.
    Ended,
    /// A request went to the version.
    Served,
    /// The version could not serve the request.
    Unavailable,
    /// What came was no preview of ours.
    Malformed,
    /// It is signed by a key that is not known (any more).
    UnknownKey,
    /// It was forged or damaged, or is for another service.
    BadMac,
    /// It had expired.
    Expired,
}

/// The answer to a request that follows a link or ends a preview, if it does.
///
/// # Errors
/// A link or a header field has no valid preview.
pub(crate) fn answer(exchange: &Exchange<'_>, routed: &Routed) -> Result<Option<Box<Own>>, Error> {
    let asked = &exchange.scratch.asked;
    let header = asked.fields.first(Name::CutoverPreview);
    let link = asked.query().and_then(parameter);
    if header.is_none() && link.is_none() {
        return Ok(None);
    }
    let (service, now) = (routed.service(), exchange.client.worker.clock.at(exchange.began));
    let keyring = keyring(exchange, &routed.view);
    let open = |text: &[u8]| {
        keyring.open_preview(text, &service.set.name, now).map_err(|problem| {
            service.metrics.preview(problem.into());
            match problem {
                NoPin::Expired => Error::PreviewExpired,
                _ => Error::PreviewInvalid,
            }
        })
    };
    if let Some(header) = header {
        open(header)?;
    }
    let Some(link) = link else { return Ok(None) };
    let (outcome, cookie) = match link {
        END => (PreviewOutcome::Ended, (&b""[..], 0)),
        token => {
            let preview = open(token.as_bytes())?;
            (PreviewOutcome::Opened, (token.as_bytes(), secs_left(&preview, now)))
        }
    };
    service.metrics.preview(outcome);
    Ok(Some(Box::new(redirect(exchange, cookie))))
}

/// Reads the preview of a request: that of its header field, else that of its `cookie`.
///
/// # Errors
/// Why it has none.
pub(crate) fn read(
    fields: &Fields,
    cookie: Option<&[u8]>,
    open: impl FnOnce(&[u8]) -> Result<Preview, NoPin>,
) -> Result<Preview, NoPin> {
    fields.first(Name::CutoverPreview).or(cookie).map_or(Err(NoPin::Absent), open)
}

/// Keeps an answer from everybody else: it shows what nobody else is to see yet.
pub(crate) fn seclude(fields: &mut Fields) {
    fields.remove_all(CACHING);
    fields.append(Name::CacheControl, &[b"private, no-store"]);
}

/// A target as logs may have it.
pub(crate) fn redacted(target: Cow<'_, str>) -> Cow<'_, str> {
    let Some((path, query)) = target.split_once('?') else { return target };
    if !query.contains(PARAMETER) {
        return target;
    }
    let pairs = query.split('&').map(|pair| match pair.strip_prefix(PARAMETER) {
        Some(value) if value != END => "cutover-preview=***",
        _ => pair,
    });
    Cow::Owned(format!("{path}?{}", pairs.collect::<Vec<_>>().join("&")))
}

/// The value of the parameter in a query.
fn parameter(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix(PARAMETER))
}

/// Sets the cookie to a value for so many seconds, and sends the client to where it is without the parameter. Its method stays, but for
/// those that only look.
fn redirect(exchange: &Exchange<'_>, (value, max_age_secs): (&[u8], u64)) -> Own {
    let (asked, is_secure) = (&exchange.scratch.asked, exchange.origin.is_secure);
    let status = match asked.method {
        Method::GET | Method::HEAD => StatusCode::SEE_OTHER,
        _ => StatusCode::TEMPORARY_REDIRECT,
    };
    let location = location(asked.path(), asked.query().unwrap_or_default());
    let mut own = respond::redirect(status, &location, &asked.fields);
    own.fields.append(Name::CacheControl, &[b"no-store"]);
    own.fields.append_other("Referrer-Policy", b"no-referrer");
    let max_age = Decimal::of(max_age_secs);
    let pieces = [
        if is_secure { &HOST_PREFIX[..] } else { b"" },
        COOKIE.as_bytes(),
        b"=",
        value,
        b"; Path=/; HttpOnly; SameSite=Lax; Max-Age=",
        max_age.as_bytes(),
        if is_secure { b"; Secure" } else { b"" },
    ];
    own.fields.append(Name::SetCookie, &pieces);
    own
}

/// Seconds for which a preview lasts, the one that has begun included.
fn secs_left(preview: &Preview, now: Timestamp) -> u64 {
    preview.expires_at.since(now).0.div_ceil(1000)
}

/// A path and a query without the parameter. Browsers read a path that begins with two slashes, of whichever kind, as another host: a dot in
/// front of the second one keeps it a path, and the same one (RFC 3986 section 5.2.4).
fn location(path: &[u8], query: &str) -> Vec<u8> {
    let mut location = Vec::with_capacity(path.len() + query.len() + 3);
    if let [b'/', b'/' | b'\\', ..] = path {
        location.extend_from_slice(b"/.");
    }
    location.extend_from_slice(path);
    let mut before = b'?';
    for pair in query.split('&').filter(|pair| !pair.starts_with(PARAMETER)) {
        location.push(std::mem::replace(&mut before, b'&'));
        location.extend_from_slice(pair.as_bytes());
    }
    location
}

impl PreviewOutcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Opened,
        Self::Ended,
        Self::Served,
        Self::Unavailable,
        Self::Malformed,
        Self::UnknownKey,
        Self::BadMac,
        Self::Expired,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Ended => "ended",
            Self::Served => "served",
            Self::Unavailable => "unavailable",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::BadMac => "bad_mac",
            Self::Expired => "expired",
        }
    }
}

impl From<NoPin> for PreviewOutcome {
    fn from(problem: NoPin) -> Self {
        match problem {
            NoPin::UnknownKey => Self::UnknownKey,
            NoPin::BadMac => Self::BadMac,
            NoPin::Expired => Self::Expired,
            NoPin::Absent | NoPin::Malformed | NoPin::FutureDated => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn led(path: &str, query: &str) -> String {
        String::from_utf8(location(path.as_bytes(), query)).unwrap()
    }

    #[test]
    fn a_link_leads_to_the_same_place_without_the_parameter() {
        let cases = [
            ("/", "cutover-preview=x", "/"),
            ("/a/b", "q=1&cutover-preview=x&r=%26", "/a/b?q=1&r=%26"),
            ("/a", "cutover-preview=x&cutover-preview=y&q", "/a?q"),
            ("/a", "xcutover-preview=x&cutover-preview=end", "/a?xcutover-preview=x"),
        ];
        for (path, query, expected) in cases {
            assert_eq!(led(path, query), expected);
        }
    }

    #[test]
    fn no_link_leads_to_another_host() {
        for path in ["//evil.example/", "/\\evil.example", "///x", "/\\/x"] {
            assert_eq!(led(path, "cutover-preview=end"), format!("/.{path}"));
        }
    }

    #[test]
    fn a_parameter_is_found_by_its_exact_name() {
        assert_eq!(parameter("a=b&cutover-preview=t&cutover-preview=u"), Some("t"));
        for query in ["", "cutover-preview", "Cutover-Preview=t", "acutover-preview=t", "a=cutover-preview=t"]
        {
            assert_eq!(parameter(query), None, "{query}");
        }
    }

    #[test]
    fn no_log_has_a_credential() {
        let redacted = |target: &str| redacted(Cow::Borrowed(target)).into_owned();
        assert_eq!(redacted("/a?cutover-preview=secret"), "/a?cutover-preview=***");
        assert_eq!(
            redacted("/?q&cutover-preview=s1&cutover-preview=s2&r=1"),
            "/?q&cutover-preview=***&cutover-preview=***&r=1"
        );
        for harmless in ["/a", "/a?b", "/a?cutover-preview=end", "/cutover-preview=x"] {
            assert_eq!(redacted(harmless), harmless);
        }
    }

    #[test]
    fn what_apps_say_to_caches_is_taken_back() {
        let said =
            [("cache-control", "public, max-age=9"), ("cdn-cache-control", "max-age=9"), ("etag", "\"x\"")];
        let mut fields = Fields::from_iter(said);
        seclude(&mut fields);
        assert_eq!(fields, Fields::from_iter([("etag", "\"x\""), ("cache-control", "private, no-store")]));
    }

    #[test]
    fn outcomes_are_in_the_order_of_their_numbers() {
        assert!(PreviewOutcome::ALL.into_iter().enumerate().all(|(at, outcome)| outcome as usize == at));
    }

    proptest! {
        #[test]
        fn whatever_is_asked_a_link_stays_on_its_host(path in "/[!-\"$->@-~]{0,12}", query in "[!-\"$-~]{0,20}") {
            let led = led(&path, &query);
            prop_assert!(led.starts_with('/') && !led.starts_with("//") && !led.starts_with("/\\"), "{}", led);
            prop_assert!(parameter(led.split_once('?').map_or("", |(_, query)| query)).is_none());
        }
    }
}
