//! Names and numbers that identify things: parsed once at the edge, cheap to clone afterwards.

use std::fmt;
use std::sync::Arc;

/// Why a string is no valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The string is empty.
    #[error("must not be empty")]
    Empty,
    /// The string has more bytes than the kind of name allows.
    #[error("is {len} bytes long, at most {max} are allowed")]
    TooLong {
        /// Bytes it has.
        len: usize,
        /// Bytes it may have.
        max: usize,
    },
    /// A character that the kind of name does not allow.
    #[error("has {found:?} at byte {at}; allowed are {allowed}")]
    Character {
        /// The character.
        found: char,
        /// Its byte offset.
        at: usize,
        /// What is allowed, in words.
        allowed: &'static str,
    },
}

fn check(
    text: &str,
    max: usize,
    allowed: &'static str,
    is_allowed: fn(char) -> bool,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if let Some((at, found)) = text.char_indices().find(|&(_, c)| !is_allowed(c)) {
        return Err(NameError::Character { found, at, allowed });
    }
    if text.len() > max {
        return Err(NameError::TooLong { len: text.len(), max });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $max:literal, $allowed:literal, $is_allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Parses the name.
            ///
            /// # Errors
            /// [`NameError`] when it is empty, too long, or has a character that is not allowed.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check(text, $max, $allowed, $is_allowed)?;
                Ok(Self(Arc::from(text)))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn is_identifier(c: char) -> bool {
    is_plain(c) || matches!(c, ':' | '@' | '~' | '+' | '[' | ']')
}

name!(
    /// The name of a service: 1–64 bytes of letters, digits, `.`, `_`, `-`.
    ServiceName, 64, "letters, digits, '.', '_' and '-'", is_plain
);
name!(
    /// The name of a backend inside its service: 1–128 bytes; `host:port` is a valid one.
    BackendId, 128, "letters, digits and . _ - : @ ~ + [ ]", is_identifier
);
name!(
    /// The label of a version: opaque, 1–128 bytes of visible ASCII.
    VersionLabel, 128, "visible ASCII characters", |c| c.is_ascii_graphic()
);
name!(
    /// The name of a gate: 1–64 bytes.
    GateName, 64, "letters, digits, '.', '_' and '-'", is_plain
);
name!(
    /// The name of a hold: 1–128 bytes.
    HoldName, 128, "letters, digits and . _ - : @ ~ + [ ]", is_identifier
);

/// Per service, grows by one at every change of the active version. 0 means that no version was ever active, nor in any service of that
/// name before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Of the whole control state, grows by one at every committed change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_label_is_visible_ascii_of_1_to_128_bytes() {
        assert!(VersionLabel::parse("v1.2/3+build%5").is_ok());
        assert!(VersionLabel::parse(&"x".repeat(128)).is_ok());
        assert_eq!(VersionLabel::parse(""), Err(NameError::Empty));
        assert_eq!(VersionLabel::parse(&"x".repeat(129)), Err(NameError::TooLong { len: 129, max: 128 }));
        assert!(matches!(VersionLabel::parse("a b"), Err(NameError::Character { found: ' ', at: 1, .. })));
        assert!(matches!(VersionLabel::parse("vé"), Err(NameError::Character { found: 'é', at: 1, .. })));
    }

    #[test]
    fn a_name_error_says_what_would_be_right() {
        let error = ServiceName::parse("web/1").unwrap_err();
        assert_eq!(error.to_string(), "has '/' at byte 3; allowed are letters, digits, '.', '_' and '-'");
    }
}
