//! The configuration: one TOML file, checked as a whole, with every error at once.
//!
//! [`raw`] is the text with its defaults and the source of the JSON schema, [`Config`] what it means. Nothing behind this module
//! sees text or asks twice whether a value makes sense.

mod address;
mod check;
mod default;
mod files;
mod later;
pub mod raw;
mod report;
mod routes;
mod schema;
mod source;
mod variable;
mod watch;

use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use cutover_control::document::{self, Problems};
use cutover_control::shared_cookie::{self, SharedCookie};
use cutover_core::command::Configured;
use cutover_core::id::ServiceName;
use cutover_core::time::Millis;

pub use address::{AdminAddress, BindAddress};
pub use cutover_proxy::Network;
pub use cutover_tls::server::{CertificateFiles, ClientAuth, MinVersion};
pub use raw::{AccessLogFormat, Role, StoreKind};
pub use report::{Located, Report};
pub use schema::schema;
pub use watch::FileWatch;

/// The largest file that is read. A thousand services with ten backends each have a tenth of it.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A configuration that makes sense.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// This process.
    pub node: Node,
    /// Where clients connect; at least one.
    pub listeners: Vec<Listener>,
    /// Limits of the data plane.
    pub limits: Limits,
    /// The admin API.
    pub admin: Admin,
    /// Where the control state is kept.
    pub store: StoreKind,
    /// The log of requests; `None` = off.
    pub access_log: Option<AccessLog>,
    /// A listener of its own for metrics.
    pub metrics: Option<BindAddress>,
    /// Traces of requests.
    pub tracing: Tracing,
    /// The services, in the order of the file.
    pub services: Vec<Configured>,
}

impl Config {
    /// What is allowed, and hardly meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<SharedCookie> {
        shared_cookie::find(self.services.iter().map(|service| (&service.name, &*service.policy)))
    }
}

/// This process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Threads of the data plane; `None` = one per core.
    pub workers: Option<NonZeroU32>,
    /// File that the process id is written to.
    pub pid_file: Option<PathBuf>,
    /// How long a new process may take to be ready when it takes over.
    pub upgrade_timeout: Millis,
    /// Directory of the embedded store and the pin keys.
    pub state_dir: PathBuf,
    /// Whom a process of root's becomes; `None` = it stays what it is.
    pub user: Option<String>,
    /// Its group; `None` = the user's own.
    pub group: Option<String>,
    /// Name servers by which names of backends are looked up; none = those of the system.
    pub name_servers: Vec<SocketAddr>,
}

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Addresses; at least one.
    pub bind: Vec<BindAddress>,
    /// Networks whose forwarding headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Connections open at once, over all workers.
    pub max_connections: u32,
    /// Connections open at once of one client; `None` = as many as there may be.
    pub max_connections_per_client: Option<NonZeroU32>,
    /// Whether trusted proxies begin connections by telling whose they are.
    pub proxy_protocol: bool,
    /// TLS, where clients have to speak it.
    pub tls: Option<ListenerTls>,
    /// Whether clients are only told to come back over TLS.
    pub redirect_to_https: bool,
}

/// TLS of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// Certificate files with their key files; empty only with `acme`.
    pub certs: Vec<CertificateFiles>,
    /// The oldest version that is spoken.
    pub min_version: MinVersion,
    /// How clients show who they are; `None` = they are not asked.
    pub client_auth: Option<ClientAuth>,
    /// The header by which backends are told the subject of the client's certificate. It is taken out of what any client sends, over
    /// whatever listener it comes.
    pub client_subject_header: String,
    /// Certificates that cutover gets by itself.
    pub acme: Option<Acme>,
}

/// Certificates that come from an authority by ACME (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// Host names; at least one.
    pub domains: Vec<String>,
    /// Whom the authority writes to; `None` = nobody.
    pub email: Option<String>,
    /// URL of the directory.
    pub directory: String,
    /// PEM file of the authorities by which the directory itself is believed; `None` = those of the system.
    pub ca: Option<PathBuf>,
    /// How it is shown that the names are ours.
    pub challenge: AcmeChallenge,
}

/// A kind of challenge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// By a certificate (RFC 8737).
    #[default]
    TlsAlpn01,
    /// By an answer over plain HTTP (RFC 8555 section 8.3).
    Http01,
}

/// Limits of the data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request line.
    pub request_line: u64,
    /// Bytes of a whole request head.
    pub headers: u64,
    /// Header fields of a request.
    pub header_count: u32,
    /// Bytes of a request body.
    pub body: Option<u64>,
    /// Time for a whole request head, from its first byte.
    pub header_timeout: Millis,
    /// Time without a body byte that ends a request.
    pub body_idle_timeout: Millis,
    /// Time without a request that ends a connection.
    pub keepalive_timeout: Millis,
    /// Requests after which a connection is closed.
    pub requests_per_connection: Option<NonZeroU32>,
    /// Time for a whole TLS handshake.
    pub handshake_timeout: Millis,
    /// Streams that a client may have open at once on one connection of HTTP/2.
    pub h2_max_concurrent_streams: u32,
}

/// The admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub listen: AdminAddress,
    /// Whether no token is needed; never true where others than this machine can connect.
    pub is_open: bool,
    /// Who may do what.
    pub tokens: Vec<Token>,
    /// TLS; `None` = clear text.
    pub tls: Option<AdminTls>,
    /// Who may do what by a client certificate.
    pub certificates: Vec<Certificate>,
}

/// TLS of the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminTls {
    /// The certificate and its key.
    pub files: CertificateFiles,
    /// PEM file of the authorities whose certificates clients may show; `None` = they are not asked.
    pub client_ca: Option<PathBuf>,
}

/// A client certificate of the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its subject, as a distinguished name.
    pub subject: String,
    /// What its holder may do.
    pub role: Role,
    /// Services that a `register` certificate is for.
    pub services: Vec<ServiceName>,
}

/// A bearer token of the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Who holds it.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// What it may do.
    pub role: Role,
    /// Services that a `register` token is for.
    pub services: Vec<ServiceName>,
}

/// Traces of requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tracing {
    /// The collector that spans are sent to by OTLP over HTTP.
    pub otlp: Option<http::Uri>,
}

/// The log of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// A file; `None` = standard output.
    pub path: Option<PathBuf>,
    /// Form of a line.
    pub format: AccessLogFormat,
}

/// Reads the configuration file at `path`, with variables from the environment.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path) -> Result<Config, Report> {
    read_from(path, Files::Unasked)
}

/// The same, and asks whether the files that it names can be read here.
///
/// # Errors
/// Everything that is wrong with it, or with the files.
pub fn check(path: &Path) -> Result<Config, Report> {
    read_from(path, Files::Needed)
}

/// The configuration without a file: a listener on `127.0.0.1:8080`, the admin API on `127.0.0.1:9900`, and no services.
///
/// # Errors
/// The parts that this machine has no default for, such as a home directory.
pub fn built_in() -> Result<Config, Report> {
    parse("built-in defaults", "", &|variable| std::env::var(variable).ok())
}

/// Checks the text of a configuration file. `file` is its name in errors, `lookup` the environment.
///
/// # Errors
/// Everything that is wrong with it, in the order of the text.
pub fn parse(file: &str, text: &str, lookup: variable::Lookup<'_>) -> Result<Config, Report> {
    read(file, text, lookup, Files::Unasked)
}

/// What [`check`] says of a text that is not in a file yet.
///
/// # Errors
/// Everything that is wrong with it, or with the files that it names.
pub(crate) fn check_text(name: &str, text: &str) -> Result<Config, Report> {
    read(name, text, &|variable| std::env::var(variable).ok(), Files::Needed)
}

/// The same by the keys of a configuration that is not written yet.
pub(crate) fn problems(raw: &raw::RawConfig) -> Problems {
    let (mut problems, root) = (Problems::default(), document::Path::root());
    // Of strings, numbers and tables with string keys there is always a document.
    let mut value = serde_json::to_value(raw).unwrap_or_default();
    later::strip(&mut value, &mut problems);
    if let Some(raw) = document::read::<raw::RawConfig>(value, &root, &mut problems) {
        files::check(&raw, &mut problems);
        check::config(&raw, &|variable| std::env::var(variable).ok(), &mut problems);
    }
    problems
}

/// Whether the files that a configuration names have to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Files {
    /// They are read by those who need them.
    Unasked,
    /// Each has to be readable now.
    Needed,
}

fn read_from(path: &Path, files: Files) -> Result<Config, Report> {
    let name = path.display().to_string();
    let text = read_file(path).map_err(|error| Report::unreadable(&name, &error))?;
    read(&name, &text, &|variable| std::env::var(variable).ok(), files)
}

fn read(file: &str, text: &str, lookup: variable::Lookup<'_>, files: Files) -> Result<Config, Report> {
    let mut problems = Problems::default();
    let mut source = source::Source::parse(text, &mut problems);
    let root = document::Path::root();
    let mut value = std::mem::take(&mut source.document);
    variable::substitute(&mut value, &root, lookup, &mut problems);
    later::strip(&mut value, &mut problems);
    let config = document::read::<raw::RawConfig>(value, &root, &mut problems).map(|raw| {
        if files == Files::Needed {
            files::check(&raw, &mut problems);
        }
        check::config(&raw, lookup, &mut problems)
    });
    match config {
        Some(config) if problems.is_empty() && source.syntax.is_empty() => Ok(config),
        _ => Err(source.report(file, text, problems)),
    }
}

fn read_file(path: &Path) -> io::Result<String> {
    // What the standard library says of files that are no text.
    let no_text = |_| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8");
    String::from_utf8(read_bytes(path)?).map_err(no_text)
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod examples;
#[cfg(test)]
mod tests;
