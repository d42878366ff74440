//! The files of `config/`: they parse, they say the truth about defaults, and the schema is fresh.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::{Config, load, parse, schema};

/// Tables whose keys are not written in the reference, but shown in comments.
const IN_COMMENTS: [&str; 8] = [
    "listener.tls",
    "admin.tls",
    "admin.tokens.",
    "admin.certificates.",
    "service.backends.",
    "service.canary.steps.",
    "service.redirect.",
    "service.hook.",
];

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

fn config(text: &str) -> Config {
    parse("c.toml", text, &|_| Some("/home/someone".to_owned())).unwrap_or_else(|report| panic!("{report}"))
}

fn reference() -> String {
    std::fs::read_to_string(directory().join("reference.toml")).unwrap()
}

#[test]
fn every_example_is_right() {
    let mut seen = 0;
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let config = load(&path).unwrap_or_else(|report| panic!("{report}"));
            assert_eq!(config.warnings(), [], "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen} examples");
    for packaged in ["../docker/cutover.toml", "../packaging/cutover.toml"] {
        load(&directory().join(packaged)).unwrap_or_else(|report| panic!("{report}"));
    }
}

#[test]
fn the_defaults_in_the_reference_are_those_of_the_code() {
    assert_eq!(config(&reference()), config("[[service]]\nname = \"web\""));
}

#[test]
fn the_reference_has_every_key() {
    let text = reference();
    let table: toml::Table = toml::from_str(&text).unwrap();
    let mut written = BTreeSet::new();
    keys_of_value(&serde_json::to_value(table).unwrap(), "", &mut written);
    let (schema, mut known) = (schema(), BTreeSet::new());
    keys_of_schema(&schema, &schema, "", &mut known);
    // Lists that are empty by default show their elements in a comment, and so do tables that switch something on.
    let (in_comments, known): (BTreeSet<_>, _) =
        known.into_iter().partition(|key| IN_COMMENTS.iter().any(|table| key.starts_with(table)));
    assert_eq!(written, known);
    let comments: String =
        text.lines().filter_map(|line| line.split_once('#')).map(|(_, comment)| comment).collect();
    for key in in_comments {
        let last = key.rsplit('.').next().unwrap_or(&key);
        assert!(comments.contains(&format!("{last} = ")) || comments.contains(&format!("[{key}]")), "{key}");
    }
}

#[test]
fn the_schema_file_is_fresh() {
    let path = directory().join("cutover.schema.json");
    let fresh = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == fresh, "{} is stale: run this test with UPDATE=1", path.display());
}

fn keys_of_value(value: &Value, at: &str, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                keys.insert(path.clone());
                keys_of_value(value, &path, keys);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys_of_value(item, at, keys)),
        _ => {}
    }
}

fn keys_of_schema(schema: &Value, root: &Value, at: &str, keys: &mut BTreeSet<String>) {
    if let Some(target) = schema["$ref"].as_str() {
        return keys_of_schema(root.pointer(target.trim_start_matches('#')).unwrap(), root, at, keys);
    }
    if schema["items"].is_object() {
        keys_of_schema(&schema["items"], root, at, keys);
    }
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        keys.insert(path.clone());
        keys_of_schema(schema, root, &path, keys);
    }
}
