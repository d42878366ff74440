//! Virtual hosts, and the listeners that they need.

use super::super::draft::Listener;
use super::super::files::Files;
use super::super::note::{Ledger, Note};
use super::super::tree::{Directive, named};
use super::super::value::is_on;
use super::tls;

/// A virtual host, or the server that is none.
#[derive(Debug)]
pub(super) struct Host<'a> {
    /// Its tag; `None` for the main server.
    pub(super) tag: Option<&'a Directive>,
    /// What is in it.
    pub(super) scope: &'a [Directive],
    /// Its names.
    pub(super) names: Vec<String>,
    /// Whether it answers for any host.
    pub(super) is_default: bool,
    /// Whether it only tells clients to come back over TLS.
    pub(super) is_redirect: bool,
    addresses: Vec<(String, Option<u16>)>,
}

impl<'a> Host<'a> {
    /// What is in a tag.
    pub(super) fn new(
        tag: Option<&'a Directive>,
        scope: &'a [Directive],
        ledger: &Ledger,
        notes: &mut Vec<Note>,
    ) -> Self {
        let mut host = Self {
            tag,
            scope,
            names: Vec::new(),
            is_default: false,
            is_redirect: false,
            addresses: Vec::new(),
        };
        if let Some(tag) = tag {
            ledger.see(tag);
            host.addresses = tag.args.iter().map(|text| address(text)).collect();
        }
        for directive in named(scope, "servername").chain(named(scope, "serveralias")) {
            ledger.see(directive);
            directive.args.iter().for_each(|name| host.add_name(name, directive, notes));
        }
        host
    }

    fn add_name(&mut self, written: &str, directive: &Directive, notes: &mut Vec<Note>) {
        let name = written.rsplit("://").next().unwrap_or_default();
        let name = match name.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => name,
        };
        if name == "*" {
            self.is_default = true;
        } else if name.trim_start_matches("*.").contains(['*', '?']) {
            notes.push(Note::lost(
                directive,
                format!("{name:?} is more than a host or *.domain; name the hosts"),
            ));
        } else if !self.names.iter().any(|other| other == name) {
            self.names.push(name.to_owned());
        }
    }

    /// Whether it speaks TLS.
    pub(super) fn is_tls(&self) -> bool {
        named(self.scope, "sslengine").next_back().is_some_and(|engine| is_on(engine.arg(0)))
    }

    fn is_on_port(&self, port: u16) -> bool {
        self.addresses.iter().any(|(_, own)| own.is_none_or(|own| own == port))
    }
}

/// The listeners of `hosts`, of which the first at each answers for any host there.
pub(super) fn listeners(
    scope: &[Directive],
    hosts: &mut [Host<'_>],
    files: &Files,
    ledger: &Ledger,
    notes: &mut Vec<Note>,
) -> Vec<Listener> {
    let mut wanted: Vec<(&Directive, String, u16)> = Vec::new();
    for listen in named(scope, "listen") {
        match address(listen.arg(0)) {
            (host, Some(port)) => wanted.push((listen, host, port)),
            _ => notes.push(Note::lost(listen, format!("{:?} is no address with a port", listen.arg(0)))),
        }
    }
    if wanted.is_empty() {
        // A file of one site: the ports stand in another one.
        for host in hosts.iter() {
            let tag = host.tag;
            wanted.extend(
                host.addresses.iter().filter_map(|(address, port)| Some((tag?, address.clone(), (*port)?))),
            );
        }
    }
    let mut listeners: Vec<(u16, Listener)> = Vec::new();
    for (from, address, port) in wanted {
        if from.is("listen") {
            ledger.see(from);
        }
        if let Some((_, listener)) = listeners.iter_mut().find(|(other, _)| *other == port) {
            binds(&address, port).into_iter().for_each(|address| listener.bind(address));
            continue;
        }
        let Some(mut listener) = listener(from, port, hosts, scope, files, ledger) else {
            notes.push(Note::lost(from, "no virtual host is behind it; add a [[listener]] if it is needed"));
            continue;
        };
        binds(&address, port).into_iter().for_each(|address| listener.bind(address));
        listeners.push((port, listener));
    }
    listeners.into_iter().map(|(_, listener)| listener).collect()
}

/// A listener at `port`; `None` when nobody is behind it.
fn listener(
    from: &Directive,
    port: u16,
    hosts: &mut [Host<'_>],
    scope: &[Directive],
    files: &Files,
    ledger: &Ledger,
) -> Option<Listener> {
    let mut behind: Vec<_> =
        hosts.iter_mut().filter(|host| host.tag.is_some() && host.is_on_port(port)).collect();
    if behind.is_empty() {
        behind = hosts.iter_mut().filter(|host| host.tag.is_none()).collect();
    }
    behind.first_mut()?.is_default = true;
    let mut listener = Listener::new(&Directive { block: None, ..from.clone() });
    listener.spec.redirect_to_https = behind.iter().all(|host| host.is_redirect);
    for host in behind.iter().filter(|host| host.is_tls()) {
        tls::add(&mut listener, host.scope, scope, files, ledger);
    }
    for host in behind.iter().filter(|host| host.is_redirect) {
        if !listener.spec.redirect_to_https {
            let Some(tag) = host.tag else { continue };
            let why = "a listener sends all hosts to TLS or none; set redirect_to_https if all are meant";
            listener.notes.push(Note::lost(tag, why));
        }
    }
    for scope in
        [scope].into_iter().chain(behind.iter().filter(|host| host.tag.is_some()).map(|host| host.scope))
    {
        trusted(&mut listener, scope, ledger);
    }
    Some(listener)
}

/// `RemoteIP…`: who is believed.
fn trusted(listener: &mut Listener, scope: &[Directive], ledger: &Ledger) {
    for directive in scope {
        match directive.name.as_str() {
            "remoteipinternalproxy" | "remoteiptrustedproxy" => {
                ledger.see(directive);
                for network in &directive.args {
                    if !listener.spec.trusted_proxies.contains(network) {
                        listener.spec.trusted_proxies.push(network.clone());
                    }
                }
            }
            "remoteipheader" if directive.keyword(0) == "x-forwarded-for" => ledger.see(directive),
            "remoteipheader" => listener.notes.push(Note::lost(
                directive,
                "clients are told apart by X-Forwarded-For and Forwarded of trusted proxies; let them send one of these",
            )),
            "remoteipproxyprotocol" => {
                ledger.see(directive);
                listener.spec.proxy_protocol = is_on(directive.arg(0));
            }
            _ => {}
        }
    }
}

/// An address without a host is every address, of both families.
fn binds(host: &str, port: u16) -> Vec<String> {
    match host {
        "" => vec![format!("0.0.0.0:{port}"), format!("[::]:{port}")],
        host => vec![format!("{host}:{port}")],
    }
}

/// `80`, `*:80`, `10.0.0.1:80`, `[::1]:80`, `_default_:443`; an empty host is any.
fn address(text: &str) -> (String, Option<u16>) {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
        _ if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => ("", text),
        _ => (text, "*"),
    };
    let host = if matches!(host, "*" | "_default_") { "" } else { host };
    (host.to_owned(), port.parse().ok())
}
