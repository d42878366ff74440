//! Whole configurations of each source: what becomes of them, what is said of wrong ones, and that nothing panics.

use std::path::{Path, PathBuf};

use cutover_tls::challenge::SelfSigned;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{Imported, Kind, Source, import, write};

const SAMPLES: [(Source, &str); 3] = [
    (Source::Apache, "apache/shop.conf"),
    (Source::Nginx, "nginx/rails.conf"),
    (Source::Haproxy, "haproxy/site.cfg"),
];

#[test]
fn a_balancer_of_apache_becomes_services() {
    insta::assert_snapshot!(sample(0));
}

#[test]
fn a_rails_site_of_nginx_becomes_services() {
    insta::assert_snapshot!(sample(1));
}

#[test]
fn two_backends_of_haproxy_become_services() {
    insta::assert_snapshot!(sample(2));
}

#[test]
fn an_import_is_the_same_each_time() {
    for at in 0..SAMPLES.len() {
        assert_eq!(sample(at), sample(at));
    }
}

#[test]
fn every_directive_of_a_sample_is_carried_over_or_talked_about() {
    // A mark that no importer knows, put behind each line that may have one, has to come back once for each.
    for (source, text, mark) in [
        (
            Source::Apache,
            "Listen 80\n<VirtualHost *:80>\nProxyPass / http://h/\n@\n<Location /x>\nProxyPass http://h\n@\n</Location>\n</VirtualHost>\n@\n",
            "Unheard of",
        ),
        (
            Source::Nginx,
            "@\nhttp {\n@\nserver {\n@\nlocation / { proxy_pass http://h; @\n}\n}\n}\n",
            "unheard of;",
        ),
        (
            Source::Haproxy,
            "global\n@\ndefaults\nmode http\n@\nfrontend f\nbind :80\n@\ndefault_backend b\nbackend b\n@\nserver s h:1\n",
            "unheard of",
        ),
    ] {
        let marks = text.matches('@').count();
        let imported = imported(source, &text.replace('@', mark)).unwrap();
        let told = imported.text.matches("heard of").count();
        assert_eq!(told, marks, "{source:?}: {}", imported.text);
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let error = |source, text: &str| imported(source, text).unwrap_err();
    for (source, text, expected) in [
        (Source::Apache, "Listen 80\n<VirtualHost *:80>\n", "main.conf:2:1: <virtualhost> is not closed"),
        (Source::Apache, "\n  </Proxy>", "main.conf:2:3: </Proxy> closes nothing that is open here"),
        (Source::Apache, "<Proxy *\n", "main.conf:1:1: the tag has no '>' at its end"),
        (Source::Apache, "ProxyPass \"/a http://h", "main.conf:1:11: the quote \" is not closed"),
        (Source::Nginx, "http {\n  gzip on\n}\n", "main.conf:3:1: there is no ';' behind \"gzip on\""),
        (Source::Nginx, "http {", "main.conf:1:1: the '{' of \"http\" is not closed"),
        (Source::Nginx, "}", "main.conf:1:1: this '}' closes nothing that is open"),
        (Source::Nginx, "a 'b;", "main.conf:1:3: the quote ' is not closed"),
        (
            Source::Haproxy,
            "\nbind :80\n",
            "main.conf:2:1: \"bind\" stands in no section, such as `global` or `frontend`",
        ),
        (Source::Haproxy, "global\n log \"x\n", "main.conf:2:6: the quote \" is not closed"),
    ] {
        assert_eq!(error(source, text), expected);
    }
}

#[test]
fn files_that_include_themselves_end() {
    let error = imported(Source::Nginx, "include main.conf;").unwrap_err();
    assert!(error.ends_with("files include each other more than 16 deep"), "{error}");
    let error = imported(Source::Apache, "Include main.conf").unwrap_err();
    assert!(error.ends_with("files include each other more than 16 deep"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_told_of_and_not_fatal() {
    for (source, text) in [(Source::Nginx, "include gone.conf;"), (Source::Apache, "Include gone.conf")] {
        let text = imported(source, text).unwrap().text;
        assert!(text.contains("a file that it names can't be read"), "{text}");
    }
}

#[test]
fn a_certificate_that_is_not_there_leaves_its_listener_as_a_comment() {
    let text = "server { listen 443 ssl; ssl_certificate a.pem; ssl_certificate_key a.key; location / { proxy_pass http://h; } }";
    let text = imported(Source::Nginx, text).unwrap().text;
    assert!(text.contains("# [[listener]]") && !text.contains("\n[[listener]]"), "{text}");
}

#[test]
fn a_redirect_to_tls_is_one_of_the_listener() {
    let dir = directory(0);
    for (source, text) in [
        (
            Source::Apache,
            "Listen 80\n<VirtualHost *:80>\nServerName a.test\nRedirect permanent / https://a.test/\n</VirtualHost>\n\
             Listen 443\n<VirtualHost *:443>\nServerName a.test\nSSLEngine on\nSSLCertificateFile tls/shop.pem\n\
             SSLCertificateKeyFile tls/shop.key\nProxyPass / http://h/\n</VirtualHost>\n",
        ),
        (
            Source::Apache,
            "<VirtualHost *:80>\nRewriteEngine On\nRewriteCond %{HTTPS} off\nRewriteRule ^(.*)$ https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]\n</VirtualHost>\n\
             <VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile tls/shop.pem\nSSLCertificateKeyFile tls/shop.key\nProxyPass / http://h/\n</VirtualHost>\n",
        ),
        (
            Source::Nginx,
            "server { listen 80; return 301 https://$host$request_uri; }\nserver { listen 443 ssl; ssl_certificate tls/shop.pem; \
             ssl_certificate_key tls/shop.key; location / { proxy_pass http://h; } }",
        ),
        (
            Source::Haproxy,
            "frontend f\nmode http\nbind *:80\nbind *:443 ssl crt tls/shop.pem\nredirect scheme https code 301 if !{ ssl_fc }\n\
             default_backend b\nbackend b\nmode http\nserver s h:1\n",
        ),
    ] {
        let path = dir.path().join("main.conf");
        std::fs::write(&path, text).unwrap();
        let imported = import(source, &path).unwrap();
        let config = crate::config::check_text("c", &imported.text).unwrap();
        let listeners: Vec<_> =
            config.listeners.iter().map(|l| (l.redirect_to_https, l.tls.is_some())).collect();
        assert_eq!(listeners, [(true, false), (false, true)], "{}", imported.text);
        assert_eq!(config.services.len(), 1, "{}", imported.text);
    }
}

#[test]
fn whom_a_server_runs_as_is_not_carried_over_and_what_to_do_is_said() {
    for (source, text) in [
        (Source::Nginx, "user www-data;\nserver { location / { proxy_pass http://h; } }"),
        (Source::Apache, "User www-data\nProxyPass / http://h/\n"),
        (
            Source::Haproxy,
            "global\nuser haproxy\nfrontend f\nmode http\nbind :80\ndefault_backend b\nbackend b\nmode http\nserver s h:1\n",
        ),
    ] {
        let text = imported(source, text).unwrap().text;
        assert!(text.contains("name one in user of [node]"), "{text}");
    }
}

#[test]
fn a_fixed_word_about_the_way_of_a_request_is_not_dropped_silently() {
    for (source, text) in [
        (
            Source::Nginx,
            "server { location / { proxy_pass http://h; proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-For $remote_addr; } }",
        ),
        (Source::Apache, "RequestHeader set X-Forwarded-Proto \"https\"\nProxyPass / http://h/\n"),
        (
            Source::Haproxy,
            "frontend f\nmode http\nbind :80\nhttp-request set-header X-Forwarded-Proto https\ndefault_backend b\nbackend b\nmode http\nserver s h:1\n",
        ),
    ] {
        let text = imported(source, text).unwrap().text;
        assert_eq!(text.matches("name that one in trusted_proxies").count(), 1, "{text}");
    }
}

#[test]
fn what_cutover_would_refuse_is_left_out_and_told() {
    let text = "frontend f\nmode http\nbind :80\nhttp-request set-header Bad\\ Name x\nhttp-request set-header X-Home '${HOME}'\n\
                default_backend b\nbackend b\nmode http\nserver s h:1\nserver t h:99999\n";
    let imported = imported(Source::Haproxy, text).unwrap();
    assert_eq!(write::count(&imported.draft, Kind::Lost), 3, "{}", imported.text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_text_panics(text in "[a-zA-Z/{}<>;\"'\\\\#$ \n:=.0-9]{0,300}", source in 0..3_usize) {
        let _ = imported(SAMPLES[source].0, &text);
    }

    /// A sample with pieces cut out, doubled and changed still becomes a configuration, or an error with a place.
    #[test]
    fn no_mangled_sample_panics_or_makes_a_bad_configuration(
        source in 0..3_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 1..12),
    ) {
        let mut text = std::fs::read(samples().join(SAMPLES[source].1)).unwrap();
        for (at, kind, byte) in edits {
            let at = at.index(text.len());
            let end = (at + usize::from(byte)).min(text.len());
            match kind {
                0 => drop(text.drain(at..end)),
                1 => text[at] = byte,
                2 => text.insert(at, byte),
                _ => text.extend_from_within(at..end),
            }
            text.push(b'\n');
        }
        let dir = directory(source);
        let path = dir.path().join("main.conf");
        std::fs::write(&path, text).unwrap();
        if let Err(error) = import(SAMPLES[source].0, &path) {
            prop_assert!(matches!(error, super::ImportError::Syntax { .. }), "{error}");
        }
    }
}

/// The text that a sample becomes, with its directory under a name.
fn sample(at: usize) -> String {
    let (source, name) = SAMPLES[at];
    let dir = directory(at);
    let main = dir.path().join(Path::new(name).file_name().unwrap());
    let imported = import(source, &main).unwrap();
    crate::config::check_text("the sample", &imported.text).unwrap_or_else(|report| panic!("{report}"));
    imported.text.replace(&dir.path().display().to_string(), "[DIR]")
}

/// The text of an import of `text`, or what is wrong with it by the name of its file alone.
fn imported(source: Source, text: &str) -> Result<Imported, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("main.conf");
    std::fs::write(&path, text).unwrap();
    import(source, &path)
        .map_err(|error| error.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

/// A copy of the files around a sample, with a certificate.
fn directory(at: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = samples().join(SAMPLES[at].1);
    copy(from.parent().unwrap(), dir.path());
    std::fs::create_dir(dir.path().join("tls")).unwrap();
    let made = SelfSigned::for_names(&["shop.example.com".to_owned()]).unwrap();
    std::fs::write(dir.path().join("tls/shop.key"), &made.key_pem).unwrap();
    std::fs::write(dir.path().join("tls/shop.pem"), made.chain_pem + &made.key_pem).unwrap();
    dir
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/import/samples")
}
