//! Names of header fields that the proxy knows: found once, when a head is parsed, and compared as numbers from then on. Some are
//! there only because most messages have them: a known name needs no look at each of its bytes.

/// A field name that something in the proxy asks for or that is frequent, or [`Name::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Name {
    /// Any other name.
    Other,
    /// What forms of an answer the client takes.
    Accept,
    /// What codings of an answer the client takes.
    AcceptEncoding,
    /// What languages of an answer the client takes.
    AcceptLanguage,
    /// Credentials for the app.
    Authorization,
    /// Who may store an answer (RFC 9111 section 5.2).
    CacheControl,
    /// `Cache-Control` for content delivery networks (RFC 9213).
    CdnCacheControl,
    /// Fields and wishes for this hop only (RFC 9110 section 7.6.1).
    Connection,
    /// Bytes of the body (RFC 9110 section 8.6).
    ContentLength,
    /// What a body is.
    ContentType,
    /// Cookies in a request (RFC 6265 section 5.4).
    Cookie,
    /// By which an app ends the pin or asks for none.
    CutoverPin,
    /// Leave to try a version out.
    CutoverPreview,
    /// By which a probe tells an app what part its backend has.
    CutoverState,
    /// Tells a client on an outdated version which one is active.
    CutoverUpdate,
    /// When an answer was made (RFC 9110 section 6.6.1).
    Date,
    /// Names one state of what was asked for (RFC 9110 section 8.8.3).
    ETag,
    /// What the client expects before it sends its body (RFC 9110 section 10.1.1).
    Expect,
    /// The way of a request (RFC 7239).
    Forwarded,
    /// The authority of a request (RFC 9110 section 7.2).
    Host,
    /// Part of the upgrade to h2c, which is not passed on.
    Http2Settings,
    /// Parameters of a persistent connection.
    KeepAlive,
    /// When what was asked for changed.
    LastModified,
    /// How far an OPTIONS or TRACE may travel (RFC 9110 section 7.6.2).
    MaxForwards,
    /// Which site a request comes from.
    Origin,
    /// Becomes the environment variable `HTTP_PROXY` in CGI apps ("httpoxy").
    Proxy,
    /// A proxy's question for credentials.
    ProxyAuthenticate,
    /// Credentials for a proxy.
    ProxyAuthorization,
    /// What some clients send in place of `Connection`.
    ProxyConnection,
    /// Where a link was.
    Referer,
    /// When to come again (RFC 9110 section 10.2.3).
    RetryAfter,
    /// What a browser makes of the answer.
    SecFetchDest,
    /// How a browser came to ask.
    SecFetchMode,
    /// What an app server calls itself.
    Server,
    /// A cookie in an answer (RFC 6265 section 4.1).
    SetCookie,
    /// `Cache-Control` for surrogates.
    SurrogateControl,
    /// Transfer codings that the sender takes (RFC 9110 section 10.1.4).
    Te,
    /// Fields that come after the body (RFC 9110 section 6.6.2).
    Trailer,
    /// How a body is framed (RFC 9112 section 6.1).
    TransferEncoding,
    /// Protocols to change to (RFC 9110 section 7.8).
    Upgrade,
    /// What the client is.
    UserAgent,
    /// What an answer depends on (RFC 9110 section 12.5.5).
    Vary,
    /// The hops of a message (RFC 9110 section 7.6.3).
    Via,
    /// Tells processes of an app server apart.
    XAppBootId,
    /// The version of the code that answered.
    XAppVersion,
    /// Names a version explicitly.
    XCutoverVersion,
    /// The clients of the hops before.
    XForwardedFor,
    /// The authority that the client asked for.
    XForwardedHost,
    /// The port that the client asked.
    XForwardedPort,
    /// A prefix that was taken off the path.
    XForwardedPrefix,
    /// The scheme that the client used.
    XForwardedProto,
    /// The same, in other words.
    XForwardedScheme,
    /// The proxy that was asked.
    XForwardedServer,
    /// Whether the client came over TLS.
    XForwardedSsl,
    /// The client's address.
    XRealIp,
    /// The id under which a request is known.
    XRequestId,
}

impl Name {
    /// How many there are, [`Other`](Self::Other) included.
    pub(crate) const COUNT: usize = Self::KNOWN.len() + 1;

    /// All that are known, in the order of their numbers.
    const KNOWN: [Self; 55] = [
        Self::Accept,
        Self::AcceptEncoding,
        Self::AcceptLanguage,
        Self::Authorization,
        Self::CacheControl,
        Self::CdnCacheControl,
        Self::Connection,
        Self::ContentLength,
        Self::ContentType,
        Self::Cookie,
        Self::CutoverPin,
        Self::CutoverPreview,
        Self::CutoverState,
        Self::CutoverUpdate,
        Self::Date,
        Self::ETag,
        Self::Expect,
        Self::Forwarded,
        Self::Host,
        Self::Http2Settings,
        Self::KeepAlive,
        Self::LastModified,
        Self::MaxForwards,
        Self::Origin,
        Self::Proxy,
        Self::ProxyAuthenticate,
        Self::ProxyAuthorization,
        Self::ProxyConnection,
        Self::Referer,
        Self::RetryAfter,
        Self::SecFetchDest,
        Self::SecFetchMode,
        Self::Server,
        Self::SetCookie,
        Self::SurrogateControl,
        Self::Te,
        Self::Trailer,
        Self::TransferEncoding,
        Self::Upgrade,
        Self::UserAgent,
        Self::Vary,
        Self::Via,
        Self::XAppBootId,
        Self::XAppVersion,
        Self::XCutoverVersion,
        Self::XForwardedFor,
        Self::XForwardedHost,
        Self::XForwardedPort,
        Self::XForwardedPrefix,
        Self::XForwardedProto,
        Self::XForwardedScheme,
        Self::XForwardedServer,
        Self::XForwardedSsl,
        Self::XRealIp,
        Self::XRequestId,
    ];

    /// The name as the proxy writes it; empty for [`Name::Other`].
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Other => "",
            Self::Accept => "Accept",
            Self::AcceptEncoding => "Accept-Encoding",
            Self::AcceptLanguage => "Accept-Language",
            Self::Authorization => "Authorization",
            Self::CacheControl => "Cache-Control",
            Self::CdnCacheControl => "CDN-Cache-Control",
            Self::Connection => "Connection",
            Self::ContentLength => "Content-Length",
            Self::ContentType => "Content-Type",
            Self::Cookie => "Cookie",
            Self::CutoverPin => "Cutover-Pin",
            Self::CutoverPreview => "Cutover-Preview",
            Self::CutoverState => "Cutover-State",
            Self::CutoverUpdate => "Cutover-Update",
            Self::Date => "Date",
            Self::ETag => "ETag",
            Self::Expect => "Expect",
            Self::Forwarded => "Forwarded",
            Self::Host => "Host",
            Self::Http2Settings => "HTTP2-Settings",
            Self::KeepAlive => "Keep-Alive",
            Self::LastModified => "Last-Modified",
            Self::MaxForwards => "Max-Forwards",
            Self::Origin => "Origin",
            Self::Proxy => "Proxy",
            Self::ProxyAuthenticate => "Proxy-Authenticate",
            Self::ProxyAuthorization => "Proxy-Authorization",
            Self::ProxyConnection => "Proxy-Connection",
            Self::Referer => "Referer",
            Self::RetryAfter => "Retry-After",
            Self::SecFetchDest => "Sec-Fetch-Dest",
            Self::SecFetchMode => "Sec-Fetch-Mode",
            Self::Server => "Server",
            Self::SetCookie => "Set-Cookie",
            Self::SurrogateControl => "Surrogate-Control",
            Self::Te => "TE",
            Self::Trailer => "Trailer",
            Self::TransferEncoding => "Transfer-Encoding",
            Self::Upgrade => "Upgrade",
            Self::UserAgent => "User-Agent",
            Self::Vary => "Vary",
            Self::Via => "Via",
            Self::XAppBootId => "X-App-Boot-Id",
            Self::XAppVersion => "X-App-Version",
            Self::XCutoverVersion => "X-Cutover-Version",
            Self::XForwardedFor => "X-Forwarded-For",
            Self::XForwardedHost => "X-Forwarded-Host",
            Self::XForwardedPort => "X-Forwarded-Port",
            Self::XForwardedPrefix => "X-Forwarded-Prefix",
            Self::XForwardedProto => "X-Forwarded-Proto",
            Self::XForwardedScheme => "X-Forwarded-Scheme",
            Self::XForwardedServer => "X-Forwarded-Server",
            Self::XForwardedSsl => "X-Forwarded-SSL",
            Self::XRealIp => "X-Real-IP",
            Self::XRequestId => "X-Request-Id",
        }
    }

    /// Which one `name` is, in any case. It must be a token (RFC 9110 section 5.6.2).
    #[must_use]
    #[inline]
    pub(crate) fn of(name: &[u8]) -> Self {
        let Some(slot) = slot(name) else { return Self::Other };
        let known = SLOTS[slot];
        if is_same(name, TEXTS[known as usize].as_bytes()) { known } else { Self::Other }
    }

    /// Its bit in a set of names.
    const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// A field name from a configuration, looked up once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldName {
    /// Which one it is, if it is known.
    pub(crate) name: Name,
    pub(crate) text: Box<str>,
}

impl FieldName {
    /// The name `text`, in any case. An empty one is no field's.
    #[must_use]
    pub(crate) fn new(text: &str) -> Self {
        Self { name: Name::of(text.as_bytes()), text: text.into() }
    }
}

/// A set of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Names(u64);

impl Names {
    /// The set of `names`.
    pub(crate) const fn of(names: &[Name]) -> Self {
        let mut bits = 0;
        let mut next = 0;
        while next < names.len() {
            bits |= names[next].bit();
            next += 1;
        }
        Self(bits)
    }

    pub(crate) const fn contains(self, name: Name) -> bool {
        self.0 & name.bit() != 0
    }

    /// What is in one of the two.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one, and not in the other.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether nothing is in both.
    pub(crate) const fn is_disjoint(self, other: Self) -> bool {
        self.0 & other.0 == 0
    }
}

/// Bytes of the longest known name.
pub(crate) const LEN_MAX: usize = 19;
const SLOTS_LEN: usize = 256;

/// The names as text, by their numbers.
static TEXTS: [&str; Name::COUNT] = {
    let mut texts = [""; Name::COUNT];
    let mut next = 0;
    while next < Name::KNOWN.len() {
        texts[next + 1] = Name::KNOWN[next].as_str();
        next += 1;
    }
    texts
};

/// Whether a token is a known name in any case: their ends are the same, which overlap or meet. Of the bytes that a token may have
/// only the letters change by this bit.
#[inline]
fn is_same(name: &[u8], known: &[u8]) -> bool {
    const CASE: u8 = 0x20;
    if name.len() != known.len() {
        return false;
    }
    match name.len() {
        16.. => {
            let [(first, last), (known_first, known_last)] = [name, known].map(ends::<16>);
            let word = u128::from_ne_bytes;
            ((word(first) ^ word(known_first)) | (word(last) ^ word(known_last))) & !word([CASE; 16]) == 0
        }
        8.. => {
            let [(first, last), (known_first, known_last)] = [name, known].map(ends::<8>);
            let word = u64::from_ne_bytes;
            ((word(first) ^ word(known_first)) | (word(last) ^ word(known_last))) & !word([CASE; 8]) == 0
        }
        4.. => {
            let [(first, last), (known_first, known_last)] = [name, known].map(ends::<4>);
            let word = u32::from_ne_bytes;
            ((word(first) ^ word(known_first)) | (word(last) ^ word(known_last))) & !word([CASE; 4]) == 0
        }
        _ => name.eq_ignore_ascii_case(known),
    }
}

/// The first and the last `N` bytes of a name, which has so many.
#[inline]
fn ends<const N: usize>(name: &[u8]) -> ([u8; N], [u8; N]) {
    let end = |chunk: Option<&[u8; N]>| chunk.copied().unwrap_or([0; N]);
    (end(name.first_chunk()), end(name.last_chunk()))
}

/// Each known name in a slot of its own, so that a name is compared with one other at most.
static SLOTS: [Name; SLOTS_LEN] = {
    let mut slots = [Name::Other; SLOTS_LEN];
    let mut next = 0;
    while next < Name::KNOWN.len() {
        let name = Name::KNOWN[next];
        let Some(slot) = slot(name.as_str().as_bytes()) else { panic!("the name is too short or too long") };
        assert!(slots[slot] as u8 == Name::Other as u8, "two names have one slot: choose other factors");
        slots[slot] = name;
        next += 1;
    }
    slots
};

/// Where a name of such a length and with such letters would be; `None` when none has its length. The factors were found by trying.
const fn slot(name: &[u8]) -> Option<usize> {
    let len = name.len();
    if len < 2 || len > LEN_MAX {
        return None;
    }
    let third = if len > 2 { name[2] } else { name[0] };
    Some((len + (name[len - 2] | 0x20) as usize * 3 + (third | 0x20) as usize * 69) % SLOTS_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_found_in_any_case() {
        for (at, name) in Name::KNOWN.into_iter().enumerate() {
            assert_eq!(name as usize, at + 1, "in the order of their numbers");
            assert_eq!(Name::of(name.as_str().as_bytes()), name);
            assert_eq!(Name::of(name.as_str().to_uppercase().as_bytes()), name);
            assert_eq!(Name::of(name.as_str().to_lowercase().as_bytes()), name);
        }
    }

    #[test]
    fn sets_have_what_was_put_into_them() {
        let (one, two) = (Names::of(&[Name::Host, Name::XRequestId]), Names::of(&[Name::Host, Name::Via]));
        assert!(one.contains(Name::XRequestId) && !one.contains(Name::Via) && !one.contains(Name::Other));
        assert_eq!(one.and(two), Names::of(&[Name::Via, Name::Host, Name::XRequestId]));
        assert_eq!(one.without(two), Names::of(&[Name::XRequestId]));
        assert!(!one.is_disjoint(two) && one.without(two).is_disjoint(two));
    }

    #[test]
    fn other_names_are_others() {
        for name in [&b""[..], b"Hos", b"Hosts", b"Xost", b"X-Forwarded_For", &[b'a'; 1000]] {
            assert_eq!(Name::of(name), Name::Other);
        }
    }
}
