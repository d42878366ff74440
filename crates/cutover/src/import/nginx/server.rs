//! `server` blocks: their names, and the listeners that they need.

use super::super::draft::Listener;
use super::super::files::Files;
use super::super::note::Note;
use super::super::tree::{Directive, named};
use super::super::value::is_on;
use super::levels::Levels;
use crate::config::raw::{CertificateFilesSpec, ClientAuth, ListenerProtocol, ListenerTlsSpec, TlsVersion};

/// A `server` block.
#[derive(Debug)]
pub(super) struct Server<'a> {
    /// Itself.
    pub(super) block: &'a Directive,
    /// What holds in it.
    pub(super) levels: Levels<'a>,
    /// Its names.
    pub(super) names: Vec<String>,
    /// Whether it answers for any host.
    pub(super) is_default: bool,
    /// Whether it only tells clients to come back over TLS.
    pub(super) is_redirect: bool,
    /// What was said while it was read.
    pub(super) notes: Vec<Note>,
    listens: Vec<Listen<'a>>,
}

/// Where it listens.
#[derive(Debug)]
struct Listen<'a> {
    from: &'a Directive,
    bind: String,
    port: u16,
    is_tls: bool,
    is_default: bool,
    has_proxy_header: bool,
}

impl<'a> Server<'a> {
    /// Reads its names and addresses. `outer` is what holds around it.
    pub(super) fn new(block: &'a Directive, outer: &Levels<'a>) -> Self {
        let levels = outer.with(block.inner());
        outer.ledger().see(block);
        let mut server = Self {
            block,
            levels,
            names: Vec::new(),
            is_default: false,
            is_redirect: false,
            notes: Vec::new(),
            listens: Vec::new(),
        };
        for names in named(block.inner(), "server_name") {
            outer.ledger().see(names);
            names.args.iter().for_each(|name| server.add_name(name, names));
        }
        let is_old_tls = server.levels.last("ssl").is_some_and(|ssl| is_on(ssl.arg(0)));
        for directive in named(block.inner(), "listen") {
            outer.ledger().see(directive);
            match Listen::new(directive, is_old_tls) {
                Ok(listen) => server.listens.push(listen),
                Err(why) => server.notes.push(Note::lost(directive, why)),
            }
        }
        if named(block.inner(), "listen").next().is_none() {
            let bind = "0.0.0.0:80".to_owned();
            let (is_tls, is_default, has_proxy_header) = (is_old_tls, false, false);
            server.listens.push(Listen { from: block, bind, port: 80, is_tls, is_default, has_proxy_header });
        }
        server
    }

    fn add_name(&mut self, name: &str, directive: &Directive) {
        if matches!(name, "_" | "" | "*") {
            return;
        }
        let is_plain =
            !name.starts_with('~') && !name.trim_start_matches("*.").contains('*') && !name.contains('$');
        if !is_plain {
            let why = format!("{name:?} is more than a host or *.domain; name the hosts");
            return self.notes.push(Note::lost(directive, why));
        }
        let names = match name.strip_prefix('.') {
            // nginx: the domain, and all below it.
            Some(domain) => vec![domain.to_owned(), format!("*.{domain}")],
            None => vec![name.to_owned()],
        };
        for name in names {
            if !self.names.contains(&name) {
                self.names.push(name);
            }
        }
    }
}

impl<'a> Listen<'a> {
    fn new(directive: &'a Directive, is_tls: bool) -> Result<Self, String> {
        let text = directive.arg(0);
        if text.starts_with("unix:") {
            return Err("clients connect by TCP; give the listener an address".to_owned());
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
            _ if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => ("", text),
            _ => (text, "80"),
        };
        let host = if matches!(host, "" | "*") { "0.0.0.0" } else { host };
        let port = port.parse().map_err(|_| format!("{text:?} is no address to listen on"))?;
        Ok(Self {
            from: directive,
            bind: format!("{host}:{port}"),
            port,
            is_tls: is_tls || directive.has("ssl"),
            is_default: directive.has("default_server") || directive.has("default"),
            has_proxy_header: directive.has("proxy_protocol"),
        })
    }

    fn is_at(&self, other: &Self) -> bool {
        (self.port, self.is_tls, self.has_proxy_header) == (other.port, other.is_tls, other.has_proxy_header)
    }
}

/// The listeners of `servers`. The first at each, or the one that says so, answers for any host there.
pub(super) fn listeners(servers: &mut [Server<'_>], files: &Files) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = Vec::new();
    let mut defaults = vec![false; servers.len()];
    for (at, server) in servers.iter().enumerate() {
        for (index, listen) in server.listens.iter().enumerate() {
            let is_behind = |server: &Server<'_>| server.listens.iter().any(|other| other.is_at(listen));
            let is_first = !servers[..at].iter().any(is_behind)
                && !server.listens[..index].iter().any(|other| other.is_at(listen));
            if !is_first {
                continue;
            }
            let behind: Vec<_> = (at..servers.len()).filter(|&other| is_behind(&servers[other])).collect();
            let says_so = |server: &Server<'_>| {
                server.listens.iter().any(|other| other.is_at(listen) && other.is_default)
            };
            let default = behind.iter().copied().find(|&other| says_so(&servers[other])).unwrap_or(at);
            defaults[default] = true;
            let behind: Vec<_> = behind.into_iter().map(|other| &servers[other]).collect();
            listeners.push(listener(listen, &behind, files));
        }
    }
    for (server, is_default) in servers.iter_mut().zip(defaults) {
        server.is_default = is_default;
    }
    listeners
}

fn listener(listen: &Listen<'_>, behind: &[&Server<'_>], files: &Files) -> Listener {
    let mut listener = Listener::new(&Directive { block: None, ..listen.from.clone() });
    for server in behind {
        server
            .listens
            .iter()
            .filter(|other| other.is_at(listen))
            .for_each(|other| listener.bind(other.bind.clone()));
        trusted(&mut listener, server);
    }
    listener.spec.proxy_protocol = listen.has_proxy_header;
    listener.spec.redirect_to_https = !listen.is_tls && behind.iter().all(|server| server.is_redirect);
    if !listener.spec.redirect_to_https {
        for server in behind.iter().filter(|server| server.is_redirect) {
            let why = "a listener sends all hosts to TLS or none; set redirect_to_https if all are meant";
            listener.notes.push(Note::lost(server.block, why));
        }
    }
    if listen.is_tls {
        listener.spec.protocol = ListenerProtocol::Https;
        let mut tls = ListenerTlsSpec::default();
        for (index, server) in behind.iter().enumerate() {
            tls_of(&mut tls, &mut listener, server, files, index == 0);
        }
        listener.spec.tls = Some(tls);
    }
    listener
}

fn tls_of(
    tls: &mut ListenerTlsSpec,
    listener: &mut Listener,
    server: &Server<'_>,
    files: &Files,
    is_first: bool,
) {
    let keys = server.levels.all("ssl_certificate_key");
    for (index, cert) in server.levels.all("ssl_certificate").iter().enumerate() {
        let key = keys.get(index).map_or(cert.arg(0), |key| key.arg(0));
        let pair = CertificateFilesSpec { cert: files.absolute(cert.arg(0)), key: files.absolute(key) };
        if !tls.certs.contains(&pair) {
            tls.certs.push(pair);
        }
    }
    let elsewhere =
        "a listener has one setting for all its servers, that of the first; make it a listener of its own";
    if let Some(protocols) = server.levels.last("ssl_protocols") {
        let version = if protocols.has("TLSv1.2") || !protocols.has("TLSv1.3") {
            TlsVersion::Tls12
        } else {
            TlsVersion::Tls13
        };
        if is_first {
            tls.min_version = version;
        } else if tls.min_version != version {
            listener.notes.push(Note::lost(protocols, elsewhere));
        }
        if protocols.has("TLSv1") || protocols.has("TLSv1.1") || protocols.has("SSLv3") {
            listener.notes.push(Note::changed(protocols, "TLS 1.2 is the oldest version that is spoken"));
        }
    }
    let verify = server.levels.last("ssl_verify_client").map(|verify| verify.keyword(0));
    let ca = server.levels.last("ssl_client_certificate");
    let auth = match verify.as_deref() {
        Some("on") => ClientAuth::Required,
        Some("optional" | "optional_no_ca") => ClientAuth::Optional,
        _ => return,
    };
    let Some(ca) = ca else { return };
    let file = files.absolute(ca.arg(0));
    if is_first {
        (tls.client_ca, tls.client_auth) = (file, auth);
    } else if tls.client_ca != file {
        listener.notes.push(Note::lost(ca, elsewhere));
    }
}

/// Who is believed.
fn trusted(listener: &mut Listener, server: &Server<'_>) {
    for directive in server.levels.all("set_real_ip_from") {
        let network = directive.arg(0).to_owned();
        if !listener.spec.trusted_proxies.contains(&network) {
            listener.spec.trusted_proxies.push(network);
        }
    }
    server.levels.last("real_ip_recursive");
    if let Some(header) = server.levels.last("real_ip_header")
        && !matches!(header.keyword(0).as_str(), "x-forwarded-for" | "proxy_protocol")
    {
        let why = "clients are told apart by X-Forwarded-For and Forwarded of trusted proxies; let them send one of these";
        listener.notes.push(Note::lost(header, why));
    }
}
