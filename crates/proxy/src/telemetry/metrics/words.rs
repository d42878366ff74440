//! The words by which metrics tell outcomes apart: every one of them is a value of a label.

use super::{AssetOutcome, Fault, Handshake, Mismatch, Unserved, UpstreamFailure};

impl AssetOutcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Hit, Self::OtherVersion, Self::Vault, Self::Miss];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::OtherVersion => "other_version",
            Self::Vault => "vault",
            Self::Miss => "miss",
        }
    }
}

impl Unserved {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::TooMany, Self::UntrustedProxy, Self::Header, Self::HeaderTimeout];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::UntrustedProxy => "untrusted_proxy",
            Self::Header => "proxy_header",
            Self::HeaderTimeout => "proxy_header_timeout",
        }
    }
}

impl Handshake {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Full,
        Self::Resumed,
        Self::NotTls,
        Self::Incompatible,
        Self::Certificate,
        Self::Refused,
        Self::Protocol,
        Self::Gone,
        Self::Timeout,
    ];

    /// Its name as a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::NotTls => "not_tls",
            Self::Incompatible => "incompatible",
            Self::Certificate => "certificate",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
            Self::Gone => "gone",
            Self::Timeout => "timeout",
        }
    }
}

impl UpstreamFailure {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Connect,
        Self::ConnectTimeout,
        Self::Tls,
        Self::Http2,
        Self::NoAnswer,
        Self::AnswerTimeout,
        Self::BadAnswer,
        Self::BrokenBody,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::Http2 => "http2",
            Self::NoAnswer => "no_answer",
            Self::AnswerTimeout => "answer_timeout",
            Self::BadAnswer => "bad_answer",
            Self::BrokenBody => "broken_body",
        }
    }
}

impl Mismatch {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Replayed, Self::Forwarded];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Forwarded => "forwarded",
        }
    }
}

impl Fault {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Reset, Self::AssetMiss, Self::Mismatch];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::AssetMiss => "asset_miss",
            Self::Mismatch => "mismatch",
        }
    }
}
