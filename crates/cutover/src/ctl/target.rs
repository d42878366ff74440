//! Where the admin API is: `http://host:port`, `https://host:port` or `unix:/path`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;

/// The address of an admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A TCP address.
    Tcp {
        /// An IP address (IPv6 without brackets) or a name.
        host: String,
        /// The port.
        port: u16,
        /// Whether TLS is spoken.
        is_tls: bool,
    },
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// Why a text is no address of an admin API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    /// None of the three forms.
    #[error("write http://host:port, https://host:port or unix:/path")]
    Form,
    /// Another port than there are.
    #[error("a port is a number from 1 to 65535; write http://host:port")]
    Port,
    /// A path behind the port.
    #[error("the admin API has no path; write http://host:port")]
    Path,
}

/// The port of the admin API, where none is given.
const PORT_DEFAULT: u16 = 9900;

impl Target {
    /// What `Host` says of it.
    #[must_use]
    pub(crate) fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(TargetError::Form) };
        }
        let uri: Uri = text.parse().map_err(|_| TargetError::Form)?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(TargetError::Form),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(TargetError::Path);
        }
        let authority = uri.authority().map_or("", Authority::as_str);
        if authority.contains('@') || text.contains('#') {
            return Err(TargetError::Form);
        }
        let host = uri.host().ok_or(TargetError::Form)?;
        let port = match authority.get(host.len()..).unwrap_or_default() {
            "" => PORT_DEFAULT,
            port => port[1..].parse().ok().filter(|port| *port > 0).ok_or(TargetError::Port)?,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(TargetError::Form);
        }
        Ok(Self::Tcp { host, port, is_tls })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { is_tls: false, .. } => write!(f, "http://{}", self.authority()),
            Self::Tcp { is_tls: true, .. } => write!(f, "https://{}", self.authority()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_written_alike() {
        for text in
            ["http://127.0.0.1:9900", "http://[::1]:1", "https://lb-1.internal:80", "unix:/run/a.sock"]
        {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!("http://lb-1/".parse::<Target>().unwrap().authority(), "lb-1:9900");
    }

    #[test]
    fn wrong_targets_are_refused_with_their_cause() {
        let cause = |text: &str| text.parse::<Target>().unwrap_err();
        assert_eq!(cause("127.0.0.1:9900"), TargetError::Form);
        assert_eq!(cause("unix:a.sock"), TargetError::Form);
        assert_eq!(cause("ftp://a"), TargetError::Form);
        assert_eq!(cause(""), TargetError::Form);
        assert_eq!(cause("https://"), TargetError::Form);
        assert_eq!(cause("http://a:1/v1"), TargetError::Path);
        // Never another cutover than the one that was meant.
        for port in ["99999", "65536", "abc", "0", "-1", ""] {
            assert!(
                matches!(cause(&format!("http://a:{port}")), TargetError::Port | TargetError::Form),
                "{port}"
            );
        }
        assert_eq!(cause("http://[::1]:99999"), TargetError::Port);
        assert_eq!(cause("http://user:password@a:1"), TargetError::Form);
        assert_eq!(cause("http://a:1#x"), TargetError::Form);
    }
}
