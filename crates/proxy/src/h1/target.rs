//! What a request asks for: the four forms of a request target (RFC 9112 section 3.2), as places in its head.

use std::borrow::Cow;

use crate::message::fields::offset;

/// The target of a request. The head's bytes stay where they are: whoever asks for a part hands them in again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Target {
    form: Form,
    authority_start: u32,
    /// Behind the authority, where the path begins.
    path_start: u32,
    /// Behind the path: at the `?`, if there is a query.
    path_end: u32,
    end: u32,
}

/// The forms of a target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// `/path?query`, to a server (section 3.2.1).
    #[default]
    Origin,
    /// `http://host/path?query`, to a proxy, and every server must take it (section 3.2.2).
    Absolute,
    /// `host:port`, with CONNECT only (section 3.2.3).
    Authority,
    /// `*`, with OPTIONS only: the server as a whole (section 3.2.4).
    Asterisk,
}

/// Why the target of a request is none: it is answered with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    /// A space, a control byte or another alphabet (RFC 3986 section 2).
    #[error("the request target has a byte that no URI has")]
    BadByte,
    /// Fragments stay with the client (RFC 9110 section 4.2.5).
    #[error("the request target has a fragment")]
    Fragment,
    /// None of the four forms, or not the one for its method.
    #[error("the request target has no form that its method has")]
    BadForm,
    /// `http://user@host/`, which hides the host from readers (RFC 9110 section 4.2.4).
    #[error("the request target has user information")]
    UserInfo,
    /// `http:///`, `http://:80/` (RFC 9110 section 4.2.1).
    #[error("the request target names no host")]
    NoHost,
}

impl Target {
    /// Finds the parts of `target`, which stands at `at` in the head.
    ///
    /// The authority of a target in absolute form is not looked at closer: it takes the place of `Host`, and is checked as such.
    ///
    /// # Errors
    /// [`TargetError`].
    pub(crate) fn parse(method: &[u8], target: &[u8], at: usize) -> Result<Self, TargetError> {
        let special = first_special(target);
        let is_query = target.get(special) == Some(&b'?');
        // Behind the first `?` others are bytes of the query (RFC 3986 section 3.4).
        let mut bad = special;
        while target.get(bad) == Some(&b'?') {
            bad += 1 + first_special(&target[bad + 1..]);
        }
        match target.get(bad) {
            None => {}
            Some(b'#') => return Err(TargetError::Fragment),
            Some(_) => return Err(TargetError::BadByte),
        }
        let path_end = if is_query { special } else { target.len() };
        let (form, authority_start, path_start) = match (method, target) {
            (b"CONNECT", _) if is_authority(target) => (Form::Authority, 0, target.len()),
            (b"CONNECT", _) => return Err(TargetError::BadForm),
            (_, [b'/', ..]) => (Form::Origin, 0, 0),
            (b"OPTIONS", b"*") => (Form::Asterisk, 0, 0),
            _ => {
                let start = scheme_len(target).ok_or(TargetError::BadForm)?;
                (Form::Absolute, start, start + authority_len(&target[start..path_end])?)
            }
        };
        let place = |within: usize| offset(at + within);
        Ok(Self {
            form,
            authority_start: place(authority_start),
            path_start: place(path_start),
            path_end: place(path_end),
            end: place(target.len()),
        })
    }

    /// Which form it has.
    pub(crate) const fn form(&self) -> Form {
        self.form
    }

    /// The authority of a target in absolute form: `host[:port]`, if it is one.
    pub(crate) fn authority<'a>(&self, head: &'a [u8]) -> Option<&'a str> {
        (self.form == Form::Absolute).then(|| text(head, self.authority_start, self.path_start))
    }

    /// The path as it came; `/` where an absolute form has none, `*` in asterisk form, nothing in authority form.
    pub(crate) fn path<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        let path = head.get(self.path_start as usize..self.path_end as usize).unwrap_or_default();
        if path.is_empty() && self.form == Form::Absolute { b"/" } else { path }
    }

    /// Where the path is, as it came.
    pub(crate) const fn path_place(&self) -> std::ops::Range<usize> {
        self.path_start as usize..self.path_end as usize
    }

    /// Behind its last byte.
    pub(crate) const fn end(&self) -> usize {
        self.end as usize
    }

    /// Path and query of a target in origin form, which is what nearly all are.
    pub(crate) fn origin_bytes<'a>(&self, head: &'a [u8]) -> Option<&'a [u8]> {
        if self.form == Form::Origin { head.get(self.path_start as usize..self.end as usize) } else { None }
    }

    /// What stands behind the first `?`, if there is one.
    pub(crate) fn query<'a>(&self, head: &'a [u8]) -> Option<&'a str> {
        (self.path_end < self.end).then(|| text(head, self.path_end + 1, self.end))
    }

    /// Path and query as they go on to a server, in origin form or as `*`, byte for byte as they came; an authority form, which
    /// does not go on, as it is. It costs an allocation only for `http://host?query`.
    pub(crate) fn path_and_query<'a>(&self, method: &[u8], head: &'a [u8]) -> Cow<'a, str> {
        let both = text(head, self.path_start, self.end);
        match (self.form, both.as_bytes().first()) {
            // Section 3.2.4: the server as a whole.
            (Form::Absolute, None) if method == b"OPTIONS" => Cow::Borrowed("*"),
            (Form::Absolute, None) => Cow::Borrowed("/"),
            (Form::Absolute, Some(b'?')) => Cow::Owned(format!("/{both}")),
            (Form::Authority, _) => Cow::Borrowed(text(head, self.authority_start, self.end)),
            _ => Cow::Borrowed(both),
        }
    }
}

/// What stands between two places of a head. Targets are ASCII.
fn text(head: &[u8], start: u32, end: u32) -> &str {
    let bytes = head.get(start as usize..end as usize).unwrap_or_default();
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Bytes of `http://` or `https://`, in any case (RFC 9110 section 4.2.3).
fn scheme_len(target: &[u8]) -> Option<usize> {
    let is_prefix =
        |scheme: &&[u8]| target.get(..scheme.len()).is_some_and(|found| found.eq_ignore_ascii_case(scheme));
    [&b"http://"[..], b"https://"].into_iter().find(is_prefix).map(<[u8]>::len)
}

/// Bytes of the authority with which `hierarchy`, a URI behind its scheme and without its query, begins.
fn authority_len(hierarchy: &[u8]) -> Result<usize, TargetError> {
    let len = hierarchy.iter().position(|&byte| byte == b'/').unwrap_or(hierarchy.len());
    let authority = &hierarchy[..len];
    if authority.contains(&b'@') {
        return Err(TargetError::UserInfo);
    }
    if matches!(authority, [] | [b':', ..]) { Err(TargetError::NoHost) } else { Ok(len) }
}

/// `host ":" port` (RFC 9112 section 3.2.3), as far as it takes to tell it from the other forms.
fn is_authority(target: &[u8]) -> bool {
    let Some(colon) = target.iter().rposition(|&byte| byte == b':') else { return false };
    let (host, port) = (&target[..colon], &target[colon + 1..]);
    !host.is_empty()
        && !host.iter().any(|byte| matches!(byte, b'/' | b'?' | b'@'))
        && !port.is_empty()
        && port.iter().all(u8::is_ascii_digit)
}

/// The place of the first byte that is not simply a part of a path: `?`, `#`, or none that a target may have.
fn first_special(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return at * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |&byte: &u8| !matches!(byte, 0x21..=0x7e) || matches!(byte, b'#' | b'?');
    words.len() * 8 + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// Eight bytes at once: of those that are special the lowest has its high bit set, those above it are of no meaning.
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // A borrow runs upwards only, and only from a byte that is below: so the lowest one is always right.
    const fn below(word: u64, limit: u8) -> u64 {
        word.wrapping_sub(ONES * limit as u64) & !word & HIGH
    }
    const fn equal(word: u64, byte: u8) -> u64 {
        below(word ^ (ONES * byte as u64), 1)
    }
    // `?` and DEL are one bit apart.
    (word & HIGH) | below(word, 0x21) | equal(word, b'#') | equal(word | (ONES * 0x40), 0x7f)
}

#[cfg(test)]
mod tests;
