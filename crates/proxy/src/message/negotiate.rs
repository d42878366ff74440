//! In which form our own answers are written: by `Accept` (RFC 9110 section 12.5.1).

use crate::message::fields::Fields;
use crate::message::list;
use crate::message::name::Name;

/// The form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `application/problem+json` (RFC 9457)
    Json,
    /// `text/html`
    Html,
    /// `text/plain`
    Text,
}

/// The form that the client likes best. Of equals, and when it accepts none or says nothing: JSON, since browsers ask for HTML by name.
#[must_use]
pub(crate) fn form(fields: &Fields) -> Form {
    let mut best = (Form::Json, 0);
    for form in [Form::Json, Form::Html, Form::Text] {
        let quality = form.types().iter().map(|kind| quality(fields, kind)).max().unwrap_or(0);
        if quality > best.1 {
            best = (form, quality);
        }
    }
    best.0
}

impl Form {
    /// The media type, as in `Content-Type`.
    #[must_use]
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/problem+json",
            Self::Html => "text/html; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    /// The media types by which a client asks for it.
    const fn types(self) -> &'static [&'static str] {
        match self {
            Self::Json => &["application/problem+json", "application/json"],
            Self::Html => &["text/html"],
            Self::Text => &["text/plain"],
        }
    }
}

/// How much a client likes the media type `kind`, 0–1000: by the most specific range that has it. Parameters other than `q` are not looked at.
fn quality(fields: &Fields, kind: &str) -> u16 {
    let mut best = (0, 0);
    for (range, weight) in fields.elements(Name::Accept).map(weight) {
        let specificity = match range {
            b"*/*" => 1,
            range if range.eq_ignore_ascii_case(kind.as_bytes()) => 3,
            range if has_type(range, kind) => 2,
            _ => continue,
        };
        if specificity > best.0 {
            best = (specificity, weight);
        }
    }
    best.1
}

/// An element of a list of what a client takes, without its parameters, and how much the client likes it, 0–1000.
pub(crate) fn weight(element: &[u8]) -> (&[u8], u16) {
    let mut parts = list::split(element, b';');
    let what = parts.next().unwrap_or_default();
    let q = parts.map(|part| list::pair(part, b'=')).find(|(name, _)| name.eq_ignore_ascii_case(b"q"));
    (what, q.map_or(1000, |(_, value)| value.map_or(0, thousandths)))
}

/// Whether `range` is `type/*` of the media type `kind`.
fn has_type(range: &[u8], kind: &str) -> bool {
    let main = kind.split('/').next().unwrap_or_default();
    range.strip_suffix(b"/*").is_some_and(|range| range.eq_ignore_ascii_case(main.as_bytes()))
}

/// A weight (RFC 9110 section 12.4.2) in thousandths; 0 for what is none.
fn thousandths(weight: &[u8]) -> u16 {
    let (whole, decimals) = list::pair(weight, b'.');
    let decimals = decimals.unwrap_or_default();
    if decimals.len() > 3 || !decimals.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let digit = |at: usize| decimals.get(at).map_or(0, |digit| u16::from(digit - b'0'));
    match whole {
        b"1" => 1000,
        b"0" => digit(0) * 100 + digit(1) * 10 + digit(2),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn for_accept(accept: &[u8]) -> Form {
        form(&Fields::from_iter([("accept", accept)]))
    }

    #[test]
    fn the_client_chooses() {
        let cases: [(&str, Form); 13] = [
            ("*/*", Form::Json),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", Form::Html),
            ("application/json, text/plain, */*", Form::Json),
            ("application/json", Form::Json),
            ("text/plain", Form::Text),
            ("TEXT/HTML", Form::Html),
            ("text/*", Form::Html),
            ("text/html;q=0.2, text/plain;q=0.25", Form::Text),
            ("text/html;level=1;q=0.4, application/problem+json;q=0.5", Form::Json),
            ("*/*, application/json;q=0, application/problem+json;q=0, text/html;q=0", Form::Text),
            ("image/png", Form::Json),
            ("", Form::Json),
            ("text/html;q=2, text/plain;q=x", Form::Json),
        ];
        for (accept, form) in cases {
            assert_eq!(for_accept(accept.as_bytes()), form, "{accept}");
        }
        assert_eq!(form(&Fields::default()), Form::Json);
    }

    proptest! {
        #[test]
        fn weights_are_at_most_one(weight: Vec<u8>) {
            prop_assert!(thousandths(&weight) <= 1000);
        }
    }
}
