//! `SSL…` of virtual hosts: certificates, versions, client certificates.

use super::super::draft::Listener;
use super::super::files::Files;
use super::super::note::{Ledger, Note};
use super::super::tree::{Directive, named};
use crate::config::raw::{CertificateFilesSpec, ClientAuth, ListenerProtocol, TlsVersion};

/// Adds what a virtual host shows to clients. `main` is what holds for all of them.
pub(super) fn add(
    listener: &mut Listener,
    scope: &[Directive],
    main: &[Directive],
    files: &Files,
    ledger: &Ledger,
) {
    let is_first = listener.spec.tls.is_none();
    listener.spec.protocol = ListenerProtocol::Https;
    let mut tls = listener.spec.tls.take().unwrap_or_default();
    let last = |name: &'static str| {
        named(scope, name)
            .next_back()
            .or_else(|| named(main, name).next_back())
            .inspect(|found| ledger.see(found))
    };
    last("sslengine");
    let keys: Vec<_> = named(scope, "sslcertificatekeyfile").collect();
    for (index, file) in named(scope, "sslcertificatefile").enumerate() {
        ledger.see(file);
        // A key may stand in the file of its certificate.
        let key = keys.get(index).inspect(|key| ledger.see(key)).map_or(file.arg(0), |key| key.arg(0));
        let files = CertificateFilesSpec { cert: files.absolute(file.arg(0)), key: files.absolute(key) };
        if !tls.certs.contains(&files) {
            tls.certs.push(files);
        }
    }
    if let Some(chain) = last("sslcertificatechainfile") {
        let why = "a chain stands in the file of its certificate; append it there";
        listener.notes.push(Note::lost(chain, why));
    }
    if let Some(protocol) = last("sslprotocol") {
        let (version, has_older) = oldest(protocol);
        if is_settled(listener, protocol, is_first, version == tls.min_version) {
            tls.min_version = version;
        }
        if has_older {
            listener.notes.push(Note::changed(protocol, "TLS 1.2 is the oldest version that is spoken"));
        }
    }
    if let (Some(verify), Some(ca)) = (last("sslverifyclient"), last("sslcacertificatefile")) {
        let auth = match verify.keyword(0).as_str() {
            "require" => Some(ClientAuth::Required),
            "optional" => Some(ClientAuth::Optional),
            _ => None,
        };
        let file = files.absolute(ca.arg(0));
        if let Some(auth) = auth.filter(|_| is_settled(listener, ca, is_first, tls.client_ca == file)) {
            tls.client_ca = file;
            tls.client_auth = auth;
        }
    }
    listener.spec.tls = Some(tls);
}

/// Whether a virtual host may say how the listener is: the first one does.
fn is_settled(listener: &mut Listener, directive: &Directive, is_first: bool, is_same: bool) -> bool {
    if !is_same && !is_first {
        let why =
            "a listener has one setting for all its hosts, that of the first; make it a listener of its own";
        listener.notes.push(Note::lost(directive, why));
    }
    is_first
}

/// The oldest version that `SSLProtocol` lets through, and whether it is one that cutover does not speak.
fn oldest(protocol: &Directive) -> (TlsVersion, bool) {
    // From the oldest to the newest.
    let names = ["sslv3", "tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3"];
    let mut is_on = [false; 5];
    for word in protocol.args.iter().map(|word| word.to_ascii_lowercase()) {
        let (sign, name) = match word.strip_prefix(['+', '-']) {
            Some(name) => (!word.starts_with('-'), name),
            None => (true, word.as_str()),
        };
        match names.iter().position(|other| *other == name) {
            Some(at) => is_on[at] = sign,
            None if name == "all" => is_on = [sign; 5],
            None => {}
        }
    }
    let version = if is_on[3] || !is_on[4] { TlsVersion::Tls12 } else { TlsVersion::Tls13 };
    (version, is_on[1] || is_on[2])
}
