//! Whether the files that a configuration names are there: asked by `cutover check`, which runs where the proxy will run.

use std::fs::File;
use std::io::{self, Read};

use cutover_control::document::{Check, Path, Problems};

use super::raw::{AdminSpec, ListenerTlsSpec, RawConfig};

/// Reports every file that can't be read.
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
    }
}

fn of_listener(tls: &ListenerTlsSpec, check: &mut Check<'_>) {
    for (index, files) in tls.certs.iter().enumerate() {
        let mut check = check.element("certs", index);
        readable(&mut check, "cert", &files.cert);
        readable(&mut check, "key", &files.key);
    }
    readable(check, "client_ca", &tls.client_ca);
    if let Some(acme) = &tls.acme {
        readable(&mut check.table("acme"), "ca", &acme.ca);
    }
}

fn of_admin(admin: &AdminSpec, check: &mut Check<'_>) {
    let Some(tls) = &admin.tls else { return };
    for (key, path) in [("cert", &tls.cert), ("key", &tls.key), ("client_ca", &tls.client_ca)] {
        readable(&mut check.table("tls"), key, path);
    }
}

/// Reports the file at `path`, the value of `key`, unless it can be read. An empty path is none.
fn readable(check: &mut Check<'_>, key: &str, path: &str) {
    if path.is_empty() {
        return;
    }
    // A directory can be opened, but not read.
    let read = File::open(path).and_then(|mut file| match file.read(&mut [0]) {
        Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty")),
        other => other,
    });
    if let Err(error) = read {
        check.wrong(key, format_args!("can't read {path:?}: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Files, read};

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
