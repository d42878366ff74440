//! Where the admin API is: `http://host:port`, `https://host:port` or `unix:/path`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use http::Uri;

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
        let host = uri.host().ok_or(TargetError::Form)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(TargetError::Form);
        }
        Ok(Self::Tcp { host, port: uri.port_u16().unwrap_or(PORT_DEFAULT), is_tls })
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
    }
}
