//! Where requests are sent, as URLs say it: `http://10.0.0.1:3000/app`, `balancer://web`, `unix:/run/app.sock|http://localhost/`.

use cutover_control::admin::wire::service::UpstreamProtocol;

/// A URL behind which a backend or a group of them is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// In lower case.
    pub(super) scheme: String,
    /// The address of one backend as cutover writes it, or the name of a group.
    pub(super) address: String,
    /// What stands behind the host, without a slash at its end; empty for the root and for none.
    pub(super) path: String,
    /// Whether anything stands behind the host, if only a slash.
    pub(super) has_path: bool,
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some((socket, url)) = text.split_once('|').filter(|(socket, _)| socket.starts_with("unix:")) {
            let target = Self::parse(url)?;
            return Ok(Self { address: socket.to_owned(), ..target });
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("{text:?} is no URL"))?;
        let scheme = scheme.to_ascii_lowercase();
        // nginx writes the path of a socket between two colons.
        if let Some(socket) = rest.strip_prefix("unix:") {
            let (socket, path) =
                socket.split_once(':').map_or((socket, None), |(socket, path)| (socket, Some(path)));
            return Ok(Self::new(scheme, format!("unix:{socket}"), path));
        }
        let (host, path) = match rest.find('/') {
            Some(slash) => (&rest[..slash], Some(&rest[slash..])),
            None => (rest, None),
        };
        if host.is_empty() {
            return Err(format!("{text:?} has no host"));
        }
        Ok(Self::new(scheme, host.to_owned(), path))
    }

    fn new(scheme: String, address: String, path: Option<&str>) -> Self {
        let trimmed = path.unwrap_or_default().trim_end_matches('/').to_owned();
        Self { scheme, address, path: trimmed, has_path: path.is_some() }
    }

    /// What is spoken with backends behind it; WebSockets are spoken by whoever speaks HTTP/1.1.
    ///
    /// # Errors
    /// Cutover does not speak it.
    pub(super) fn protocol(&self) -> Result<UpstreamProtocol, String> {
        match self.scheme.as_str() {
            "http" | "ws" => Ok(UpstreamProtocol::Http1),
            "https" | "wss" => Ok(UpstreamProtocol::Https),
            "h2c" | "grpc" => Ok(UpstreamProtocol::H2c),
            "h2" | "grpcs" => Ok(UpstreamProtocol::HttpsH2),
            other => Err(format!(
                "cutover speaks HTTP with backends and no {other}; let the app listen for HTTP too"
            )),
        }
    }

    /// The address with the port that its scheme stands for, where it names none.
    pub(super) fn with_port(&self) -> String {
        let port = if matches!(self.scheme.as_str(), "https" | "wss" | "h2" | "grpcs") { 443 } else { 80 };
        with_port(&self.address, port)
    }
}

/// `address` with a port.
pub(super) fn with_port(address: &str, port: u16) -> String {
    let has_port = address.starts_with("unix:")
        || address.rsplit_once(':').is_some_and(|(host, port)| {
            !port.is_empty()
                && port.bytes().all(|b| b.is_ascii_digit())
                && (!host.contains(':') || host.ends_with(']'))
        });
    if has_port { address.to_owned() } else { format!("{address}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let read = |text| {
            let target = Target::parse(text).unwrap();
            (target.with_port(), target.path.clone(), target.has_path)
        };
        assert_eq!(read("http://10.0.0.1:3000/app/"), ("10.0.0.1:3000".into(), "/app".into(), true));
        assert_eq!(read("https://app.internal"), ("app.internal:443".into(), String::new(), false));
        assert_eq!(read("http://[::1]/"), ("[::1]:80".into(), String::new(), true));
        assert_eq!(read("http://[::1]:81"), ("[::1]:81".into(), String::new(), false));
        assert_eq!(
            read("unix:/run/a.sock|http://localhost/x"),
            ("unix:/run/a.sock".into(), "/x".into(), true)
        );
        assert_eq!(read("http://unix:/run/a.sock:/x"), ("unix:/run/a.sock".into(), "/x".into(), true));
        assert_eq!(read("http://unix:/run/a.sock"), ("unix:/run/a.sock".into(), String::new(), false));
        assert!(
            ["", "localhost:3000", "http://", "http:///x"].iter().all(|text| Target::parse(text).is_err())
        );
    }

    #[test]
    fn what_is_not_http_is_refused_by_name() {
        let protocol = |text| Target::parse(text).unwrap().protocol();
        assert_eq!(protocol("wss://a"), Ok(UpstreamProtocol::Https));
        assert!(protocol("ajp://a:8009").unwrap_err().contains("no ajp"));
    }
}
