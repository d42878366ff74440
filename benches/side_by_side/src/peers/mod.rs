//! Who is measured: each proxy set up as its experts would for one core.
//!
//! All keep connections to the backends open, write no access log, persist sessions by a cookie, tell the backend who the
//! client was (X-Forwarded-*), and never limit the requests of a connection. Over TLS they show the same certificate and hand out
//! tickets as they do by default. Calls of gRPC go on over HTTP/2, without a cookie, which such clients don't keep.

mod apache;
mod caddy;
mod cutover;
mod envoy;
mod haproxy;
mod nginx;
mod traefik;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::Addresses;
use crate::error::{Doing as _, Error};
use crate::load::Load;
use crate::tls::Tls;

/// Files in every proxy's directory.
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// No proxy: what the traffic costs by itself.
    Direct,
    Nginx,
    Haproxy,
    Apache,
    Envoy,
    Caddy,
    Traefik,
    Cutover,
    /// With an access log, to a file.
    CutoverLogging,
}

/// Where a proxy finds and puts what it needs.
#[derive(Debug)]
pub(crate) struct Place {
    /// Its own directory: configuration, log, whatever it writes.
    pub(crate) directory: PathBuf,
    pub(crate) listen: Addresses,
    /// Another port of its own, for those that need one.
    pub(crate) admin: SocketAddr,
    pub(crate) backends: Vec<SocketAddr>,
    /// In PEM.
    certificate: String,
    /// In PEM.
    key: String,
}

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) cutover: PathBuf,
    /// The folder of those that were installed for this bench alone.
    pub(crate) peers: PathBuf,
}

impl Peer {
    pub(crate) const ALL: [Self; 9] = [
        Self::Direct,
        Self::Nginx,
        Self::Haproxy,
        Self::Apache,
        Self::Envoy,
        Self::Caddy,
        Self::Traefik,
        Self::Cutover,
        Self::CutoverLogging,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Apache => "apache",
            Self::Envoy => "envoy",
            Self::Caddy => "caddy",
            Self::Traefik => "traefik",
            Self::Cutover => "cutover",
            Self::CutoverLogging => "cutover, logging",
        }
    }

    pub(crate) fn is_cutover(self) -> bool {
        matches!(self, Self::Cutover | Self::CutoverLogging)
    }

    /// Writes its configuration, and gives the command that serves it in the foreground. None where there is no proxy.
    pub(crate) fn prepare(self, place: &Place, programs: &Programs) -> Result<Option<Command>, Error> {
        fs::create_dir_all(&place.directory).doing("creating a proxy's directory")?;
        place.write(CERTIFICATE, &place.certificate)?;
        place.write(KEY, &place.key)?;
        let program = |at_home: &str| self.program(programs).unwrap_or_else(|| PathBuf::from(at_home));
        let command = match self {
            Self::Direct => return Ok(None),
            Self::Nginx => nginx::prepare(&program("nginx"), place)?,
            Self::Haproxy => haproxy::prepare(&program("haproxy"), place)?,
            Self::Apache => apache::prepare(&program("apache2"), place)?,
            Self::Envoy => envoy::prepare(&program("envoy"), place)?,
            Self::Caddy => caddy::prepare(&program("caddy"), place)?,
            Self::Traefik => traefik::prepare(&program("traefik"), place)?,
            Self::Cutover => cutover::prepare(&programs.cutover, place, cutover::Logging::Off)?,
            Self::CutoverLogging => cutover::prepare(&programs.cutover, place, cutover::Logging::File)?,
        };
        Ok(Some(command))
    }

    /// Whether it is measured under this load. What has to do with TLS or HTTP/2 is measured beside those that are made for it, and once.
    pub(crate) fn serves(self, load: Load) -> bool {
        match self {
            Self::Nginx | Self::Haproxy | Self::Envoy | Self::Cutover => true,
            Self::Direct | Self::Apache | Self::Caddy | Self::Traefik | Self::CutoverLogging => {
                !load.is_edge()
            }
        }
    }

    /// What the program says of itself; empty where there is none, or none is installed.
    pub(crate) fn version(self, programs: &Programs) -> String {
        let Some(program) = self.program(programs) else { return String::new() };
        let argument = match self {
            Self::Nginx | Self::Haproxy | Self::Apache => "-v",
            Self::Caddy | Self::Traefik => "version",
            Self::Direct | Self::Envoy | Self::Cutover | Self::CutoverLogging => "--version",
        };
        let Ok(output) = Command::new(program).arg(argument).output() else { return String::new() };
        let text = [output.stdout, output.stderr].concat();
        version_in(&String::from_utf8_lossy(&text)).to_owned()
    }

    fn program(self, programs: &Programs) -> Option<PathBuf> {
        // Debian puts servers where only root's PATH leads.
        let system = |name| {
            ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
                .map(|folder| Path::new(folder).join(name))
        };
        let candidates = match self {
            Self::Direct => return None,
            Self::Nginx => system("nginx").to_vec(),
            Self::Haproxy => system("haproxy").to_vec(),
            Self::Apache => system("apache2").to_vec(),
            Self::Envoy => vec![programs.peers.join("envoy")],
            Self::Caddy => vec![programs.peers.join("caddy")],
            Self::Traefik => vec![programs.peers.join("traefik")],
            Self::Cutover | Self::CutoverLogging => vec![programs.cutover.clone()],
        };
        candidates.into_iter().find(|path| path.exists())
    }

    /// Whether it can be measured here.
    pub(crate) fn is_installed(self, programs: &Programs) -> bool {
        self == Self::Direct || self.program(programs).is_some()
    }
}

impl Place {
    /// A directory of that name under `root`, and free ports of loopback.
    pub(crate) fn new(root: &Path, name: &str, backends: Vec<SocketAddr>, tls: &Tls) -> Result<Self, Error> {
        let reserve = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing("looking for a free port");
        // All are held until all are known, so that they differ.
        let reserved = [reserve()?, reserve()?, reserve()?, reserve()?];
        let address = |listener: &TcpListener| listener.local_addr().doing("looking for a free port");
        let [http, secure, h2c, admin] = &reserved;
        Ok(Self {
            directory: root.join(name.replace([',', ' '], "-")),
            listen: Addresses { http: address(http)?, tls: address(secure)?, h2c: address(h2c)? },
            admin: address(admin)?,
            backends,
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
        })
    }

    /// Writes a file into the directory, and gives its path.
    fn write(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.directory.join(name);
        fs::write(&path, text).doing(format!("writing {}", path.display()))?;
        Ok(path)
    }
}

/// The first word that begins with a digit, after an optional `v` or a path.
fn version_in(text: &str) -> &str {
    let words = text.split(|character: char| character.is_whitespace() || "/,".contains(character));
    let mut words = words.map(|word| word.strip_prefix('v').unwrap_or(word));
    words
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.'))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_the_programs_say() {
        for (said, version) in [
            ("nginx version: nginx/1.22.1", "1.22.1"),
            ("HAProxy version 2.6.12-1+deb12u3 2025/10/03 - https://haproxy.org/", "2.6.12-1+deb12u3"),
            ("Server version: Apache/2.4.67 (Debian)", "2.4.67"),
            (
                "envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL",
                "1.40.0",
            ),
            ("v2.11.7 h1:yj0Y4fYZGPkSvibBJ1sTWE33xC0fxztVyXEW5iIdUT4=", "2.11.7"),
            ("Version:      3.7.15\nCodename: x", "3.7.15"),
            ("cutover 0.1.0", "0.1.0"),
            ("no number", ""),
        ] {
            assert_eq!(version_in(said), version, "{said}");
        }
    }
}
