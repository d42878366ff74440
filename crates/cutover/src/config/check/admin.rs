//! Reads `[admin]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cutover_control::document::Check;
use cutover_core::id::ServiceName;
use cutover_tls::server::CertificateFiles;

use crate::config::raw::{AdminSpec, AdminTlsSpec, Role, TokenSpec};
use crate::config::{Admin, AdminAddress, AdminTls, Certificate, Token};

/// What `raw` means.
pub(super) fn admin(raw: &AdminSpec, check: &mut Check<'_>) -> Admin {
    let mut names = BTreeMap::new();
    let mut tokens = Vec::with_capacity(raw.tokens.len());
    for (index, spec) in raw.tokens.iter().enumerate() {
        let mut check = check.element("tokens", index);
        if let Some(first) = names.insert(&spec.name, index) {
            check.wrong(
                "name",
                format_args!("repeats token {first}, {:?}; each needs its own name", spec.name),
            );
        }
        tokens.extend(token(spec, &mut check));
    }
    let listen: Option<AdminAddress> = check.parse("listen", &raw.listen);
    let is_local = listen.as_ref().is_none_or(AdminAddress::is_local);
    if raw.open == Some(true) && !is_local {
        check.wrong(
            "open",
            format_args!("is true, but others can connect to {}; set it to false and add tokens", raw.listen),
        );
    }
    // Who names holders wants nobody else to be let in.
    let has_holders = !raw.tokens.is_empty() || !raw.certificates.is_empty();
    let is_open = raw.open.unwrap_or(is_local && !has_holders);
    if raw.tls.is_some() && matches!(listen, Some(AdminAddress::Unix(_))) {
        check.wrong("tls", "is for TCP; nobody listens in on a unix socket, remove it");
    }
    let tls = raw.tls.as_ref().map(tls);
    let certificates = certificates(raw, check);
    if !is_open && !has_holders {
        let reason = if is_local { "`open` is false" } else { "others than this machine can connect" };
        check.wrong("tokens", format_args!("is empty and {reason}; add one, `cutover token` makes it"));
    }
    // Never kept: without an address there is a problem.
    let listen = listen.unwrap_or_else(|| AdminAddress::Unix(PathBuf::new()));
    Admin { listen, is_open, tokens, tls, certificates }
}

fn tls(raw: &AdminTlsSpec) -> AdminTls {
    AdminTls {
        files: CertificateFiles { cert: (&raw.cert).into(), key: (&raw.key).into() },
        client_ca: Some((&raw.client_ca).into()).filter(|_| !raw.client_ca.is_empty()),
    }
}

fn certificates(raw: &AdminSpec, check: &mut Check<'_>) -> Vec<Certificate> {
    let has_ca = raw.tls.as_ref().is_some_and(|tls| !tls.client_ca.is_empty());
    if !raw.certificates.is_empty() && !has_ca && check.are_clean(&["tls"]) {
        check.wrong(
            "certificates",
            "are used only with `tls.client_ca`, by which they are believed; set that or remove this",
        );
    }
    let mut subjects = BTreeMap::new();
    let mut certificates = Vec::with_capacity(raw.certificates.len());
    for (index, spec) in raw.certificates.iter().enumerate() {
        let mut check = check.element("certificates", index);
        if let Some(first) = subjects.insert(&spec.subject, index) {
            check.wrong(
                "subject",
                format_args!("repeats certificate {first}, {:?}; write each once", spec.subject),
            );
        }
        if !is_subject(&spec.subject) {
            check.wrong(
                "subject",
                format_args!(
                    "{:?} is no distinguished name; write one such as \"CN=deploy,O=Example\"",
                    spec.subject
                ),
            );
        }
        let services = services(spec.role, &spec.services, &mut check);
        certificates.push(Certificate { subject: spec.subject.clone(), role: spec.role, services });
    }
    certificates
}

/// Whether a text can be what the subject of a certificate is written as (RFC 4514).
fn is_subject(text: &str) -> bool {
    text.contains('=') && text.len() <= 4096 && text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

fn token(raw: &TokenSpec, check: &mut Check<'_>) -> Option<Token> {
    if raw.name.len() > 64 || raw.name.chars().any(char::is_control) {
        check.wrong("name", "must be at most 64 bytes without control characters");
    }
    let services = services(raw.role, &raw.services, check);
    let sha256 = match digest(&raw.sha256) {
        Ok(sha256) => sha256,
        Err(message) => {
            check.wrong("sha256", message);
            return None;
        }
    };
    Some(Token { name: raw.name.clone(), sha256, role: raw.role, services })
}

/// The services that a role is for.
fn services(role: Role, names: &[String], check: &mut Check<'_>) -> Vec<ServiceName> {
    let services = check.list("services", names, |name| {
        ServiceName::parse(name).map_err(|error| format!("{name:?} is no service name: {error}"))
    });
    if check.are_clean(&["role", "services"]) {
        match (role, services.is_empty()) {
            (Role::Register, true) => {
                check.wrong("services", "is empty; name the services that it registers for");
            }
            (Role::Read | Role::Operate | Role::Admin, false) => {
                check.wrong("services", "is only for role \"register\"; remove it or change the role");
            }
            _ => {}
        }
    }
    services
}

fn digest(text: &str) -> Result<[u8; 32], String> {
    let from_file;
    let hex = match text.strip_prefix("file:") {
        None => text,
        Some(path) => {
            from_file =
                std::fs::read_to_string(path).map_err(|error| format!("can't read {path:?}: {error}"))?;
            from_file.trim()
        }
    };
    let mut bytes = [0; 32];
    // The text itself stays out of the message: somebody may have written the token where its hash belongs.
    let wrong = || "is no SHA-256 in hex (64 digits); `cutover token` makes a token and its hash".to_owned();
    if hex.len() != 64 || !hex.is_ascii() {
        return Err(wrong());
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        let digits = &hex[2 * index..2 * index + 2];
        let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        *byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex).ok_or_else(wrong)?;
    }
    Ok(bytes)
}
