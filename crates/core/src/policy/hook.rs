//! Hooks: whom a service tells of the turns of its deployments, and whom it asks before a flip.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::address::{Address, AddressError};
use crate::time::Millis;

/// One hook of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// At which turn it is called.
    pub on: HookPoint,
    /// Where.
    pub url: HookUrl,
    /// What its calls are signed with.
    pub secret: Secret,
    /// File of the authorities by which its certificate is believed; `None` = those of the system.
    pub ca: Option<String>,
    /// Time for one call.
    pub timeout: Millis,
}

/// A turn of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookPoint {
    /// A flip is about to be made: the hook is asked, and its refusal stands in the way.
    PreFlip,
    /// A version became active, other than by a rollback.
    PostFlip,
    /// The watch after a flip was passed.
    Baked,
    /// A version's drain ended.
    Drained,
    /// A version was rolled back.
    RolledBack,
}

/// Where a hook is: `http://` or `https://`, a host, perhaps a port, a path and a query.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookUrl {
    is_tls: bool,
    address: Address,
    target: String,
}

/// What calls are signed with. Nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The secret itself.
    Given(Arc<str>),
    /// The file that holds it, which is read at every call: to change it takes no reload.
    File(Arc<str>),
}

/// Why a string is no URL of a hook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookUrlError {
    /// Neither `http://` nor `https://`.
    #[error("must begin with \"https://\" or \"http://\"")]
    Scheme,
    /// A character that no URL has (RFC 3986 section 2), or a fragment, which nobody sends.
    #[error("has {0:?}, which no URL has; escape it")]
    Character(char),
    /// A name or a password before the host: they would be shown wherever the URL is.
    #[error("has a name or a password before its host; the secret is what the receiver knows calls by")]
    Credentials,
    /// The host or the port is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Longer than anybody's.
    #[error("is {0} bytes long, at most {URL_MAX} are allowed")]
    TooLong(usize),
}

/// Longest URL in bytes.
const URL_MAX: usize = 2048;

impl HookPoint {
    /// All turns.
    pub const ALL: [Self; 5] = [Self::PreFlip, Self::PostFlip, Self::Baked, Self::Drained, Self::RolledBack];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreFlip => "pre_flip",
            Self::PostFlip => "post_flip",
            Self::Baked => "baked",
            Self::Drained => "drained",
            Self::RolledBack => "rolled_back",
        }
    }

    /// The turn with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|on| on.as_str() == word)
    }
}

impl HookUrl {
    /// Whether it is called over TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Where to connect to.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// The path and the query (RFC 9112 section 3.2.1).
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Its host, with its port unless that is the usual one (RFC 9110 section 7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        let usual = format!(":{}", usual_port(self.is_tls));
        let address = self.address.to_string();
        address.strip_suffix(&usual).map_or_else(|| address.clone(), str::to_owned)
    }

    /// The URL without its path and query, which may be as secret as a password.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}{}", scheme(self.is_tls), self.authority())
    }
}

impl FromStr for HookUrl {
    type Err = HookUrlError;

    fn from_str(text: &str) -> Result<Self, HookUrlError> {
        if text.len() > URL_MAX {
            return Err(HookUrlError::TooLong(text.len()));
        }
        let schemes = [true, false].into_iter();
        let mut found = schemes.filter_map(|is_tls| Some((is_tls, text.strip_prefix(scheme(is_tls))?)));
        let (is_tls, rest) = found.next().ok_or(HookUrlError::Scheme)?;
        let is_foreign = |c: &char| {
            !c.is_ascii_graphic() || matches!(c, '#' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
        };
        if let Some(foreign) = rest.chars().find(is_foreign) {
            return Err(HookUrlError::Character(foreign));
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(HookUrlError::Credentials);
        }
        // The colons of an IPv6 address are not the one before a port.
        let has_port = authority.rsplit(']').next().is_some_and(|after| after.contains(':'));
        let address = if has_port {
            authority.parse()?
        } else {
            format!("{authority}:{}", usual_port(is_tls)).parse()?
        };
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { is_tls, address, target })
    }
}

const fn scheme(is_tls: bool) -> &'static str {
    if is_tls { "https://" } else { "http://" }
}

const fn usual_port(is_tls: bool) -> u16 {
    if is_tls { 443 } else { 80 }
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.target)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> HookUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_url_is_read_and_written_back() {
        for (text, written, authority, target) in [
            ("https://ci.test/hook", "https://ci.test/hook", "ci.test", "/hook"),
            ("http://ci.test:80?x=1", "http://ci.test/?x=1", "ci.test", "/?x=1"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/", "127.0.0.1:8080", "/"),
            ("https://[::1]/a/?b=/c", "https://[::1]/a/?b=/c", "[::1]", "/a/?b=/c"),
            ("https://[::1]:444/", "https://[::1]:444/", "[::1]:444", "/"),
            ("https://ci.test:80/", "https://ci.test:80/", "ci.test:80", "/"),
        ] {
            let read = url(text);
            assert_eq!((read.to_string().as_str(), read.authority().as_str()), (written, authority));
            assert_eq!((read.target(), url(written)), (target, read.clone()));
        }
    }

    #[test]
    fn what_is_no_url_of_a_hook_is_refused() {
        for text in [
            "ftp://ci.test/",
            "ci.test",
            "https://",
            "https:///x",
            "https://ci.test:0/",
            "https://ci.test:99999/",
            "https://a:b@ci.test/",
            "https://ci.test/a b",
            "https://ci.test/#x",
            "https://ci.test/é",
            "https://ci.test/\r\nHost: x",
            "https://unix:/x",
        ] {
            assert!(text.parse::<HookUrl>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_path_is_no_part_of_the_origin_and_nobody_prints_a_secret() {
        assert_eq!(url("https://ci.test/T0/B1/secret?k=v").origin(), "https://ci.test");
        assert!(!format!("{:?}", Secret::Given("s3cret".into())).contains("s3cret"));
    }
}
