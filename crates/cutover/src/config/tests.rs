//! Whole files: what they mean, and what is said of wrong ones.

use super::*;

fn environment(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/home/someone".to_owned()),
        "PORT" => Some("3000".to_owned()),
        _ => None,
    }
}

fn config(text: &str) -> Config {
    parse("c.toml", text, &environment).unwrap_or_else(|report| panic!("{report}"))
}

fn errors(text: &str) -> String {
    parse("c.toml", text, &environment).unwrap_err().to_string()
}

#[test]
fn an_empty_file_is_the_built_in_defaults() {
    let config = config("");
    assert_eq!(config.listeners[0].bind[0].to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9900");
    assert!(config.admin.is_open && config.services.is_empty());
}

#[test]
fn every_error_is_reported_at_once_with_its_place() {
    insta::assert_snapshot!(errors(include_str!("tests/wrong.toml")));
}

#[test]
fn services_that_would_end_each_others_sessions_are_warned_of() {
    let file = |pin: &str| {
        format!("[[service]]\nname = \"web\"\n[[service]]\nname = \"api\"\npaths = [\"/api\"]\n{pin}")
    };
    let [warning] = &config(&file("")).warnings()[..] else { panic!("one warning") };
    assert!(
        warning
            .to_string()
            .starts_with("services \"api\" and \"web\" keep sessions in one cookie, \"cutover\",")
    );
    assert_eq!(config(&file("[service.pin]\ncookie = \"api\"")).warnings(), []);
}

#[test]
fn text_that_is_no_toml_is_reported_with_the_rest() {
    insta::assert_snapshot!(errors(
        "[node]\nname = web\nworkers = \nworkers = 3\n[[service]]\nname = \"web\"\nidle = 1\n[service.pin\nidle = 30m\n"
    ));
}

#[test]
fn what_is_often_written_wrong_is_told_with_what_to_write() {
    let mistakes = [
        "[service]\nname = \"web\"\n[listener]\nbind = [\"127.0.0.1:1\"]",
        "[[service]]\nname = \"web\"\n[service.hook]\non = \"drained\"",
        "[[service]]\nname = \"web\"\n[[service.health]]\npath = \"/up\"",
        "[health]\npath = \"/up\"\n[[service]]\nname = \"web\"",
        "backends = [\"127.0.0.1:1\"]\n[[service]]\nname = \"web\"",
        "[[service]]\nname = \"web\"\nbackends = [\"10.0.0.1:3000\"]",
        "[[service]]\nname = \"web\"\nbackends = [{ address = \"http://10.0.0.1:3000/\" }, { address = \"https://app\" }]",
        "[node]\nname = \"a\"\nworkers = 1\nname = \"b\"",
        "[node]\nname = \"a\"\n[limits]\nheaders = \"8KiB\"\n[node]\nworkers = 1",
        "[[service]]\nname = \"web\"\n[service]\nname = \"api\"",
        "[[service]]\nname = \"web\"\n[[service]]\nname = \"web\"",
    ];
    insta::assert_snapshot!(mistakes.map(errors).join("\n"));
}

#[test]
fn variables_are_replaced_and_missing_ones_reported() {
    let file =
        |address: &str| format!("[[service]]\nname = \"web\"\nbackends = [{{ address = \"{address}\" }}]\n");
    let address = config(&file("h:${PORT}")).services[0].backends[0].address.to_string();
    assert_eq!(address, "h:3000");
    assert_eq!(
        errors(&file("h:${NOPE}")),
        "c.toml:3:25: service[0].backends[0].address: the environment has no variable NOPE; set it, or write \"${NOPE:-default}\""
    );
}

#[test]
fn an_admin_listener_that_others_reach_needs_tokens() {
    let tokens =
        format!("tokens = [{{ name = \"ci\", sha256 = \"{}\", role = \"operate\" }}]", "0f".repeat(32));
    let admin = config(&format!("[admin]\nlisten = \"0.0.0.0:9900\"\n{tokens}")).admin;
    assert!(!admin.is_open && admin.tokens[0].sha256 == [15; 32]);
    assert!(
        errors("[admin]\nlisten = \"0.0.0.0:9900\"")
            .contains("admin.tokens: is empty and others than this machine can connect")
    );
    assert!(
        errors(&format!("[admin]\nlisten = \"0.0.0.0:9900\"\nopen = true\n{tokens}"))
            .starts_with("c.toml:3:8: admin.open: is true")
    );
    assert!(errors("[admin]\nopen = false").contains("`open` is false"));
}

#[test]
fn the_subject_of_a_client_has_a_header_of_its_own() {
    for header in ["Host", "X-Forwarded-For", "x_forwarded_proto", "Cookie", "X-Request-Id"] {
        let found = errors(&format!(
            "[[listener]]\nbind = [\"[::1]:0\"]\nprotocol = \"https\"\ntls.certs = [{{ cert = \"a.pem\", key = \"a.key\" }}]\n\
             tls.client_subject_header = {header:?}\n"
        ));
        assert!(
            found.starts_with("c.toml:5:29: listener[0].tls.client_subject_header: "),
            "{header}: {found}"
        );
    }
}

#[test]
fn who_names_holders_of_tokens_lets_nobody_else_in_unless_that_is_said() {
    let token = format!("tokens = [{{ name = \"ci\", sha256 = \"{}\", role = \"read\" }}]", "0f".repeat(32));
    assert!(
        !config(&format!("[admin]\n{token}")).admin.is_open,
        "a token that nobody needs would do nothing"
    );
    assert!(config(&format!("[admin]\nopen = true\n{token}")).admin.is_open);
    let certificate = "certificates = [{ subject = \"CN=ci\", role = \"read\" }]\n\
                       tls = { cert = \"a.pem\", key = \"a.key\", client_ca = \"ca.pem\" }";
    assert!(!config(&format!("[admin]\n{certificate}")).admin.is_open);
}

#[test]
fn the_hash_of_a_token_may_lie_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hash");
    let file = format!(
        "[admin]\ntokens = [{{ name = \"ci\", sha256 = \"file:{}\", role = \"read\" }}]",
        path.display()
    );
    assert!(errors(&file).contains("admin.tokens[0].sha256: can't read"));
    std::fs::write(&path, "AA".repeat(32) + "\n").unwrap();
    assert_eq!(config(&file).admin.tokens[0].sha256, [0xaa; 32]);
}

#[test]
fn an_empty_list_of_hooks_is_none() {
    config("[[service]]\nname = \"web\"\nhook = []\n");
}

#[test]
fn a_listener_may_speak_tls() {
    let listeners = config(
        "[[listener]]\nbind = [\"[::1]:0\"]\nredirect_to_https = true\nproxy_protocol = true\nmax_connections_per_client = 9\n\
         [[listener]]\nbind = [\"[::1]:0\"]\nprotocol = \"https\"\n[listener.tls]\ncerts = [{ cert = \"a.pem\", key = \"a.key\" }]\n\
         min_version = \"1.3\"\nclient_ca = \"ca.pem\"\nclient_auth = \"optional\"\nclient_subject_header = \"X-Who\"\n\
         acme = { domains = [\"Example.com\"], challenge = \"http-01\" }\n",
    )
    .listeners;
    assert!(listeners[0].redirect_to_https && listeners[0].proxy_protocol && listeners[0].tls.is_none());
    assert_eq!(listeners[0].max_connections_per_client, NonZeroU32::new(9));
    let tls = listeners[1].tls.as_ref().unwrap();
    assert_eq!((tls.certs.len(), tls.min_version), (1, MinVersion::Tls13));
    assert!(!tls.client_auth.as_ref().unwrap().is_required && tls.client_subject_header == "x-who");
    let acme = tls.acme.as_ref().unwrap();
    assert_eq!(
        (acme.domains.as_slice(), acme.challenge),
        (&["example.com".to_owned()][..], AcmeChallenge::Http01)
    );
    assert_eq!(acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
}

#[test]
fn an_address_has_one_listener() {
    let listeners = |second: &str| {
        format!("[[listener]]\nbind = [\"[::1]:80\", \"[::1]:0\"]\n[[listener]]\nbind = [{second}]\n")
    };
    assert_eq!(config(&listeners("\"[::1]:0\", \"[::1]:81\"")).listeners.len(), 2);
    assert_eq!(
        errors(&listeners("\"[::1]:81\", \"[0::1]:80\"")),
        "c.toml:4:21: listener[1].bind[1]: \"[::1]:80\" is an address of listener 0 already; give one of them another"
    );
}

#[test]
fn a_challenge_over_plain_http_needs_a_listener_that_speaks_it() {
    let error = errors(
        "[[listener]]\nbind = [\"[::1]:0\"]\nprotocol = \"https\"\ntls.acme = { domains = [\"example.com\"], challenge = \"http-01\" }\n",
    );
    assert!(error.starts_with("c.toml:4:53: listener[0].tls.acme.challenge: is \"http-01\""), "{error}");
}

#[test]
fn holders_of_client_certificates_may_use_the_admin_api() {
    let tls = "[admin]\nlisten = \"0.0.0.0:9900\"\ntls = { cert = \"a.pem\", key = \"a.key\", client_ca = \"ca.pem\" }\n";
    let certificate = "[[admin.certificates]]\nsubject = \"CN=deploy\"\nrole = \"operate\"\n";
    let admin = config(&format!("{tls}{certificate}")).admin;
    assert!(!admin.is_open && admin.tls.unwrap().client_ca.is_some());
    assert_eq!(
        (admin.certificates[0].subject.as_str(), admin.certificates[0].role),
        ("CN=deploy", Role::Operate)
    );
    assert!(errors(tls).contains("admin.tokens: is empty and others than this machine can connect"));
    assert!(errors(certificate).contains("are used only with `tls.client_ca`"));
    assert!(
        errors("[admin]\nlisten = \"unix:/run/a\"\ntls = { cert = \"a\", key = \"b\" }")
            .contains("admin.tls: is for TCP")
    );
}

#[cfg(not(feature = "otlp"))]
#[test]
fn spans_need_a_build_that_has_them() {
    assert!(
        errors("[tracing]\notlp = \"http://localhost:4318\"")
            .contains("needs a build of cutover with the cargo feature `otlp`")
    );
}

#[test]
fn a_file_that_is_not_there_is_one_error_without_a_place() {
    let report = load(Path::new("/nonexistent/c.toml")).unwrap_err().to_string();
    assert!(report.starts_with("/nonexistent/c.toml: can't be read: "), "{report}");
}

#[test]
fn no_mangled_file_panics() {
    let text = include_str!("tests/wrong.toml");
    for cut in (0..text.len()).step_by(7).filter(|&cut| text.is_char_boundary(cut)) {
        let _ = parse("c.toml", &text[cut..], &environment);
        let _ = parse("c.toml", &text[..cut], &environment);
    }
}
