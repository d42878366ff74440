//! Compresses answers that the app did not compress: which of them, how their heads change, and, in [`encoder`], their bodies.
//!
//! Other forms of an answer are other representations (RFC 9110 section 8.4): what names or measures the one that the app sent must not be
//! said of the one that the client gets.

mod accept;
mod encoder;
mod media;

use cutover_core::policy::Compression;
use http::{Method, StatusCode};

pub(crate) use self::accept::wanted;
pub(crate) use self::encoder::{Encoder, Encoders};
use crate::message::fields::Fields;
use crate::message::name::Name;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// RFC 8878: as small as the others in a quarter of the time.
    Zstd,
    /// RFC 7932: a little smaller than gzip in about the same time.
    Brotli,
    /// RFC 1952.
    Gzip,
}

/// What compressing an answer depends on, beside its fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) method: &'a Method,
    pub(crate) status: StatusCode,
    /// What the client likes best of what it takes.
    pub(crate) wanted: Option<Coding>,
    /// Its `If-None-Match`.
    pub(crate) known: Option<&'a [u8]>,
}

/// Makes `fields` those of a compressed answer, if it shall be one: its body goes through the encoder then. To HEAD the same head is
/// answered as to GET.
pub(crate) fn begin(
    policy: &Compression,
    encoders: &Encoders,
    subject: &Subject<'_>,
    fields: &mut Fields,
) -> Option<Encoder> {
    if subject.status == StatusCode::NOT_MODIFIED {
        confirm(subject.known.unwrap_or_default(), fields);
        return None;
    }
    if !is_worth_it(policy, subject.status, fields) {
        return None;
    }
    vary(fields);
    let coding = subject.wanted?;
    if subject.method == Method::HEAD {
        change(coding, fields);
        return None;
    }
    // While too many are compressed, this one is not: that is slower for the client, and nothing else.
    let encoder = encoders.begin(coding)?;
    change(coding, fields);
    Some(encoder)
}

/// Takes out what is said of the body as the app sent it (RFC 9530, RFC 3230, RFC 1864), of a head or of trailers.
pub(crate) fn forget_digests(fields: &mut Fields) {
    remove(fields, &DIGESTS);
}

impl Coding {
    /// Its name (RFC 9110 section 18.6).
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// Whether an answer would be compressed for a client that takes it so.
fn is_worth_it(policy: &Compression, status: StatusCode, fields: &Fields) -> bool {
    // These have no body, or a part of one.
    let is_whole = !status.is_informational()
        && !matches!(
            status,
            StatusCode::NO_CONTENT
                | StatusCode::RESET_CONTENT
                | StatusCode::PARTIAL_CONTENT
                | StatusCode::NOT_MODIFIED
        )
        && fields.named("content-range").is_none();
    is_whole
        && fields.first(Name::ContentType).is_some_and(media::is_compressible)
        && fields.named("content-encoding").is_none()
        && !fields.lists(Name::CacheControl, |directive| directive.eq_ignore_ascii_case(b"no-transform"))
        && fields.first(Name::ContentLength).is_none_or(|length| is_large(length, policy.min_size))
}

/// A length that is no number was refused before.
fn is_large(length: &[u8], min_size: u64) -> bool {
    let length = std::str::from_utf8(length).ok().and_then(|length| length.parse::<u64>().ok());
    length.is_some_and(|length| length >= min_size.max(1))
}

/// Caches have to keep the forms apart, also where this one is as the app sent it.
fn vary(fields: &mut Fields) {
    let is_said = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding");
    if !fields.lists(Name::Vary, is_said) {
        fields.join(Name::Vary, &[b"Accept-Encoding"]);
    }
}

fn change(coding: Coding, fields: &mut Fields) {
    fields.append_other("Content-Encoding", coding.as_str().as_bytes());
    fields.remove(Name::ContentLength);
    weaken(fields);
    forget_digests(fields);
    // Ranges of what is made anew for each answer are of no use to anybody.
    remove(fields, &[b"accept-ranges"]);
}

/// A form that differs in its bytes has no strong name in common with the other (RFC 9110 section 8.8.1).
fn weaken(fields: &mut Fields) {
    let Some(tag) = fields.first(Name::ETag) else { return };
    if !tag.starts_with(WEAK) {
        let tag = tag.to_vec();
        fields.set(Name::ETag, &[WEAK, &tag]);
    }
}

/// A 304 has the fields that the 200 would have (RFC 9110 section 15.4.5): the tag is weak for whom it was made weak before. Whether that
/// was so can't be seen here but by what the client knows.
fn confirm(known: &[u8], fields: &mut Fields) {
    let Some(tag) = fields.first(Name::ETag) else { return };
    let is_known_as_weak = !tag.starts_with(WEAK)
        && crate::message::list::split(known, b',').any(|known| known.strip_prefix(WEAK) == Some(tag));
    if is_known_as_weak {
        vary(fields);
        weaken(fields);
    }
}

fn remove(fields: &mut Fields, names: &[&[u8]]) {
    fields.remove_where(|name, text| {
        name == Name::Other && names.iter().any(|other| text.eq_ignore_ascii_case(other))
    });
}

const WEAK: &[u8] = b"W/";
const DIGESTS: [&[u8]; 4] = [b"content-digest", b"repr-digest", b"digest", b"content-md5"];

#[cfg(test)]
mod tests;
