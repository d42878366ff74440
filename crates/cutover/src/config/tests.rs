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
fn text_that_is_no_toml_is_reported_with_the_rest() {
    insta::assert_snapshot!(errors(
        "[node]\nname = web\nworkers = \nworkers = 3\n[[service]]\nname = \"web\"\nidle = 1\n[service.pin\nidle = 30m\n"
    ));
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
fn a_later_feature_that_is_off_is_accepted() {
    config(
        "[tracing]\notlp = \"\"\n[[listener]]\nbind = [\"[::1]:0\"]\nproxy_protocol = false\nredirect_to_https = false\n\
         [[service]]\nname = \"web\"\nstrip_prefix = false\nrate_limit = { per_client = 0, burst = 0 }\nhook = []\n",
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
