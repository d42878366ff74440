//! Whether the files that a configuration names can be used: asked by `cutover check`, which runs where the proxy will run.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};

use cutover_control::document::{Check, Path, Problems};
use cutover_tls::server::{CertificateFiles, ClientAuth, MinVersion, ServerTls, ServerTlsSpec, TlsError};

use super::raw::{AdminSpec, ListenerTlsSpec, RawConfig};

/// Reports every file that can't be used.
pub(super) fn check(raw: &RawConfig, problems: &mut Problems) {
    let mut root = Check::new(Path::root(), problems);
    for (index, listener) in raw.listener.iter().enumerate() {
        if let Some(tls) = &listener.tls {
            of_listener(tls, &mut root.element("listener", index).table("tls"));
        }
    }
    of_admin(&raw.admin, &mut root.table("admin"));
    for (index, service) in raw.service.iter().enumerate() {
        let mut check = root.element("service", index);
        for (status, path) in &service.error_pages {
            readable(&mut check.table("error_pages"), status, path);
        }
        service.upstream.check_files(&mut check.table("upstream").table("tls"));
        for (index, hook) in service.hook.iter().enumerate() {
            hook.check_files(&mut check.element("hook", index));
        }
    }
}

fn of_listener(tls: &ListenerTlsSpec, check: &mut Check<'_>) {
    for (index, files) in tls.certs.iter().enumerate() {
        pair(&mut check.element("certs", index), &files.cert, &files.key);
    }
    authorities(check, &tls.client_ca);
    if let Some(acme) = &tls.acme {
        readable(&mut check.table("acme"), "ca", &acme.ca);
    }
}

fn of_admin(admin: &AdminSpec, check: &mut Check<'_>) {
    let Some(tls) = &admin.tls else { return };
    let mut check = check.table("tls");
    pair(&mut check, &tls.cert, &tls.key);
    authorities(&mut check, &tls.client_ca);
}

/// Reports a certificate and its key that can't be shown, at the one that is wrong.
fn pair(check: &mut Check<'_>, cert: &str, key: &str) {
    let are_readable = [("cert", cert), ("key", key)].map(|(name, path)| readable(check, name, path));
    if are_readable.contains(&false) {
        return;
    }
    let certificates = vec![CertificateFiles { cert: cert.into(), key: key.into() }];
    if let Err(error) = load(certificates, None) {
        let is_key = error.file().is_some_and(|file| file == std::path::Path::new(key));
        check.wrong(if is_key { "key" } else { "cert" }, with_causes(&error));
    }
}

/// Reports a file with authorities by which no client can be believed.
fn authorities(check: &mut Check<'_>, client_ca: &str) {
    if !readable(check, "client_ca", client_ca) {
        return;
    }
    let client_auth = ClientAuth { ca: client_ca.into(), is_required: true };
    if let Err(error) = load(Vec::new(), Some(client_auth)) {
        check.wrong("client_ca", with_causes(&error));
    }
}

/// Does what a listener would do with them, and no more.
fn load(certificates: Vec<CertificateFiles>, client_auth: Option<ClientAuth>) -> Result<ServerTls, TlsError> {
    let is_managed = certificates.is_empty();
    ServerTls::load(ServerTlsSpec {
        certificates,
        min_version: MinVersion::default(),
        client_auth,
        is_managed,
    })
}

/// The error and what led to it, in one line.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Whether the file at `path`, the value of `key`, can be read; if not, it is reported. An empty path is none.
fn readable(check: &mut Check<'_>, key: &str, path: &str) -> bool {
    if path.is_empty() {
        return false;
    }
    // A directory can be opened, but not read.
    let read = File::open(path).and_then(|mut file| match file.read(&mut [0]) {
        Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty")),
        other => other,
    });
    read.map_err(|error| check.wrong(key, format_args!("can't read {path:?}: {error}"))).is_ok()
}

#[cfg(test)]
mod tests {
    use cutover_tls::challenge::SelfSigned;

    use super::super::{Files, read};

    #[test]
    fn a_key_of_another_certificate_is_a_problem_at_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let made = ["a.test", "b.test"].map(|name| SelfSigned::for_names(&[name.to_owned()]).unwrap());
        let cert = write("a.pem", made[0].chain_pem.clone());
        let [right, wrong] =
            [0, 1].map(|made_at| write(&format!("{made_at}.key"), made[made_at].key_pem.clone()));
        let found = |key: &str, client_ca: &str| {
            let text = format!(
                "[[listener]]\nbind = [\"[::1]:0\"]\nprotocol = \"https\"\n[[listener.tls.certs]]\ncert = {cert:?}\n\
                 key = {key:?}\n[admin.tls]\ncert = {cert:?}\nkey = {right:?}\nclient_ca = {client_ca:?}\n"
            );
            let read = read("c.toml", &text, &|_| Some("/h".to_owned()), Files::Needed);
            read.err().map(|report| report.to_string()).unwrap_or_default()
        };
        assert_eq!(found(&right, &cert), "");
        let report = found(&wrong, &right);
        let lines: Vec<_> = report.lines().collect();
        assert_eq!(lines.len(), 2, "{report}");
        assert!(lines[0].starts_with("c.toml:6:7: listener[0].tls.certs[0].key: can't use"), "{report}");
        assert!(lines[0].ends_with("it is not the key of the certificate"), "{report}");
        assert!(lines[1].starts_with("c.toml:10:13: admin.tls.client_ca: can't use"), "{report}");
    }

    #[test]
    fn files_that_cannot_be_read_are_problems_at_their_lines() {
        let dir = tempfile::tempdir().unwrap();
        let here = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(here("page"), "<p>").unwrap();
        std::fs::write(here("empty"), "").unwrap();
        let text = format!(
            "[[listener]]\nbind = [\"[::1]:0\"]\nprotocol = \"https\"\ntls.certs = [{{ cert = \"{}\", key = \"{}\" }}]\n\
             [[service]]\nname = \"web\"\n[service.error_pages]\n503 = \"{}\"\n404 = \"{}\"\n",
            here("no"),
            here("empty"),
            here("page"),
            dir.path().display(),
        );
        let errors = |files| {
            read("c.toml", &text, &|_| Some("/h".to_owned()), files).err().map(|report| report.to_string())
        };
        let found = errors(Files::Needed).unwrap();
        let lines: Vec<_> =
            found.lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "c.toml:4:23 listener[0].tls.certs[0].cert",
                &format!("c.toml:4:{} listener[0].tls.certs[0].key", 23 + here("no").len() + 10),
                "c.toml:9:7 service[0].error_pages.404",
            ],
            "{found}"
        );
        assert_eq!(errors(Files::Unasked), None);
    }
}
