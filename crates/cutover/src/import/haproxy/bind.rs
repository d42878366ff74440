//! `bind` lines: the listeners.

use super::super::draft::{Draft, Listener};
use super::super::files::Files;
use super::super::note::Note;
use super::super::tree::Directive;
use super::proxy::Proxy;
use crate::config::raw::{CertificateFilesSpec, ClientAuth, ListenerProtocol, ListenerTlsSpec, TlsVersion};

/// Directories that names of files may be relative to.
#[derive(Debug, Default)]
pub(super) struct Bases<'a> {
    /// Of certificates.
    pub(super) crt: Option<&'a str>,
    /// Of authorities.
    pub(super) ca: Option<&'a str>,
}

/// Adds the listeners of `proxy`. `is_redirect`: those without TLS only send clients there.
pub(super) fn listeners(
    proxy: &Proxy<'_>,
    is_redirect: bool,
    bases: &Bases<'_>,
    files: &Files,
    draft: &mut Draft,
) {
    let own = proxy.own().iter().filter(|line| line.is("bind"));
    for line in own {
        proxy.ledger.see(line);
        let mut listener = Listener::new(line);
        for address in line.arg(0).split(',') {
            match bind_address(address) {
                Ok(address) => listener.bind(address),
                Err(why) => listener.notes.push(Note::lost(line, why)),
            }
        }
        words(&mut listener, line, bases, files);
        if let Some(maxconn) = proxy.last("maxconn") {
            match maxconn.arg(0).parse() {
                Ok(count) => listener.spec.max_connections = count,
                Err(_) => listener.notes.push(Note::lost(maxconn, "it is no number; see max_connections")),
            }
        }
        listener.spec.redirect_to_https = is_redirect && listener.spec.protocol == ListenerProtocol::Http;
        let alike = draft.listeners.iter_mut().find(|other| {
            let (a, b) = (&other.spec, &listener.spec);
            let bare = |spec: &crate::config::raw::ListenerSpec| crate::config::raw::ListenerSpec {
                bind: Vec::new(),
                ..spec.clone()
            };
            bare(a) == bare(b)
        });
        match alike {
            Some(other) => {
                listener.spec.bind.into_iter().for_each(|address| other.bind(address));
                other.notes.extend(listener.notes);
            }
            None if listener.spec.bind.is_empty() => draft.notes.extend(listener.notes),
            None => draft.listeners.push(listener),
        }
    }
}

fn bind_address(text: &str) -> Result<String, String> {
    let text = ["ipv4@", "ipv6@"].iter().find_map(|family| text.strip_prefix(family)).unwrap_or(text);
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    if text.contains('@') || text.starts_with('/') || port.contains('-') {
        return Err(format!("{text:?} is no TCP address with one port; add it to `bind` as such"));
    }
    let host = match host {
        "" | "*" => "0.0.0.0".to_owned(),
        // `:::443` is any address of IPv6.
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
        host => host.to_owned(),
    };
    Ok(format!("{host}:{port}"))
}

fn words(listener: &mut Listener, line: &Directive, bases: &Bases<'_>, files: &Files) {
    let mut tls = ListenerTlsSpec::default();
    let mut verify = "none";
    let in_base = |base: Option<&str>, name: &str| match base.filter(|_| !name.starts_with('/')) {
        Some(base) => files.absolute(&format!("{}/{name}", base.trim_end_matches('/'))),
        None => files.absolute(name),
    };
    let mut words = line.args.iter().skip(1).map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "ssl" => listener.spec.protocol = ListenerProtocol::Https,
            "accept-proxy" => {
                listener.spec.proxy_protocol = true;
                let why = "PROXY headers are read from trusted_proxies only; name the balancer there";
                listener.notes.push(Note::changed(line, why));
            }
            "crt" => certificates(&mut tls, &in_base(bases.crt, words.next().unwrap_or_default()), files),
            "ca-file" => tls.client_ca = in_base(bases.ca, words.next().unwrap_or_default()),
            "verify" => verify = words.next().unwrap_or_default(),
            "ssl-min-ver" => {
                if words.next().is_some_and(|version| version.eq_ignore_ascii_case("tlsv1.3")) {
                    tls.min_version = TlsVersion::Tls13;
                }
            }
            "maxconn" => {
                if let Some(count) = words.next().and_then(|count| count.parse().ok()) {
                    listener.spec.max_connections = count;
                }
            }
            "v4v6" => {
                let any = listener
                    .spec
                    .bind
                    .iter()
                    .filter_map(|bind| bind.strip_prefix("[::]:").map(|port| format!("0.0.0.0:{port}")));
                let any: Vec<_> = any.collect();
                any.into_iter().for_each(|address| listener.bind(address));
            }
            // Done anyway, or of no meaning here.
            "no-sslv3" | "no-tlsv10" | "no-tlsv11" | "no-tls-tickets" | "v6only" | "defer-accept" | "tfo"
            | "strict-sni" => {}
            "alpn" | "npn" | "name" | "proto" | "ciphers" | "ciphersuites" | "curves" | "ecdhe" | "id"
            | "level" | "mode" | "user" | "group" | "backlog" | "process" | "thread" | "shards" | "nice"
            | "ssl-max-ver" | "tcp-ut" | "mss" | "crt-ignore-err" | "ca-ignore-err" => {
                words.next();
            }
            word => {
                listener
                    .notes
                    .push(Note::lost(line, format!("there is nothing like {word:?} of a listener")));
            }
        }
    }
    match verify {
        "required" => tls.client_auth = ClientAuth::Required,
        "optional" => tls.client_auth = ClientAuth::Optional,
        _ => tls.client_ca.clear(),
    }
    if listener.spec.protocol == ListenerProtocol::Https {
        listener.spec.tls = Some(tls);
    }
}

/// One file, or all of a directory. The key stands in it, or beside it.
fn certificates(tls: &mut ListenerTlsSpec, path: &str, files: &Files) {
    let found = files.matching(path).unwrap_or_default();
    let found: Vec<String> = match found.is_empty() {
        true => vec![path.to_owned()],
        false => found.iter().map(|path| path.display().to_string()).collect(),
    };
    for cert in found.into_iter().filter(|file| !file.ends_with(".key")) {
        let beside = format!("{cert}.key");
        let key = if std::path::Path::new(&beside).exists() { beside } else { cert.clone() };
        tls.certs.push(CertificateFilesSpec { cert, key });
    }
}
