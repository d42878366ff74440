//! Reads `[[listener]]`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use cutover_control::admin::wire::service::name_in_requests;
use cutover_control::document::Check;
use cutover_core::route::HostPattern;
use cutover_tls::server::{CertificateFiles, ClientAuth, MinVersion};
use http::Uri;

use crate::config::raw::{
    self, AcmeSpec, Challenge, ListenerProtocol, ListenerSpec, ListenerTlsSpec, TlsVersion,
};
use crate::config::{Acme, AcmeChallenge, BindAddress, Listener, ListenerTls, address};

/// What `raw` means.
pub(super) fn listener(raw: &ListenerSpec, check: &mut Check<'_>) -> Listener {
    if check.are_clean(&["protocol"]) {
        check_protocol(raw, check);
    }
    if raw.proxy_protocol && raw.trusted_proxies.is_empty() {
        check.wrong(
            "proxy_protocol",
            "is true and nobody is trusted to send it; name the proxies in `trusted_proxies`",
        );
    }
    if raw.max_connections_per_client > raw.max_connections && check.are_clean(&["max_connections"]) {
        check.wrong(
            "max_connections_per_client",
            format_args!(
                "is {}; must not be more than `max_connections`, {}",
                raw.max_connections_per_client, raw.max_connections
            ),
        );
    }
    Listener {
        bind: check.list("bind", &raw.bind, str::parse),
        trusted_proxies: check.list("trusted_proxies", &raw.trusted_proxies, address::network),
        max_connections: raw.max_connections,
        max_connections_per_client: NonZeroU32::new(raw.max_connections_per_client),
        proxy_protocol: raw.proxy_protocol,
        tls: raw.tls.as_ref().map(|raw| tls(raw, &mut check.table("tls"))),
        redirect_to_https: raw.redirect_to_https,
    }
}

/// Reports addresses that an earlier listener has already: only one of them would be asked. Port 0 is another one each time.
pub(super) fn check_addresses(listeners: &[ListenerSpec], root: &mut Check<'_>) {
    let mut owners: BTreeMap<String, usize> = BTreeMap::new();
    for (index, listener) in listeners.iter().enumerate() {
        let addresses =
            listener.bind.iter().map(|text| text.parse::<BindAddress>().map(|bind| bind.to_string()));
        for (at, address) in addresses.enumerate() {
            let Ok(address) = address else { continue };
            match owners.get(&address) {
                Some(&owner) if owner != index && !address.ends_with(":0") => {
                    let message = format!(
                        "{address:?} is an address of listener {owner} already; give one of them another"
                    );
                    root.element("listener", index).wrong_element("bind", at, message);
                }
                Some(_) => {}
                None => drop(owners.insert(address, index)),
            }
        }
    }
}

/// Reports challenges over plain HTTP that no listener can answer.
pub(super) fn check_challenges(listeners: &[ListenerSpec], root: &mut Check<'_>) {
    if listeners.iter().any(|listener| listener.protocol == ListenerProtocol::Http) {
        return;
    }
    for (index, listener) in listeners.iter().enumerate() {
        let acme = listener.tls.as_ref().and_then(|tls| tls.acme.as_ref());
        if acme.is_some_and(|acme| acme.challenge == Challenge::Http01) {
            root.element("listener", index).table("tls").table("acme").wrong(
                "challenge",
                "is \"http-01\", and no listener speaks plain HTTP; add one that the authority reaches on port 80",
            );
        }
    }
}

fn check_protocol(raw: &ListenerSpec, check: &mut Check<'_>) {
    match (raw.protocol, &raw.tls) {
        (ListenerProtocol::Https, None) => {
            check.wrong("tls", "is missing; protocol \"https\" needs `certs` or `acme` in it");
        }
        (ListenerProtocol::Http, Some(_)) => {
            check.wrong("tls", "is used only with protocol = \"https\"; set that or remove this");
        }
        _ => {}
    }
    if raw.protocol == ListenerProtocol::Https && raw.redirect_to_https {
        check.wrong(
            "redirect_to_https",
            "is for listeners with protocol = \"http\"; this one speaks TLS already",
        );
    }
}

fn tls(raw: &ListenerTlsSpec, check: &mut Check<'_>) -> ListenerTls {
    if raw.certs.is_empty() && raw.acme.is_none() && check.are_clean(&["certs", "acme"]) {
        check.wrong("certs", "is empty; name a certificate and its key, or let `acme` get one");
    }
    let is_optional = raw.client_auth == raw::ClientAuth::Optional;
    if is_optional && raw.client_ca.is_empty() && check.are_clean(&["client_ca"]) {
        check.wrong("client_auth", "is used only with `client_ca`; set that or remove this");
    }
    let client_subject_header = match name_in_requests(&raw.client_subject_header) {
        Ok(name) => name,
        Err(error) => {
            check.wrong("client_subject_header", error);
            String::new()
        }
    };
    let acme = raw.acme.as_ref().map(|raw| acme(raw, &mut check.table("acme")));
    ListenerTls {
        certs: raw
            .certs
            .iter()
            .map(|files| CertificateFiles { cert: (&files.cert).into(), key: (&files.key).into() })
            .collect(),
        min_version: match raw.min_version {
            TlsVersion::Tls12 => MinVersion::Tls12,
            TlsVersion::Tls13 => MinVersion::Tls13,
        },
        client_auth: (!raw.client_ca.is_empty())
            .then(|| ClientAuth { ca: (&raw.client_ca).into(), is_required: !is_optional }),
        client_subject_header,
        acme,
    }
}

fn acme(raw: &AcmeSpec, check: &mut Check<'_>) -> Acme {
    let domains = check.list("domains", &raw.domains, domain);
    let is_email = raw.email.is_empty()
        || raw.email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
            && raw.email.len() <= 254
            && raw.email.bytes().all(|b| b.is_ascii_graphic());
    if !is_email {
        check.wrong(
            "email",
            format_args!("{:?} is no address; write one such as \"ops@example.com\"", raw.email),
        );
    }
    let is_url = raw.directory.parse::<Uri>().is_ok_and(|url| url.scheme_str() == Some("https"));
    if !is_url {
        check.wrong(
            "directory",
            format_args!("{:?} is no https URL; leave it out for Let's Encrypt", raw.directory),
        );
    }
    let challenge = match raw.challenge {
        Challenge::TlsAlpn01 => AcmeChallenge::TlsAlpn01,
        Challenge::Http01 => AcmeChallenge::Http01,
    };
    Acme {
        domains,
        email: Some(raw.email.clone()).filter(|email| !email.is_empty()),
        directory: raw.directory.clone(),
        ca: Some((&raw.ca).into()).filter(|_| !raw.ca.is_empty()),
        challenge,
    }
}

/// A name that an authority can be shown by what a listener answers: no wildcard (RFC 8555 section 7.1.3) and no address.
fn domain(text: &str) -> Result<String, String> {
    match HostPattern::parse(text) {
        Ok(HostPattern::Exact(domain))
            if !domain.contains('[') && domain.parse::<std::net::IpAddr>().is_err() =>
        {
            Ok(domain)
        }
        Ok(HostPattern::Under(_)) => Err(format!(
            "{text:?} has a wildcard, which can't be shown to be ours by a listener; name every host"
        )),
        _ => Err(format!("{text:?} is no host name; write one such as \"example.com\"")),
    }
}
