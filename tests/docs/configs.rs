//! Every piece of configuration in the documentation is accepted by `cutover check`.

use std::path::Path;
use std::process::Command;

use rcgen::generate_simple_self_signed;

use crate::page;

#[test]
fn every_configuration_passes_check() {
    let directory = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for page in page::all() {
        for block in page.blocks().iter().filter(|block| block.language == "toml") {
            let text = whole(&placed(&block.text, directory.path()));
            let errors = check(&text, directory.path());
            assert!(errors.is_empty(), "{}:{}:\n{errors}\n{text}", page.path, block.line);
            checked += 1;
        }
    }
    assert!(checked > 15, "only {checked} configurations were found");
}

#[test]
fn a_wrong_one_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    assert!(check(&whole("[service.flip]\nmood = \"auto\"\n"), directory.path()).contains("mood"));
}

/// A piece that shows tables of a service belongs to one.
fn whole(text: &str) -> String {
    let is_piece = text.contains("[service.") || text.contains("[[service.");
    if is_piece && !text.contains("[[service]]") {
        return format!("[[service]]\nname = \"web\"\n{text}");
    }
    text.to_owned()
}

/// Lets the files of `/etc/cutover` be in `directory`, and puts a certificate, key or page there for each that is named.
fn placed(text: &str, directory: &Path) -> String {
    let here = directory.to_str().unwrap();
    let made = generate_simple_self_signed(["example.com".to_owned()]).unwrap();
    let words = text.split('"').map(|word| word.trim_start_matches("file:"));
    for name in words.filter_map(|word| word.strip_prefix("/etc/cutover/")) {
        let content = match name.rsplit_once('.') {
            Some((_, "pem")) => made.cert.pem(),
            Some((_, "key")) => made.signing_key.serialize_pem(),
            _ => "sorry".to_owned(),
        };
        let file = directory.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    text.replace("/etc/cutover", here)
}

/// What is wrong with it, in the words of `cutover check`.
fn check(text: &str, directory: &Path) -> String {
    std::fs::write(directory.join("c.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["check", "c.toml"]).current_dir(directory).env("HOOK_SECRET", "secret");
    let output = command.output().unwrap();
    if output.status.success() { String::new() } else { String::from_utf8(output.stderr).unwrap() }
}
